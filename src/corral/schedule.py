"""Schedules: when a job is made again and again. Pure data; `corral.cron` computes, `corral.scheduler` acts."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import force_setattr

from corral.job import NO_OPTIONS
from corral.options import JobOptions
from corral.sensitive import shown_repr
from corral.timing import Millis, to_ms, to_seconds


class Missed(StrEnum):
    """What happens to slots that passed while nobody was there to serve them."""

    SKIP = "skip"  #: forget them
    ONCE = "once"  #: run once, for the latest of them
    ALL = "all"  #: run each of them (at most 100)


class Overlap(StrEnum):
    """What happens when a slot comes while the previous run is not finished."""

    ALLOW = "allow"
    SKIP = "skip"


class Cron(Struct, frozen=True, tag="cron"):
    """A cron line of five fields, or six with seconds first, or an alias (`@daily` …), in a time zone.

    Daylight saving follows Debian's cron: a time in the gap runs at the first valid instant after it, a time that comes
    twice runs once. With `*` or a step for second, minute or hour the line follows the clock: it runs twice, or not.

    Raises:
        ConfigError: a line that cannot be read or never comes true, or an unknown zone.
    """

    expression: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        from corral.cron import check_cron  # 5 ms to import: only for those who have such a line

        check_cron(self.expression, self.tz)

    def next_after(self, at: Millis) -> Millis:
        """The first instant of the line after `at`."""
        from corral.cron import next_after

        return next_after(self.expression, self.tz, at)


class Every(Struct, frozen=True, tag="every"):
    """Every so many seconds, counted from the schedule's start (or from when it was first registered)."""

    seconds: float

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", to_seconds(self.seconds, "every", minimum=0.1))

    @property
    def ms(self) -> Millis:
        return to_ms(self.seconds, "every")


class Schedule(Struct, frozen=True, kw_only=True):
    """One schedule as stored. Its next run is `next_at`: there is one of them, or none when it has ended."""

    key: str
    queue: str
    name: str  #: of the jobs it makes
    timing: Cron | Every
    data: str = "{}"  #: JSON text
    options: JobOptions = NO_OPTIONS
    priority: int = 0
    start_at: Millis | None = None
    end_at: Millis | None = None
    limit: int | None = None  #: at most this many runs
    missed: Missed = Missed.ONCE
    overlap: Overlap = Overlap.ALLOW
    paused: bool = False
    owner: str = ""  #: the application that declares it in code; "" when a person made it
    computed: bool = False  #: its payload is a function of the declaring application, called at each run
    anchor_at: Millis = 0  #: what `Every` counts from
    next_at: Millis | None = None
    last_at: Millis | None = None
    last_job_id: str | None = None
    fired: int = 0

    def __repr__(self) -> str:
        return shown_repr(self, ("data",), self.options.sensitive)

    def ended(self, at: Millis) -> bool:
        """Whether no slot at or after `at` may fire any more."""
        return (self.end_at is not None and at > self.end_at) or (self.limit is not None and self.fired >= self.limit)


#: What a caller may pass as start or end.
Instant = datetime | float
