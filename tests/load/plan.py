"""How hard a run is."""

from msgspec import Struct


class Plan(Struct, frozen=True, kw_only=True):
    """What each platform goes through."""

    fires: int = 3  #: runs of each schedule
    period: float = 2.0  #: seconds between them
    burst: int = 20  #: jobs that the demo adds at once, where it adds many
    again: float = 0.0  #: jobs a second that are added again
    workers: int = 2  #: beside each other: limits hold over all of them, and each slot is served by one
    patience: float = 240.0  #: seconds until a run that does not end is a problem

    @classmethod
    def lasting(cls, seconds: float) -> "Plan":
        """One that takes about so long."""
        fires = max(2, int(seconds / 10))
        return cls(fires=fires, period=seconds / fires, burst=200, again=10, patience=2 * seconds + 240)


class Verdict(Struct, frozen=True, kw_only=True):
    """How it went for one platform. Nothing in `problems` is good news."""

    platform: str
    seconds: float
    completed: int
    retried: int
    intended: int  #: failed for good, and were meant to
    schedules: dict[str, int]  #: how often each ran
    busiest: dict[str, int]  #: the most jobs at once, by queue
    fullest: dict[str, int]  #: the most starts in one window of its rate limit, by queue
    again: int  #: jobs that were added again
    problems: list[str]
