"""What becomes of a schedule's runs when clocks change soon: a time of day that is left out, or comes twice. Pure."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from corral.cron import zone
from corral.errors import ConfigError
from corral.monitor.objects import ScheduleRow
from corral.schedule import Cron
from corral.timing import Millis, to_datetime

HOUR: Millis = 3_600_000
DAY: Millis = 24 * HOUR
#: So many days before, people can still do something about it.
DAYS = 14


def clock_change(row: ScheduleRow, now: Millis) -> str | None:
    """What happens to a run within two weeks because clocks change; None when nothing does.

    A line that runs more often than the change is long is left out: there, nobody counts on a single run.
    """
    if row.when.startswith("every ") or row.state == "ended":
        return None
    try:
        found = _found(row.when, row.tz, now // HOUR)
    except ConfigError:  # a zone that this machine does not know, or a line that never comes true again
        return None
    if found is None:
        return None
    at, text = found
    outside = (row.start_at is not None and at < row.start_at) or (row.end_at is not None and at > row.end_at)
    return None if outside or at < now else text


@lru_cache(maxsize=1_000)
def _found(expression: str, tz: str, hour: int) -> tuple[Millis, str] | None:
    """When clocks change, and what becomes of the run then."""
    change = _change(tz, hour)
    if change is None:
        return None
    at, before, after = change
    length, where = abs(after - before), zone(tz)
    begin = at + min(before, after)  # what clocks show when the time begins that is left out, or comes twice
    clocks = Cron(expression)  # by clocks that never change
    shown = clocks.next_after(begin - 1)
    if shown >= begin + length or clocks.next_after(shown) - shown <= length:
        return None
    line = Cron(expression, tz=tz)
    time, day = _clock(shown), to_datetime(at).astimezone(where)
    if after > before:
        runs = line.next_after(at - 1) == at
        text = f"does not exist: it runs at {day:%H:%M}" if runs else "does not exist: that run is left out"
    else:
        first = at - length + (shown - begin)
        runs = line.next_after(first) == first + length
        text = "comes twice: it runs both times" if runs else "comes twice: it runs the first time only"
    return at, f"{day.day} {day:%b}: clocks go {'forward' if after > before else 'back'}, {time} {text}"


def _clock(shown: Millis) -> str:
    at = to_datetime(shown).astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


@lru_cache(maxsize=1_000)
def _change(tz: str, hour: int) -> tuple[Millis, Millis, Millis] | None:
    """The first change of a zone's clocks within the days to come: its instant, the offset before and after."""
    where, begin = zone(tz), hour * HOUR

    def offset(at: Millis) -> Millis:
        local: datetime = to_datetime(at).astimezone(where)
        return round((local.utcoffset() or timedelta()) / timedelta(milliseconds=1))

    for low in range(begin, begin + DAYS * DAY, DAY):
        high = low + DAY
        before, after = offset(low), offset(high)
        if before == after:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == before else (low, middle)
        return high, before, after
    return None
