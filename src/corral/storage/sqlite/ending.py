"""How jobs end and how they go back: the moves that several verbs share."""

from collections.abc import Iterable, Sequence

from corral.event import EventType
from corral.options import Keep, priority_rank
from corral.storage.sqlite import dedup
from corral.storage.sqlite.flows import ended_badly, gone, uncouple
from corral.storage.sqlite.groups import enter, leave, set_aside
from corral.storage.sqlite.unit import (
    ACTIVE,
    COMPLETED,
    COUNTED,
    DELAYED,
    FAILED,
    GROUPED,
    HELD,
    WAITING,
    QueueRow,
    Row,
    Unit,
    id_of,
    numbers_in,
)
from corral.timing import Millis

_OLDEST = "SELECT pk, id, name, parent, edges FROM corral_job WHERE queue = ? AND state = ? ORDER BY k1, k2 LIMIT ?"
_OLDER = _OLDEST.replace("state = ?", "state = ? AND k1 < ?")
HELD_OF_NAME = "SELECT pk, gid FROM corral_job WHERE queue = ? AND name = ? AND state = 6 ORDER BY k1, k2 LIMIT ?"
BACK = "UPDATE corral_job SET state = CASE WHEN gid IS NULL THEN 0 ELSE 7 END WHERE pk = ?"
_GROUPS_OF = "SELECT gid, count(*) FROM corral_job WHERE pk IN carray(?) AND gid IS NOT NULL GROUP BY gid"
#: Finished jobs deleted by one verdict; a bound that was just lowered is reached with the next ones, or by the sweeper.
SLICE = 1_000


def fail_pending(
    unit: Unit, queue: QueueRow, pk: int, state: int, reason: str, now: Millis, *, first: EventType
) -> None:
    """Fail a job that nobody runs: it expired or was cancelled. Tells `first`, then FAILED."""
    row = unit.row(
        "UPDATE corral_job SET state = 5, k1 = ?, k2 = ?, reason = ?, token = NULL WHERE pk = ? "
        "RETURNING id, name, parent, parent_ref, edges, dedup, gid",
        (now, queue.take(), reason, pk),
    )
    assert row is not None  # callers have just selected it
    queue.move(state, FAILED)
    leave(unit, queue, row[6], state, now)
    queue.failed_total += 1
    called = id_of(pk, row[0])
    queue.tell_text(first, now, called, row[1], reason)
    queue.tell_text(EventType.FAILED, now, called, row[1], reason)
    if row[5] is not None:
        dedup.owner_ended(unit, queue, row[5], called, now)
    if row[2] is not None or row[4]:
        ended_badly(unit, row[2], row[4], pk, row[3], reason, now)
    unhold(unit, queue, (row[1],), now)


def to_front(unit: Unit, queue: QueueRow, rows: Sequence[tuple[int, int, str | None]], now: Millis) -> None:
    """Put active jobs `(pk, priority, group)`, best first, before all others of their rank."""
    last = queue.take(len(rows)) + len(rows) - 1
    unit.db.executemany(
        "UPDATE corral_job SET state = ?, k1 = ?, k2 = ?, token = NULL, ready_at = ? WHERE pk = ?",
        [
            (enter(unit, queue, group, now), priority_rank(priority), index - last, now, pk)
            for index, (pk, priority, group) in enumerate(rows)
        ],
    )
    queue.move(ACTIVE, WAITING, len(rows))
    unit.ready.add(queue.name)


def to_later(
    unit: Unit, queue: QueueRow, pk: int, priority: int, group: str | None, after_ms: Millis, now: Millis
) -> None:
    """Put an active job back for later, or to the end of its rank when no delay is asked."""
    if after_ms > 0:
        state, k1 = DELAYED, now + after_ms
    else:
        state, k1 = enter(unit, queue, group, now), priority_rank(priority)
    unit.db.execute(
        "UPDATE corral_job SET state = ?, k1 = ?, k2 = ?, token = NULL, ready_at = ? WHERE pk = ?",
        (state, k1, queue.take(), now + after_ms, pk),
    )
    queue.move(ACTIVE, state)
    unit.ready.add(queue.name)  # also when delayed: an idle worker must learn the new due time


def unhold(unit: Unit, queue: QueueRow, names: Iterable[str], now: Millis) -> None:
    """Jobs of these names ran, or left the queue, and made room: serve one held job of each again.

    One too many does no harm: the next claim sets it aside once more.
    """
    caps = queue.info.name_concurrency
    if not caps:
        return
    for name in names:
        if name in caps:
            serve_again(unit, queue, name, 1, now)


def serve_again(unit: Unit, queue: QueueRow, name: str, most: int, now: Millis) -> int:
    """Put held jobs of a name back to where they stood; answers how many there were."""
    rows = unit.rows(HELD_OF_NAME, (queue.pk, name, most))
    for pk, group in rows:
        unit.db.execute(BACK, (pk,))
        set_aside(unit, queue, group, now, -1)
    if rows:
        unit.ready.add(queue.name)
    return len(rows)


def idle(queue: QueueRow, now: Millis) -> None:
    """Tell that nothing runs and nothing waits any more."""
    if not queue.count[ACTIVE] and not queue.count[WAITING]:
        queue.tell(EventType.IDLE, now)


def retain(unit: Unit, queue: QueueRow, state: int, keep: Keep, now: Millis, *, own: Sequence[Row] = ()) -> None:
    """Delete finished jobs beyond the bounds, oldest first. A count of 0 deletes only `own`, which just ended."""
    if keep.count == 0:
        delete(unit, queue, state, own, now)
        return
    if keep.count is not None and queue.count[state] > keep.count:
        excess = min(queue.count[state] - keep.count, SLICE)
        delete(unit, queue, state, unit.rows(_OLDEST, (queue.pk, state, excess)), now)
    if keep.age_ms is not None and queue.count[state]:
        rows = unit.rows(_OLDER, (queue.pk, state, now - keep.age_ms, SLICE))
        delete(unit, queue, state, rows, now)


def serving_order(priority: int, started_at: Millis, order: int) -> tuple[int, Millis, int]:
    """Sorts active jobs by when they were started, those of one claim as they stood: k2 is kept while a job runs."""
    return priority_rank(priority), started_at, order


def delete(unit: Unit, queue: QueueRow, state: int, rows: Sequence[Row], now: Millis) -> None:
    """Delete jobs `(pk, id, name, parent, edges)` that are all in one state, and all that belongs to them."""
    if not rows:
        return
    keys = numbers_in(int(row[0]) for row in rows)
    tied = [row for row in rows if row[4] or (row[3] is not None and state != COMPLETED)]
    for row in tied:
        uncouple(unit, row[0], row[4])
    if queue.grouped and state in (GROUPED, HELD):
        for group, count in unit.rows(_GROUPS_OF, (keys,)):
            leave(unit, queue, group, state, now, count)
    unit.db.execute("DELETE FROM corral_log WHERE job IN carray(?)", (keys,))
    unit.db.execute("DELETE FROM corral_job WHERE pk IN carray(?)", (keys,))
    unit.db.execute("DELETE FROM corral_child WHERE parent IN carray(?)", (keys,))
    for pk, _, _, parent, edges in tied:  # only now: a parent that goes, too, must not be let go first
        gone(unit, parent, edges, pk, now, completed=state == COMPLETED)
    queue.count[COUNTED[state]] -= len(rows)
    if state in (WAITING, GROUPED):
        unhold(unit, queue, [str(row[2]) for row in rows], now)
