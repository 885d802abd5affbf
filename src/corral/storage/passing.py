"""Passing: a store in front of another one. It hands every verb on; whoever changes some of them starts from here."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from corral.event import Event, EventCursor
from corral.job import Job, JobId, JobState, NewJob
from corral.options import QueueSettings
from corral.schedule import Schedule
from corral.storage.insight import Engine, FailureGroup, GroupInfo, Page, Place, Sample, Tier
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
from corral.timing import Millis


class Passing:
    """The port over `inner`. See `corral.storage.port` for what each verb promises."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.inner.__aexit__(kind, error, trace)

    def sibling(self) -> Storage:
        return type(self)(self.inner.sibling())

    # -- dispatch ------------------------------------------------------------------------------------------------

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self.inner.add(jobs, now=now)

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        return await self.inner.claim(queue, claim, now=now)

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        return await self.inner.settle(queue, settlements, then=then, now=now)

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        return await self.inner.heartbeat(worker, leases, lease_ms=lease_ms, now=now)

    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        return await self.inner.recover(queue, max_crashes=max_crashes, limit=limit, now=now)

    async def wait(self, queues: Sequence[str], *, timeout: float) -> bool:
        return await self.inner.wait(queues, timeout=timeout)

    # -- commands ------------------------------------------------------------------------------------------------

    async def remove(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self.inner.remove(queue, which, now=now)

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        return await self.inner.retry(
            queue, which, reset_attempts=reset_attempts, after_ms=after_ms, every_ms=every_ms, now=now
        )

    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self.inner.promote(queue, which, now=now)

    async def cancel(self, queue: str, which: Selection, *, reason: str = "", now: Millis | None = None) -> list[JobId]:
        return await self.inner.cancel(queue, which, reason=reason, now=now)

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        return await self.inner.update(queue, patches, now=now)

    async def log(self, queue: str, job_id: JobId, lines: Sequence[str], *, keep: int = 1000) -> int:
        return await self.inner.log(queue, job_id, lines, keep=keep)

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        return await self.inner.configure(queue, settings, now=now)

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        await self.inner.obliterate(queue, force=force)

    async def remember(
        self, queue: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None,
        lease: Lease | None = None, now: Millis | None = None,
    ) -> str | None:  # fmt: skip
        return await self.inner.remember(queue, key, value, replace=replace, ttl_ms=ttl_ms, lease=lease, now=now)

    # -- queries -------------------------------------------------------------------------------------------------

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        return await self.inner.get(queue, ids, lean=lean)

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        return await self.inner.page(
            queue,
            states,
            start=start,
            limit=limit,
            newest_first=newest_first,
            name=name,
            group=group,
            lean=lean,
            ended_by=ended_by,
        )

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        return await self.inner.counts(queues)

    async def children(self, queue: str, job_id: JobId, *, lean: bool = False) -> Children:
        return await self.inner.children(queue, job_id, lean=lean)

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        return await self.inner.logs(queue, job_id, start=start, limit=limit)

    async def metrics(self, queue: str, *, since: Millis, until: Millis) -> list[Bucket]:
        return await self.inner.metrics(queue, since=since, until=until)

    async def queues(self) -> list[QueueInfo]:
        return await self.inner.queues()

    async def workers(self, *, stale_ms: Millis = 60_000, now: Millis | None = None) -> list[WorkerInfo]:
        return await self.inner.workers(stale_ms=stale_ms, now=now)

    # -- schedules and events ------------------------------------------------------------------------------------

    async def put_schedules(self, schedules: Sequence[Schedule], *, now: Millis | None = None) -> list[Schedule]:
        return await self.inner.put_schedules(schedules, now=now)

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        return await self.inner.fire_schedule(queue, key, slot=slot, jobs=jobs, next_at=next_at, now=now)

    async def drop_schedules(self, queue: str, keys: Sequence[str]) -> list[str]:
        return await self.inner.drop_schedules(queue, keys)

    async def schedules(
        self, *, queue: str | None = None, due_by: Millis | None = None, start: int = 0, limit: int = 1000
    ) -> Page[Schedule]:
        return await self.inner.schedules(queue=queue, due_by=due_by, start=start, limit=limit)

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        return await self.inner.events(queue, after=after, limit=limit, timeout=timeout)

    async def emit(self, events: Sequence[Event]) -> None:
        await self.inner.emit(events)

    # -- insight -------------------------------------------------------------------------------------------------

    async def engine(self) -> Engine:
        return await self.inner.engine()

    async def groups(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        return await self.inner.groups(queue, start=start, limit=limit)

    async def failures(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[FailureGroup]:
        return await self.inner.failures(queue, start=start, limit=limit)

    async def place(self, queue: str, job_id: JobId) -> Place | None:
        return await self.inner.place(queue, job_id)

    async def deduplication(
        self, queue: str, dedup_id: str, *, remove: bool = False, now: Millis | None = None
    ) -> JobId | None:
        return await self.inner.deduplication(queue, dedup_id, remove=remove, now=now)

    async def record(self, queue: str, samples: Sequence[Sample], *, now: Millis | None = None) -> None:
        await self.inner.record(queue, samples, now=now)

    async def series(self, queue: str, tier: Tier, *, since: Millis, until: Millis) -> list[Sample]:
        return await self.inner.series(queue, tier, since=since, until=until)

    # -- records -------------------------------------------------------------------------------------------------

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        return await self.inner.write_entries(kind, changes, keep=keep, now=now)

    async def entries(
        self, kind: str, *, ids: Sequence[str] | None = None, after: str | None = None, before: str | None = None,
        limit: int = 100, newest_first: bool = True, now: Millis | None = None,
    ) -> list[Entry]:  # fmt: skip
        return await self.inner.entries(
            kind, ids=ids, after=after, before=before, limit=limit, newest_first=newest_first, now=now
        )
