"""The storage port: everything corral asks of a database, and nothing else.

What each adapter promises, and `tests/storage` checks on each of them:

1. One call is one atomic step and one round trip. It happened entirely or not at all.
2. Batches are the primitive; a single job is a batch of one. At most 256 settlements or claims a call.
3. Without `now` the store's own clock decides. Tests pass `now`; production never does.
4. Payloads, results and progress cross the port as JSON text. An adapter never looks inside.
5. A write whose lease has gone changes nothing and is reported, never raised.
6. Events are written in the same step as the transition they tell of.
7. No optional methods and no capability flags.

Order: lower `priority_rank` first, then first in, first out; `lifo`, recovered and released jobs go before the others
of their rank, and of those that go back together the ones that were started first. Instants are integer milliseconds
since the epoch, durations integer milliseconds.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import NewType, Protocol, Self

from msgspec import UNSET, Struct, UnsetType

from corral.event import Event, EventCursor
from corral.job import Job, JobId, JobState, NewJob
from corral.options import GroupLimits, Keep, QueueSettings, RateLimit
from corral.outcome import Outcome
from corral.schedule import Schedule
from corral.storage.insight import Insight, Page
from corral.storage.records import Records
from corral.timing import Millis

Token = NewType("Token", str)

#: The most jobs one call may settle or claim: bounds how long one step can hold the store.
BATCH = 256

#: What a lean answer has of a job: characters of its payload, result and progress, and of its reason. A text of more
#: than `LOOK` bytes is not even read for that: 50 payloads of 3 MB would hold the store for 100 ms.
PREVIEW, REASON, LOOK = 200, 1_000, 65_536

# -- what is asked ---------------------------------------------------------------------------------------------------


class Claim(Struct, frozen=True, kw_only=True):
    """A worker's wish for jobs."""

    count: int  #: at most this many; 0 claims nothing
    token: Token  #: fences this batch; never used twice
    lease_ms: Millis  #: how long the jobs stay ours without a heartbeat
    worker: str = ""  #: recorded on each job, for people to read


class Settlement(Struct, frozen=True, kw_only=True):
    """How one run ended."""

    job_id: JobId
    token: Token
    outcome: Outcome


class Lease(Struct, frozen=True, kw_only=True):
    """One running job, as its worker knows it."""

    queue: str
    job_id: JobId
    token: Token


class Selection(Struct, frozen=True, kw_only=True):
    """Which jobs a command means: these ids, or the first in these states. Every filter given must hold.

    Waiting jobs stand in the order they will be served in, delayed ones by due time, finished ones longest ended first.
    """

    ids: tuple[JobId, ...] = ()
    states: frozenset[JobState] = frozenset()
    name: str | None = None
    group: str | None = None
    fingerprint: str | None = None  #: failed for this kind of failure
    older_than_ms: Millis | None = None  #: in their state for at least this long (pending: created that long ago)
    beyond: int | None = None  #: spare the last so many of each state: of finished jobs, the newest
    limit: int = 1000


class JobPatch(Struct, frozen=True, kw_only=True):
    """A change to one job. `UNSET` leaves a field as it is. With `token`, only the lease's holder may."""

    job_id: JobId
    token: Token | None = None
    data: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    delay_ms: Millis | UnsetType = UNSET  #: of a delayed job, from now on
    progress: str | UnsetType = UNSET
    detach: bool = False  #: its parent waits for it no longer, and it has no parent from then on


# -- what is answered ------------------------------------------------------------------------------------------------


class Added(Struct, frozen=True):
    """`fresh` is False when a job was there already: one with this id, or the one that deduplication found.

    That one is left as it was, and `id` names it.
    """

    id: JobId
    fresh: bool
    deduplicated: bool = False


class Claimed(Struct, frozen=True, kw_only=True):
    """What a claim brought, best first."""

    jobs: tuple[Job, ...] = ()
    next_at: Millis | None = None  #: when something will be claimable by itself: a delayed job, a group whose hold ends
    freed_at: Millis | None = None  #: when a group or name has room again whose jobs wait for that; part of `next_at`
    held_until: Millis | None = None  #: rate limited: nothing before then
    paused: bool = False


class Refusal(StrEnum):
    """Why a settlement changed nothing."""

    LEASE_LOST = "lease-lost"
    JOB_MISSING = "job-missing"


class Settled(Struct, frozen=True, kw_only=True):
    """`refused` names the settlements that changed nothing; every other one happened."""

    claimed: Claimed = Claimed()
    refused: Mapping[JobId, Refusal] = {}


class Pulse(Struct, frozen=True, kw_only=True):
    """What a heartbeat brings back."""

    lost: tuple[Lease, ...] = ()  #: no longer ours: stop the handler, its verdict will be refused
    cancelled: tuple[tuple[Lease, str], ...] = ()  #: asked to stop, with the reason


