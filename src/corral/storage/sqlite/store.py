"""SqliteStorage: one method per port verb, each a transaction in the writer's or a snapshot in the reader's thread."""

import asyncio
from collections.abc import Sequence
from functools import partial
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
    WorkerInfo,
)
from corral.storage.records import Entry, EntryChange, check_changes, check_kind
from corral.storage.sqlite import claim as _claim
from corral.storage.sqlite import (
    commands,
    dedup,
    entries,
    failures,
    leases,
    obliterate,
    places,
    queries,
    schedules,
    series,
)
from corral.storage.sqlite.add import add
from corral.storage.sqlite.core import Core
from corral.storage.sqlite.measure import engine
from corral.storage.sqlite.notes import remember
from corral.storage.sqlite.settings import configure
from corral.storage.sqlite.settle import settle
from corral.storage.sqlite.unit import Unit
from corral.storage.sqlite.url import parse
from corral.timing import Millis, now_ms

#: So few jobs are handled in microseconds.
BRIEF = 10


class SqliteStorage:
    """The port over one SQLite file. See `corral.storage.port` for what each verb promises."""

    def __init__(self, url: str, *, core: Core | None = None) -> None:
        self._core = core or Core(parse(url))
        self._url = url
        self._seen: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"SqliteStorage({self._url!r})"

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._core.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self._core.close))

    def sibling(self) -> "SqliteStorage":
        return SqliteStorage(self._url, core=self._core)

    # -- dispatch ------------------------------------------------------------------------------------------------

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self._core.write(lambda unit: add(unit, jobs, _at(now)), brief=len(jobs) <= BRIEF)

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        self._seen[queue] = self._core.ready.version((queue,))
        return await self._core.write(lambda unit: _claim.claim(unit, queue, claim, _at(now)))

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        self._seen[queue] = self._core.ready.version((queue,))

        def work(unit: Unit) -> Settled:
            at = _at(now)
            refused = settle(unit, queue, settlements, at) if settlements else {}
            claimed = _claim.claim(unit, queue, then, at) if then is not None else Claimed()
            return Settled(claimed=claimed, refused=refused)

        size = len(settlements) + (0 if then is None else then.count)
        return await self._core.write(work, brief=size <= 2)  # one slot's turn; a larger one would hold up handlers

    async def heartbeat(
        self, worker: WorkerInfo, leases_: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        return await self._core.write(lambda unit: leases.heartbeat(unit, worker, leases_, lease_ms, _at(now)))

    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        return await self._core.write(lambda unit: leases.recover(unit, queue, max_crashes, limit, _at(now)))

    async def wait(self, queues: Sequence[str], *, timeout: float) -> bool:
        seen = sum(self._seen.get(queue, 0) for queue in queues)
        return await self._core.wait_ready(frozenset(queues), seen=seen, timeout=timeout)

    # -- commands ------------------------------------------------------------------------------------------------

    async def remove(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self._core.write(lambda unit: commands.remove(unit, queue, which, _at(now)))

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        return await self._core.write(
            lambda unit: commands.retry(unit, queue, which, reset_attempts, after_ms, every_ms, _at(now))
        )

    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self._core.write(lambda unit: commands.promote(unit, queue, which, _at(now)))

    async def cancel(self, queue: str, which: Selection, *, reason: str = "", now: Millis | None = None) -> list[JobId]:
        return await self._core.write(lambda unit: commands.cancel(unit, queue, which, reason, _at(now)))

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        return await self._core.write(lambda unit: commands.update(unit, queue, patches, _at(now)))

    async def log(self, queue: str, job_id: JobId, lines: Sequence[str], *, keep: int = 1000) -> int:
        return await self._core.write(lambda unit: commands.log(unit, queue, job_id, lines, keep))

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        return await self._core.write(lambda unit: configure(unit, queue, settings, _at(now)))

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        more = await self._core.write(lambda unit: obliterate.begin(unit, queue, force, now_ms()))
        while more:
            await asyncio.sleep(obliterate.BREATHER)
            more = await self._core.write(lambda unit: obliterate.go_on(unit, queue, now_ms()))

    async def remember(
        self, queue: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None,
        lease: Lease | None = None, now: Millis | None = None,
    ) -> str | None:  # fmt: skip
        return await self._core.write(lambda unit: remember(unit, queue, key, value, replace, ttl_ms, lease, _at(now)))

    # -- queries -------------------------------------------------------------------------------------------------

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        return await self._core.read(lambda unit: queries.get(unit, queue, ids, lean), brief=len(ids) <= BRIEF)

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        return await self._core.read(
            lambda unit: places.page(unit, queue, states, start, limit, newest_first, name, group, lean, ended_by)
        )

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        return await self._core.read(lambda unit: queries.counts(unit, queues), brief=len(queues) <= BRIEF)

    async def children(self, queue: str, job_id: JobId, *, lean: bool = False) -> Children:
        return await self._core.read(lambda unit: queries.children(unit, queue, job_id, lean))

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        return await self._core.read(lambda unit: queries.logs(unit, queue, job_id, start, limit))

    async def metrics(self, queue: str, *, since: Millis, until: Millis) -> list[Bucket]:
        return await self._core.read(lambda unit: queries.metrics(unit, queue, since, until))

    async def queues(self) -> list[QueueInfo]:
        return await self._core.read(queries.queues)

    async def workers(self, *, stale_ms: Millis = 60_000, now: Millis | None = None) -> list[WorkerInfo]:
        return await self._core.read(lambda unit: queries.workers(unit, stale_ms, _at(now)))

    # -- insight -------------------------------------------------------------------------------------------------

    async def groups(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        return await self._core.read(lambda unit: places.groups(unit, queue, start, limit))

    async def place(self, queue: str, job_id: JobId) -> Place | None:
        return await self._core.read(lambda unit: places.place(unit, queue, job_id))

    async def failures(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[FailureGroup]:
        return await self._core.read(lambda unit: failures.failures(unit, queue, start, limit))

    async def deduplication(
        self, queue: str, dedup_id: str, *, remove: bool = False, now: Millis | None = None
    ) -> JobId | None:
        if remove:
            return await self._core.write(lambda unit: dedup.let_go(unit, queue, dedup_id, _at(now)))
        return await self._core.read(lambda unit: dedup.deduplication(unit, queue, dedup_id, _at(now)))

    async def record(self, queue: str, samples: Sequence[Sample], *, now: Millis | None = None) -> None:
        await self._core.write(lambda unit: series.record(unit, queue, samples, _at(now)))

    async def series(self, queue: str, tier: Tier, *, since: Millis, until: Millis) -> list[Sample]:
        return await self._core.read(lambda unit: series.series(unit, queue, tier, since, until))

    async def engine(self) -> Engine:
        place = parse(self._url)
        return await self._core.read(lambda unit: engine(unit.db, None if place.memory else place.path))

    # -- records -------------------------------------------------------------------------------------------------

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        check_changes(kind, changes)
        return await self._core.write(lambda unit: entries.write(unit, kind, changes, keep, _at(now)))

    async def entries(
        self, kind: str, *, ids: Sequence[str] | None = None, after: str | None = None, before: str | None = None,
        limit: int = 100, newest_first: bool = True, now: Millis | None = None,
    ) -> list[Entry]:  # fmt: skip
        check_kind(kind)
        if ids is not None:
            return await self._core.read(lambda unit: entries.some(unit, kind, ids, _at(now)), brief=len(ids) <= BRIEF)
        return await self._core.read(
            lambda unit: entries.stretch(unit, kind, after, before, limit, newest_first, _at(now))
        )

    # -- schedules -----------------------------------------------------------------------------------------------

    async def put_schedules(self, schedules_: Sequence[Schedule], *, now: Millis | None = None) -> list[Schedule]:
        return await self._core.write(lambda unit: schedules.put_schedules(unit, schedules_, _at(now)))

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        return await self._core.write(
            lambda unit: schedules.fire_schedule(unit, queue, key, slot, jobs, next_at, _at(now))
        )

    async def drop_schedules(self, queue: str, keys: Sequence[str]) -> list[str]:
        return await self._core.write(lambda unit: schedules.drop_schedules(unit, queue, keys))

    async def schedules(
        self, *, queue: str | None = None, due_by: Millis | None = None, start: int = 0, limit: int = 1000
    ) -> Page[Schedule]:
        return await self._core.read(lambda unit: queries.schedules(unit, queue, due_by, start, limit))

    # -- events --------------------------------------------------------------------------------------------------

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            seen = self._core.events.version((queue,))
            found, after = await self._core.read(partial(queries.events, name=queue, after=after, limit=limit))
            left = deadline - loop.time()
            if found or left <= 0:
                return found, after
            await self._core.wait_events(frozenset((queue,)), seen=seen, timeout=left)

    async def emit(self, events: Sequence[Event]) -> None:
        def work(unit: Unit) -> None:
            for event in events:
                at = event.at or now_ms()
                unit.queue(event.queue).tell(event.type, at, event.job_id, event.name, event.detail)

        await self._core.write(work)


def _at(now: Millis | None) -> Millis:
    return now_ms() if now is None else now
