"""Windows of rate limits: which are open, what they still let start. The state of one belongs to its limit.

A limit that is changed begins anew, and one that is set again to what it was goes on. A window begins with its first
start. One whose start lies a whole window ahead means that the clock went back: it does not count.
"""

from collections.abc import Iterable, Sequence

import msgspec

from corral.options import RateLimit
from corral.timing import Millis


class Window(msgspec.Struct, array_like=True):
    """One window, open or over."""

    count: int
    per_ms: Millis
    start: Millis
    used: int

    def is_open(self, now: Millis) -> bool:
        return abs(now - self.start) < self.per_ms


class Started(msgspec.Struct, omit_defaults=True):
    """The windows of a queue: of its further limits and of its names."""

    more: list[Window] = []
    names: dict[str, list[Window]] = {}
    shut: list[str] = []  #: names of which jobs were set aside until their window is over


_encode = msgspec.json.Encoder().encode
_read_started = msgspec.json.Decoder(Started).decode
_read_windows = msgspec.json.Decoder(list[Window]).decode


def read_started(text: str | None) -> Started:
    """The stored windows of a queue."""
    return Started() if text is None else _read_started(text)


def started_text(started: Started, now: Millis) -> str | None:
    """What is stored of a queue's windows: those that are open."""
    started.more = [window for window in started.more if window.is_open(now)]
    open_ones = {name: [one for one in some if one.is_open(now)] for name, some in started.names.items()}
    started.names = {name: some for name, some in open_ones.items() if some}
    return _encode(started).decode() if started.more or started.names or started.shut else None


def read_windows(text: str | None) -> list[Window]:
    """The stored windows of a group."""
    return [] if text is None else _read_windows(text)


def windows_text(windows: Sequence[Window]) -> str | None:
    """The windows of a group as stored."""
    return _encode(windows).decode() if windows else None


def _of(limit: RateLimit, windows: Iterable[Window]) -> Window | None:
    per_ms = limit.per_ms
    for window in windows:
        if window.count == limit.count and window.per_ms == per_ms:
            return window
    return None


def room(limits: Iterable[RateLimit], windows: Sequence[Window], now: Millis) -> int:
    """How many may start now: every window must have room."""
    most = 1 << 30
    for limit in limits:
        window = _of(limit, windows)
        used = window.used if window is not None and window.is_open(now) else 0
        most = min(most, limit.count - used)
    return most


def full_until(limits: Iterable[RateLimit], windows: Sequence[Window], now: Millis | None) -> Millis | None:
    """When the last of the full windows ends, None when all have room. Without `now` those that are over count too."""
    end = None
    for limit in limits:
        window = _of(limit, windows)
        if window is not None and window.used >= window.count and (now is None or window.is_open(now)):
            end = max(end or 0, window.start + window.per_ms)
    return end


def count_starts(limits: Iterable[RateLimit], windows: list[Window], jobs: int, now: Millis) -> None:
    """Count starts in every window; one that is over begins anew."""
    for limit in limits:
        window = _of(limit, windows)
        if window is None:
            windows.append(Window(limit.count, limit.per_ms, now, jobs))
        elif window.is_open(now):
            window.used += jobs
        else:
            window.start, window.used = now, jobs
