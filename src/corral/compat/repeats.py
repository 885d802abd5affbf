"""Repeat options: `repeat: {cron | pattern, every, tz, …}` and BullMQ's job schedulers."""

import hashlib
from collections.abc import Mapping
from typing import cast

from msgspec import Struct

from corral.compat.reading import Options, Reader, as_is, flag, made, moment, read, seconds, whole
from corral.errors import ConfigError
from corral.schedule import Cron, Every, Schedule
from corral.timing import Millis, instant_ms

#: Accepted and without effect, each with the reason.
IGNORED_REPEAT_OPTIONS: Mapping[str, str] = {
    "prevMillis": "a schedule remembers its last run",
    "count": "a schedule counts its runs itself",
    "offset": "an interval counts from its start date, or from when it was first registered",
    "utc": "without tz it is UTC",
    "currentDate": "the clock decides",
    "iterator": "the clock decides",
    "nthDayOfWeek": "write `1#2` in the cron line",
}


class Repeat(Struct, frozen=True, kw_only=True):
    """When a job repeats."""

    timing: Cron | Every
    start_at: Millis | None = None
    end_at: Millis | None = None
    limit: int | None = None
    immediately: bool = False  #: also once now
    key: str | None = None  #: its name, when the options give one

    def key_for(self, name: str) -> str:
        """A schedule's key for jobs of this name: the same for the same timing, so adding it again changes nothing."""
        if self.key is not None:
            return self.key
        timing = self.timing
        facts = f"{timing.expression}|{timing.tz}" if isinstance(timing, Cron) else str(timing.ms)
        return f"{name}-{hashlib.sha256(facts.encode()).hexdigest()[:10]}"


def repeat(options: Options) -> Repeat:
    """`{cron}` or `{pattern}` with `tz`, or `{every}` in milliseconds; `startDate`, `endDate`, `limit`, `immediately`.

    Raises:
        ConfigError: no timing, or two of them. UnknownOptionError: an option neither Bull nor BullMQ has.
    """
    parts: dict[str, Reader] = {
        "cron": as_is("cron"),
        "pattern": as_is("cron"),
        "tz": as_is("tz"),
        "every": made("every", lambda value: seconds(value, "repeat.every")),
        "limit": made("limit", lambda value: whole(value, "repeat.limit")),
        "startDate": made("start_at", lambda value: instant_ms(moment(value, "repeat.startDate"), "startDate")),
        "endDate": made("end_at", lambda value: instant_ms(moment(value, "repeat.endDate"), "endDate")),
        "immediately": flag("immediately", "repeat.immediately"),
        "key": made("key", str),
        "jobId": made("key", str),
    }
    said = read(options, parts, IGNORED_REPEAT_OPTIONS)
    cron, every, zone = said.pop("cron", None), said.pop("every", None), said.pop("tz", None)
    if (cron is None) == (every is None):
        raise ConfigError("repeat needs cron (or pattern) or every, one of them", key="repeat")
    timing = Every(cast(float, every)) if cron is None else Cron(str(cron), tz="UTC" if zone is None else str(zone))
    return Repeat(timing=timing, **said)  # type: ignore[arg-type]  # each was converted above


def as_repeatable(schedule: Schedule) -> dict[str, object]:
    """A schedule as `getRepeatableJobs` and `getJobSchedulers` show it."""
    cron = schedule.timing if isinstance(schedule.timing, Cron) else None
    return {
        "key": schedule.key,
        "name": schedule.name,
        "id": schedule.key,
        "endDate": schedule.end_at,
        "tz": cron.tz if cron else None,
        "cron": cron.expression if cron else None,
        "pattern": cron.expression if cron else None,
        "every": None if cron else cast(Every, schedule.timing).ms,
        "next": schedule.next_at,
        "iterationCount": schedule.fired,
    }
