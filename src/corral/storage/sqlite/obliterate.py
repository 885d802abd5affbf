"""obliterate: a queue goes, with everything in it."""

from corral.errors import StorageError
from corral.options import QueueSettings
from corral.storage.sqlite.ending import delete
from corral.storage.sqlite.flows import child_removed
from corral.storage.sqlite.settings import configure
from corral.storage.sqlite.unit import ACTIVE, COMPLETED, DELAYED, FAILED, NUMBER_BITS, WAITING, QueueRow, Unit
from corral.timing import Millis

#: Jobs deleted in one transaction: 60 ms. A million in one would keep all others from writing for 3 s.
SLICE = 20_000
#: Seconds between two of them: SQLite lets nobody queue for the write lock, so whoever wants it must find it free.
BREATHER = 0.02
#: What goes with a queue, by its key.
_TABLES = (
    "corral_job", "corral_event", "corral_note", "corral_minute", "corral_dedup", "corral_failure", "corral_figure",
    "corral_group",
)  # fmt: skip
_PLAIN = (
    "SELECT pk, id, name, parent, edges FROM corral_job WHERE queue = ? AND state = ? AND parent IS NULL "
    "AND edges = 0 LIMIT ?"
)


def begin(unit: Unit, name: str, force: bool, now: Millis) -> bool:
    """Delete a queue, or pause it and answer that it is too long for one step: then `go_on` is next.

    Raises:
        StorageError: it has active jobs; nothing was changed.
    """
    queue = unit.look(name)
    if queue is None:
        return False
    if queue.count[ACTIVE] and not force:
        raise StorageError(
            f"queue {name!r} has {queue.count[ACTIVE]} active jobs; pause it and wait, or use force=True"
        )
    if sum(queue.count) > SLICE:
        configure(unit, name, QueueSettings(paused=True, pause_reason="it is being deleted"), now)
        return True
    _finish(unit, queue, now)
    return False


def go_on(unit: Unit, name: str, now: Millis) -> bool:
    """Delete some of its jobs, or the rest of it when those are few or tied to others; whether there is more."""
    queue = unit.look(name)
    if queue is None:
        return False
    left = SLICE
    for state in (WAITING, DELAYED, COMPLETED, FAILED):
        rows = unit.rows(_PLAIN, (queue.pk, state, left)) if left else []
        delete(unit, queue, state, rows, now)
        left -= len(rows)
    if left:
        _finish(unit, queue, now)
    return not left


def _finish(unit: Unit, queue: QueueRow, now: Millis) -> None:
    orphans = "SELECT pk, parent FROM corral_job WHERE queue = ? AND parent IS NOT NULL AND state != 4"
    followed = (
        "SELECT pk, a.job FROM corral_job JOIN corral_after AS a ON a.before = pk "
        "WHERE queue = ? AND edges & 1 AND state != 4"
    )
    waited_for = unit.rows(orphans, (queue.pk,)) + unit.rows(followed, (queue.pk,))
    edges = "before IN (SELECT pk FROM corral_job WHERE queue = ? AND edges) OR job >> ? = ?"
    unit.db.execute(f"DELETE FROM corral_after WHERE {edges}", (queue.pk, NUMBER_BITS, queue.pk))  # noqa: S608
    unit.db.execute("DELETE FROM corral_log WHERE job IN (SELECT pk FROM corral_job WHERE queue = ?)", (queue.pk,))
    unit.db.execute("DELETE FROM corral_child WHERE parent IN (SELECT pk FROM corral_job WHERE queue = ?)", (queue.pk,))
    for table in _TABLES:
        unit.db.execute(f"DELETE FROM {table} WHERE queue = ?", (queue.pk,))  # noqa: S608  # constants only
    unit.db.execute("DELETE FROM corral_schedule WHERE queue = ?", (queue.name,))
    unit.bury(queue)
    for pk, parent in waited_for:
        child_removed(unit, parent, pk, now)
