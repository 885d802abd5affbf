"""Slots: the instants at which schedules run. Pure arithmetic, for the scheduler to act on.

The next slot is stored with the schedule as `next_at`. Once it has come, `due_slots` says what runs. The newest due
slot is *on time* up to `GRACE_MS` late and then runs under every policy. All other due slots are *missed*: skip forgets
them, once runs the newest of them unless there is one on time, all runs each of them, up to `CATCH_UP` slots. With
`Overlap.SKIP` only the newest of the slots that would run does.
"""

from typing import NamedTuple

from msgspec.structs import replace

from corral.schedule import Every, Missed, Overlap, Schedule
from corral.timing import Millis

GRACE_MS: Millis = 60_000
CATCH_UP = 100


def slot_id(key: str, slot: Millis) -> str:
    """The id of the job made for a slot (BullMQ's form), so that no slot can yield two jobs."""
    return f"repeat:{key}:{slot}"


def next_slot(schedule: Schedule, after: Millis) -> Millis | None:
    """The first slot strictly after an instant, or None when the schedule has ended.

    Raises:
        ConfigError: a cron line that never comes true again, or an unknown zone.
    """
    if schedule.limit is not None and schedule.fired >= schedule.limit:
        return None
    if schedule.start_at is not None:
        after = max(after, schedule.start_at - 1)
    if isinstance(schedule.timing, Every):
        anchor = schedule.anchor_at if schedule.start_at is None else schedule.start_at
        slot = anchor + max(0, (after - anchor) // schedule.timing.ms + 1) * schedule.timing.ms
    else:
        slot = schedule.timing.next_after(after)
    return None if schedule.end_at is not None and slot > schedule.end_at else slot


class Due(NamedTuple):
    """What a schedule owes. `missed` counts up to `CATCH_UP`, which then means that many or more."""

    slots: list[Millis]
    next_at: Millis | None
    missed: int


def due_slots(schedule: Schedule, now: Millis, *, grace_ms: Millis = GRACE_MS) -> Due:
    """Which slots run now, which comes next, and how many were missed (whether or not they run now)."""
    if schedule.next_at is None or schedule.next_at > now:
        return Due([], schedule.next_at, 0)
    if schedule.limit is not None and schedule.fired >= schedule.limit:
        return Due([], None, 0)
    due = _newest_due(schedule, schedule.next_at, now)
    on_time = due[-1:] if now - due[-1] <= grace_ms else []
    slots = {Missed.SKIP: on_time, Missed.ONCE: due[-1:], Missed.ALL: due}[schedule.missed]
    if schedule.overlap is Overlap.SKIP:
        slots = slots[-1:]
    if schedule.limit is not None:
        slots = slots[: schedule.limit - schedule.fired]
    return Due(slots, _slot_after(schedule, slots, now), len(due) - len(on_time))


def _slot_after(schedule: Schedule, slots: list[Millis], now: Millis) -> Millis | None:
    # With Overlap.SKIP the store may leave the run out, and then the limit is not used up: whether the schedule has
    # ended is seen when the next slot comes.
    used_up = schedule.limit is not None and schedule.fired + len(slots) >= schedule.limit
    return None if used_up and schedule.overlap is not Overlap.SKIP else next_slot(schedule, now)


def _newest_due(schedule: Schedule, first: Millis, now: Millis) -> list[Millis]:
    """The due slots, oldest first, from `first`, which is one; the newest `CATCH_UP` when there are more."""
    slots = [first]
    while len(slots) <= CATCH_UP:
        following = next_slot(schedule, slots[-1])
        if following is None or following > now:
            return slots
        slots.append(following)
    # Months of seconds may lie between: they are not walked through.
    newest = [_last_slot(schedule, first, now)]
    wanted = CATCH_UP if schedule.missed is Missed.ALL else 1
    while len(newest) < wanted:
        newest.append(_last_slot(schedule, first, newest[-1] - 1))
    # For the policies that run one slot the others only count.
    return slots[: CATCH_UP - wanted] + newest[::-1]


def _last_slot(schedule: Schedule, slot: Millis, until: Millis) -> Millis:
    """The newest slot at or before `until`, by bisection; `slot` is an earlier one."""
    high = until
    while slot < high:
        middle = (slot + high) // 2
        following = next_slot(schedule, middle)
        if following is None or following > until:
            high = middle
        else:
            slot = following
    return slot


def armed(schedule: Schedule, before: Schedule | None, at: Millis) -> Schedule:
    """The schedule as it is to be stored in the place of `before`.

    Its history and its pause are kept, and its next slot too unless the timing is another one or there is none.
    """
    if before is None:
        fresh = replace(schedule, anchor_at=at)
        return replace(fresh, next_at=next_slot(fresh, at))
    kept = replace(
        schedule, paused=before.paused, fired=before.fired, last_at=before.last_at, last_job_id=before.last_job_id,
        anchor_at=before.anchor_at if schedule.timing == before.timing else at, next_at=before.next_at,
    )  # fmt: skip
    same = all(getattr(kept, field) == getattr(before, field) for field in ("timing", "start_at", "end_at", "limit"))
    return kept if same and kept.next_at is not None else replace(kept, next_at=next_slot(kept, at))
