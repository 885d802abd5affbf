"""Cron lines: checked once, then asked for the next instant. The fields are cronsim's, the clock changes are ours.

Rules (Debian cron's, held against a brute-force search in the tests): a time of day that falls into the gap when clocks
go forward runs at the first valid instant after it; one that comes twice when they go back runs once, the first time.
A line whose second, minute or hour is `*` or a step follows the clock instead: what the gap swallows does not run, and
what comes twice runs twice.

cronsim is only ever asked about wall-clock time without a zone. Given one, it steps by whole hours, which loses runs
where clocks move by thirty minutes (Lord Howe Island), and in the repeated hour it may answer with an earlier instant.
"""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from corral.errors import ConfigError
from corral.timing import Millis, to_datetime

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

#: Every minute and every second written out is 340 characters; a longer line is a mistake or an attack.
MAX_LINE = 1_000

_SECOND = timedelta(seconds=1)
#: How far apart two looks for a clock change may be: no zone changes there and back within a week.
_STRIDE = timedelta(days=7)


def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name.

    Raises:
        ConfigError: no such zone.
    """
    try:
        return _zone(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ConfigError(
            f"time zone {name!r} is not known; use an IANA name such as 'Europe/Oslo'", key="tz"
        ) from None


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _expand(expression: str) -> str:
    if not isinstance(expression, str) or not expression.strip():
        raise ConfigError(f"a cron line must be text such as '0 9 * * 1', not {expression!r}", key="cron")
    line = expression.strip()
    if len(line) > MAX_LINE:
        raise ConfigError(f"a cron line may have {MAX_LINE} characters, not {len(line)}", key="cron")
    if line.startswith("@"):
        if line.lower() not in ALIASES:
            raise ConfigError(f"cron alias {line!r} is not known; use one of {', '.join(sorted(ALIASES))}", key="cron")
        return ALIASES[line.lower()]
    return line


@lru_cache(maxsize=1024)
def _parse(line: str) -> CronSim:
    try:
        return CronSim(line, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ConfigError(
            f"cron line {line!r} is not valid ({error}); it needs five fields (minute hour day month weekday), "
            "or six with seconds first",
            key="cron",
        ) from None


def next_after(expression: str, tz: str, at: Millis) -> Millis:
    """The first instant strictly after `at` that the line names.

    Raises:
        ConfigError: a line that cannot be read, an unknown zone, or no such instant within fifty years.
    """
    zone(tz)
    # Runs are on whole seconds and strictly after the start, so the fraction of `at` may be dropped.
    return _next_after(_expand(expression), tz, at - at % 1000)


@lru_cache(maxsize=4096)  # schedules made from one table share their lines and instants: thousands fire on the hour
def _next_after(expression: str, tz: str, at: Millis) -> Millis:
    line, where, start = _parse(expression), _zone(tz), to_datetime(at)
    try:
        found = _by_clock(line, where, start) if _follows_clock(line) else _by_day(line, where, start)
    except (StopIteration, OverflowError):  # fifty years without one, or the end of year 9999
        raise ConfigError(f"cron line {expression!r} never comes true", key="cron") from None
    return round(found.timestamp() * 1000)


def _follows_clock(line: CronSim) -> bool:
    return any(field.startswith("*") for field in line.parts[:3])


def _walls(line: CronSim, after: datetime) -> Iterator[datetime]:
    """The wall-clock times the line names, from a naive datetime on; ends with StopIteration after fifty years."""
    search = copy(line)  # parsing costs more than searching: parse once, search in a copy
    search.dt = after
    return search


def _by_day(line: CronSim, where: ZoneInfo, after: datetime) -> datetime:
    walls = _walls(line, after.astimezone(where).replace(tzinfo=None, fold=0))
    while True:
        instant = _first_valid(next(walls), where)
        if instant > after:  # in the repeated hour the wall clock names instants of the first pass again
            return instant


def _first_valid(wall: datetime, where: ZoneInfo) -> datetime:
    """The first instant at which the zone's clocks show this time, or the end of the gap that swallowed it."""
    instant = wall.replace(tzinfo=where).astimezone(UTC)
    while instant.astimezone(where).replace(tzinfo=None) != wall:
        wall = wall.replace(second=0) + timedelta(minutes=1)
        instant = wall.replace(tzinfo=where).astimezone(UTC)
    return instant


def _by_clock(line: CronSim, where: ZoneInfo, after: datetime) -> datetime:
    """Search one stretch of unchanging clocks after another."""
    offset = _offset(where, after)
    while True:
        wall = (after + offset).replace(tzinfo=None)
        found = after + (next(_walls(line, wall)) - wall)
        change = _clock_change(where, after, found, offset)
        if change is None:
            return found
        # The instant of the change belongs to the new stretch, so its search starts just before it.
        after, offset = change - _SECOND, _offset(where, change)


def _offset(where: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(where).utcoffset() or timedelta()


def _clock_change(where: ZoneInfo, after: datetime, until: datetime, offset: timedelta) -> datetime | None:
    """The first whole second in (after, until] at which the zone's offset is not `offset`."""
    while after < until:
        end = min(after + _STRIDE, until)
        if _offset(where, end) != offset:
            while end - after > _SECOND:
                middle = after + (end - after) // _SECOND // 2 * _SECOND
                if _offset(where, middle) == offset:
                    after = middle
                else:
                    end = middle
            return end
        after = end
    return None


def check_cron(expression: str, tz: str) -> None:
    """Raise ConfigError unless the line and the zone make sense and the line comes true at least once."""
    next_after(expression, tz, 1_767_225_600_000)  # 2026-01-01: any fixed start will do


def explain(expression: str) -> str:
    """The line in English words, as people read it in listings."""
    return _parse(_expand(expression)).explain()
