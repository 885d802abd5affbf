"""A store on a fake clock: passes every call on with the clock's time, and remembers what was added."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from corral.event import Event, EventCursor
from corral.job import Job, JobId, NewJob
from corral.options import QueueSettings
from corral.schedule import Schedule
from corral.storage.insight import Page, Sample
from corral.storage.passing import Passing
from corral.storage.port import (
    Added,
    Bucket,
    Children,
    Claim,
    Claimed,
    JobPatch,
    Lease,
    Pulse,
    QueueCounts,
    QueueInfo,
    Recovered,
    Selection,
    Settled,
    Settlement,
    Storage,
    WorkerInfo,
)
from corral.storage.records import Entry, EntryChange
from corral.testing.clock import FakeClock
from corral.timing import Millis


class ClockedStorage(Passing):
    """The port over another store, where it is as late as `clock` says. `asked` has every fresh job, in order."""

    def __init__(
        self, storage: Storage, clock: FakeClock, *, asked: list[tuple[NewJob, JobId, Millis]] | None = None
    ) -> None:
        super().__init__(storage)
        self.clock = clock
        self.asked = [] if asked is None else asked  #: as it was asked for, under which id, and when
        self._storage = storage

    def _at(self, now: Millis | None) -> Millis:
        return self.clock() if now is None else now

    def _note(self, jobs: Sequence[NewJob], answers: Sequence[Added], at: Millis) -> None:
        self.asked += [(job, answer.id, at) for job, answer in zip(jobs, answers, strict=True) if answer.fresh]

    async def __aenter__(self) -> Self:
        await self._storage.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._storage.__aexit__(kind, error, trace)

    def sibling(self) -> "ClockedStorage":
        return ClockedStorage(self._storage.sibling(), self.clock, asked=self.asked)

    # -- dispatch ------------------------------------------------------------------------------------------------

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        at = self._at(now)
        answers = await self._storage.add(jobs, now=at)
        self._note(jobs, answers, at)
        return answers

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        return await self._storage.claim(queue, claim, now=self._at(now))

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        return await self._storage.settle(queue, settlements, then=then, now=self._at(now))

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        return await self._storage.heartbeat(worker, leases, lease_ms=lease_ms, now=self._at(now))

    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        return await self._storage.recover(queue, max_crashes=max_crashes, limit=limit, now=self._at(now))

    async def wait(self, queues: Sequence[str], *, timeout: float) -> bool:
        return await self._storage.wait(queues, timeout=timeout)

    # -- commands ------------------------------------------------------------------------------------------------

    async def remove(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self._storage.remove(queue, which, now=self._at(now))

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        return await self._storage.retry(
            queue, which, reset_attempts=reset_attempts, after_ms=after_ms, every_ms=every_ms, now=self._at(now)
        )

    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self._storage.promote(queue, which, now=self._at(now))

    async def cancel(self, queue: str, which: Selection, *, reason: str = "", now: Millis | None = None) -> list[JobId]:
        return await self._storage.cancel(queue, which, reason=reason, now=self._at(now))

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        return await self._storage.update(queue, patches, now=self._at(now))

    async def log(self, queue: str, job_id: JobId, lines: Sequence[str], *, keep: int = 1000) -> int:
        return await self._storage.log(queue, job_id, lines, keep=keep)

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        return await self._storage.configure(queue, settings, now=self._at(now))

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        await self._storage.obliterate(queue, force=force)

    async def remember(
        self, queue: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None,
        lease: Lease | None = None, now: Millis | None = None,
    ) -> str | None:  # fmt: skip
        return await self._storage.remember(
            queue, key, value, replace=replace, ttl_ms=ttl_ms, lease=lease, now=self._at(now)
        )

    # -- queries -------------------------------------------------------------------------------------------------

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        return await self._storage.get(queue, ids, lean=lean)

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        return await self._storage.counts(queues)

    async def children(self, queue: str, job_id: JobId, *, lean: bool = False) -> Children:
        return await self._storage.children(queue, job_id, lean=lean)

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        return await self._storage.logs(queue, job_id, start=start, limit=limit)

    async def metrics(self, queue: str, *, since: Millis, until: Millis) -> list[Bucket]:
        return await self._storage.metrics(queue, since=since, until=until)

    async def queues(self) -> list[QueueInfo]:
        return await self._storage.queues()

    async def workers(self, *, stale_ms: Millis = 60_000, now: Millis | None = None) -> list[WorkerInfo]:
        return await self._storage.workers(stale_ms=stale_ms, now=self._at(now))

    # -- schedules -----------------------------------------------------------------------------------------------

    async def put_schedules(self, schedules: Sequence[Schedule], *, now: Millis | None = None) -> list[Schedule]:
        return await self._storage.put_schedules(schedules, now=self._at(now))

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        at = self._at(now)
        answers = await self._storage.fire_schedule(queue, key, slot=slot, jobs=jobs, next_at=next_at, now=at)
        if answers:  # neither another scheduler's slot nor one that was left out
            self._note(jobs, answers, at)
        return answers

    async def deduplication(
        self, queue: str, dedup_id: str, *, remove: bool = False, now: Millis | None = None
    ) -> JobId | None:
        return await self._storage.deduplication(queue, dedup_id, remove=remove, now=self._at(now))

    async def record(self, queue: str, samples: Sequence[Sample], *, now: Millis | None = None) -> None:
        await self._storage.record(queue, samples, now=self._at(now))

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        return await self._storage.write_entries(kind, changes, keep=keep, now=self._at(now))

    async def entries(
        self, kind: str, *, ids: Sequence[str] | None = None, after: str | None = None, before: str | None = None,
        limit: int = 100, newest_first: bool = True, now: Millis | None = None,
    ) -> list[Entry]:  # fmt: skip
        return await self._storage.entries(
            kind, ids=ids, after=after, before=before, limit=limit, newest_first=newest_first, now=self._at(now)
        )

    async def drop_schedules(self, queue: str, keys: Sequence[str]) -> list[str]:
        return await self._storage.drop_schedules(queue, keys)

    async def schedules(
        self, *, queue: str | None = None, due_by: Millis | None = None, start: int = 0, limit: int = 1000
    ) -> Page[Schedule]:
        return await self._storage.schedules(queue=queue, due_by=due_by, start=start, limit=limit)

    # -- events --------------------------------------------------------------------------------------------------

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        return await self._storage.events(queue, after=after, limit=limit, timeout=timeout)

    async def emit(self, events: Sequence[Event]) -> None:
        await self._storage.emit([event if event.at else replace(event, at=self.clock()) for event in events])
