"""Batches: jobs of one name meet here, each in a run of its own, and one call of the handler serves them all.

Each job keeps its lease, attempts, middleware and steps: its run waits here for the verdict that the call gives on it.
A job that is told to stop leaves the batch at once; the call itself is stopped when all have left.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from corral.errors import JobTimeoutError
from corral.worker.batch import Batch, BatchContext, BatchJob, Settled, SyncBatchJob
from corral.worker.context import JobContext, SyncJobContext
from corral.worker.handler import Handler
from corral.worker.inject import Injector, bridge_to
from corral.worker.permits import Permits, Ticket
from corral.worker.run import Run, WorkerStoppingError
from corral.worker.threads import Threads


class Part:
    """One job on its way through a batch."""

    __slots__ = ("call", "came", "context", "data", "future", "run", "timeout")

    def __init__(self, run: Run, context: JobContext, data: object, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        self.run = run
        self.context = context
        self.data = data
        self.timeout = timeout
        self.came = loop.time()
        self.future: asyncio.Future[Settled] = loop.create_future()
        self.call: Call | None = None  #: once the handler was called for it


class Batches:
    """The batches of one queue in one worker. `hasty` waits for no minimum: tests skip time instead."""

    def __init__(self, permits: Permits, threads: Threads, injector: Injector, *, hasty: bool = False) -> None:
        self.permits = permits
        self.threads = threads
        self.injector = injector
        self.hasty = hasty
        self._gatherings: dict[tuple[str, str | None], Gathering] = {}
        self._unstarted: set[Run] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._stuck: set[asyncio.Task[None]] = set()  #: calls that ignore that they were told to stop
        self._permitted: dict[Run, tuple[Ticket, asyncio.Task[None] | None]] = {}  #: with the call, if it is a batch's
        self._clean = copy_context()  #: the worker's: a call must not see variables of the job that came first
        self._stopped = False

    async def permit(self, run: Run) -> Ticket:
        """Wait until the handler of a single job may run beside the batches."""
        self._refuse_when_stopped(run)
        self._unstarted.add(run)
        try:
            ticket = await self.permits.acquire()
        finally:
            self._unstarted.discard(run)
        self._permitted[run] = ticket, None
        return ticket

    def forfeit(self, run: Run) -> None:
        """Its handler ignores that it was told to stop: another one gets its permit."""
        ticket, call = self._permitted.pop(run, (None, None))
        if ticket is not None:
            ticket.release()
        if call is not None and call in self._calls:
            self._calls.discard(call)
            self._stuck.add(call)
            call.add_done_callback(self._stuck.discard)

    def ended(self, run: Run) -> None:
        """The run has its verdict."""
        self._permitted.pop(run, None)

    async def idle(self) -> None:
        """Wait until no call runs: one that has settled all its jobs may still have something to tidy up."""
        while self._calls:
            await asyncio.wait(tuple(self._calls))

    async def join(
        self, run: Run, handler: Handler, context: JobContext, data: object, timeout: float | None
    ) -> object:
        """Become part of a batch; answers the job's result once there is one, and raises what it failed with."""
        assert handler.batch is not None
        self._refuse_when_stopped(run)
        part = Part(run, context, data, timeout)
        gathering = self._gathering(handler, handler.batch, run.job.group if handler.batch.by_group else None)
        self._unstarted.add(run)
        gathering.add(part)
        try:
            settled = await part.future
        except asyncio.CancelledError:
            gathering.drop(part)
            if part.call is not None:
                await part.call.leave(part)
            raise
        finally:
            self._unstarted.discard(run)
            self.ended(run)
        if settled.error is not None:
            raise settled.error.with_traceback(settled.trace)
        return settled.value

    def begin(self, part: Part, ticket: Ticket) -> None:
        """The handler is about to be called for this job: from here on its time counts."""
        run = part.run
        self._unstarted.discard(run)
        self._permitted[run] = ticket, asyncio.current_task()
        run.begun = True
        if part.timeout is not None:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(part.timeout, run.stop, JobTimeoutError(part.timeout))

    def spawn(self, gathering: "Gathering") -> None:
        """Serve a batch beside everything else."""
        task = asyncio.get_running_loop().create_task(
            gathering.serve(), name=f"corral-batch-{gathering.handler.name}", context=self._clean.copy()
        )
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    def hand_back(self) -> None:
        """The worker stops: what no handler has begun goes back to the queue."""
        self._stopped = True
        for run in tuple(self._unstarted):
            run.stop(WorkerStoppingError("the worker is stopping"))

    def let_go(self) -> None:
        """Nobody waits for the calls any more."""
        for gathering in self._gatherings.values():
            gathering.close()
        for task in (*self._calls, *self._stuck):
            task.cancel()
        for task in self._stuck:  # as the fetcher does with stuck slots: `asyncio.run` would wait for ever
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            asyncio._unregister_task(task)

    def _refuse_when_stopped(self, run: Run) -> None:
        if self._stopped:
            run.stop(WorkerStoppingError("the worker is stopping"))  # and the next `await` raises

    def _gathering(self, handler: Handler, batch: Batch, group: str | None) -> "Gathering":
        key = handler.name, group
        found = self._gatherings.get(key)
        if found is None or found.handler is not handler:
            found = self._gatherings[key] = Gathering(self, handler, batch, group)
        return found

    def forget(self, gathering: "Gathering") -> None:
        """Groups come and go; what they leave behind must not pile up."""
        key = gathering.handler.name, gathering.group
        if gathering.group is not None and self._gatherings.get(key) is gathering:
            del self._gatherings[key]


