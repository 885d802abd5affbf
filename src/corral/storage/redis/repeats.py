"""Between corral's schedules and BullMQ's job schedulers: the hash `repeat:<key>`, and the options of their jobs."""

from collections.abc import Mapping
from typing import cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.cron import ALIASES, next_after
from corral.job import NO_OPTIONS
from corral.options import JobOptions, check_priority
from corral.schedule import Cron, Every, Schedule
from corral.storage.redis.options import UnreadableJobError, options_text, read_options, to_json
from corral.timing import Millis

_decode_object = msgspec.json.Decoder(dict[str, object]).decode


class UnreadableScheduleError(ValueError):
    """A job scheduler that means nothing here. Never leaves the adapter."""


def definition(schedule: Schedule) -> list[str]:
    """The hash of a schedule, name and value by turns, as BullMQ has it; with `corral`, which is ours.

    That one has the jobs' priority and the beginning of their options; what differs from slot to slot is added in Lua.
    """
    timing, offset = schedule.timing, 0
    repeat: dict[str, object]
    if isinstance(timing, Every):
        anchor = schedule.anchor_at if schedule.start_at is None else schedule.start_at
        repeat, offset = {"every": timing.ms}, anchor % timing.ms
    else:  # without a zone Node would take its machine's
        repeat = {"pattern": ALIASES.get(timing.expression.strip().lower(), timing.expression), "tz": timing.tz}
    for field, value in (("limit", schedule.limit), ("startDate", schedule.start_at), ("endDate", schedule.end_at)):
        if value is not None:
            repeat[field] = value
    opts = options_text(schedule.options, schedule.priority)
    fields = {"name": schedule.name, **{field: str(value) for field, value in repeat.items()}, "offset": str(offset)}
    if schedule.data != "{}":
        fields["data"] = schedule.data
    if opts != "{}":
        fields["opts"] = opts
    beginning = f'{opts[:-1]}{"," if opts != "{}" else ""}"repeat":{to_json(repeat).decode()[:-1]},'
    fields["corral"] = f"{schedule.priority} {beginning}"
    return [text for pair in fields.items() for text in pair]


def read_definition(queue: str, key: str, at: Millis, fields: Mapping[str, str], ours: Schedule | None) -> Schedule:
    """A schedule as Node has defined it; `ours` is what it was before Node edited it.

    Raises:
        UnreadableScheduleError: it has no timing that can be read.
    """
    every, pattern = number(fields.get("every")), fields.get("pattern")
    try:
        if pattern is not None:
            timing: Cron | Every = Cron(pattern, fields.get("tz") or "UTC")
        elif every is not None:
            timing = Every(every / 1000)
        else:
            raise UnreadableScheduleError("it has neither `every` nor `pattern`")
    except ValueError as error:  # a ConfigError is one
        raise UnreadableScheduleError(str(error)) from None
    opts = fields.get("opts") or "{}"
    base = ours or Schedule(key=key, queue=queue, name=key, timing=timing)
    return replace(
        base,
        name=fields.get("name") or key,
        timing=timing,
        data=fields.get("data") or "{}",
        options=_options(opts),
        priority=_priority(opts),
        start_at=number(fields.get("startDate")),
        end_at=number(fields.get("endDate")),
        limit=number(fields.get("limit")),
        anchor_at=at,
        next_at=at,
        computed=False,
        fired=ours.fired if ours is not None else max(0, (number(fields.get("ic")) or 1) - 1),
    )


def number(value: object) -> int | None:
    """A stored number; None for what is none."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None


def _options(text: str) -> JobOptions:
    try:
        return read_options(text)
    except UnreadableJobError:
        return NO_OPTIONS


def _object(text: str) -> dict[str, object]:
    try:
        return _decode_object(text)
    except msgspec.MsgspecError:
        return {}


def _priority(opts: str) -> int:
    try:
        return check_priority(number(_object(opts).get("priority")) or 0)
    except ValueError:
        return 0


# -- the next job of Node's own ----------------------------------------------------------------------------------------


class NextRun(Struct, omit_defaults=True):
    """The job that follows a claimed one, as `follow_up.lua` reads it."""

    key: str
    slot: Millis
    next_at: Millis
    at: Millis
    opts: str
    priority: int
    data: str | None = None


def next_run(
    key: str, slot: Millis, fields: Mapping[str, str], opts: str, data: str | None, now: Millis
) -> NextRun | None:
    """What a Node worker would make of its scheduler's job, claimed just now; None after the last one.

    Raises:
        UnreadableScheduleError: the next time cannot be computed here.
    """
    stored = _object(opts)
    repeat = stored.get("repeat")
    plan = cast(dict[str, object], repeat) if isinstance(repeat, dict) else {}
    count = (number(plan.get("count")) or number(fields.get("ic")) or 1) + 1
    limit = number(plan.get("limit", fields.get("limit")))
    end = number(fields.get("endDate", plan.get("endDate")))
    if (limit is not None and count > limit) or (end is not None and now > end):
        return None
    pattern = fields.get("pattern")
    before = number(stored.pop("prevMillis", None)) or slot
    at = _after_interval(slot, fields, now) if pattern is None else _after_pattern(pattern, fields, max(now, before))
    if pattern is not None:
        stored["prevMillis"] = at
    stored["repeat"] = {**plan, "count": count}
    stored |= {"repeatJobKey": key, "jobId": f"repeat:{key}:{at}", "delay": max(0, at - now), "timestamp": now}
    legacy = data if "ic" not in fields else None
    return NextRun(key, slot, at, now, to_json(stored).decode(), number(stored.get("priority")) or 0, legacy)


def _after_interval(slot: Millis, fields: Mapping[str, str], now: Millis) -> Millis:
    every = number(fields.get("every")) or 0
    if every <= 0:
        raise UnreadableScheduleError("it has neither `every` nor `pattern`")
    if slot + every >= now:
        return slot + every
    aligned = now // every * every + (number(fields.get("offset")) or 0)
    return aligned if aligned > now else aligned + every


def _after_pattern(pattern: str, fields: Mapping[str, str], after: Millis) -> Millis:
    try:
        return next_after(pattern, fields.get("tz") or "UTC", after)
    except ValueError as error:
        raise UnreadableScheduleError(str(error)) from None
