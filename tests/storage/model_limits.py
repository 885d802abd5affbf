"""What the model knows of windows, holds and groups: which may start something now, and whose turn it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import UNSET
from msgspec.structs import replace

from corral.options import GroupChange, GroupLimits, Hold, RateLimit
from corral.timing import Millis

NONE = GroupLimits()


class Windows:
    """Windows of rate limits: a limit is known by its count and period, and its window begins with its first start."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, Millis], tuple[Millis, int]] = {}

    def used(self, limit: RateLimit, now: Millis) -> int:
        start, used = self.known.get((limit.count, limit.per_ms), (0, 0))
        return used if now < start + limit.per_ms else 0

    def room(self, limits: Iterable[RateLimit], now: Millis) -> int:
        return min((limit.count - self.used(limit, now) for limit in limits), default=1_000)

    def full_until(self, limits: Iterable[RateLimit], now: Millis) -> Millis | None:
        """When the last of the full ones is over."""
        full = [limit for limit in limits if self.used(limit, now) >= limit.count]
        return max((self.known[limit.count, limit.per_ms][0] + limit.per_ms for limit in full), default=None)

    def start(self, limits: Iterable[RateLimit], jobs: int, now: Millis) -> None:
        for limit in limits if jobs else ():
            used = self.used(limit, now)
            start = self.known[limit.count, limit.per_ms][0] if used else now
            self.known[limit.count, limit.per_ms] = (start, used + jobs)


@dataclass
class Held:
    """A hold: of the queue or of a group."""

    until: Millis | None = None
    reason: str = ""
    probing: bool = False

    def set(self, hold: Hold | None, now: Millis) -> None:
        if hold is None:
            self.until, self.reason, self.probing = None, "", False
        else:
            self.until, self.reason, self.probing = now + hold.for_ms, hold.reason, hold.probe

    def lengthen(self, until: Millis, reason: str) -> None:
        self.until, self.reason = max(self.until or 0, until), reason

    def end(self, now: Millis) -> Millis | None:
        """When it is over, None when it is."""
        return self.until if self.until is not None and self.until > now else None

    @property
    def seen(self) -> tuple[Millis | None, str, bool]:
        return self.until, self.reason, self.probing


@dataclass
class Group:
    """What was said about a group, and where it stands in the ring."""

    limits: GroupLimits | None = None
    paused: bool = False
    held: Held = field(default_factory=Held)
    windows: Windows = field(default_factory=Windows)
    turn: int | None = None

    def change(self, change: GroupChange, now: Millis) -> None:
        if change.limits is not UNSET:
            self.limits = change.limits
        if change.paused is not UNSET:
            self.paused = change.paused
        if change.hold is not UNSET:
            self.held.set(change.hold, now)

    def set_rates(self, rates: tuple[RateLimit, ...]) -> None:
        if rates:
            self.limits = replace(self.limits or NONE, rate_limits=rates)

    @property
    def plain(self) -> bool:
        return self.limits is None and not self.paused and self.held.seen == (None, "", False)

    def waits_for_somebody(self, for_all: GroupLimits | None, active: int) -> bool:
        """Whether nothing of it may start until something is done about it."""
        limits = self.limits or for_all or NONE
        full = limits.concurrency is not None and active >= limits.concurrency
        return self.paused or full or (self.held.probing and active > 0)

    def blocked_until(self, for_all: GroupLimits | None, now: Millis) -> Millis | None:
        """When time lets it start something, None when it does now."""
        limits = self.limits or for_all or NONE
        ends = (self.held.end(now), self.windows.full_until(limits.rate_limits, now))
        return max((end for end in ends if end is not None), default=None)
