"""Draining: everything an application has to do, done now, with time moved on instead of waited for."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from msgspec import Struct

from corral.app.app import Corral
from corral.app.queues import AppQueue
from corral.errors import CorralError, QueueNotFoundError
from corral.job import Job, JobState
from corral.outcome import Completed, Failed, Outcome, Released, Retried
from corral.storage.port import BATCH, Claim, Claimed, Refusal, Settlement, Token
from corral.testing.clock import FakeClock
from corral.testing.store import ClockedStorage
from corral.timing import Millis
from corral.worker import fetcher
from corral.worker.batches import Batches
from corral.worker.children import Children
from corral.worker.executor import Executor
from corral.worker.hooks import HookCalls
from corral.worker.inject import Injector
from corral.worker.permits import Permits
from corral.worker.report import Reporter
from corral.worker.run import Run
from corral.worker.threads import Threads

#: Of the fake clock: a handler that lets it advance by less keeps its job.
LEASE_MS: Millis = 86_400_000
#: How long the hooks of one job may take.
HOOK_SECONDS = 5.0


class Drained(Struct, frozen=True, kw_only=True):
    """What a drain did."""

    completed: int = 0
    failed: int = 0  #: for good
    retried: int = 0  #: attempts that failed with another one to follow
    other: int = 0  #: runs that ended in none of these: snoozed, waiting for children, crashed
    reasons: tuple[str, ...] = ()  #: why attempts failed, in order: "send-email/welcome 3: ValueError: …"
    seconds: float = 0.0  #: how far time was moved

    @property
    def runs(self) -> int:
        """How often a handler was called."""
        return self.completed + self.failed + self.retried + self.other


class _Tally:
    """A `Drained` in the making."""

    def __init__(self) -> None:
        self.completed = self.failed = self.retried = self.other = 0
        self.reasons: list[str] = []
        self.skipped_ms: Millis = 0

    def count(self, job: Job, outcome: Outcome) -> None:
        match outcome:
            case Completed():
                self.completed += 1
            case Failed(reason=reason):
                self.failed += 1
                self.reasons.append(f"{job.queue}/{job.name} {job.id}: {reason}")
            case Retried(reason=reason):
                self.retried += 1
                self.reasons.append(f"{job.queue}/{job.name} {job.id}: {reason}")
            case _:
                self.other += 1

    @property
    def runs(self) -> int:
        return self.completed + self.failed + self.retried + self.other

    def done(self) -> Drained:
        return Drained(
            completed=self.completed, failed=self.failed, retried=self.retried, other=self.other,
            reasons=tuple(self.reasons), seconds=self.skipped_ms / 1000,
        )  # fmt: skip


async def drain(
    app: Corral, *, queues: Sequence[str] | None = None, clock: FakeClock | None = None, max_jobs: int = 10_000
) -> Drained:
    """Run jobs, one at a time, until nothing is left to run, now or later.

    When nothing can run now, time is moved on to the next delayed job, retry or end of a hold or rate limit's window.
    Handlers, middleware, hooks, limits and the application's lifespan are the real ones. Not run: jobs of paused queues
    or groups, and schedules (see `fire_schedules`).

    Args:
        queues: only these; without them those that a worker serves: all but queues that only collect dead letters.
        clock: the time to move. Needed only for an application that is not in `app_in_memory`, which has its own.
        max_jobs: how many runs are too many: a job that always adds another one would never end.

    Raises:
        CorralError: more than `max_jobs` runs; every one of them is settled. QueueNotFoundError: an undeclared queue.
    """
    names = list(app.served() if queues is None else queues)
    for name in names:
        if name not in app.queues:
            raise QueueNotFoundError(name, app.queues)
    store = await app.open()
    if not isinstance(store, ClockedStorage) or (clock is not None and clock is not store.clock):
        store = ClockedStorage(store, clock or FakeClock(ticking=True))
    queues_ = [app.queues[name] for name in names]
    async with _Bench(app, store, max_jobs).ready(queues_) as bench:
        await bench.work(queues_)
        return bench.tally.done()


class _Bench:
    """A worker without a loop of its own: claims one job, runs it, settles it."""

    def __init__(self, app: Corral, store: ClockedStorage, max_jobs: int) -> None:
        self.tally = _Tally()
        self._app = app
        self._store = store
        self._max_jobs = max_jobs
        self._threads = Threads()
        self._injector = Injector(app.providers)
        self._children: Children | None = None
        self._number = 0

    @asynccontextmanager
    async def ready(self, queues: Sequence[AppQueue]) -> AsyncIterator[Self]:
        """Inside the application's lifespan and with its services, as a worker's jobs are."""
        for queue in queues:
            self._injector.check(queue.name, (one.handler for one in queue.definitions.values()))
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._app.hosting())
                await self._injector.start(stack)
                yield self
        finally:
            self._threads.close()
            if self._children is not None:
                await self._children.close()

    async def work(self, queues: Sequence[AppQueue]) -> None:
        """Until idle."""
        for queue in queues:
            await self._store.configure(queue.name, queue.settings())
        while True:
            before = self.tally.runs
            times = [at for queue in queues if (at := await self._serve(queue)) is not None]
            if self.tally.runs > before:
                continue  # what ran may have added jobs to a queue that was served before
            if not times:
                return
            skip = max(0, min(times) - self._store.clock())
            self._store.clock.advance_ms(skip)
            self.tally.skipped_ms += skip

    async def _serve(self, queue: AppQueue) -> Millis | None:
        """Run what can run now; answers when something else can."""
        width = queue.batch_size
        executor = Executor(
            queue.name, queue.handler, lambda: list(queue.definitions), self._store,
            (*self._app.middlewares, *queue.middlewares), self._threads, self._child_pool, intake=self._app.intake,
            injector=self._injector,
            # One call at a time; no minimum is waited for, because nothing comes while a drain waits.
            batches=Batches(Permits(1), self._threads, self._injector, hasty=True) if width else None,
        )  # fmt: skip
        while True:
            self._number += 1
            token = Token(f"drain:{id(self)}:{self._number}")
            count = min(width, BATCH) or 1
            claimed = await self._store.claim(
                queue.name, Claim(count=count, token=token, lease_ms=LEASE_MS, worker="drain")
            )
            if not claimed.jobs:
                return await self._next_time(queue.name, claimed)
            for together in _batched(queue, claimed.jobs):
                await self._run_all(executor, together, token)

    async def _next_time(self, queue: str, claimed: Claimed) -> Millis | None:
        times = [] if claimed.next_at is None else await self._due(queue)
        if claimed.freed_at is not None:
            times.append(claimed.freed_at)
        # A window that holds nobody back is not worth waiting for.
        if claimed.held_until is not None and (await self._store.counts([queue]))[0].waiting:
            times.append(claimed.held_until)
        return min(times, default=None)

    async def _due(self, queue: str) -> list[Millis]:
        """When the first delayed job falls due. A claim may name an earlier time, the next run of a schedule."""
        first = await self._store.page(queue, [JobState.DELAYED], limit=1, newest_first=False)
        return [job.run_at for job in first.items if job.run_at is not None]

    async def _run_all(self, executor: Executor, jobs: Sequence[Job], token: Token) -> None:
        """A single job, or those of one batch."""
        if len(jobs) == 1:
            return await self._run(executor, jobs[0], token)
        tasks = [asyncio.ensure_future(self._run(executor, job, token)) for job in jobs]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return None

    async def _run(self, executor: Executor, job: Job, token: Token) -> None:
        loop = asyncio.get_running_loop()
        given_up: asyncio.Future[None] = loop.create_future()
        run = Run(job.queue, job, token, time.monotonic(), lambda _: _cancel_later(given_up))
        outcomes: list[Outcome] = []
        run.task = task = loop.create_task(_execute(executor, run, outcomes))
        try:
            # Not `await task`: the executor would take a cancellation of the drain for the end of the job.
            await asyncio.wait([task, given_up], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            run.stop(CorralError("the drain was cancelled"))
            await asyncio.wait([task, given_up], return_when=asyncio.FIRST_COMPLETED)
            await self._settle(run, Released())
            raise
        outcome = outcomes[0] if outcomes else executor.give_up(run)
        refusal = await self._settle(run, outcome)
        self.tally.count(job, outcome)
        # A worker calls hooks beside its work; here they have run before the next job starts.
        calls = HookCalls(self._app.hooks)
        Reporter(calls).ended(run, outcome, refusal)
        await calls.close(HOOK_SECONDS)
        if self.tally.runs >= self._max_jobs:
            raise CorralError(
                f"the drain stopped after {self._max_jobs:,} runs; the last was {job.name!r} of queue {job.queue!r}: "
                "does it add itself again? if not, pass a larger max_jobs"
            )

    async def _settle(self, run: Run, outcome: Outcome) -> Refusal | None:
        verdict = Settlement(job_id=run.job.id, token=run.token, outcome=outcome)
        return (await self._store.settle(run.queue, [verdict])).refused.get(run.job.id)

    def _child_pool(self) -> Children:
        if self._children is None:
            self._children = Children(limit=1)
        return self._children


def _batched(queue: AppQueue, jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in their order, those of one batch handler together."""
    found: dict[tuple[object, ...], list[Job]] = {}
    for number, job in enumerate(jobs):
        handler = queue.handler(job.name)
        batch = None if handler is None else handler.batch
        key = ("alone", number) if batch is None else (job.name, job.group if batch.by_group else None)
        found.setdefault(key, []).append(job)
    return list(found.values())


def _cancel_later(future: "asyncio.Future[None]") -> None:
    """A handler that was told to stop gets the worker's grace; one that does not end by then is given up."""
    future.get_loop().call_later(fetcher.STOP_GRACE, future.cancel)


async def _execute(executor: Executor, run: Run, outcomes: list[Outcome]) -> None:
    outcomes.append(await executor.run(run))
