"""The fetcher: one queue's conversation with the store. Hand in what finished, take what fits: that is a turn.

There is no timer in it. Whatever finishes while a turn is on its way goes with the next one, so at low load a verdict
is written at once and at high load the batches grow by themselves. When half of the slots have finished meanwhile, they
do not wait: a second turn sets out, so that handlers run here while the store works there. On Redis that is 35 to 60 %
more jobs per second, because each side otherwise waits for the other.
"""

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import Collection
from contextvars import copy_context

from corral.error_text import describe
from corral.errors import CorralError, JobCancelledError, StorageError
from corral.job import Job
from corral.options import KEEP_FAILED
from corral.outcome import Failed, Outcome, Released
from corral.storage.port import BATCH, Claim, Claimed, Settlement, Storage, Token
from corral.timing import now_ms
from corral.worker.executor import Executor
from corral.worker.lane import Lane
from corral.worker.report import Reporter
from corral.worker.run import Run, WorkerStoppingError

logger = logging.getLogger("corral.worker")

#: What a store raises about a value it cannot hold. PayloadError is a ValueError.
UNSTORABLE = (ValueError, TypeError, OverflowError)

#: A handler that was told to stop and has not ended by then loses its slot to another job.
STOP_GRACE = 5.0
#: The longest sleep of an idle queue: bounds how late a lost wake-up can be.
PATIENCE = 5.0
#: Fewer verdicts than this are not worth a second turn beside one that is on its way.
CROWD = 50
#: A slot runs jobs that never wait back to back, but lets the loop breathe this often.
BREATH = 0.005