class Gathering:
    """Jobs of one name, and perhaps of one group, that wait for their call."""

    def __init__(self, batches: Batches, handler: Handler, batch: Batch, group: str | None) -> None:
        self.handler = handler
        self.group = group
        self._batches = batches
        self._batch = batch
        self._waiting: list[Part] = []
        self._timer: asyncio.TimerHandle | None = None
        self._looking = False
        self._queued = False  #: a call is waiting for its permit; it takes what is there then

    def add(self, part: Part) -> None:
        """Let a job wait. Its companions of the same claim arrive in the same turn of the loop: look after them."""
        self._waiting.append(part)
        self._look_soon()

    def drop(self, part: Part) -> None:
        """A job that was told to stop does not wait any longer."""
        if part in self._waiting:
            self._waiting.remove(part)
            self._look_soon()

    def close(self) -> None:
        """No timer may outlive the worker."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            self._batches.forget(self)
            return
        if self._queued:
            return
        loop = asyncio.get_running_loop()
        due = self._waiting[0].came + self._batch.wait
        if self._batches.hasty or len(self._waiting) >= self._batch.minimum or loop.time() >= due:
            self._queued = True
            self._batches.spawn(self)
        else:
            self._timer = loop.call_at(due, self._look)

    async def serve(self) -> None:
        """One call, as soon as it is permitted, with as many jobs as there are by then."""
        try:
            ticket = await self._batches.permits.acquire()
        finally:
            self._queued = False
        turns = None if self.handler.asynchronous else self._batches.threads.turns
        try:
            async with turns or nullcontext():
                parts, self._waiting = self._waiting[: self._batch.size], self._waiting[self._batch.size :]
                self._look_soon()
                if parts:
                    await Call(self._batches, self.handler, self.group, parts).run(ticket)
        finally:
            ticket.release()


class Call:
    """One call of a batch handler."""

    def __init__(self, batches: Batches, handler: Handler, group: str | None, parts: list[Part]) -> None:
        self._batches = batches
        self._handler = handler
        self._parts = parts
        self._here = set(parts)
        self._jobs: dict[Part, BatchJob[Any] | SyncBatchJob[Any]] = {}
        self._context = BatchContext(parts[0].run.queue, handler.name, group, len(parts))
        self._task = asyncio.current_task()
        self._ended = asyncio.Event()

    async def run(self, ticket: Ticket) -> None:
        """Call the handler, and settle what it leaves open."""
        for part in self._parts:
            part.call = self
            self._batches.begin(part, ticket)
            self._jobs[part] = self._job(part)
        try:
            settled = Settled(await self._invoke())
        except BaseException as error:  # whatever it is, the jobs failed with it; SystemExit would end the worker
            settled = Settled(error=error, trace=error.__traceback__)
        finally:
            self._ended.set()
        for part in self._parts:
            self._settle(part, settled)

    async def leave(self, part: Part) -> None:
        """A job was told to stop. With the last one the call is stopped too, and is waited for: it may tidy up."""
        self._here.discard(part)
        self._jobs[part].leave()
        await asyncio.sleep(0)  # jobs that are stopped together leave together, so that each of them waits
        if not self._here and not self._ended.is_set():
            self._context.tell_to_stop()
            if self._task is not None and not self._task.cancelling():
                self._task.cancel()
            await self._ended.wait()

    async def _invoke(self) -> object:
        handler, jobs = self._handler, list(self._jobs.values())
        call = partial(handler.call, self._context, jobs)
        if handler.asynchronous:
            if handler.needs:
                return await self._batches.injector.call(handler, {}, call)
            return await cast(Awaitable[object], call())
        if not handler.needs:
            return await self._batches.threads.run(copy_context(), call)
        bridge = bridge_to(asyncio.get_running_loop())
        return await self._batches.threads.run(
            copy_context(), lambda: self._batches.injector.call_blocking(handler, {}, call, bridge)
        )

    def _job(self, part: Part) -> BatchJob[Any] | SyncBatchJob[Any]:
        settle = partial(self._settle, part)
        if self._handler.asynchronous:
            return BatchJob(part.context, part.data, settle)
        loop = asyncio.get_running_loop()
        sync = part.run.sync_context = SyncJobContext(part.context, loop)

        def settle_from_thread(settled: Settled) -> None:
            loop.call_soon_threadsafe(settle, settled)

        return SyncBatchJob(sync, part.data, settle_from_thread)

    def _settle(self, part: Part, settled: Settled) -> None:
        """The handler's verdict on one job: its run ends now, whatever becomes of the others."""
        self._here.discard(part)
        if not part.future.done():
            part.future.set_result(settled)
