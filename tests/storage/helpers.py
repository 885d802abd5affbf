"""What the conformance tests say again and again: jobs to add, runs to settle, events to read, and a clock to move."""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from corral.event import Event, EventCursor, EventType
from corral.job import Job, JobId, JobState, NewJob
from corral.outcome import Outcome
from corral.storage.port import (
    Children,
    Claim,
    Claimed,
    Lease,
    QueueCounts,
    Selection,
    Settled,
    Settlement,
    Storage,
    Token,
    WorkerInfo,
)
from corral.timing import Millis

QUEUE = "mail"
#: The start of a minute, so that tests of minute buckets can count from it.
T0: Millis = 1_700_000_040_000
SECOND: Millis = 1_000
MINUTE: Millis = 60_000
LEASE: Millis = 15_000

#: Events that tell of a place in the queue, beside the one that tells of the transition.
HINTS = frozenset({EventType.WAITING, EventType.DELAYED, EventType.DRAINED, EventType.IDLE})

_tokens = count(1)


def new_token() -> Token:
    """A token that no claim has used."""
    return Token(f"token-{next(_tokens)}")


class Clock:
    """The `now` of a test: stands still until it is moved."""

    def __init__(self, now: Millis = T0) -> None:
        self.now = now

    def tick(self, ms: Millis = 1) -> Millis:
        """Move on, and tell the new time."""
        self.now += ms
        return self.now


class Run(NamedTuple):
    """One claimed job, as the worker that has it knows it."""

    job: Job
    token: Token

    def ends(self, outcome: Outcome) -> Settlement:
        return Settlement(job_id=self.job.id, token=self.token, outcome=outcome)

    @property
    def lease(self) -> Lease:
        return Lease(queue=self.job.queue, job_id=self.job.id, token=self.token)


def new_job(id: JobId | None = None, name: str = "welcome", *, queue: str = QUEUE, **fields: object) -> NewJob:
    return replace(NewJob(queue=queue, name=name, id=id), **fields)


def wish(size: int = 1, *, token: Token | None = None, lease_ms: Millis = LEASE, worker: str = "w-1") -> Claim:
    return Claim(count=size, token=token or new_token(), lease_ms=lease_ms, worker=worker)


def beat(name: str = "w-1", **fields: object) -> WorkerInfo:
    info = WorkerInfo(id=f"id-of-{name}", name=name, host="box", pid=7, queues=(QUEUE,), slots=4, started_at=T0)
    return replace(info, **fields)


def these(*ids: JobId) -> Selection:
    return Selection(ids=ids)


def all_in(*states: JobState, **fields: object) -> Selection:
    return replace(Selection(states=frozenset(states)), **fields)


async def add(storage: Storage, *jobs: NewJob, now: Millis = T0) -> list[JobId]:
    """Add, and give the ids."""
    return [added.id for added in await storage.add(jobs, now=now)]


async def add_ids(storage: Storage, *ids: JobId, queue: str = QUEUE, now: Millis = T0) -> None:
    """Add plain jobs with these ids, in one batch."""
    await storage.add([new_job(id, queue=queue) for id in ids], now=now)


async def start(
    storage: Storage, size: int = 1, *, queue: str = QUEUE, now: Millis = T0, lease_ms: Millis = LEASE
) -> list[Run]:
    """Claim, and give the runs, best first."""
    claim = wish(size, lease_ms=lease_ms)
    claimed = await storage.claim(queue, claim, now=now)
    return [Run(job, claim.token) for job in claimed.jobs]


async def start_one(storage: Storage, *, queue: str = QUEUE, now: Millis = T0, lease_ms: Millis = LEASE) -> Run:
    """Claim one job; there must be one."""
    [run] = await start(storage, queue=queue, now=now, lease_ms=lease_ms)
    return run


async def served(storage: Storage, size: int = 256, *, queue: str = QUEUE, now: Millis = T0) -> list[JobId]:
    """The ids a claim brings, best first."""
    return ids_of(await storage.claim(queue, wish(size), now=now))


async def end(storage: Storage, run: Run, outcome: Outcome, *, now: Millis = T0) -> Settled:
    """Settle one run."""
    return await storage.settle(run.job.queue, [run.ends(outcome)], now=now)


async def run_through(storage: Storage, outcome: Outcome, *, queue: str = QUEUE, now: Millis = T0) -> JobId:
    """Claim one job and settle it at the same instant."""
    run = await start_one(storage, queue=queue, now=now)
    settled = await end(storage, run, outcome, now=now)
    assert not settled.refused
    return run.job.id


async def the(storage: Storage, job_id: JobId, *, queue: str = QUEUE) -> Job:
    """The job as stored; it must be there."""
    [job] = await storage.get(queue, [job_id])
    assert job is not None, f"job {job_id!r} is not in queue {queue!r}"
    return job


async def children_of(storage: Storage, job_id: JobId, *, queue: str = QUEUE) -> Children:
    """How a job's children stand, without the table of their queues."""
    return replace(await storage.children(queue, job_id), queues={})


async def gone(storage: Storage, job_id: JobId, *, queue: str = QUEUE) -> bool:
    return await storage.get(queue, [job_id]) == [None]


async def tally(storage: Storage, queue: str = QUEUE) -> QueueCounts:
    [counts] = await storage.counts([queue])
    return counts


def ids_of(what: Claimed | Iterable[Job]) -> list[JobId]:
    jobs = what.jobs if isinstance(what, Claimed) else what
    return [job.id for job in jobs]


class Tape:
    """One queue's events from the moment the tape was started; each reading goes on where the last one ended."""

    def __init__(self, storage: Storage, queue: str, cursor: EventCursor) -> None:
        self._storage = storage
        self._queue = queue
        self._cursor = cursor

    @classmethod
    async def of(cls, storage: Storage, queue: str = QUEUE) -> "Tape":
        _, cursor = await storage.events(queue, after="$")
        return cls(storage, queue, cursor)

    async def events(self) -> Sequence[Event]:
        """Everything new."""
        events, self._cursor = await self._storage.events(self._queue, after=self._cursor)
        return events

    async def everything(self) -> list[tuple[EventType, JobId | None]]:
        """What is new, as (type, job id)."""
        return [(event.type, event.job_id) for event in await self.events()]

    async def kinds(self) -> list[EventType]:
        """What is new, as types only."""
        return [event.type for event in await self.events()]

    async def told(self) -> list[tuple[EventType, JobId | None]]:
        """What is new without the hints about places in the queue."""
        return [entry for entry in await self.everything() if entry[0] not in HINTS]
