"""Parents and children: what a child's end means for the job that waits for it."""

from corral.event import EventType
from corral.job import ParentRef
from corral.options import ParentPolicy, priority_rank
from corral.storage.sqlite.rows import read_parent
from corral.storage.sqlite.unit import CHILDREN, COMPLETED, FAILED, WAITING, QueueRow, Unit, id_of, is_number, job_key
from corral.timing import Millis


def find_pk(unit: Unit, queue: QueueRow, job_id: str) -> int | None:
    """The key of the job with this id: one the caller chose, or else the number it was given."""
    pk = unit.number("SELECT pk FROM corral_job WHERE queue = ? AND id = ?", (queue.pk, job_id))
    if pk is None and is_number(job_id):
        pk = unit.number("SELECT pk FROM corral_job WHERE pk = ? AND id IS NULL", (job_key(queue.pk, int(job_id)),))
    return pk


def attach(unit: Unit, parent: ParentRef, child: int, queue: str, child_id: str) -> None:
    """Tie a new child to its parent. A parent that is gone leaves the child an ordinary job."""
    home = unit.look(parent.queue)
    pk = None if home is None else find_pk(unit, home, parent.id)
    if pk is None:
        return
    unit.db.execute("UPDATE corral_job SET parent = ? WHERE pk = ?", (pk, child))
    unit.db.execute(
        "INSERT INTO corral_child VALUES (?, ?, ?, ?, 0, ?, NULL)", (pk, child, queue, child_id, parent.policy.value)
    )
    unit.db.execute("UPDATE corral_job SET pending = pending + 1 WHERE pk = ?", (pk,))


def child_completed(unit: Unit, parent: int, child: int, result: str, now: Millis) -> None:
    """Hand the result to the parent, and let the parent run when this was the last one."""
    _mark(unit, parent, child, COMPLETED, result)
    _one_less(unit, parent, now)


def child_failed(unit: Unit, parent: int, child: int, reference: str | None, reason: str, now: Millis) -> None:
    """Apply the child's policy to the parent."""
    policy = read_parent(reference).policy if reference else ParentPolicy.WAIT
    if policy is ParentPolicy.REMOVE:
        unit.db.execute("DELETE FROM corral_child WHERE parent = ? AND child = ?", (parent, child))
        _one_less(unit, parent, now)
        return
    _mark(unit, parent, child, FAILED, reason)
    if policy in (ParentPolicy.IGNORE, ParentPolicy.CONTINUE):
        _one_less(unit, parent, now)
    parked_parent(unit, parent, now)


def child_removed(unit: Unit, parent: int, child: int, now: Millis) -> None:
    """A child was deleted: its parent no longer waits for it, nor for somebody to run it again after it failed."""
    row = unit.row("SELECT state, policy FROM corral_child WHERE parent = ? AND child = ?", (parent, child))
    if row is None:
        return
    if row[0] == 0:
        unit.db.execute("DELETE FROM corral_child WHERE parent = ? AND child = ?", (parent, child))
        _one_less(unit, parent, now)
    elif row[0] == FAILED and row[1] == ParentPolicy.WAIT:
        unit.db.execute("UPDATE corral_child SET policy = 'ignore' WHERE parent = ? AND child = ?", (parent, child))
        _one_less(unit, parent, now)


def child_retried(unit: Unit, parent: int, child: int) -> None:
    """A finished child runs again: the parent waits for it again, unless it was counted as pending all along."""
    row = unit.row("SELECT state, policy FROM corral_child WHERE parent = ? AND child = ?", (parent, child))
    if row is None or row[0] == 0:
        return
    _mark(unit, parent, child, 0, None)
    if row[0] == COMPLETED or row[1] in (ParentPolicy.IGNORE, ParentPolicy.CONTINUE):
        unit.db.execute("UPDATE corral_job SET pending = pending + 1 WHERE pk = ?", (parent,))


def parked_parent(unit: Unit, parent: int, now: Millis) -> bool:
    """Apply failures that a parent must hear of: fail it or let it run. True when it no longer waits.

    Called when a child fails, and again when a parent parks: a child may have failed while the parent was running.
    """
    row = unit.row("SELECT state FROM corral_job WHERE pk = ?", (parent,))
    if row is None or row[0] != CHILDREN:
        return False
    sql = (
        "SELECT child, id, policy, value FROM corral_child "
        "WHERE parent = ? AND state = 5 AND policy IN ('fail', 'continue')"
    )
    for child, child_id, policy, reason in unit.rows(sql, (parent,)):
        if policy == ParentPolicy.FAIL:
            _fail_parent(unit, parent, f"child {child_id} failed: {reason}", now)
            return True
        # Spent: or a parent that parks again for its other children would never rest.
        unit.db.execute("UPDATE corral_child SET policy = 'ignore' WHERE parent = ? AND child = ?", (parent, child))
        release(unit, parent, now)
        return True
    return False


def release(unit: Unit, parent: int, now: Millis) -> None:
    """Let a parent that waits for its children run."""
    row = unit.row("SELECT queue, id, name, state, priority FROM corral_job WHERE pk = ?", (parent,))
    if row is None or row[3] != CHILDREN:
        return
    queue = unit.by_pk(row[0])
    unit.db.execute(
        "UPDATE corral_job SET state = 0, k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?",
        (priority_rank(row[4]), queue.take(), now, parent),
    )
    queue.move(CHILDREN, WAITING)
    queue.tell(EventType.WAITING, now, id_of(parent, row[1]), row[2])
    unit.ready.add(queue.name)


def _mark(unit: Unit, parent: int, child: int, state: int, value: str | None) -> None:
    unit.db.execute(
        "UPDATE corral_child SET state = ?, value = ? WHERE parent = ? AND child = ?", (state, value, parent, child)
    )


def _one_less(unit: Unit, parent: int, now: Millis) -> None:
    left = unit.one("UPDATE corral_job SET pending = max(pending - 1, 0) WHERE pk = ? RETURNING pending", (parent,))
    if left == 0:
        release(unit, parent, now)


def _fail_parent(unit: Unit, parent: int, text: str, now: Millis) -> None:
    row = unit.row("SELECT queue, id, name, state, parent, parent_ref FROM corral_job WHERE pk = ?", (parent,))
    if row is None or row[3] != CHILDREN:
        return
    queue = unit.by_pk(row[0])
    unit.db.execute(
        "UPDATE corral_job SET state = 5, k1 = ?, k2 = ?, reason = ? WHERE pk = ?", (now, queue.take(), text, parent)
    )
    queue.move(CHILDREN, FAILED)
    queue.failed_total += 1
    queue.tell_text(EventType.FAILED, now, id_of(parent, row[1]), row[2], text)
    if row[4] is not None:
        child_failed(unit, row[4], parent, row[5], text, now)
