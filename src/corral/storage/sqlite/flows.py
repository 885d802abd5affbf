"""Parents and children, and jobs that come after others: what a job's end means for those that wait for it.

A job waits for its children and for the jobs it comes `after`; both stand in `corral_child`. A child knows its one
parent (`corral_job.parent`); the ways back from a job to those that come after it stand in `corral_after`, and
`corral_job.edges` tells whether there are any, so that a plain job's end never has to look.
"""

from collections.abc import Sequence
from typing import NamedTuple

from corral.event import EventType
from corral.job import ParentRef
from corral.options import ParentPolicy, priority_rank
from corral.storage.sqlite import dedup
from corral.storage.sqlite.groups import enter
from corral.storage.sqlite.rows import read_parent
from corral.storage.sqlite.unit import (
    CHILDREN,
    COMPLETED,
    DELAYED,
    FAILED,
    WAITING,
    QueueRow,
    Unit,
    id_of,
    is_number,
    job_key,
)
from corral.timing import Millis

#: Bits of `corral_job.edges`.
FOLLOWED, FOLLOWS = 1, 2
#: How far up a family is searched for somebody who must not be his own ancestor.
GENERATIONS = 20

_TIE = "INSERT OR IGNORE INTO corral_child VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING 1"


#: What a failure meant may have been spent: it is what was asked for at first again.
_SPENT = "UPDATE corral_child SET policy = 'ignore' WHERE parent = ? AND state = 5 AND policy = 'continue'"
_AGAIN = (
    "UPDATE corral_child SET state = 0, value = NULL, policy = coalesce("
    "(SELECT policy FROM corral_after WHERE before = child AND job = parent), "
    "(SELECT parent_ref ->> '$.policy' FROM corral_job WHERE pk = child), policy) WHERE parent = ? AND child = ?"
)


class _Fallout(NamedTuple):
    """A job that waits hears of a failure."""

    parent: int
    child: int
    policy: ParentPolicy
    reason: str


def find_pk(unit: Unit, queue: QueueRow, job_id: str) -> int | None:
    """The key of the job with this id: one the caller chose, or else the number it was given."""
    pk = unit.number("SELECT pk FROM corral_job WHERE queue = ? AND id = ?", (queue.pk, job_id))
    if pk is None and is_number(job_id):
        pk = unit.number("SELECT pk FROM corral_job WHERE pk = ? AND id IS NULL", (job_key(queue.pk, int(job_id)),))
    return pk


# -- making ties -------------------------------------------------------------------------------------------------------


def tie(
    unit: Unit, parent: int, child: int, queue: str, child_id: str, policy: ParentPolicy, state: int = 0,
    value: str | None = None,
) -> None:  # fmt: skip
    """Let a job wait for another one, or note the result or reason of one that has ended. A tie that is there stays."""
    if unit.one(_TIE, (parent, child, queue, child_id, state, policy.value, value)) is None:
        return
    if state == 0 or (state == FAILED and policy in (ParentPolicy.WAIT, ParentPolicy.FAIL)):
        unit.db.execute("UPDATE corral_job SET pending = pending + 1 WHERE pk = ?", (parent,))


def reattach(unit: Unit, parent: ParentRef, reference: str, pk: int, queue: str, job_id: str) -> None:
    """Tie a job that was there already to a parent, unless another living one has it. A failed one is waited for.

    Nobody becomes his own ancestor: two jobs that wait for each other would wait for ever.
    """
    home = unit.look(parent.queue)
    above = None if home is None else find_pk(unit, home, parent.id)
    if above is None or _is_above(unit, pk, above):
        return
    row = unit.row("SELECT parent, state, result FROM corral_job WHERE pk = ?", (pk,))
    assert row is not None  # the caller has just found it
    known, state, result = row
    if known not in (None, above) and unit.one("SELECT 1 FROM corral_job WHERE pk = ?", (known,)) is not None:
        return
    unit.db.execute("UPDATE corral_job SET parent = ?, parent_ref = ? WHERE pk = ?", (above, reference, pk))
    done = (COMPLETED, result or "null") if state == COMPLETED else (0, None)
    tie(unit, above, pk, queue, job_id, parent.policy, *done)


def _is_above(unit: Unit, ancestor: int, pk: int | None) -> bool:
    for _ in range(GENERATIONS):
        if pk is None or pk == ancestor:
            return pk is not None
        pk = unit.number("SELECT parent FROM corral_job WHERE pk = ?", (pk,))
    return True  # nobody's family is that deep: rather no tie than a knot


def follow(unit: Unit, job: int, before: int, policy: ParentPolicy) -> None:
    """Let a job come after another one. What that one's end means, if it has ended, is for `parked_parent`."""
    row = unit.row("SELECT queue, id, state, result, reason FROM corral_job WHERE pk = ?", (before,))
    assert row is not None  # the caller has just found it
    queue, called, state, result, reason = row
    ended = {COMPLETED: (COMPLETED, result or "null"), FAILED: (FAILED, reason or "")}.get(state, (0, None))
    if state != FAILED or policy is not ParentPolicy.REMOVE:
        tie(unit, job, before, unit.by_pk(queue).name, id_of(before, called), policy, *ended)
    unit.db.execute("INSERT OR IGNORE INTO corral_after VALUES (?, ?, ?)", (before, job, policy.value))
    unit.db.execute("UPDATE corral_job SET edges = edges | ? WHERE pk = ?", (FOLLOWED, before))


