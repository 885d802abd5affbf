"""Writing into an SQLite store what was packed elsewhere: jobs under their own ids, families, logs, numbers."""

from collections.abc import Mapping, Sequence

import msgspec

from corral.event import EventType
from corral.job import Job, JobId, JobState
from corral.options import JobOptions, ParentPolicy, priority_rank
from corral.storage.sqlite import dedup
from corral.storage.sqlite.flows import FOLLOWED, FOLLOWS, child_completed, child_failed, find_pk
from corral.storage.sqlite.groups import enter, leave
from corral.storage.sqlite.rows import options_text, parent_text, read_parent
from corral.storage.sqlite.unit import (
    ACTIVE,
    CHILDREN,
    COMPLETED,
    COUNTED,
    DELAYED,
    FAILED,
    GROUPED,
    WAITING,
    QueueRow,
    Unit,
    job_key,
)
from corral.storage.transfer import DEDUPLICATION, LEDGER_KEY, Figures, Item, Stored, Tie
from corral.timing import Millis, now_ms

CODES = {
    JobState.WAITING: WAITING,
    JobState.DELAYED: DELAYED,
    JobState.ACTIVE: ACTIVE,
    JobState.WAITING_CHILDREN: CHILDREN,
    JobState.COMPLETED: COMPLETED,
    JobState.FAILED: FAILED,
}
TIE_STATES = {0: JobState.WAITING, COMPLETED: JobState.COMPLETED, FAILED: JobState.FAILED}
_TIE_CODES = {state: code for code, state in TIE_STATES.items()}

