"""RedisStorage: the port over Redis or Valkey, in BullMQ's layout. Each verb is one script; see `lua/README.md`."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from corral.errors import LeaseLostError
from corral.event import Event, EventCursor
from corral.job import Job, JobId, JobState, NewJob
from corral.options import QueueSettings
from corral.schedule import Schedule
from corral.storage.client import Client
from corral.storage.flaw import Flaw
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
from corral.storage.redis.adding import Adder
from corral.storage.redis.clients import clients
from corral.storage.redis.commands import Commands
from corral.storage.redis.connection import Server
from corral.storage.redis.eventlog import EventLog
from corral.storage.redis.flaws import flaws, mend
from corral.storage.redis.groups import Groups
from corral.storage.redis.insight import Insights
from corral.storage.redis.leases import Leases
from corral.storage.redis.queries import Queries
from corral.storage.redis.records import Records
from corral.storage.redis.schedules import Schedules
from corral.storage.redis.turns import Turns
from corral.storage.redis.url import parse
from corral.storage.redis.vitals import engine, vitals
from corral.storage.redis.wake import Waiter
from corral.storage.vital import Vital
from corral.timing import Millis


def _lease_lost(detail: str) -> LeaseLostError:
    queue, job_id = msgspec.json.decode(detail, type=tuple[str, JobId])
    return LeaseLostError(queue, job_id)


#: What scripts refuse, by their word for it.
_RAISERS = {"lease": _lease_lost}


class RedisStorage:
    """The port over one Redis. See `corral.storage.port` for what each verb promises."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._place = parse(url)
        prefix = self._place.prefix
        self._server = Server(self._place, _RAISERS)
        self._adder = Adder(self._server, prefix)
        self._turns = Turns(self._server, prefix)
        self._leases = Leases(self._server, prefix)
        self._commands = Commands(self._server, prefix)
        self._queries = Queries(self._server, prefix)
        self._insights = Insights(self._server, prefix)
        self._groups = Groups(self._server, prefix)
        self._records = Records(self._server, prefix)
        self._schedules = Schedules(self._server, prefix, self._queries.discovery)  # one round through the keys is dear
        self._events = EventLog(self._server, prefix)
        self._waiter = Waiter(self._server, prefix)

    def __repr__(self) -> str:
        return f"RedisStorage({self._place.shown!r})"

    async def __aenter__(self) -> Self:
        await self._server.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.close()

    def sibling(self) -> "RedisStorage":
        return RedisStorage(self._url)

    # -- dispatch ------------------------------------------------------------------------------------------------

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self._adder.add(jobs, now)

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        self._serving(queue, claim)
        claimed = await self._turns.claim(queue, claim, now)
        return await self._schedules.follow_up(queue, claimed, now)

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled = await self._turns.settle(queue, settlements, then, now)
        if then is not None:
            self._serving(queue, then)
            await self._schedules.follow_up(queue, settled.claimed, now)
        return settled

    def _serving(self, queue: str, claim: Claim) -> None:
        self._waiter.names[queue] = claim.worker
        self._leases.lease_ms = claim.lease_ms

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        return await self._leases.heartbeat(worker, leases, lease_ms, now)

    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        return await self._leases.recover(queue, max_crashes, limit, now)

    async def wait(self, queues: Sequence[str], *, timeout: float) -> bool:
        return await self._waiter.wait(queues, timeout)

    # -- commands ------------------------------------------------------------------------------------------------

    async def remove(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self._commands.remove(queue, which, now)

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        return await self._commands.retry(queue, which, reset_attempts, after_ms, every_ms, now)

    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        return await self._commands.promote(queue, which, now)

    async def cancel(self, queue: str, which: Selection, *, reason: str = "", now: Millis | None = None) -> list[JobId]:
        return await self._commands.cancel(queue, which, reason, now)

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        return await self._commands.update(queue, patches, now)

    async def log(self, queue: str, job_id: JobId, lines: Sequence[str], *, keep: int = 1000) -> int:
        return await self._commands.log(queue, job_id, lines, keep)

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        return await self._commands.configure(queue, settings, now)

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        await self._commands.obliterate(queue, force)

    async def remember(
        self, queue: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None,
        lease: Lease | None = None, now: Millis | None = None,
    ) -> str | None:  # fmt: skip
        return await self._commands.remember(queue, key, value, replace, ttl_ms, lease, now)

    # -- queries -------------------------------------------------------------------------------------------------

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        return await self._queries.get(queue, ids, lean)

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        return await self._queries.page(queue, states, start, limit, newest_first, name, group, lean, ended_by)

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        return await self._queries.counts(queues)

    async def children(self, queue: str, job_id: JobId, *, lean: bool = False) -> Children:
        return await self._queries.children(queue, job_id, lean)

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        return await self._queries.logs(queue, job_id, start, limit)

    async def metrics(self, queue: str, *, since: Millis, until: Millis) -> list[Bucket]:
        return await self._queries.metrics(queue, since, until)

    async def queues(self) -> list[QueueInfo]:
        return await self._queries.queues()

    async def workers(self, *, stale_ms: Millis = 60_000, now: Millis | None = None) -> list[WorkerInfo]:
        return await self._queries.workers(stale_ms, now)

    # -- insight -------------------------------------------------------------------------------------------------

    async def groups(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        return await self._groups.groups(queue, start, limit)

    async def place(self, queue: str, job_id: JobId) -> Place | None:
        return await self._groups.place(queue, job_id)

    async def failures(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[FailureGroup]:
        return await self._insights.failures(queue, start, limit)

    async def deduplication(
        self, queue: str, dedup_id: str, *, remove: bool = False, now: Millis | None = None
    ) -> JobId | None:
        return await self._insights.deduplication(queue, dedup_id, remove, now)

    async def record(self, queue: str, samples: Sequence[Sample], *, now: Millis | None = None) -> None:
        await self._insights.record(queue, samples, now)

    async def series(self, queue: str, tier: Tier, *, since: Millis, until: Millis) -> list[Sample]:
        return await self._insights.series(queue, tier, since, until)

    async def vitals(self) -> list[Vital]:
        return await vitals(self._server)

    async def clients(self) -> list[Client] | None:
        return await clients(self._server, self._place.prefix)

    async def flaws(self, queues: Sequence[str]) -> list[Flaw]:
        return await flaws(self._server, self._place.prefix, queues)

    async def mend(self, flaw: Flaw) -> bool:
        return await mend(self._server, self._place.prefix, flaw)

    async def engine(self) -> Engine:
        return await engine(self._server)

    # -- records -------------------------------------------------------------------------------------------------

    async def write_entries(
        self, kind: str, changes: Sequence[EntryChange], *, keep: int | None = None, now: Millis | None = None
    ) -> list[int | None]:
        check_changes(kind, changes)
        return await self._records.write(kind, changes, keep, now)

    async def entries(
        self, kind: str, *, ids: Sequence[str] | None = None, after: str | None = None, before: str | None = None,
        limit: int = 100, newest_first: bool = True, now: Millis | None = None,
    ) -> list[Entry]:  # fmt: skip
        check_kind(kind)
        if ids is not None:
            return await self._records.some(kind, ids, now)
        return await self._records.stretch(kind, after, before, limit, newest_first, now)

    # -- schedules -----------------------------------------------------------------------------------------------

    async def put_schedules(self, schedules: Sequence[Schedule], *, now: Millis | None = None) -> list[Schedule]:
        return await self._schedules.put(schedules, now)

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        return await self._schedules.fire(queue, key, slot, jobs, next_at, now)

    async def drop_schedules(self, queue: str, keys: Sequence[str]) -> list[str]:
        return await self._schedules.drop(queue, keys)

    async def schedules(
        self, *, queue: str | None = None, due_by: Millis | None = None, start: int = 0, limit: int = 1000
    ) -> Page[Schedule]:
        return await self._schedules.page(queue, due_by, start, limit)

    # -- events --------------------------------------------------------------------------------------------------

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        return await self._events.read(queue, after, limit, timeout)

    async def emit(self, events: Sequence[Event]) -> None:
        await self._events.emit(events)
