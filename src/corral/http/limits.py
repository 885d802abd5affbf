"""Rates: how many requests somebody may send, in memory of this process.

The generic cell rate algorithm: of each key one instant is kept, at which everything it sent would have been sent at
an even pace. It may be ahead of now by a burst. A process keeps 20,000 keys and forgets those that are at rest first.
"""

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from msgspec import Struct

from corral.errors import ConfigError

#: So many keys are kept: 3 MB.
KEYS = 20_000
#: What an IPv6 /48 may do, as a multiple of what a /64 of it may.
SITE = 16

_SECONDS = {"s": 1, "second": 1, "min": 60, "minute": 60, "h": 3_600, "hour": 3_600, "d": 86_400, "day": 86_400}
_SHAPE = re.compile(r"(\d{1,9})/(?:(\d{1,5})\s*)?([a-z]+)(?::(\d{1,9}))?")


class Rate(StrEnum):
    """What kind of request it is: each has a rate of its own."""

    READ = "read"
    WRITE = "write"
    ENQUEUE = "enqueue"
    BULK = "bulk"
    LOGIN = "login"
    STREAM = "stream"


class Pace(Struct, frozen=True):
    """So many in each window, of which `burst` at once."""

    count: int
    seconds: int
    burst: int

    @property
    def interval(self) -> float:
        """Seconds between two requests at an even pace."""
        return self.seconds / self.count


@lru_cache(maxsize=256)
def pace(text: str) -> Pace:
    """A pace as settings write it: `600/min:120` is 600 a minute, of which 120 at once; in `10/15min` all 10 are.

    Raises:
        ConfigError: it cannot be read, or a number in it is zero.
    """
    found = _SHAPE.fullmatch(text.strip().lower())
    if found is None or found[3] not in _SECONDS:
        raise ConfigError(f"rate {text!r} cannot be read; write 600/min:120, where 120 may come at once", key="rate")
    count, times, burst = int(found[1]), int(found[2] or 1), int(found[4] or found[1])
    if not count or not times or not burst:
        raise ConfigError(f"rate {text!r} has a zero: nothing would ever be let in", key="rate")
    return Pace(count, times * _SECONDS[found[3]], burst)


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a request may pass, and what is left."""

    allowed: bool
    left: int  #: so many more at once
    reset: float  #: seconds until everything is left again
    retry_after: float = 0.0  #: seconds until the refused request would pass


class Limiter:
    """Keeps the pace of each key. `seconds` tells the time; tests put another one there."""

    def __init__(self, *, keys: int = KEYS, seconds: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._keys = keys
        self._due: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: object) -> bool:
        return key in self._due

    def take(self, key: tuple[str, ...], pace: Pace, cost: int = 1) -> Verdict:
        """Let `cost` requests pass, or none; a refused one costs nothing."""
        now = self.seconds()
        due = max(self._due.get(key, now), now)
        room = pace.burst * pace.interval
        # What costs more than ever fits at once passes when nothing else is owed: it would never pass otherwise.
        new = due + min(cost, pace.burst) * pace.interval
        late = new - now - room
        if late > 1e-9:
            return Verdict(allowed=False, left=self._left(due, now, pace), reset=due - now, retry_after=late)
        new = due + cost * pace.interval
        self._due[key] = new
        self._due.move_to_end(key)
        self._trim(now)
        return Verdict(allowed=True, left=self._left(new, now, pace), reset=new - now)

    def _left(self, due: float, now: float, pace: Pace) -> int:
        return max(0, math.floor((pace.burst * pace.interval - (due - now)) / pace.interval + 1e-6))

    def _trim(self, now: float) -> None:
        if len(self._due) <= self._keys:
            return
        for key in [key for key, due in self._due.items() if due <= now]:
            del self._due[key]
        while len(self._due) > self._keys * 9 // 10:  # all are busy: the ones that were seen longest ago go
            self._due.popitem(last=False)


def site_of(network: str) -> str | None:
    """The /48 that a /64 belongs to: what one customer of a provider may have 65,536 of. None for IPv4."""
    try:
        found = ip_address(network)
    except ValueError:
        return None
    return f"{IPv6Address(int(found) >> 80 << 80)}/48" if isinstance(found, IPv6Address) else None


def take_by_network(limiter: Limiter, kind: tuple[str, ...], network: str, pace: Pace, cost: int = 1) -> Verdict:
    """Count somebody by their address: by their /64, and before that by its /48, which may do 16 times as much.

    Who has a whole /48 could be 65,536 callers, each of which takes a place that somebody else's rate is kept in. So a
    new one is let in only while their /48 has room. What a /64 is refused costs its neighbours nothing.
    """
    key, site = (*kind, network), site_of(network)
    if site is None:
        return limiter.take(key, pace, cost)
    mine = limiter.take(key, pace, cost) if key in limiter else None
    if mine is not None and not mine.allowed:
        return mine
    wide = limiter.take((*kind, site), Pace(pace.count * SITE, pace.seconds, pace.burst * SITE), cost)
    if not wide.allowed:
        return wide
    return mine or limiter.take(key, pace, cost)


def headers(kind: Rate, pace: Pace, verdict: Verdict) -> dict[str, str]:
    """What every answer says about the rate it was counted in."""
    return {
        "RateLimit-Policy": f'"{kind}";q={pace.count};w={pace.seconds}',
        "RateLimit": f'"{kind}";r={verdict.left};t={math.ceil(verdict.reset - 1e-6)}',
    }