_PUT = (
    "INSERT OR REPLACE INTO corral_job (pk, queue, state, k1, k2, id, name, data, options, priority, created_at, "
    "ready_at, expires_at, started_at, attempts_started, attempts_made, crashes, worker, cancel, progress, result, "
    "reason, traces, schedule, scheduled_for, parent, parent_ref, pending, edges, later, dedup, fingerprint, "
    "gid, past) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
#: Made by the first move, so that stores that are never moved pay nothing for it.
_MARKS = """
CREATE TABLE IF NOT EXISTS corral_moved (job INTEGER PRIMARY KEY, stamp TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS corral_moved_gone AFTER DELETE ON corral_job
    BEGIN DELETE FROM corral_moved WHERE job = old.pk; END;
"""
#: Failures nobody has decided about keep the parent waiting, as children that have not ended do.
_PENDING = "state = 0 OR (state = 5 AND policy IN ('wait', 'fail'))"
_EDGES = (
    "SELECT ? * EXISTS (SELECT 1 FROM corral_after WHERE before = ?) + ? * EXISTS (SELECT 1 FROM corral_child AS c "
    "JOIN corral_after AS a ON a.before = c.child AND a.job = c.parent WHERE c.parent = ?)"
)
_MINUTE = "INTO corral_minute VALUES (?, ?, ?, ?, ?, ?, ?)"

#: BullMQ's field for what a job is to fail of as soon as somebody claims it.
CONDEMNED = "defa"

_encode = msgspec.json.Encoder().encode


# -- jobs --------------------------------------------------------------------------------------------------------------


def unpack(unit: Unit, name: str, items: Sequence[Item]) -> list[bool]:
    """Write jobs. Nobody hears of it as an event: nothing happened to them."""
    queue = unit.queue(name)
    unit.ready.add(name)
    unit.db.execute(_MARKS)
    return [_unpack(unit, queue, item) for item in items]


def _unpack(unit: Unit, queue: QueueRow, item: Item) -> bool:
    job = item.stored.job
    pk = find_pk(unit, queue, job.id)
    before = None if pk is None else unit.row("SELECT state, attempts_started, gid FROM corral_job WHERE pk = ?", (pk,))
    if before is None:
        if item.over is not None:
            return False
        pk = _key_for(unit, queue, item)
    elif item.over is None or (COUNTED[before[0]], before[1]) != (CODES[item.over[0]], item.over[1]):
        return False
    assert pk is not None
    state = CODES[job.state]
    if item.place_only:
        unit.db.execute("UPDATE corral_job SET k2 = ? WHERE pk = ?", (queue.take(), pk))
        return True
    now = now_ms()
    if before is not None:
        queue.count[COUNTED[before[0]]] -= 1
        leave(unit, queue, before[2], before[0], now)
    queue.count[state] += 1
    if state == WAITING:
        state = enter(unit, queue, job.group, now)
    _put(unit, queue, item.stored, pk, state, parent=_parent(unit, item))
    if job.dedup_id is not None:
        _own(unit, queue, item.stored, job.dedup_id)
    if item.mark:
        unit.db.execute("INSERT OR REPLACE INTO corral_moved VALUES (?, ?)", (pk, item.mark))
    condemned = item.stored.foreign.get(CONDEMNED)
    if condemned is not None and condemned[1] is not None and not job.state.finished:
        _fail(unit, queue, job, pk, state, condemned[1])
    return True


def _own(unit: Unit, queue: QueueRow, stored: Stored, dedup_id: str) -> None:
    """Carry the ownership of a deduplication id, unless another job has it here."""
    job = stored.job
    dedup.owner_removed(unit, queue, dedup_id, job.id)
    owned = stored.foreign.get(DEDUPLICATION)
    now = now_ms()
    if owned is None or dedup.owner_of(unit, queue, dedup_id, now) is not None:
        return
    dedup.own(unit, queue, dedup_id, job.id, int(owned[1]) if owned[1] else None)
    if stored.follower is not None:
        dedup.keep(unit, queue, dedup_id, stored.follower)


def _fail(unit: Unit, queue: QueueRow, job: Job, pk: int, state: int, reason: str) -> None:
    """Fail a job that BullMQ would fail when it is claimed. Its parent hears of it with its own ties."""
    now = now_ms()
    unit.db.execute(
        "UPDATE corral_job SET state = 5, k1 = ?, k2 = ?, reason = ? WHERE pk = ?", (now, queue.take(), reason, pk)
    )
    queue.move(state, FAILED)
    leave(unit, queue, job.group, state, now)
    queue.failed_total += 1
    queue.tell_text(EventType.FAILED, now, job.id, job.name, reason)


def _put(unit: Unit, queue: QueueRow, stored: Stored, pk: int, state: int, *, parent: int | None) -> None:
    job = stored.job
    k1 = {
        WAITING: priority_rank(job.priority),
        GROUPED: priority_rank(job.priority),
        DELAYED: job.run_at,
        CHILDREN: stored.since,
    }.get(state, job.finished_at)
    pending = unit.number(f"SELECT count(*) FROM corral_child WHERE parent = ? AND ({_PENDING})", (pk,))  # noqa: S608
    foreign = {name: pair for name, pair in stored.foreign.items() if name != DEDUPLICATION}
    options = options_with(job.options, foreign) if foreign else options_text(job.options)
    edges = unit.number(_EDGES, (FOLLOWED, pk, FOLLOWS, pk))
    traces = _encode(job.traces).decode() if job.traces else None
    # A replaced row is deleted first; its mark goes with it, by the trigger or here.
    unit.db.execute("DELETE FROM corral_job WHERE pk = ?", (pk,))
    unit.db.execute(
        _PUT,
        (pk, queue.pk, state, k1 or 0, queue.take(), None if _number_of(job.id) else job.id, job.name, job.data,
         options, job.priority, job.created_at, stored.ready_at, stored.expires_at, job.started_at,
         job.attempts_started, job.attempts_made, job.crashes, job.worker, stored.cancel, job.progress, job.result,
         job.failed_reason, traces, job.schedule, job.scheduled_for, parent,
         parent_text(job.parent) if job.parent else None, pending or 0, edges or 0, stored.delay_ms, job.dedup_id,
         job.fingerprint, job.group, _encode(job.past).decode() if job.past else None),
    )  # fmt: skip


def options_with(options: JobOptions, foreign: Mapping[str, tuple[str | None, str | None]]) -> str:
    """The text of a job's options that also holds what only BullMQ knows; readers pass over it."""
    return _encode({**msgspec.to_builtins(options), "bullmq": dict(foreign)}).decode()


def _number_of(job_id: JobId) -> int | None:
    """The number an id is, when it is one that a store gives out."""
    if job_id.isascii() and job_id.isdecimal() and len(job_id) < 13 and job_id[0] != "0":
        return int(job_id)
    return None


def _key_for(unit: Unit, queue: QueueRow, item: Item) -> int:
    """The key of a job that is not here yet: its number, the one its parent knows it by, or a new one."""
    number = _number_of(item.stored.job.id)
    if number is not None:
        queue.next_id = max(queue.next_id, number + 1)
        return job_key(queue.pk, number)
    parent = _parent(unit, item)
    if parent is not None:
        sql = "SELECT child FROM corral_child WHERE parent = ? AND queue = ? AND id = ?"
        known = unit.number(sql, (parent, queue.name, item.stored.job.id))
        if known is not None:
            return known
    return _new_key(queue)


def _new_key(queue: QueueRow) -> int:
    number, queue.next_id = queue.next_id, queue.next_id + 1
    return job_key(queue.pk, number)


def _parent(unit: Unit, item: Item) -> int | None:
    """The key of the parent, when it is here and the two are tied."""
    parent = item.stored.job.parent
    home = unit.look(parent.queue) if parent is not None and item.tied else None
    return None if parent is None or home is None else find_pk(unit, home, parent.id)


# -- what belongs to them ----------------------------------------------------------------------------------------------


def unpack_ties(unit: Unit, name: str, parent: JobId, ties: Sequence[Tie], first: bool, now: Millis) -> None:
    """Write what a parent knows of its children, and tie those that are here to it."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, parent)
    if pk is None:
        return
    if first:
        known = "SELECT child FROM corral_child WHERE parent = ?"
        unit.db.execute(f"DELETE FROM corral_after WHERE job = ? AND before IN ({known})", (pk, pk))  # noqa: S608
        unit.db.execute("DELETE FROM corral_child WHERE parent = ?", (pk,))
    keys = []
    for tie in ties:
        home = unit.queue(tie.queue)
        child = find_pk(unit, home, tie.id) or _key_of_gone(home, tie.id)
        keys.append(child)
        unit.db.execute(
            "INSERT OR REPLACE INTO corral_child VALUES (?, ?, ?, ?, ?, ?, ?)",
            (pk, child, tie.queue, tie.id, _TIE_CODES[tie.state], _policy(unit, tie, child).value, tie.value),
        )
        if tie.after:
            unit.db.execute("INSERT OR REPLACE INTO corral_after VALUES (?, ?, ?)", (child, pk, tie.policy.value))
            unit.db.execute("UPDATE corral_job SET edges = edges | ? WHERE pk = ?", (FOLLOWED, child))
            unit.db.execute("UPDATE corral_job SET edges = edges | ? WHERE pk = ?", (FOLLOWS, pk))
        else:
            unit.db.execute("UPDATE corral_job SET parent = ? WHERE pk = ? AND parent_ref IS NOT NULL", (pk, child))
    count = f"SELECT count(*) FROM corral_child WHERE parent = ? AND ({_PENDING})"  # noqa: S608
    unit.db.execute(f"UPDATE corral_job SET pending = ({count}) WHERE pk = ?", (pk, pk))  # noqa: S608
    for child, tie in zip(keys, ties, strict=True):
        if tie.state is JobState.WAITING:
            _catch_up(unit, pk, child, _policy(unit, tie, child), now)


def _policy(unit: Unit, tie: Tie, child: int) -> ParentPolicy:
    """What is left of a failed child's policy; of others, what the child itself says."""
    reference = unit.one("SELECT parent_ref FROM corral_job WHERE pk = ?", (child,))
    if tie.after or tie.state is JobState.FAILED or reference is None:
        return tie.policy
    return read_parent(str(reference)).policy


def _key_of_gone(queue: QueueRow, job_id: JobId) -> int:
    """A key for a child that is not here: nothing else may ever get it."""
    number = _number_of(job_id)
    if number is None:
        return _new_key(queue)
    queue.next_id = max(queue.next_id, number + 1)
    return job_key(queue.pk, number)


def _catch_up(unit: Unit, parent: int, child: int, policy: ParentPolicy, now: Millis) -> None:
    """A child that was moved before its parent may have ended here, when nobody could be told."""
    row = unit.row("SELECT state, result, reason FROM corral_job WHERE pk = ?", (child,))
    if row is not None and row[0] == COMPLETED:
        child_completed(unit, parent, child, row[1] or "null", now)
    elif row is not None and row[0] == FAILED:
        child_failed(unit, parent, child, policy, row[2] or "", now)


def unpack_log(unit: Unit, name: str, job_id: JobId, lines: Sequence[str], first: bool) -> None:
    """Write lines of a log."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, job_id)
    if pk is None:
        return
    if first:
        unit.db.execute("DELETE FROM corral_log WHERE job = ?", (pk,))
    last = unit.number("SELECT max(line) FROM corral_log WHERE job = ?", (pk,)) or 0
    rows = [(pk, last + index, line) for index, line in enumerate(lines, 1)]
    unit.db.executemany("INSERT INTO corral_log VALUES (?, ?, ?)", rows)


def mark(unit: Unit, name: str, marks: Mapping[JobId, str]) -> None:
    """Note who has them now."""
    queue = unit.look(name)
    if queue is None:
        return
    unit.db.execute(_MARKS)
    for job_id, text in marks.items():
        pk = find_pk(unit, queue, job_id)
        if pk is not None:
            unit.db.execute("INSERT OR REPLACE INTO corral_moved VALUES (?, ?)", (pk, text))


def unpack_figures(unit: Unit, name: str, figures: Figures, replace: bool) -> None:
    """Add to the counters, and write minutes."""
    queue = unit.queue(name)
    queue.next_id = max(queue.next_id, figures.last_id + 1)
    queue.completed_total += figures.completed
    queue.failed_total += figures.failed
    verb = "INSERT OR REPLACE" if replace else "INSERT OR IGNORE"
    unit.db.executemany(
        f"{verb} {_MINUTE}",
        [
            (queue.pk, one.at, one.completed, one.failed, one.retried, one.wait_ms, one.run_ms)
            for one in figures.minutes
        ],
    )
    if figures.ledger is not None:
        unit.db.execute(
            "INSERT OR REPLACE INTO corral_note VALUES (?, ?, ?, NULL)", (queue.pk, LEDGER_KEY, figures.ledger)
        )
