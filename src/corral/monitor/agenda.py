"""Schedules as people look at them: when they run next, whether they are late, what comes then. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from corral.cron import explain, zone
from corral.errors import ConfigError
from corral.job import Job
from corral.monitor.objects import Run, ScheduleRow
from corral.monitor.preview import preview, ran
from corral.schedule import Cron, Schedule
from corral.slots import next_slot
from corral.timing import Millis, to_datetime

#: A slot that has just passed is being fired.
GRACE_MS: Millis = 5_000
#: Missed slots that are counted, and runs that are foretold.
MOST = 100


def schedule_row(
    schedule: Schedule, last: Job | None, now: Millis, *, sensitive: Sequence[str] = ()
) -> ScheduleRow:  # fmt: skip
    """A schedule; `last` is the job of its last run, if that is still kept."""
    timing = schedule.timing
    late = 0 if schedule.next_at is None or schedule.paused else max(0, now - schedule.next_at)
    overdue = late > GRACE_MS
    return ScheduleRow(
        queue=schedule.queue,
        key=schedule.key,
        name=schedule.name,
        when=timing.expression if isinstance(timing, Cron) else f"every {timing.seconds:g} s",
        words=_words(schedule),
        tz=timing.tz if isinstance(timing, Cron) else "UTC",
        state=_state(schedule, now, overdue=overdue),
        next_at=schedule.next_at,
        last_at=schedule.last_at,
        last_job_id=schedule.last_job_id,
        last_state=None if last is None else last.state,
        last_run_ms=None if last is None else ran(last, now),
        overdue_ms=late if overdue else 0,
        missed=_missed(schedule, now) if overdue else 0,
        fired=schedule.fired,
        limit=schedule.limit,
        start_at=schedule.start_at,
        end_at=schedule.end_at,
        overlap=str(schedule.overlap),
        missed_policy=str(schedule.missed),
        owner=schedule.owner,
        preview=_payload(schedule, sensitive),
    )


def _payload(schedule: Schedule, sensitive: Sequence[str]) -> str:
    if schedule.computed:
        return ""
    return preview(schedule.data, len(schedule.data.encode()), (*sensitive, *schedule.options.sensitive))


def _words(schedule: Schedule) -> str:
    timing = schedule.timing
    if not isinstance(timing, Cron):
        return f"every {timing.seconds:g} seconds"
    try:
        return explain(timing.expression)
    except ConfigError:
        return timing.expression


def _state(schedule: Schedule, now: Millis, *, overdue: bool) -> str:
    if schedule.paused:
        return "paused"
    if schedule.next_at is None:
        return "ended" if schedule.ended(now) else "lost"
    return "overdue" if overdue else "active"


def _missed(schedule: Schedule, now: Millis) -> int:
    """Slots that have passed since the one that is pending, itself included."""
    slot, count = schedule.next_at, 0
    while slot is not None and slot <= now and count < MOST:
        count += 1
        slot = next_slot(schedule, slot)
    return count


def runs(schedule: Schedule, *, count: int, now: Millis, tz: str = "UTC") -> tuple[Run, ...]:
    """The next runs, as clocks show them in the schedule's zone and in `tz`. A paused one is taken as if it were not.

    A run is marked when clocks have changed since the one before it: it comes an hour earlier or later than people
    elsewhere are used to, and a cron line that names a time in the gap runs at its end.

    Raises:
        ConfigError: a zone that is not known.
    """
    there = zone(schedule.timing.tz if isinstance(schedule.timing, Cron) else "UTC")
    here = zone(tz)
    found: list[Run] = []
    before = now
    slot = schedule.next_at if schedule.next_at is not None else next_slot(schedule, now)
    left = MOST if schedule.limit is None else schedule.limit - schedule.fired
    while slot is not None and len(found) < min(count, left, MOST):
        found.append(Run(slot, _shown(slot, there), _shown(slot, here), _mark(before, slot, there, here)))
        before, slot = slot, next_slot(schedule, slot)
    return tuple(found)


def _shown(at: Millis, where: ZoneInfo) -> str:
    return to_datetime(at).astimezone(where).isoformat(timespec="seconds")


def _mark(before: Millis, at: Millis, there: ZoneInfo, here: ZoneInfo) -> str:
    marks = [
        f"clocks {'go forward' if change > timedelta() else 'go back'} {_length(abs(change))} in {where.key}"
        for where in dict.fromkeys((there, here))
        if (change := _offset(at, where) - _offset(before, where))
    ]
    return "; ".join(marks)


def _length(change: timedelta) -> str:
    minutes = round(change.total_seconds() / 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def _offset(at: Millis, where: ZoneInfo) -> timedelta:
    local: datetime = to_datetime(at).astimezone(where)
    return local.utcoffset() or timedelta()
