"""Groups of a queue: jobs enter and leave them, people change them, time lets them run again."""

from msgspec import UNSET
from msgspec.structs import replace

from corral.errors import QueueFullError
from corral.job import NewJob
from corral.options import GroupChange, GroupLimits, Hold
from corral.storage.sqlite.grouprow import GroupRow
from corral.storage.sqlite.unit import GROUPED, HELD, WAITING, QueueRow, Unit
from corral.timing import Millis

#: Groups looked after per call; the rest follow with the next one.
SLICE = 1_000

_FREED = (
    "SELECT id FROM corral_group WHERE queue = ? AND free_at IS NOT NULL AND waiting > 0 AND free_at <= ? "
    "ORDER BY free_at LIMIT ?"
)
_FREE_NEXT = (
    "SELECT free_at FROM corral_group WHERE queue = ? AND free_at IS NOT NULL AND waiting > 0 ORDER BY free_at LIMIT 1"
)
_AHEAD = (
    "SELECT id FROM corral_group WHERE queue = ? AND free_at IS NOT NULL AND waiting > 0 AND free_at > ? "
    "AND looked_at > ? LIMIT ?"
)
_IDLE = "SELECT id FROM corral_group WHERE queue = ? AND free_at IS NOT NULL AND waiting = 0 AND free_at <= ? LIMIT ?"


def enter(unit: Unit, queue: QueueRow, name: str | None, now: Millis) -> int:
    """Let a job wait in its group, if it has one; answers the state it waits in."""
    if name is None:
        return WAITING
    unit.group(queue, name, now).waiting += 1
    queue.grouped += 1
    return GROUPED


def leave(unit: Unit, queue: QueueRow, name: str | None, state: int, now: Millis, jobs: int = 1) -> None:
    """Jobs no longer wait in their group, or never did: `state` is where they stood."""
    if name is not None and state in (GROUPED, HELD):
        group = unit.group(queue, name, now)
        group.waiting -= jobs
        group.aside -= jobs * (state == HELD)
        queue.grouped -= jobs


def ended(unit: Unit, queue: QueueRow, name: str | None, now: Millis) -> None:
    """A run of the group is over, however it ended."""
    if name is not None:
        unit.group(queue, name, now).active -= 1


def set_aside(unit: Unit, queue: QueueRow, name: str | None, now: Millis, jobs: int = 1) -> None:
    """Jobs of the group wait for room under their name; below 0: they no longer do."""
    if name is not None:
        unit.group(queue, name, now).aside += jobs


def take_in(unit: Unit, queue: QueueRow, job: NewJob, now: Millis, *, bound: bool) -> None:
    """Look whether the group has room for a new job and note the rates it brings. Raises: QueueFullError."""
    assert job.group is not None
    group = unit.group(queue, job.group, now)
    most = group.limits(queue.info.group_limits).max_size
    if bound and most is not None and group.waiting >= most:
        raise QueueFullError(queue.name, most, 0.0, 1.0, group=job.group)
    if job.group_rates:
        limits = replace(group.settings.limits or GroupLimits(), rate_limits=job.group_rates)
        group.settings = replace(group.settings, limits=limits)


# -- what people say ---------------------------------------------------------------------------------------------------


def change(group: GroupRow, change: GroupChange, now: Millis) -> None:
    """Apply a change to one group."""
    if change.limits is not UNSET:
        group.settings = replace(group.settings, limits=change.limits)
    if change.paused is not UNSET:
        group.settings = replace(group.settings, paused=change.paused)
    if change.hold is not UNSET:
        group.settings = replace(group.settings, **hold_fields(change.hold, now))


def hold_fields(hold: Hold | None, now: Millis) -> dict[str, object]:
    """A hold as the fields that groups and queues store it in."""
    if hold is None:
        return {"held_until": None, "hold_reason": "", "probing": False}
    return {"held_until": now + hold.for_ms, "hold_reason": hold.reason, "probing": hold.probe}


def lengthen(group: GroupRow, until: Millis, reason: str) -> Millis:
    """Hold a group for longer; answers the hold's end."""
    until = max(group.settings.held_until or 0, until)
    group.settings = replace(group.settings, held_until=until, hold_reason=reason)
    return until


def reconsider(unit: Unit, queue: QueueRow, now: Millis) -> None:
    """The limits for all groups changed: look at every group that has none of its own."""
    for row in unit.rows("SELECT id FROM corral_group WHERE queue = ?", (queue.pk,)):
        unit.group(queue, row[0], now)


# -- time --------------------------------------------------------------------------------------------------------------


def let_in(unit: Unit, queue: QueueRow, now: Millis) -> None:
    """Let those groups into the ring whose block has ended by now."""
    freed = unit.rows(_FREED, (queue.pk, now, SLICE))
    for row in freed:
        unit.group(queue, row[0], now)
    if len(freed) == SLICE:
        unit.ready.add(queue.name)
    if queue.groups:
        unit.sync_groups(queue, now)


def free_next(unit: Unit, queue: QueueRow) -> Millis | None:
    """When the next block ends by itself."""
    return unit.number(_FREE_NEXT, (queue.pk,))


def tend(unit: Unit, queue: QueueRow, now: Millis) -> None:
    """Forget groups of which nothing is left, and let in those that a clock gone back would block for long."""
    for row in unit.rows(_IDLE, (queue.pk, now, SLICE)) + unit.rows(_AHEAD, (queue.pk, now, now, SLICE)):
        unit.group(queue, row[0], now)