class Recovered(Struct, frozen=True, kw_only=True):
    """Jobs of dead workers. `more`: the slice was full, call again."""

    requeued: tuple[JobId, ...] = ()
    quarantined: tuple[JobId, ...] = ()
    more: bool = False


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """A worker process, as it presents itself."""

    id: str
    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    started_at: Millis
    version: str = ""
    running: int = 0
    handlers: tuple[str, ...] = ()  #: "queue/name" of each one it has; () when it does not say
    seen_at: Millis = 0  #: of the last beat that was written: one with news, or one after a third of a lease
    slots_of: tuple[int, ...] = ()  #: of each of `queues`; () when it does not say
    quiet: bool = False  #: it takes no jobs, because it was told so or because it is stopping
    rss: int = 0  #: bytes of memory, as they were a few seconds ago
    lag_ms: Millis = 0  #: how late its event loop was
    cpu: float | None = None  #: share of one core that it took lately; None when it does not say
    tags: tuple[tuple[str, str], ...] = ()  #: what it was told to show beside its name


class QueueCounts(Struct, frozen=True, kw_only=True):
    """Jobs by state. `paused` are the waiting ones while the queue is paused (they are in `waiting` too)."""

    queue: str
    waiting: int = 0
    active: int = 0
    delayed: int = 0
    waiting_children: int = 0
    completed: int = 0  #: kept
    failed: int = 0  #: kept
    paused: int = 0
    completed_total: int = 0  #: ever, also of removed jobs
    failed_total: int = 0  #: ever
    added_total: int = 0  #: ever, also of removed jobs; on Redis with those that were kept out, as Node counts them
    oldest_waiting_at: Millis | None = None


class QueueInfo(Struct, frozen=True, kw_only=True):
    """A queue's stored settings."""

    name: str
    paused: bool = False
    pause_reason: str = ""
    rate_limit: RateLimit | None = None
    more_limits: tuple[RateLimit, ...] = ()
    add_limit: RateLimit | None = None
    concurrency: int | None = None
    name_concurrency: Mapping[str, int] = {}
    name_limits: Mapping[str, tuple[RateLimit, ...]] = {}
    group_limits: GroupLimits | None = None
    held_until: Millis | None = None  #: the end of a hold; it may be over
    hold_reason: str = ""
    probing: bool = False  #: after the hold's end one job at once, until it is lifted
    limited_until: Millis | None = None  #: end of the used up `rate_limit` window; it may be over; `queues` tells it
    keep_completed: Keep | None = None
    keep_failed: Keep | None = None


class Bucket(Struct, frozen=True, kw_only=True):
    """One minute of a queue's work."""

    at: Millis  #: start of the minute
    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait_ms: Millis = 0  #: summed over the attempts that ended: from ready to claimed
    run_ms: Millis = 0  #: summed: from claimed to settled


class Children(Struct, frozen=True, kw_only=True):
    """The children of a job, by how they stand."""

    pending: tuple[tuple[str, JobId], ...] = ()  #: (queue, id)
    completed: Mapping[JobId, str] = {}  #: id -> result as JSON text
    failed: Mapping[JobId, str] = {}  #: id -> reason
    queues: Mapping[JobId, str] = {}  #: id -> queue, of each of them

    def __repr__(self) -> str:  # results may hold what is sensitive; only their jobs know where
        return (
            f"Children(pending={self.pending!r}, completed={list(self.completed)!r}, failed={dict(self.failed)!r}, "
            f"queues={dict(self.queues)!r})"
        )


# -- the port --------------------------------------------------------------------------------------------------------


class Dispatch(Protocol):
    """The hot path: all a worker needs."""

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        """Add jobs of any queues, parents before their children, all or none; answers in order.

        A job that deduplication keeps out is answered with the job that does; see `Dedup`. A job's `after` may name
        jobs of the same call that stand before it.

        Raises:
            QueueFullError: a queue's `add_limit` is used up (jobs of schedules do not count), or a group is full.
            JobNotFoundError: a job that `after` names is not there.
        """
        ...

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        """Take the best jobs that may run: promotes due ones, drops expired ones, obeys pause, limits and caps."""
        ...

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        """Give verdicts on finished runs and claim what fits in their place, in one round trip.

        A run that was asked to stop and neither completed nor failed fails as cancelled, whatever its verdict.
        """
        ...

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        """Be seen, renew the leases of which half is gone, and learn which runs to stop.

        A worker that serves no queues says goodbye: it is no longer listed.
        """
        ...

    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        """Put jobs whose lease ran out back to the front; fail those that crashed too often or are cancelled."""
        ...

    async def wait(self, queues: Sequence[str], *, timeout: float) -> bool:
        """Sleep until one of the queues may have something to claim. A hint: True may be wrong."""
        ...


