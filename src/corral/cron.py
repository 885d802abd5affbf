"""Cron lines: checked once, then asked for the next instant. The calendar and its DST rules are cronsim's.

Rules (Debian cron, verified against a brute-force oracle in the tests): a wall-clock time that falls into the gap when
clocks go forward runs at the first valid instant after it; one that comes twice when they go back runs once, the first
time, unless the hour field is `*` or a step, which then runs in both hours.
"""

from datetime import datetime
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


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name.

    Raises:
        ConfigError: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ConfigError(f"time zone {name!r} is not known; use an IANA name such as 'Europe/Oslo'", key="tz") from None


def _expand(expression: str) -> str:
    if not isinstance(expression, str) or not expression.strip():
        raise ConfigError(f"a cron line must be text such as '0 9 * * 1', not {expression!r}", key="cron")
    line = expression.strip()
    if line.startswith("@"):
        if line.lower() not in ALIASES:
            raise ConfigError(f"cron alias {line!r} is not known; use one of {', '.join(sorted(ALIASES))}", key="cron")
        return ALIASES[line.lower()]
    return line


def _simulate(expression: str, start: datetime) -> CronSim:
    try:
        return CronSim(_expand(expression), start)
    except CronSimError as error:
        raise ConfigError(
            f"cron line {expression!r} is not valid ({error}); it needs five fields (minute hour day month weekday), "
            "or six with seconds first",
            key="cron",
        ) from None


def next_after(expression: str, tz: str, at: Millis) -> Millis:
    """The first instant strictly after `at` that the line names.

    Raises:
        ConfigError: a line that cannot be read, an unknown zone, or no such instant within fifty years.
    """
    # CronSim works on whole seconds and answers strictly after its start, so the fraction of `at` may be dropped.
    start = to_datetime(at - at % 1000).astimezone(zone(tz))
    try:
        return round(next(_simulate(expression, start)).timestamp() * 1000)
    except StopIteration:
        raise ConfigError(f"cron line {expression!r} never comes true", key="cron") from None


def check_cron(expression: str, tz: str) -> None:
    """Raise ConfigError unless the line and the zone make sense and the line comes true at least once."""
    next_after(expression, tz, 1_767_225_600_000)  # 2026-01-01: any fixed start will do


def explain(expression: str) -> str:
    """The line in English words, as people read it in listings."""
    return _simulate(expression, datetime(2026, 1, 1)).explain()
