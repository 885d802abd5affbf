"""configure: what a queue, or one of its groups, is told to do."""

from msgspec import UNSET
from msgspec.structs import asdict, replace

from corral.event import EventType
from corral.options import QueueSettings
from corral.storage.port import QueueInfo
from corral.storage.sqlite.groups import change, hold_fields, reconsider, set_aside
from corral.storage.sqlite.unit import QueueRow, Unit
from corral.storage.sqlite.windows import read_started, started_text
from corral.timing import Millis

_HELD = "SELECT gid, count(*) FROM corral_job WHERE queue = ? AND state = 6 AND gid IS NOT NULL GROUP BY gid"
_BACK = "UPDATE corral_job SET state = CASE WHEN gid IS NULL THEN 0 ELSE 7 END WHERE queue = ? AND state = 6"


def configure(unit: Unit, name: str, settings: QueueSettings, now: Millis) -> QueueInfo:
    """Change settings; workers obey from their next claim on."""
    if settings == QueueSettings():
        queue = unit.look(name)
        return QueueInfo(name=name) if queue is None else queue.info
    queue = unit.queue(name)
    after = _changed(queue.info, settings, now)
    if after != queue.info:
        _apply(unit, queue, after, now)
    if settings.groups is not UNSET:
        for group, wish in settings.groups.items():
            change(unit.group(queue, group, now), wish, now)
        unit.ready.add(name)  # a hold that was set anew may end earlier than a sleeping worker thinks
    return after


def _changed(info: QueueInfo, settings: QueueSettings, now: Millis) -> QueueInfo:
    """The settings with a change."""
    said = asdict(settings)
    del said["groups"]
    hold = said.pop("hold")
    changes = {key: value for key, value in said.items() if value is not UNSET}
    if hold is not UNSET:
        changes |= hold_fields(hold, now)
    return replace(info, **changes)


def _apply(unit: Unit, queue: QueueRow, after: QueueInfo, now: Millis) -> None:
    before = queue.info
    unit.save_info(queue, after)
    if after.paused != before.paused:
        queue.tell(EventType.PAUSED if after.paused else EventType.RESUMED, now)
    if after.rate_limit != before.rate_limit:
        queue.window_at = queue.window_used = 0
    if (after.name_concurrency, after.name_limits) != (before.name_concurrency, before.name_limits):
        _let_go(unit, queue, now)
    if after.group_limits != before.group_limits:
        reconsider(unit, queue, now)
    unit.ready.add(queue.name)


def _let_go(unit: Unit, queue: QueueRow, now: Millis) -> None:
    """Serve every held job again: the next claims set aside those whose name still has no room."""
    for group, count in unit.rows(_HELD, (queue.pk,)) if queue.grouped else ():
        set_aside(unit, queue, group, now, -count)
    unit.db.execute(_BACK, (queue.pk,))
    if queue.windows is not None:
        started = read_started(queue.windows)
        started.shut = []
        queue.windows = started_text(started, now)