class Commands(Protocol):
    """What people and schedulers ask for. Each answers with the jobs it touched."""

    async def remove(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        """Delete jobs and all that belongs to them. Active ones are spared."""
        ...

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        """Put finished jobs back into the queue: the first one after `after_ms`, and then one each `every_ms`."""
        ...

    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        """Let delayed jobs run now."""
        ...

    async def cancel(self, queue: str, which: Selection, *, reason: str = "", now: Millis | None = None) -> list[JobId]:
        """Fail pending jobs as cancelled; ask the workers of active ones to stop them."""
        ...

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        """Change data, priority, delay or progress. A patch with a stale token changes nothing."""
        ...

    async def log(self, queue: str, job_id: JobId, lines: Sequence[str], *, keep: int = 1000) -> int:
        """Append to a job's log, keeping the newest `keep` lines; answers how many there are, 0 if the job is gone."""
        ...

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        """Change a queue (creating it if needed) and answer how it stands."""
        ...

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        """Delete a queue and everything in it. Numbers of its jobs and events are not given out again.

        A long one goes in steps, paused from the first on, so that others can write meanwhile. If the caller dies
        between two of them, the rest is there still, paused.

        Raises:
            StorageError: jobs are active and `force` is not given.
        """
        ...

    async def remember(
        self, queue: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None,
        lease: Lease | None = None, now: Millis | None = None,
    ) -> str | None:  # fmt: skip
        """Note `value` under `key` unless a note is there (or `replace` it); answers the note as it was before.

        Without a value it only looks. The ledger of effects (`sent`, `charged` …) is built on it: with a `lease`,
        only its holder may write.

        Raises:
            LeaseLostError: the lease is not held any more; nothing was written.
        """
        ...


class Queries(Protocol):
    """The read model behind API, dashboard and command line."""

    async def get(self, queue: str, ids: Sequence[JobId], *, lean: bool = False) -> list[Job | None]:
        """These jobs, in order; None where there is none.

        `lean` is for lists: what may be megabytes stays in the store. Payload, result and progress are cut to their
        first `PREVIEW` characters (none at all above `LOOK` bytes), the reason to `REASON`, traces are left out, and
        `Job.sizes` tells how long the texts are.
        """
        ...

    async def page(
        self, queue: str, states: Sequence[JobState], *, start: int = 0, limit: int = 50, newest_first: bool = True,
        name: str | None = None, group: str | None = None, lean: bool = False, ended_by: Millis | None = None,
    ) -> Page[Job]:  # fmt: skip
        """Jobs in these states: finished ones by when they ended, delayed by due time, waiting in serving order.

        Jobs of groups come after the other waiting ones, by group and then in their group's order. `lean` as in `get`.
        Finished ones that ended after `ended_by` are left out, though `total` counts them: to go on far down a long
        list costs as little as to begin it, which `start` does not.
        """
        ...

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        """How many jobs are in each state; costs the same at a million jobs."""
        ...

    async def children(self, queue: str, job_id: JobId, *, lean: bool = False) -> Children:
        """How a parent's children stand, and the jobs it comes `after`.

        `lean` leaves results out ("" in their place) and cuts reasons to `REASON` characters.
        """
        ...

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        """Lines of a job's log, oldest first."""
        ...

    async def metrics(self, queue: str, *, since: Millis, until: Millis) -> list[Bucket]:
        """Minute buckets, oldest first; minutes without work are left out."""
        ...

    async def queues(self) -> list[QueueInfo]:
        """Every queue of the store, by name."""
        ...

    async def workers(self, *, stale_ms: Millis = 60_000, now: Millis | None = None) -> list[WorkerInfo]:
        """Workers seen within `stale_ms`, by name."""
        ...


class Schedules(Protocol):
    """The table of schedules. The adapter never computes a time: callers pass `next_at`."""

    async def put_schedules(self, schedules: Sequence[Schedule], *, now: Millis | None = None) -> list[Schedule]:
        """Create or replace by (queue, key), keeping `fired`, `last_at` and `last_job_id`; answers them as stored."""
        ...

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        """Turn the pending slot into jobs and arm the next one; None when another scheduler was first.

        With `Overlap.SKIP` and an unfinished previous run the jobs are left out and `[]` is answered.
        """
        ...

    async def drop_schedules(self, queue: str, keys: Sequence[str]) -> list[str]:
        """Delete schedules; answers those that were there."""
        ...

    async def schedules(
        self, *, queue: str | None = None, due_by: Millis | None = None, start: int = 0, limit: int = 1000
    ) -> Page[Schedule]:
        """Schedules by queue and key; with `due_by` only armed, unpaused ones due by then, by time.

        A stored schedule that this process cannot read (its zone is not known here) is logged and left out.
        """
        ...


class EventLog(Protocol):
    """What happened, bounded (about 10,000 events a queue)."""

    async def events(
        self, queue: str, *, after: EventCursor, limit: int = 1000, timeout: float = 0.0
    ) -> tuple[list[Event], EventCursor]:
        """Events after a cursor, oldest first, waiting up to `timeout` seconds for one; and where to go on."""
        ...

    async def emit(self, events: Sequence[Event]) -> None:
        """Append events that are not tied to a transition. Their cursor and, when 0, their time are set here."""
        ...


class Storage(Dispatch, Commands, Queries, Schedules, EventLog, Insight, Records, Protocol):
    """Opened once with `async with`, then shared by everything on that event loop."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def sibling(self) -> "Storage":
        """Another handle onto the same store, to be opened on another thread's event loop."""
        ...
