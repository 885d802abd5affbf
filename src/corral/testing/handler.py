"""One handler alone: called as a worker would call it, with a context that keeps what it is told."""

import asyncio
from collections.abc import Awaitable, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import TypeVar, cast

from corral.app.definition import JobDefinition
from corral.effects import AT_ONCE_MS
from corral.errors import ConfigError
from corral.job import Job, JobId, JobState, NewJob
from corral.payload import from_json, result_json
from corral.storage.port import Added, Children
from corral.timing import Millis, Seconds, instant_ms, now_ms, to_ms
from corral.worker.batch import BatchContext
from corral.worker.context import MAX_LOG_LINE, Facts, JobContext, SyncJobContext
from corral.worker.inject import Injector, bridge_to
from corral.worker.run import current_job
from corral.worker.services import Providers
from corral.worker.threads import Threads

D = TypeVar("D")
R = TypeVar("R")


class Recorded:
    """What a handler told its context, and what its context tells it. Give one to `run_job` and read it afterwards.

    Args:
        notes: what earlier attempts left with `ctx.note`; the handler's own are added.
        children: what `ctx.children()` answers.
    """

    def __init__(self, *, notes: Mapping[str, str] | None = None, children: Children | None = None) -> None:
        self.added: list[NewJob] = []  #: by `ctx.add` and `ctx.add_child`
        self.added_on_complete: list[NewJob] = []
        self.progress: list[object] = []  #: every value reported, oldest first
        self.logs: list[str] = []
        self.notes: dict[str, str] = dict(notes or {})
        self.children = children or Children()
        self.ledger: dict[tuple[str, str], str] = {}  #: what steps and effects have left; for a second run to find
        self.added_at = now_ms()  #: of the job: later runs with these records are runs of the same one

    def __repr__(self) -> str:
        return f"Recorded(progress={self.progress!r}, logs={self.logs!r}, notes={self.notes!r})"


class RecordedContext(JobContext):
    """A context that writes into a `Recorded` where the real one writes into the store."""

    __slots__ = ("_recorded",)

    def __init__(self, job: Job, attempts: int, recorded: Recorded) -> None:
        Facts.__init__(self, job, attempts)  # there is no store, no token
        self._recorded = recorded

    async def progress_json(self, text: str) -> None:
        self._recorded.progress.append(from_json(text))

    async def log(self, line: str) -> None:
        self._recorded.logs.append(str(line)[:MAX_LOG_LINE])

    async def children(self) -> Children:
        return self._recorded.children

    async def add_jobs(self, jobs: Sequence[NewJob], patience: float = 0.0) -> list[Added]:
        first = len(self._recorded.added) + 1
        self._recorded.added += jobs
        return [Added(job.id or str(number), fresh=True) for number, job in enumerate(jobs, first)]

    async def collect(self, jobs: Sequence[NewJob]) -> None:
        self._recorded.added_on_complete += jobs

    async def names_of(self, queue: str, ids: Sequence[JobId]) -> Mapping[JobId, str]:
        return {job.id: f"{job.queue}/{job.name}" for job in self._recorded.added if job.id and job.id in ids}

    async def recall(self, key: str) -> str | None:
        return self._recorded.notes.get(key)

    async def note(self, key: str, value: str, *, keep: Seconds = 7 * 86_400) -> None:
        to_ms(keep, "keep")
        self._recorded.notes[key] = value

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None
    ) -> str | None:
        before = self._recorded.ledger.get((ledger, key))
        if value is not None and (before is None or replace):
            self._recorded.ledger[ledger, key] = value
            if ttl_ms == AT_ONCE_MS:
                del self._recorded.ledger[ledger, key]
        return before

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool:
        return False  # nothing runs but this handler


async def run_job(
    job: JobDefinition[D, R], data: D | None = None, /, *, id: str = "1", attempt: int = 1, attempts: int | None = None,
    scheduled_for: datetime | float | None = None, recorded: Recorded | None = None,
    services: Mapping[type, object] | None = None,
) -> R:  # fmt: skip
    """Run one handler without a store: payload checked, context and all; answers what awaiting the job would give.

    Its services are its application's, fakes of `app.override` included; give `services` for others. It runs once. What
    it raises comes out as it is, `Retry`, `Snooze` and `Discard` included. Time limits, middleware
    and hooks are the worker's and do not apply; `process=True` handlers run in this process.

    Args:
        attempt: which one this is, from 1; `attempts` is how many there are (the declaration's number).
        recorded: keeps the progress, log lines and notes, and the jobs that it adds.
        services: instances for what the handler asks for, by type.

    Raises:
        PayloadError, ResultError: the data or the result is refused. ConfigError: attempts that do not add up.
    """
    recorded = recorded or Recorded()
    total = job.handler.options.attempts or 1 if attempts is None else attempts
    if not 1 <= attempt <= total:
        raise ConfigError(f"attempt must be from 1 to attempts ({total}), not {attempt!r}", key="attempt")
    stored = Job(
        id=id, queue=job.queue, name=job.name, state=JobState.ACTIVE, data=job.handler.payload.encode(data),
        options=job.handler.options, priority=job.priority, created_at=recorded.added_at, started_at=now_ms(),
        attempts_started=attempt, attempts_made=attempt - 1,
        scheduled_for=None if scheduled_for is None else instant_ms(scheduled_for, "scheduled_for"),
    )  # fmt: skip
    context = RecordedContext(stored, total, recorded)
    variable = current_job.set(stored)
    try:
        result = await _call(job, context, services or {})
    finally:
        current_job.reset(variable)
    return cast(R, from_json(result_json(result)))


async def _call(job: JobDefinition[D, R], context: JobContext, services: Mapping[type, object]) -> object:
    handler = job.handler
    if handler.batch is not None:
        raise ConfigError(f"job {job.name!r} takes batches: use run_batch", key="job")
    data = handler.payload.decode(context.job.data) if handler.takes_data else None
    sync = SyncJobContext(context, asyncio.get_running_loop())
    given: dict[Hashable, object] = {JobContext: context, SyncJobContext: sync, Facts: context}
    return await call_handler(job, context if handler.asynchronous else sync, data, given, services)


async def call_handler(
    job: JobDefinition[D, R], context: JobContext | SyncJobContext | BatchContext, data: object,
    given: Mapping[Hashable, object], services: Mapping[type, object],
) -> object:  # fmt: skip
    """Call the plain handler where it belongs, on this loop or in a thread, with its services."""
    handler = job.handler
    injector = Injector((job.providers or Providers()).lending(services))
    injector.check(job.queue, [handler])
    call = partial(handler.call, context, data)
    threads = Threads()
    try:
        async with AsyncExitStack() as stack:
            await injector.start(stack, in_child=True)  # here is where the handler runs
            if handler.asynchronous:
                if handler.needs:
                    return await injector.call(handler, given, call)
                return await cast(Awaitable[object], call())
            if not handler.needs:
                return await threads.run(copy_context(), call)
            bridge = bridge_to(asyncio.get_running_loop())
            return await threads.run(copy_context(), lambda: injector.call_blocking(handler, given, call, bridge))
    finally:
        threads.close()
