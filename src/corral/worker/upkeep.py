"""Upkeep: what must happen now and then, as plain coroutines."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from corral.errors import QueueFullError, StorageError
from corral.event import Event, EventType
from corral.job import Job, JobState, NewJob
from corral.letters import letter
from corral.options import KEEP_COMPLETED, KEEP_FAILED, QueueSettings
from corral.storage.port import Selection, Storage
from corral.timing import now_ms
from corral.worker.hooks import HookCalls
from corral.worker.report import Reporter
from corral.worker.watch import Watcher

logger = logging.getLogger("corral.upkeep")

#: Jobs deleted in one step of a sweep.
SWEEP = 1_000
#: The wall clock may stray this far from the monotonic one before recovery waits (a jump would expire every lease).
CLOCK_JUMP = 2.0


async def every(seconds: float, work: Callable[[], Awaitable[None]], what: str) -> None:
    """Do `work` again and again, up to a fifth later each time. Its errors are logged; it goes on."""
    while True:
        await asyncio.sleep(seconds * random.uniform(1.0, 1.2))  # jitter, not a secret
        try:
            await work()
        except StorageError as error:
            logger.warning("%s could not reach the store, trying again: %s", what, error)
        except Exception as error:  # one of the house's two: upkeep must outlive any single mistake
            logger.error("%s failed, trying again: %s", what, error, exc_info=error)


class Recovery:
    """Puts dead workers' jobs back."""

    def __init__(
        self, storage: Storage, queues: Sequence[str], hooks: HookCalls, *, lease: float,
        failed_at: Callable[[], float], max_crashes: int = 2,
        dead_letter: Callable[[Job], str | None] = lambda job: job.options.dead_letter,
        watchers: Sequence[Watcher] = (),
    ) -> None:  # fmt: skip
        self._watchers = watchers
        self._dead_letter = dead_letter
        self._letters: list[NewJob] = []  #: refused by a full queue
        self._max_crashes = max_crashes
        self._failed_at = failed_at
        self._storage = storage
        self._queues = queues
        self._hooks = hooks
        self._lease = lease
        self._skew = time.time() - time.monotonic()
        self._wait_until = 0.0

    async def __call__(self) -> None:
        """Recover every queue, a slice at a time; after a clock jump, wait one lease so that the living can renew."""
        skew = time.time() - time.monotonic()
        if abs(skew - self._skew) > CLOCK_JUMP:
            logger.warning(
                "the clock jumped by %+.1f s: no lease is declared dead for %.0f s", skew - self._skew, self._lease
            )
            self._wait_until = time.monotonic() + self._lease
        self._skew = skew
        # Beats write at least every third of a lease: one lease after the last failure every living owner has beaten.
        if time.monotonic() < max(self._wait_until, self._failed_at() + self._lease):
            return
        try:
            for queue in self._queues:
                await self._queue(queue)
        except StorageError:
            # While the store was away nobody could renew. The living get one lease to do so before anything is theirs
            # no more: without it 3 of 6 full disks had running jobs run twice.
            self._wait_until = time.monotonic() + self._lease
            raise

    async def _queue(self, queue: str) -> None:
        more = True
        while more:
            recovered = await self._storage.recover(queue, max_crashes=self._max_crashes)
            more = recovered.more
            if recovered.requeued or recovered.quarantined:
                for watcher in self._watchers:
                    watcher.recovered(queue, recovered.requeued, recovered.quarantined)
            for job_id in (*recovered.requeued, *recovered.quarantined):
                logger.warning(
                    "job recovered from a lost worker",
                    extra={
                        "event": "job.stalled",
                        "queue": queue,
                        "jobId": job_id,
                        "quarantined": job_id in recovered.quarantined,
                    },
                )
            await self._tell(queue, EventType.STALLED, (*recovered.requeued, *recovered.quarantined))
            await self._tell(queue, EventType.FAILED, recovered.quarantined)
            await self._bury(queue, recovered.quarantined)

    async def _bury(self, queue: str, job_ids: Sequence[str]) -> None:
        """Leave the dead letters of jobs that no worker could: a step of its own, so dying here loses them."""
        jobs = await self._storage.get(queue, job_ids) if job_ids else []
        self._letters += [
            letter(job, target, job.failed_reason or "", attempts=job.attempts_made)
            for job in jobs
            if job is not None and job.options.letter is None
            if (target := self._dead_letter(job)) is not None and target != queue
        ]
        left: list[NewJob] = []
        for one in self._letters:
            try:
                await self._storage.add([one])
            except QueueFullError as error:  # its `add_limit` is meant for producers, and there will be room again
                logger.info("a dead letter waits for room: %s", error)
                left.append(one)
        self._letters = left

    async def _tell(self, queue: str, kind: EventType, job_ids: Sequence[str]) -> None:
        if not job_ids or not self._hooks.wants(kind):
            return
        for job in await self._storage.get(queue, job_ids):
            if job is not None:
                self._hooks.put(Event(type=kind, queue=queue, at=now_ms(), job_id=job.id, name=job.name), job)


async def sweep(storage: Storage, queues: Sequence[str]) -> None:
    """Enforce retention on idle queues too: settling does it only when a job ends."""
    for queue in queues:
        info = await storage.configure(queue, QueueSettings())
        for state, keep in (
            (JobState.COMPLETED, info.keep_completed or KEEP_COMPLETED),
            (JobState.FAILED, info.keep_failed or KEEP_FAILED),
        ):
            states = frozenset({state})
            if keep.age_ms is not None:
                await _remove_all(storage, queue, Selection(states=states, older_than_ms=keep.age_ms, limit=SWEEP))
            if keep.count is not None:
                await _remove_all(storage, queue, Selection(states=states, beyond=keep.count, limit=SWEEP))


async def _remove_all(storage: Storage, queue: str, which: Selection) -> None:
    """A slice at a time: others get their turn in between."""
    while len(await storage.remove(queue, which)) == which.limit:
        continue


class Stats:
    """One line every so often: what a person tailing the log wants to know."""

    def __init__(self, storage: Storage, queues: Sequence[str], reporter: Reporter, seconds: float) -> None:
        self._storage = storage
        self._queues = queues
        self._reporter = reporter
        self._seconds = seconds
        self._before = dict(reporter.totals)

    async def __call__(self) -> None:
        """Log the line."""
        parts = []
        totals = dict(self._reporter.totals)
        for counts in await self._storage.counts(self._queues):
            done = self._rate(totals, counts.queue, EventType.COMPLETED)
            failed = self._rate(totals, counts.queue, EventType.FAILED)
            oldest = counts.oldest_waiting_at
            age = "-" if oldest is None else f"{max(0, now_ms() - oldest) / 1000:.1f}s"
            parts.append(
                f"{counts.queue} waiting={counts.waiting} active={counts.active} done/min={done:g} "
                f"fail/min={failed:g} oldest={age}"
            )
        self._before = totals
        logger.info("stats  %s", " | ".join(parts), extra={"event": "worker.stats"})

    def _rate(self, totals: dict[tuple[str, EventType], int], queue: str, kind: EventType) -> float:
        return round((totals.get((queue, kind), 0) - self._before.get((queue, kind), 0)) * 60 / self._seconds, 1)