class Fetcher:
    """Serves one lane: turns with the store on one side, slots that run handlers on the other."""

    def __init__(
        self, lane: Lane, storage: Storage, executor: Executor, reporter: Reporter, *, worker: str, lease_ms: int,
        running: dict[Token, dict[str, Run]],
    ) -> None:  # fmt: skip
        self.lane = lane
        self._storage = storage
        self._executor = executor
        self._reporter = reporter
        self._worker = worker
        self._lease_ms = lease_ms
        self._runs: set[Run] = set()
        self._all_running = running  #: shared with the lease keeper's thread, over all lanes
        self._ready: deque[Run] = deque()
        self._finished: list[tuple[Run, Outcome]] = []
        self._slots: dict[asyncio.Task[None], Run | None] = {}  #: with the job each is at
        self._stuck: set[asyncio.Task[None]] = set()  #: slots that were given up and have not ended yet
        self._bell = asyncio.Event()
        self._size = lane.slots * max(1, lane.width)  #: jobs held at once: a slot of batches holds a batch
        self._half = min(BATCH, max(CROWD, (self._size + 1) // 2))
        self._batches = executor.batches
        self._crowd = asyncio.Event()  #: so many verdicts wait that a second turn is worth it
        self._second: asyncio.Task[None]
        self._wished = 0  #: empty slots that turns on their way have asked to fill
        self._wake: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._number = 0
        self._failures = 0
        self.stopping = False
        self.paused = False  #: here; the queue may be served elsewhere
        self.quiet = False  #: the last turn found nothing to run, now or once a limit has room; none is left here
        self._held = False  #: it would be quiet if nothing waited for the end of the queue's own window or hold
        self.turned_at = time.monotonic()  #: of the last turn that the store answered
        self.asked_at = -math.inf  #: when that turn set out
        self.interrupted = 0
        self._stepped_at = time.monotonic()  #: of the loop's last step
        self._full = False  #: it waits for a job to end, and for nothing else
        self._hurry = asyncio.Event()  #: the store is said to be back: look at once

    @property
    def running(self) -> int:
        """Jobs in this worker's hands."""
        return len(self._runs)

    @property
    def failing(self) -> bool:
        """Whether the store did not answer its last turn."""
        return self._failures > 0

    @property
    def slots(self) -> int:
        """How many handlers may run at once."""
        return self._size // max(1, self.lane.width)

    def silent(self, now: float) -> float:
        """Seconds (of the monotonic clock) since its loop made a step; 0 while only the end of a job can move it.

        Asked from other threads.
        """
        return 0.0 if self._full and not self._finished else now - self._stepped_at

    def hurry(self) -> None:
        """Look at the store now: somebody has seen that it is back."""
        self._hurry.set()

    def stop(self) -> None:
        """Take no more jobs; those that run may finish, and those that no handler has begun go back."""
        self.stopping = True
        if self._batches is not None:
            self._batches.hand_back()
        self._bell.set()

    def look(self) -> None:
        """Turn once more, although nothing rang."""
        self._bell.set()

    def pause(self, paused: bool) -> None:
        """Take no more jobs until told otherwise, or go on."""
        self.paused = paused
        self._bell.set()

    def resize(self, slots: int) -> None:
        """Change how many handlers may run at once. Those that run beyond it finish."""
        self._size = slots * max(1, self.lane.width)
        self._half = min(BATCH, max(CROWD, (self._size + 1) // 2))
        if self._batches is not None:
            self._batches.permits.resize(slots)
        self._bell.set()

    @property
    def jobs(self) -> list[Job]:
        """The jobs in this worker's hands."""
        return [run.job for run in self._runs]

    @property
    def at_rest(self) -> bool:
        """Whether no job is in its hands or on the way to them."""
        return not self._runs and not self._wished

    def cancel(self, job_ids: Collection[str] | None, reason: str) -> list[str]:
        """Stop these runs, or all: their jobs fail as cancelled. Answers those it reached."""
        chosen = [run for run in self._runs if run.stopped is None and (job_ids is None or run.job.id in job_ids)]
        for run in chosen:
            run.stop(JobCancelledError(reason))
        return [run.job.id for run in chosen]

    def interrupt(self) -> None:
        """Hand back everything that still runs."""
        self.stop()
        for run in tuple(self._runs):
            self.interrupted += run.stopped is None  # what was told to stop before has its own reason
            run.stop(WorkerStoppingError("the worker is stopping"))

    def stop_run(self, run: Run, why: CorralError) -> None:
        """Stop one run, if it is still this lane's."""
        if run in self._runs:
            run.stop(why)

    def _told_to_stop(self, run: Run) -> None:
        asyncio.get_running_loop().call_later(STOP_GRACE, self._abandon, run)

    async def serve(self) -> None:
        """Turn until stopped and empty."""
        self._second = asyncio.create_task(self._serve_crowds(), name=f"corral-fetch-more-{self.lane.queue}")
        try:
            while not self.stopping or self._runs or self._finished:
                self._bell.clear()  # before the turn: what rings while it is on its way is not among what it saw
                self._stepped_at = time.monotonic()
                claimed = await self._turn()
                self._stepped_at = time.monotonic()
                await self._rest(claimed)
                if self._second.done():
                    self._second.result()  # it never ends by itself: raises
            if self._batches is not None:
                await self._batches.idle()
        finally:
            helpers = [self._second] if self._wake is None else [self._second, self._wake]
            for task in helpers:
                task.cancel()
            if self._timer is not None:
                self._timer.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _serve_crowds(self) -> None:
        """The second turn. It rings, for resting and stopping are looked after by the first one."""
        try:
            while True:
                await self._crowd.wait()
                self._crowd.clear()
                while len(self._finished) >= self._half:
                    await self._turn()
                    self._bell.set()
        finally:
            self._bell.set()

    def let_go(self) -> None:
        """Nobody serves this lane any more: end what still runs, and let the event loop close without what never ends.

        `asyncio.run` waits for every task that it knows: a handler that ignores being cancelled would keep the process.
        """
        if self._batches is not None:
            self._batches.let_go()
        for slot in (*self._slots, *self._stuck):
            slot.cancel()
        for slot in self._stuck:
            slot._log_destroy_pending = False  # type: ignore[attr-defined]  # it is known, and was logged
            asyncio._unregister_task(slot)

    async def done(self) -> bool:
        """Whether it is quiet. A window that is used up says nothing about that: the store is asked, once a turn."""
        if self._held:
            self._held, asked_at = False, self.asked_at
            try:
                [counts] = await self._storage.counts([self.lane.queue])
            except StorageError:  # the next turn will meet the same trouble, and speaks of it
                return False
            if asked_at == self.asked_at:
                self.quiet = not counts.waiting
        return self.quiet

    # -- the turn ------------------------------------------------------------------------------------------------

    def _free(self) -> int:
        """Slots without a job. A run that has ended gives its slot back before its verdict is handed in."""
        free = self._size - len(self._runs) + len(self._finished) - self._wished
        return 0 if self.stopping or self.paused else max(0, free)

    async def _turn(self) -> Claimed | None:
        """One round trip. None when the store could not be reached: nothing is forgotten, the next turn carries it."""
        self._number += 1
        token = Token(f"{self._worker}:{self.lane.queue}:{self._number}")
        batch, rest = self._finished[: self._half], self._finished[self._half :]
        count = min(
            BATCH, max(0, self._free() - len(rest))
        )  # the slots of the rest are refilled by the turn that has it
        self._finished = rest
        wished = max(0, count - len(batch))
        self._wished += wished
        claim = Claim(count=count, token=token, lease_ms=self._lease_ms, worker=self._worker)
        settlements = [Settlement(job_id=run.job.id, token=run.token, outcome=outcome) for run, outcome in batch]
        asked_at = time.monotonic()
        try:
            settled = await self._storage.settle(self.lane.queue, settlements, then=claim if claim.count > 0 else None)
        except StorageError as error:
            self._wished -= wished
            self._finished[:0] = batch
            await self._back_off(error)
            return None
        except UNSTORABLE as error:
            self._wished -= wished
            await self._salvage(batch, error)
            return None
        self._wished -= wished
        if self._failures:
            logger.info("store is back", extra={"event": "engine.connected", "queue": self.lane.queue})
            self._failures = 0
        self.turned_at, self.asked_at = time.monotonic(), asked_at
        for run, _ in batch:
            self._forget(run)
        self._take(settled.claimed, token, asked_at)
        # Not while the other turn is on its way with a wish, for it may bring jobs.
        idle = self.at_rest and not self.paused and settled.claimed.freed_at is None
        self._held = idle and settled.claimed.held_until is not None
        self.quiet = idle and not self._held
        for run, outcome in batch:
            self._reporter.ended(run, outcome, settled.refused.get(run.job.id))
        return settled.claimed

    async def _salvage(self, batch: list[tuple[Run, Outcome]], problem: Exception) -> None:
        """One verdict cannot be stored: hand them in one by one, and let the job of the bad one fail."""
        if not batch:  # it is not about a verdict: what is stored about the queue cannot be read here
            await self._back_off(problem)
        for run, outcome in batch:
            for verdict in (outcome, Failed(describe(problem), None, KEEP_FAILED)):
                settlement = Settlement(job_id=run.job.id, token=run.token, outcome=verdict)
                try:
                    settled = await self._storage.settle(self.lane.queue, [settlement])
                except StorageError as error:
                    self._finished.append((run, verdict))
                    await self._back_off(error)
                    break
                except UNSTORABLE:
                    continue
                self._forget(run)
                self._reporter.ended(run, verdict, settled.refused.get(run.job.id))
                break
            else:
                # Not even its failure: the lease runs out, and recovery counts a crash. Its slot is not lost with it.
                facts = {"event": "job.unstorable", "queue": run.queue, "job": run.job.name, "jobId": run.job.id}
                logger.error("verdict cannot be stored", extra={**facts, "error": describe(problem)})
                self._forget(run)
                self._reporter.lost(run)

    async def _back_off(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            facts = {"event": "engine.lost", "queue": self.lane.queue, "error": str(error)}
            logger.error("store cannot be reached, trying again", extra=facts)
        # 50 ms doubling to 5 s, each between half and whole: many workers must not come back in step. The beats find a
        # store that is back within a second or two, and then nobody waits any longer.
        self._hurry.clear()
        self._stepped_at = time.monotonic()
        try:
            async with asyncio.timeout(min(5.0, 0.05 * 2 ** min(self._failures, 8)) * random.uniform(0.5, 1.0)):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _take(self, claimed: Claimed, token: Token, asked_at: float) -> None:
        """Begin the claimed jobs, or give them back if the answer lay unread while their leases ran out.

        The keeper cannot renew what it does not know yet. A handler that blocked the loop for longer than a lease let
        another worker recover them, and they would run twice.
        """
        if not claimed.jobs:
            return
        started = time.monotonic()
        runs = [Run(self.lane.queue, job, token, started, self._told_to_stop) for job in claimed.jobs]
        self._runs.update(runs)
        self._all_running[token] = {run.job.id: run for run in runs}
        if started - asked_at > self._lease_ms / 2000:
            for run in runs:
                self._finish(run, Released())
            return
        self._ready.extend(runs)
        # Batches want their jobs at once. One slot that begins the next would bring them one turn of the loop apart.
        for _ in runs if self._batches is not None else runs[:1]:
            self._add_slot()

    def _forget(self, run: Run) -> None:
        self._runs.discard(run)
        claim = self._all_running.get(run.token)
        if claim is not None:
            claim.pop(run.job.id, None)
            if not claim:
                del self._all_running[run.token]

    # -- slots ---------------------------------------------------------------------------------------------------

    def _add_slot(self) -> None:
        if len(self._slots) < self._size:
            slot = asyncio.create_task(self._slot(), name=f"corral-slot-{self.lane.queue}")
            self._slots[slot] = None
            slot.add_done_callback(self._slot_ended)

    def _slot_ended(self, slot: "asyncio.Task[None]") -> None:
        """A slot that died with a job in its hands must not take it along: the job fails like with any other error."""
        run = self._slots.pop(slot, None)
        if run is not None and not run.abandoned:
            error = RuntimeError("the slot was cancelled") if slot.cancelled() else slot.exception()
            self._finish(run, self._executor.failed(run, error or RuntimeError("the slot ended without a verdict")))
        if self._ready:
            self._add_slot()

    async def _slot(self) -> None:
        """Run jobs one after the other until none is ready.

        A slot begins another one before it starts a job: if this job waits, the next one runs there. Jobs that never
        wait thus share one task, which saves the 5 µs that a task per job would cost.
        """
        task = asyncio.current_task()
        assert task is not None
        clean = copy_context()
        breath = time.monotonic() + BREATH
        first = True
        while self._ready:
            run = self._ready.popleft()
            if self._ready and first:
                self._add_slot()
                first = False
            run.task = task
            self._slots[task] = run
            self._reporter.started(run)
            outcome = await self._executor.run(run)
            if run.abandoned:
                return  # its slot and its verdict were given away
            self._slots[task] = None
            self._finish(run, outcome)
            if copy_context() != clean or task.cancelling():
                # The handler left a context variable behind (a tenant, a log binding), or a cancellation of its own
                # task. The next job must not see it: it gets another slot.
                return
            if time.monotonic() > breath:
                await asyncio.sleep(0)
                breath = time.monotonic() + BREATH
                first = True

    def _finish(self, run: Run, outcome: Outcome) -> None:
        self._finished.append((run, outcome))
        self._bell.set()
        if len(self._finished) >= self._half:
            self._crowd.set()

    def _abandon(self, run: Run) -> None:
        """The handler ignored that it was told to stop: settle for it and give its slot to others."""
        if run not in self._runs or run.abandoned or run.task is None:
            return
        run.abandoned = True
        self._slots.pop(run.task, None)
        self._stuck.add(run.task)
        run.task.add_done_callback(self._stuck.discard)
        logger.error(
            "handler does not stop; its slot is replaced",
            extra={"event": "job.stuck", "queue": run.queue, "job": run.job.name, "jobId": run.job.id},
        )
        if self._batches is not None:
            self._batches.forfeit(run)
        self._finish(run, self._executor.give_up(run))
        if self._ready:
            self._add_slot()

    # -- resting -------------------------------------------------------------------------------------------------

    async def _rest(self, claimed: Claimed | None) -> None:
        """Sleep until another turn would do something: a job ended, a wake-up, a due time, or the order to stop."""
        if claimed is None or self._must_go_on():
            return
        if self._free() > 0:
            self._arm(claimed)
        while True:
            self._full = self._free() == 0
            await self._bell.wait()
            self._full = False
            if self._must_go_on() or self._free() > 0:
                return
            self._bell.clear()

    def _must_go_on(self) -> bool:
        """Whether there is something to hand in, or an end to be noticed."""
        return bool(self._finished) or self._second.done() or (self.stopping and not self._runs)

    def _arm(self, claimed: Claimed) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(self._patience(claimed), self._bell.set)
        if self._wake is None or self._wake.done():
            self._wake = asyncio.create_task(self._watch(pause=0.2 if claimed.paused else 0.0))

    async def _watch(self, pause: float) -> None:
        """Ring the bell when the queue changes. One watch outlives many turns; a paused queue is looked at less."""
        if pause:
            await asyncio.sleep(pause)
        try:
            woken = await self._storage.wait([self.lane.queue], timeout=PATIENCE)
        except StorageError:  # the turn will meet the same trouble, and speaks of it
            woken = True
        if woken:
            self._bell.set()

    @staticmethod
    def _patience(claimed: Claimed) -> float:
        """Seconds until the store itself has something to say."""
        times = [at for at in (claimed.next_at, claimed.held_until) if at is not None]
        if not times:
            return PATIENCE
        return min(PATIENCE, max(0.001, (min(times) - now_ms()) / 1000))
