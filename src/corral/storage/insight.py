"""What the store tells about groups, failures, places and figures: the part of the port that looks from far away."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from corral.job import JobId
from corral.options import GroupLimits
from corral.timing import Millis

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """A stretch of a list, and how long the whole list is."""

    items: tuple[T, ...]
    total: int


class GroupInfo(Struct, frozen=True, kw_only=True):
    """One group of a queue: what waits, what runs, what holds it."""

    id: str
    waiting: int = 0
    active: int = 0
    paused: bool = False
    limits: GroupLimits | None = None  #: its own; None: those the queue has for all groups
    held_until: Millis | None = None  #: the end of a hold; it may be over
    hold_reason: str = ""
    probing: bool = False
    free_at: Millis | None = None  #: rate limited until then


class FailureGroup(Struct, frozen=True, kw_only=True):
    """Failures of one kind. A queue keeps its 1,000 latest kinds."""

    fingerprint: str
    type: str
    message: str
    attempts: int  #: attempts that ended so
    jobs: int  #: jobs that failed for good so
    first_at: Millis
    last_at: Millis
    last_job_id: JobId
    last_name: str = ""


class Place(Struct, frozen=True, kw_only=True):
    """Where a pending job stands. What holds jobs back is not looked at: that is for `why`."""

    ahead: int  #: jobs that would be served (or fall due) before it; of a job in a group, those of its group
    exact: bool = True  #: False: there are at least so many
    groups: int = 0  #: groups with waiting jobs that take turns with its own, its own included; 0: it is in no group


class Tier(StrEnum):
    """How finely figures are kept, and for how long: a minute for 2 days, an hour for 62, a day for 2 years."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


#: (length of a bucket, how long it is kept) in milliseconds
TIERS: Mapping[Tier, tuple[Millis, Millis]] = {
    Tier.MINUTE: (60_000, 2 * 86_400_000),
    Tier.HOUR: (3_600_000, 62 * 86_400_000),
    Tier.DAY: (86_400_000, 730 * 86_400_000),
}


class Sample(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the attempts of one job name in one stretch of time. The histograms count them by `bucket_of`."""

    at: Millis  #: start of the stretch; when recorded, any moment of it
    name: str
    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait: Mapping[int, int] = {}  #: from ready to claimed: number of the bucket -> attempts
    run: Mapping[int, int] = {}  #: from claimed to settled


class Engine(Struct, frozen=True, kw_only=True):
    """What a store is made of, in numbers. None: it has no such thing, or does not tell."""

    kind: str  #: sqlite | redis
    version: str = ""
    memory_bytes: int | None = None  #: that the server holds
    memory_limit_bytes: int | None = None  #: that it may hold; 0 is no limit
    evicted_keys: int | None = None  #: thrown away for want of memory, ever: jobs may be among them
    eviction_policy: str = ""  #: what becomes of keys when memory is full; "": there is no such thing
    db_bytes: int | None = None  #: of the file
    wal_bytes: int | None = None  #: of the log beside it


class Insight(Protocol):
    """Questions about a queue or the store as a whole, and the one thing workers write for them."""

    async def engine(self) -> Engine:
        """What the store is made of."""
        ...

    async def groups(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        """Groups that have waiting or active jobs or settings of their own, by id."""
        ...

    async def failures(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[FailureGroup]:
        """Kinds of failures, latest first."""
        ...

    async def place(self, queue: str, job_id: JobId) -> Place | None:
        """How many stand before a waiting or delayed job; None when it is neither."""
        ...

    async def deduplication(
        self, queue: str, dedup_id: str, *, remove: bool = False, now: Millis | None = None
    ) -> JobId | None:
        """The job that keeps others with this deduplication id out; with `remove` it does so no longer."""
        ...

    async def record(self, queue: str, samples: Sequence[Sample], *, now: Millis | None = None) -> None:
        """Add figures to every tier, and forget what has been kept long enough."""
        ...

    async def series(self, queue: str, tier: Tier, *, since: Millis, until: Millis) -> list[Sample]:
        """The figures of a tier by time and name; stretches in which nothing happened are left out."""
        ...