# -- hearing of an end -------------------------------------------------------------------------------------------------


def ended_well(unit: Unit, parent: int | None, edges: int, child: int, result: str, now: Millis) -> None:
    """A job completed: tell its parent and those that come after it."""
    if parent is not None:
        child_completed(unit, parent, child, result, now)
    if edges & FOLLOWED:
        for job, _ in _followers(unit, child):
            child_completed(unit, job, child, result, now)


def ended_badly(
    unit: Unit, parent: int | None, edges: int, child: int, reference: str | None, reason: str, now: Millis
) -> None:
    """A job failed for good: tell its parent and those that come after it, and theirs."""
    _spread(unit, _fallout(unit, parent, edges, child, reference, reason), now)


def gone(unit: Unit, parent: int | None, edges: int, child: int, now: Millis, *, completed: bool = False) -> None:
    """A job was deleted: nobody waits for it any more. Of one that had completed the result stays."""
    if parent is not None and not completed:
        child_removed(unit, parent, child, now)
    if edges & FOLLOWED:
        for job, _ in [] if completed else _followers(unit, child):
            child_removed(unit, job, child, now)
        unit.db.execute("DELETE FROM corral_after WHERE before = ?", (child,))


def back_again(unit: Unit, parent: int | None, edges: int, child: int) -> None:
    """A finished job runs again: those that wait for it have to wait again."""
    if parent is not None:
        child_retried(unit, parent, child)
    if edges & FOLLOWED:
        for job, _ in _followers(unit, child):
            if job != parent:
                child_retried(unit, job, child)


def uncouple(unit: Unit, pk: int, edges: int) -> None:
    """Forget what a job comes after that is to be deleted."""
    if edges & FOLLOWS:
        known = "SELECT child FROM corral_child WHERE parent = ?"
        unit.db.execute(f"DELETE FROM corral_after WHERE job = ? AND before IN ({known})", (pk, pk))  # noqa: S608


def _followers(unit: Unit, before: int) -> Sequence[tuple[int, ParentPolicy]]:
    rows = unit.rows("SELECT job, policy FROM corral_after WHERE before = ? ORDER BY job", (before,))
    return [(row[0], ParentPolicy(row[1])) for row in rows]


def _fallout(
    unit: Unit, parent: int | None, edges: int, child: int, reference: str | None, reason: str
) -> list[_Fallout]:
    """Who is to hear of a failure."""
    told = []
    if parent is not None:
        policy = read_parent(reference).policy if reference else ParentPolicy.WAIT
        told.append(_Fallout(parent, child, policy, reason))
    if edges & FOLLOWED:
        told += [_Fallout(job, child, policy, reason) for job, policy in _followers(unit, child)]
    return told


def _spread(unit: Unit, told: list[_Fallout], now: Millis) -> None:
    """Go through a list that grows meanwhile: a chain of a thousand jobs must not be a thousand calls deep."""
    for one in told:
        told += _child_failed(unit, one, now)


# -- what it means -----------------------------------------------------------------------------------------------------


def child_completed(unit: Unit, parent: int, child: int, result: str, now: Millis) -> None:
    """Hand the result to the parent, and let the parent run when this was the last one."""
    sql = "UPDATE corral_child SET state = 4, value = ? WHERE parent = ? AND child = ? AND state = 0 RETURNING 1"
    if unit.one(sql, (result, parent, child)) is not None:
        _one_less(unit, parent, now)


def child_failed(unit: Unit, parent: int, child: int, policy: ParentPolicy, reason: str, now: Millis) -> None:
    """Apply a policy to the parent, and what follows from that to others."""
    _spread(unit, [_Fallout(parent, child, policy, reason)], now)


def _child_failed(unit: Unit, told: _Fallout, now: Millis) -> list[_Fallout]:
    """Apply one policy to one job; answers who is to hear of it if that job failed, too."""
    parent, child, policy, reason = told
    if policy is ParentPolicy.REMOVE:
        sql = "DELETE FROM corral_child WHERE parent = ? AND child = ? AND state = 0 RETURNING 1"
        if unit.one(sql, (parent, child)) is not None:
            _one_less(unit, parent, now)
        return []
    sql = "UPDATE corral_child SET state = 5, value = ? WHERE parent = ? AND child = ? AND state = 0 RETURNING 1"
    if unit.one(sql, (reason, parent, child)) is None:
        return []
    if policy in (ParentPolicy.IGNORE, ParentPolicy.CONTINUE):
        _one_less(unit, parent, now)
    return _parked(unit, parent, now)


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
    unit.db.execute(_AGAIN, (parent, child))
    if row[0] == COMPLETED or row[1] in (ParentPolicy.IGNORE, ParentPolicy.CONTINUE):
        unit.db.execute("UPDATE corral_job SET pending = pending + 1 WHERE pk = ?", (parent,))


