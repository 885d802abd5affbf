"""What the whole queue lets start: its hold, its jobs at once, the windows of its rate limits."""

from msgspec.structs import replace

from corral.storage.port import BATCH, QueueInfo
from corral.storage.sqlite.unit import ACTIVE, QueueRow, Unit
from corral.storage.sqlite.windows import count_starts, full_until, read_started, room, started_text
from corral.timing import Millis


def allowed(queue: QueueRow, now: Millis) -> int:
    """How many may start now under the limits of the whole queue."""
    info = queue.info
    most = BATCH if info.concurrency is None else info.concurrency - queue.count[ACTIVE]
    if info.rate_limit is not None:
        used = queue.window_used if _in_window(queue, now) else 0
        most = min(most, info.rate_limit.count - used)
    if info.more_limits:
        most = min(most, room(info.more_limits, read_started(queue.windows).more, now))
    if info.held_until is not None:
        if info.held_until > now:
            return 0
        if info.probing:
            most = min(most, 1 - queue.count[ACTIVE])
    return most


def _in_window(queue: QueueRow, now: Millis) -> bool:
    """Whether the rate limit's window is open. One far ahead means that the clock went back: it does not count.

    A claimer may be a few milliseconds behind the one that opened the window, so "ahead" begins a whole window away.
    """
    limit = queue.info.rate_limit
    return limit is not None and abs(now - queue.window_at) < limit.per_ms


def held(queue: QueueRow, started: int, now: Millis) -> Millis | None:
    """Count starts in the windows of the queue; answers when something may start again, None when it may now."""
    info = queue.info
    ends = []
    limit = info.rate_limit
    if limit is not None:
        if started and not _in_window(queue, now):
            queue.window_at, queue.window_used = now, 0  # a window begins with its first start
        queue.window_used += started
        if _in_window(queue, now) and queue.window_used >= limit.count:
            ends.append(queue.window_at + limit.per_ms)
    if info.more_limits:
        windows = read_started(queue.windows)
        if started:
            count_starts(info.more_limits, windows.more, started, now)
            queue.windows = started_text(windows, now)
        end = full_until(info.more_limits, windows.more, now)
        if end is not None:
            ends.append(end)
    if info.held_until is not None and info.held_until > now:
        ends.append(info.held_until)
    return max(ends, default=None)


def hold_on(unit: Unit, queue: QueueRow, until: Millis, reason: str) -> Millis:
    """Lengthen the hold of the queue; answers its end."""
    until = max(queue.info.held_until or 0, until)
    info: QueueInfo = replace(queue.info, held_until=until, hold_reason=reason)
    unit.save_info(queue, info)
    return until
