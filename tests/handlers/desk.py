"""A desk at which one worker would sit: adds real jobs to a real store, claims them and calls their handlers."""

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Self, cast

from corral.app.bundle import Bundle
from corral.app.definition import JobDefinition
from corral.job import Job, JobState
from corral.keywords import AddKeywords
from corral.options import Keep
from corral.outcome import Completed, Retried
from corral.storage.port import Claim, Selection, Settlement, Storage, Token
from corral.timing import now_ms
from corral.worker.context import JobContext

Result = dict[str, Any]
_tokens = count(1)

LEASE_MS = 15_000


class Desk:
    """Runs the jobs of one queue, one attempt at a time."""

    def __init__(self, storage: Storage, queue: str, definitions: Iterable[JobDefinition[Any, Any]]) -> None:
        self.storage = storage
        self.queue = queue
        self.definitions = {one.name: one for one in definitions}

    @classmethod
    def of(cls, storage: Storage, bundle: Bundle) -> Self:
        """For a bundle's jobs."""
        return cls(storage, bundle.queue, bundle)

    async def begin(
        self, payload: Mapping[str, object], name: str = "send-email", *, id: str | None = None
    ) -> JobContext:
        """Add a job and claim it."""
        options: AddKeywords = {} if id is None else {"id": id}
        await self.storage.add([self.definitions[name].new(dict(payload), **options)])
        return await self.claim()

    async def claim(self, *, now: int | None = None) -> JobContext:
        """Claim the next job."""
        token = Token(f"token-{next(_tokens)}")
        claimed = await self.storage.claim(self.queue, Claim(count=1, token=token, lease_ms=LEASE_MS), now=now)
        (job,) = claimed.jobs
        attempts = self.definitions[job.name].handler.options.attempts or 1
        return JobContext(job, attempts, self.storage, token)

    async def run(self, ctx: JobContext) -> Result:
        """One attempt: what a worker does between claim and verdict."""
        handler = self.definitions[ctx.name].handler
        return cast(Result, await cast(Any, handler.call(ctx, handler.payload.decode(ctx.job.data))))

    async def send(self, payload: Mapping[str, object], name: str = "send-email") -> Result:
        """Add, claim and run."""
        return await self.run(await self.begin(payload, name))

    async def retry(self, ctx: JobContext) -> JobContext:
        """The attempt failed: settle it so and claim the job's next attempt."""
        await self._settle(ctx, Retried(0, "failed"))
        return await self.claim()

    async def recover(self, ctx: JobContext) -> JobContext:
        """The worker died: its lease runs out, the job is found and claimed again."""
        later = now_ms() + 2 * LEASE_MS
        recovered = await self.storage.recover(self.queue, now=later)
        assert recovered.requeued == (ctx.id,)
        return await self.claim(now=later)

    async def complete(self, ctx: JobContext, result: Result) -> Job | None:
        """Settle the job as done and answer how it is stored."""
        await self._settle(ctx, Completed(json.dumps(result), Keep()))
        return (await self.storage.get(self.queue, [ctx.id]))[0]

    async def remove(self, ctx: JobContext) -> None:
        """Delete the finished job, as retention does."""
        states = frozenset({JobState.COMPLETED, JobState.FAILED})
        assert await self.storage.remove(self.queue, Selection(states=states)) == [ctx.id]

    async def _settle(self, ctx: JobContext, outcome: Completed | Retried) -> None:
        token = ctx._token  # the worker's side of the context has no public door
        settled = await self.storage.settle(self.queue, [Settlement(job_id=ctx.id, token=token, outcome=outcome)])
        assert not settled.refused