def waits_again(unit: Unit, parent: int, together: object) -> bool:
    """Whether a job that is to run again has somebody to wait for. Failures that nobody retried are spent.

    `together` are the keys of those that are retried with it.
    """
    spent = (
        "UPDATE corral_child SET state = 5, policy = 'ignore', value = ifnull(value, (SELECT reason FROM corral_job "
        "WHERE pk = child)) WHERE parent = ? AND (state = 5 OR (state = 0 AND child IN "
        "(SELECT pk FROM corral_job WHERE pk = child AND state = 5 AND pk NOT IN carray(?))))"
    )
    unit.db.execute(spent, (parent, together))
    left = "SELECT count(*) FROM corral_child WHERE parent = ? AND state = 0"
    sql = f"UPDATE corral_job SET pending = ({left}) WHERE pk = ? RETURNING pending"  # noqa: S608  # constants only
    return bool(unit.one(sql, (parent, parent)))


def detach(unit: Unit, pk: int, now: Millis) -> None:
    """Take a job away from its parent, which waits for it no longer."""
    parent = unit.number("SELECT parent FROM corral_job WHERE pk = ?", (pk,))
    unit.db.execute("UPDATE corral_job SET parent = NULL, parent_ref = NULL WHERE pk = ?", (pk,))
    if parent is not None:
        child_removed(unit, parent, pk, now)


def parked_parent(unit: Unit, parent: int, now: Millis) -> None:
    """Apply failures that a parent must hear of, when it begins to wait: a child may have failed while it was running.

    It fails, or runs again.
    """
    _spread(unit, _parked(unit, parent, now), now)


def _parked(unit: Unit, parent: int, now: Millis) -> list[_Fallout]:
    row = unit.row("SELECT state FROM corral_job WHERE pk = ?", (parent,))
    if row is None or row[0] != CHILDREN:
        return []
    sql = (
        "SELECT id, policy, value FROM corral_child "
        "WHERE parent = ? AND state = 5 AND policy IN ('fail', 'continue') ORDER BY policy DESC LIMIT 1"
    )
    found = unit.row(sql, (parent,))
    if found is None:
        return []
    child_id, policy, reason = found
    if policy == ParentPolicy.FAIL:
        return _fail_parent(unit, parent, f"child {child_id} failed: {reason}", now)
    release(unit, parent, now)
    return []


def spend(unit: Unit, parent: int) -> None:
    """A parent goes on: failures that let it do so count no more, or one that parks again would never rest."""
    unit.db.execute(_SPENT, (parent,))


def release(unit: Unit, parent: int, now: Millis) -> None:
    """Let a parent that waits for its children run; its delay begins now."""
    row = unit.row("SELECT queue, id, name, state, priority, later, gid FROM corral_job WHERE pk = ?", (parent,))
    if row is None or row[3] != CHILDREN:
        return
    spend(unit, parent)
    queue = unit.by_pk(row[0])
    later = row[5]
    due = now if later is None else now + later if later >= 0 else -later
    unit.ready.add(queue.name)
    if due > now:
        sql = "UPDATE corral_job SET state = 1, k1 = ?, k2 = ?, ready_at = ?, later = NULL WHERE pk = ?"
        unit.db.execute(sql, (due, queue.take(), due, parent))
        queue.move(CHILDREN, DELAYED)
        queue.tell(EventType.DELAYED, now, id_of(parent, row[1]), row[2], str(due))
        return
    unit.db.execute(
        "UPDATE corral_job SET state = ?, k1 = ?, k2 = ?, ready_at = ?, later = NULL WHERE pk = ?",
        (enter(unit, queue, row[6], now), priority_rank(row[4]), queue.take(), now, parent),
    )
    queue.move(CHILDREN, WAITING)
    queue.tell(EventType.WAITING, now, id_of(parent, row[1]), row[2])


def _one_less(unit: Unit, parent: int, now: Millis) -> None:
    left = unit.one("UPDATE corral_job SET pending = max(pending - 1, 0) WHERE pk = ? RETURNING pending", (parent,))
    if left == 0:
        release(unit, parent, now)


def _fail_parent(unit: Unit, parent: int, text: str, now: Millis) -> list[_Fallout]:
    row = unit.row(
        "SELECT queue, id, name, state, parent, parent_ref, edges, dedup FROM corral_job WHERE pk = ?", (parent,)
    )
    if row is None or row[3] != CHILDREN:
        return []
    queue = unit.by_pk(row[0])
    called = id_of(parent, row[1])
    unit.db.execute(
        "UPDATE corral_job SET state = 5, k1 = ?, k2 = ?, reason = ? WHERE pk = ?", (now, queue.take(), text, parent)
    )
    queue.move(CHILDREN, FAILED)
    queue.failed_total += 1
    queue.tell_text(EventType.FAILED, now, called, row[2], text)
    if row[7] is not None:
        dedup.owner_ended(unit, queue, row[7], called, now)
    return _fallout(unit, row[4], row[6], parent, row[5], text)
