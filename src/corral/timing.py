"""Time: the one place where units are converted.

The public API speaks seconds (`float` or `timedelta`) and aware `datetime`s. Everything inside is an integer number of
milliseconds: durations end in `_ms`, instants (since the Unix epoch, UTC) in `_at`.
"""

import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from corral.errors import ConfigError

Millis: TypeAlias = int
Seconds: TypeAlias = float | timedelta
Clock: TypeAlias = Callable[[], Millis]

#: Ten years. A longer delay is a unit mistake far more often than a plan.
MAX_DURATION_MS: Millis = 10 * 366 * 86_400_000


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def duration(text: str) -> float:
    """Seconds from what people write: `30s`, `1h30m`, `500ms`, `7d`, or a plain number of seconds.

    Raises:
        ConfigError: anything else.
    """
    cleaned = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", cleaned):
        return float(cleaned)
    if not cleaned or _PART.sub("", cleaned):
        raise ConfigError(f"{text!r} is not a duration; write 500ms, 30s, 5m, 2h, 7d, 1h30m or a number of seconds")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(cleaned))


def now_ms() -> Millis:
    """The machine's wall clock."""
    return time.time_ns() // 1_000_000


def to_seconds(value: Seconds, what: str, *, minimum: float = 0.0) -> float:
    """Check a public duration and give it as float seconds.

    Raises:
        ConfigError: not a number, not finite, below `minimum`, or above ten years.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{what} must be seconds (a number) or a timedelta, not {value!r}", key=what)
    else:
        seconds = _float(value, what)
    if not math.isfinite(seconds):
        raise ConfigError(f"{what} must be finite, not {value!r}", key=what)
    if seconds < minimum:
        raise ConfigError(f"{what} must be at least {minimum:g} s, not {value!r}", key=what)
    if seconds * 1000 > MAX_DURATION_MS:
        raise ConfigError(f"{what} must be at most ten years, not {value!r}: durations are in seconds", key=what)
    return seconds


def _float(value: float, what: str) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits, which Python may refuse even to print
        raise ConfigError(f"{what} is a number out of all proportion", key=what) from None


def to_ms(value: Seconds, what: str, *, minimum: float = 0.0) -> Millis:
    """A public duration as integer milliseconds, rounded up so that nothing runs early."""
    return math.ceil(round(to_seconds(value, what, minimum=minimum) * 1000, 3))


def instant_ms(value: datetime | float, what: str) -> Millis:
    """A point in time (an aware datetime, or epoch seconds) as epoch milliseconds.

    Raises:
        ConfigError: a naive datetime (whose zone nobody knows), or not a point in time.
    """
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ConfigError(f"{what} must be an aware datetime, not {value!r}: add tzinfo=", key=what)
        return round(value.timestamp() * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{what} must be an aware datetime or epoch seconds, not {value!r}", key=what)
    value = _float(value, what)
    # 10**11 s is the year 5138; anything above it is milliseconds by mistake.
    if not 0 <= value < 10**11:
        raise ConfigError(f"{what} must be epoch seconds, not {value!r}", key=what)
    return round(value * 1000)


def to_datetime(at: Millis) -> datetime:
    """Epoch milliseconds as an aware UTC datetime, exact to the millisecond."""
    return datetime.fromtimestamp(at // 1000, UTC) + timedelta(milliseconds=at % 1000)
