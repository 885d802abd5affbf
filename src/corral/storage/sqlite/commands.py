"""What people ask for: remove, retry, promote, cancel, update, log."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import UNSET

from corral.event import EventType
from corral.job import JobState
from corral.options import priority_rank
from corral.storage.port import JobPatch, Selection
from corral.storage.sqlite import dedup
from corral.storage.sqlite.add import add_what_ends_bring
from corral.storage.sqlite.ending import delete, fail_pending, serve_again
from corral.storage.sqlite.flows import back_again, detach, find_pk, waits_again
from corral.storage.sqlite.groups import enter
from corral.storage.sqlite.settle import cancelled
from corral.storage.sqlite.unit import (
    ACTIVE,
    CHILDREN,
    COMPLETED,
    DELAYED,
    FAILED,
    GROUPED,
    HELD,
    WAITING,
    QueueRow,
    Row,
    Unit,
    Value,
    id_of,
    numbers_in,
)
from corral.timing import Millis

CODES = {
    JobState.WAITING: (WAITING, HELD, GROUPED),
    JobState.DELAYED: (DELAYED,),
    JobState.ACTIVE: (ACTIVE,),
    JobState.WAITING_CHILDREN: (CHILDREN,),
    JobState.COMPLETED: (COMPLETED,),
    JobState.FAILED: (FAILED,),
}
_COLUMNS = "pk, id, name, parent, edges, state, priority, dedup, pending, fingerprint, gid"
_PK, _ID, _NAME, _PARENT, _EDGES, _STATE, _PRIORITY, _DEDUP, _PENDING, _FINGERPRINT, _GROUP = range(11)


def select(unit: Unit, queue: QueueRow, which: Selection, allowed: Sequence[int], now: Millis) -> list[Row]:
    """The jobs a selection means, of the states a verb can act on (`_COLUMNS`)."""
    if which.ids:
        found = []
        for job_id in which.ids[: which.limit]:
            pk = find_pk(unit, queue, job_id)
            row = pk and unit.row(f"SELECT {_COLUMNS} FROM corral_job WHERE pk = ?", (pk,))  # noqa: S608
            if row and row[_STATE] in allowed and row not in found and _fits(which, row):
                found.append(row)
        return found
    rows: list[Row] = []
    for state in sorted({code for one in which.states for code in CODES[one]} & set(allowed)):
        rows += _oldest(unit, queue, which, state, which.limit - len(rows), now)
        if len(rows) >= which.limit:
            break
    return rows


def _fits(which: Selection, row: Row) -> bool:
    return (
        which.name in (None, row[_NAME])
        and which.group in (None, row[_GROUP])
        and which.fingerprint in (None, row[_FINGERPRINT])
    )


def _oldest(unit: Unit, queue: QueueRow, which: Selection, state: int, limit: int, now: Millis) -> list[Row]:
    where = "queue = ? AND state = ?"
    parameters: list[Value] = [queue.pk, state]
    if which.name is not None:
        where += " AND name = ?"
        parameters.append(which.name)
    if which.group is not None:
        where += " AND gid = ?"
        parameters.append(which.group)
    if which.fingerprint is not None:
        where += " AND fingerprint = ?"
        parameters.append(which.fingerprint)
    if which.older_than_ms is not None:
        where += " AND k1 <= ?" if state in (COMPLETED, FAILED) else " AND created_at <= ?"
        parameters.append(now - which.older_than_ms)
    if which.beyond is not None:
        limit = min(limit, _total(unit, queue, state, where, parameters) - which.beyond)
    if limit <= 0:
        return []
    parameters.append(limit)
    order = "gid, k1, k2" if state == GROUPED else "k1, k2"
    where += " AND gid IS NOT NULL" * (state == GROUPED)  # which is so, and lets SQLite use the index of groups
    sql = f"SELECT {_COLUMNS} FROM corral_job WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608  # constants only
    return unit.rows(sql, parameters)


def _total(unit: Unit, queue: QueueRow, state: int, where: str, parameters: Sequence[Value]) -> int:
    """How many there are; of finished jobs the counter knows, and a sweep of a million costs nothing."""
    if state in (COMPLETED, FAILED) and len(parameters) == 2:
        return queue.count[state]
    return unit.number(f"SELECT count(*) FROM corral_job WHERE {where}", parameters) or 0  # noqa: S608  # constants only


def _ids(rows: Sequence[Row]) -> list[str]:
    return [id_of(row[0], row[1]) for row in rows]


def _command(
    unit: Unit, name: str, which: Selection, allowed: Sequence[int], now: Millis,
    act: Callable[[QueueRow, list[Row]], None],
) -> list[str]:  # fmt: skip
    queue = unit.look(name)
    rows = [] if queue is None else select(unit, queue, which, allowed, now)
    if queue is not None and rows:
        act(queue, rows)
    return _ids(rows)


def remove(unit: Unit, name: str, which: Selection, now: Millis) -> list[str]:
    """Delete jobs that are not active."""

    def act(queue: QueueRow, rows: list[Row]) -> None:
        by_state: defaultdict[int, list[Row]] = defaultdict(list)
        for row in rows:
            by_state[row[_STATE]].append(row[:_STATE])
        # What goes may let others of them run that come later in this list: those that can be let go are deleted first.
        for state in sorted(by_state, key=lambda state: (state not in (CHILDREN, HELD), state)):
            delete(unit, queue, state, by_state[state], now)
        for row in rows:
            [called] = _ids([row])
            queue.tell(EventType.REMOVED, now, called, row[_NAME])
            if row[_DEDUP] is not None:
                dedup.owner_removed(unit, queue, row[_DEDUP], called)

    return _command(unit, name, which, (WAITING, HELD, GROUPED, DELAYED, CHILDREN, COMPLETED, FAILED), now, act)


def retry(
    unit: Unit, name: str, which: Selection, reset_attempts: bool, after_ms: Millis, every_ms: Millis, now: Millis
) -> list[str]:
    """Put finished jobs at the end of their rank, or each for later than the one before."""

    def act(queue: QueueRow, rows: list[Row]) -> None:
        order, together = queue.take(len(rows)), numbers_in(row[_PK] for row in rows)
        for row in rows:  # before anybody asks whether a job has somebody to wait for
            if row[_PARENT] is not None or row[_EDGES]:
                back_again(unit, row[_PARENT], row[_EDGES], row[_PK])
        for index, row in enumerate(rows):
            due = now + after_ms + index * every_ms
            _retry(unit, queue, row, order + index, due, reset_attempts, now, together)
        unit.ready.add(name)

    return _command(unit, name, which, (COMPLETED, FAILED), now, act)


def _retry(
    unit: Unit, queue: QueueRow, row: Row, order: int, due: Millis, reset_attempts: bool, now: Millis,
    together: object,
) -> None:  # fmt: skip
    later = due - now if due > now else None
    rank = priority_rank(row[_PRIORITY])
    # Asked again: a child may have been retried in this very call.
    pending = unit.number("SELECT pending FROM corral_job WHERE pk = ?", (row[_PK],))
    if pending and waits_again(unit, row[_PK], together):
        state, k1, kind, detail = CHILDREN, now, EventType.WAITING_CHILDREN, None
    elif later is not None:
        state, k1, kind, detail = DELAYED, due, EventType.DELAYED, str(due)
    else:
        state, k1, kind, detail = enter(unit, queue, row[_GROUP], now), rank, EventType.WAITING, None
    unit.db.execute(
        "UPDATE corral_job SET state = ?, k1 = ?, k2 = ?, ready_at = ?, result = NULL, crashes = 0, later = ?, "
        "expires_at = NULL, started_at = NULL, attempts_made = CASE WHEN ? THEN 0 ELSE attempts_made END WHERE pk = ?",
        (state, k1, order, max(due, now), later if state == CHILDREN else None, reset_attempts, row[_PK]),
    )
    queue.move(row[_STATE], state)
    queue.tell(kind, now, _ids([row])[0], row[_NAME], detail)


def promote(unit: Unit, name: str, which: Selection, now: Millis) -> list[str]:
    """Let delayed jobs run now, at the end of their rank."""

    def act(queue: QueueRow, rows: list[Row]) -> None:
        order = queue.take(len(rows))
        for index, row in enumerate(rows):
            unit.db.execute(
                "UPDATE corral_job SET state = ?, k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?",
                (
                    enter(unit, queue, row[_GROUP], now),
                    priority_rank(row[_PRIORITY]),
                    order + index,
                    now,
                    row[_PK],
                ),
            )
            queue.tell(EventType.WAITING, now, _ids([row])[0], row[2])
        queue.move(DELAYED, WAITING, len(rows))
        unit.ready.add(name)

    return _command(unit, name, which, (DELAYED,), now, act)


def cancel(unit: Unit, name: str, which: Selection, reason: str, now: Millis) -> list[str]:
    """Fail pending jobs, mark active ones."""
    text = cancelled(reason)
    touched: list[Row] = []

    def act(queue: QueueRow, rows: list[Row]) -> None:
        for row in rows:
            # Asked again: one of them may have failed with the one before it, or have been let go by its end.
            state = unit.number("SELECT state FROM corral_job WHERE pk = ?", (row[_PK],))
            if state == ACTIVE:
                unit.db.execute("UPDATE corral_job SET cancel = ? WHERE pk = ?", (reason, row[_PK]))
                queue.tell_text(EventType.CANCELLED, now, _ids([row])[0], row[_NAME], text)
            elif state not in (None, COMPLETED, FAILED):
                fail_pending(unit, queue, row[_PK], state, text, now, first=EventType.CANCELLED)
            else:
                continue
            touched.append(row)

    _command(unit, name, which, (WAITING, HELD, GROUPED, DELAYED, CHILDREN, ACTIVE), now, act)
    add_what_ends_bring(unit)
    return _ids(touched)


def update(unit: Unit, name: str, patches: Sequence[JobPatch], now: Millis) -> list[str]:
    """Change single jobs; a patch whose token is stale, or whose job is gone, changes nothing."""
    queue = unit.look(name)
    if queue is None:
        return []
    touched = []
    for patch in patches:
        pk = find_pk(unit, queue, patch.job_id)
        if pk is None:
            continue
        row = unit.row("SELECT state, token, name FROM corral_job WHERE pk = ?", (pk,))
        assert row is not None
        if patch.token is not None and (row[0] != ACTIVE or row[1] != patch.token):
            continue
        _patch(unit, queue, patch, pk, row, now)
        touched.append(patch.job_id)
    return touched


def _patch(unit: Unit, queue: QueueRow, patch: JobPatch, pk: int, row: Row, now: Millis) -> None:
    state, _, name = row
    if patch.data is not UNSET:
        unit.db.execute("UPDATE corral_job SET data = ? WHERE pk = ?", (patch.data, pk))
    if patch.priority is not UNSET:
        unit.db.execute("UPDATE corral_job SET priority = ? WHERE pk = ?", (patch.priority, pk))
        if state in (WAITING, HELD, GROUPED):
            values = (priority_rank(patch.priority), queue.take(), pk)
            unit.db.execute("UPDATE corral_job SET k1 = ?, k2 = ? WHERE pk = ?", values)
            # It, or another one in its place, may be the next of its name: the claim looks at one more set aside.
            if name in queue.info.name_concurrency or name in queue.info.name_limits:
                serve_again(unit, queue, name, 1, now)
    if patch.delay_ms is not UNSET and state == DELAYED:
        due = now + patch.delay_ms
        unit.db.execute("UPDATE corral_job SET k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?", (due, queue.take(), due, pk))
        queue.tell(EventType.DELAYED, now, patch.job_id, name, str(due))
        unit.ready.add(queue.name)
    if patch.detach:
        detach(unit, pk, now)
    if patch.progress is not UNSET:
        unit.db.execute("UPDATE corral_job SET progress = ? WHERE pk = ?", (patch.progress, pk))
        queue.tell(EventType.PROGRESS, now, patch.job_id, name, patch.progress)


def log(unit: Unit, name: str, job_id: str, lines: Sequence[str], keep: int) -> int:
    """Append lines and drop the oldest beyond `keep`."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, job_id)
    if pk is None:
        return 0
    last = unit.number("SELECT max(line) FROM corral_log WHERE job = ?", (pk,)) or 0
    rows = [(pk, last + 1 + index, line) for index, line in enumerate(lines)]
    unit.db.executemany("INSERT INTO corral_log VALUES (?, ?, ?)", rows)
    unit.db.execute("DELETE FROM corral_log WHERE job = ? AND line <= ?", (pk, last + len(lines) - keep))
    return unit.number("SELECT count(*) FROM corral_log WHERE job = ?", (pk,)) or 0
