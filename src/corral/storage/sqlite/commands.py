"""What people ask for: remove, retry, promote, cancel, update, log, configure, obliterate, remember."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from msgspec import UNSET
from msgspec.structs import asdict, replace

from corral.errors import StorageError
from corral.event import EventType
from corral.job import JobState
from corral.options import QueueSettings, priority_rank
from corral.storage.port import JobPatch, QueueInfo, Selection
from corral.storage.sqlite.ending import delete, fail_pending
from corral.storage.sqlite.flows import child_removed, child_retried, find_pk
from corral.storage.sqlite.settle import cancelled
from corral.storage.sqlite.unit import (
    ACTIVE,
    CHILDREN,
    COMPLETED,
    DELAYED,
    FAILED,
    HELD,
    WAITING,
    QueueRow,
    Row,
    Unit,
    Value,
    id_of,
)
from corral.timing import Millis

CODES = {
    JobState.WAITING: (WAITING, HELD),
    JobState.DELAYED: (DELAYED,),
    JobState.ACTIVE: (ACTIVE,),
    JobState.WAITING_CHILDREN: (CHILDREN,),
    JobState.COMPLETED: (COMPLETED,),
    JobState.FAILED: (FAILED,),
}
_COLUMNS = "pk, id, name, parent, state, priority"


def select(unit: Unit, queue: QueueRow, which: Selection, allowed: Sequence[int], now: Millis) -> list[Row]:
    """The jobs a selection means, of the states a verb can act on: `(pk, id, name, parent, state, priority)`."""
    if which.ids:
        found = []
        for job_id in which.ids[: which.limit]:
            pk = find_pk(unit, queue, job_id)
            row = pk and unit.row(f"SELECT {_COLUMNS} FROM corral_job WHERE pk = ?", (pk,))  # noqa: S608
            if row and row[4] in allowed and row not in found:
                found.append(row)
        return found
    rows: list[Row] = []
    for state in sorted({code for one in which.states for code in CODES[one]} & set(allowed)):
        rows += _oldest(unit, queue, which, state, which.limit - len(rows), now)
        if len(rows) >= which.limit:
            break
    return rows


def _oldest(unit: Unit, queue: QueueRow, which: Selection, state: int, limit: int, now: Millis) -> list[Row]:
    where = "queue = ? AND state = ?"
    parameters: list[Value] = [queue.pk, state]
    if which.name is not None:
        where += " AND name = ?"
        parameters.append(which.name)
    if which.older_than_ms is not None:
        where += " AND k1 <= ?" if state in (COMPLETED, FAILED) else " AND created_at <= ?"
        parameters.append(now - which.older_than_ms)
    if which.beyond is not None:
        limit = min(limit, _total(unit, queue, state, where, parameters) - which.beyond)
    if limit <= 0:
        return []
    parameters.append(limit)
    sql = f"SELECT {_COLUMNS} FROM corral_job WHERE {where} ORDER BY k1, k2 LIMIT ?"  # noqa: S608  # constants only
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
            by_state[row[4]].append(row[:4])
        for state, some in by_state.items():
            delete(unit, queue, state, some, now)
        for row in rows:
            queue.tell(EventType.REMOVED, now, _ids([row])[0], row[2])

    return _command(unit, name, which, (WAITING, HELD, DELAYED, CHILDREN, COMPLETED, FAILED), now, act)


def retry(unit: Unit, name: str, which: Selection, reset_attempts: bool, now: Millis) -> list[str]:
    """Put finished jobs at the end of their rank."""

    def act(queue: QueueRow, rows: list[Row]) -> None:
        order = queue.take(len(rows))
        for index, row in enumerate(rows):
            unit.db.execute(
                "UPDATE corral_job SET state = 0, k1 = ?, k2 = ?, ready_at = ?, result = NULL, crashes = 0, "
                "expires_at = NULL, started_at = NULL, "
                "attempts_made = CASE WHEN ? THEN 0 ELSE attempts_made END WHERE pk = ?",
                (priority_rank(row[5]), order + index, now, reset_attempts, row[0]),
            )
            queue.move(row[4], WAITING)
            queue.tell(EventType.WAITING, now, _ids([row])[0], row[2])
            if row[3] is not None:
                child_retried(unit, row[3], row[0])
        unit.ready.add(name)

    return _command(unit, name, which, (COMPLETED, FAILED), now, act)


def promote(unit: Unit, name: str, which: Selection, now: Millis) -> list[str]:
    """Let delayed jobs run now, at the end of their rank."""

    def act(queue: QueueRow, rows: list[Row]) -> None:
        order = queue.take(len(rows))
        for index, row in enumerate(rows):
            unit.db.execute(
                "UPDATE corral_job SET state = 0, k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?",
                (priority_rank(row[5]), order + index, now, row[0]),
            )
            queue.tell(EventType.WAITING, now, _ids([row])[0], row[2])
        queue.move(DELAYED, WAITING, len(rows))
        unit.ready.add(name)

    return _command(unit, name, which, (DELAYED,), now, act)


def cancel(unit: Unit, name: str, which: Selection, reason: str, now: Millis) -> list[str]:
    """Fail pending jobs, mark active ones."""
    text = cancelled(reason)

    def act(queue: QueueRow, rows: list[Row]) -> None:
        for row in rows:
            if row[4] == ACTIVE:
                unit.db.execute("UPDATE corral_job SET cancel = ? WHERE pk = ?", (reason, row[0]))
                queue.tell_text(EventType.CANCELLED, now, _ids([row])[0], row[2], text)
            else:
                fail_pending(unit, queue, row[0], row[4], text, now, first=EventType.CANCELLED)

    return _command(unit, name, which, (WAITING, HELD, DELAYED, CHILDREN, ACTIVE), now, act)


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
        if state in (WAITING, HELD):
            values = (priority_rank(patch.priority), queue.take(), pk)
            unit.db.execute("UPDATE corral_job SET k1 = ?, k2 = ? WHERE pk = ?", values)
    if patch.delay_ms is not UNSET and state == DELAYED:
        due = now + patch.delay_ms
        unit.db.execute("UPDATE corral_job SET k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?", (due, queue.take(), due, pk))
        queue.tell(EventType.DELAYED, now, patch.job_id, name, str(due))
        unit.ready.add(queue.name)
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


def configure(unit: Unit, name: str, settings: QueueSettings, now: Millis) -> QueueInfo:
    """Change settings; workers obey from their next claim on."""
    if settings == QueueSettings():
        queue = unit.look(name)
        return QueueInfo(name=name) if queue is None else queue.info
    queue = unit.queue(name)
    changes = {key: value for key, value in asdict(settings).items() if value is not UNSET}
    before, after = queue.info, replace(queue.info, **changes)
    if after == before:
        return after
    unit.save_info(queue, after)
    if after.paused != before.paused:
        queue.tell(EventType.PAUSED if after.paused else EventType.RESUMED, now)
    if after.rate_limit != before.rate_limit:
        queue.window_at = queue.window_used = 0
    if after.name_concurrency != before.name_concurrency:
        unit.db.execute("UPDATE corral_job SET state = 0 WHERE queue = ? AND state = 6", (queue.pk,))
    unit.ready.add(name)
    return after


def obliterate(unit: Unit, name: str, force: bool, now: Millis) -> None:
    """Delete a queue with all it has."""
    queue = unit.look(name)
    if queue is None:
        return
    if queue.count[ACTIVE] and not force:
        raise StorageError(
            f"queue {name!r} has {queue.count[ACTIVE]} active jobs; pause it and wait, or use force=True"
        )
    orphans = "SELECT pk, parent FROM corral_job WHERE queue = ? AND parent IS NOT NULL AND state != 4"
    waited_for = unit.rows(orphans, (queue.pk,))
    unit.db.execute("DELETE FROM corral_log WHERE job IN (SELECT pk FROM corral_job WHERE queue = ?)", (queue.pk,))
    unit.db.execute("DELETE FROM corral_child WHERE parent IN (SELECT pk FROM corral_job WHERE queue = ?)", (queue.pk,))
    for table in ("corral_job", "corral_event", "corral_note", "corral_minute"):
        unit.db.execute(f"DELETE FROM {table} WHERE queue = ?", (queue.pk,))  # noqa: S608  # constants only
    unit.db.execute("DELETE FROM corral_schedule WHERE queue = ?", (name,))
    unit.bury(queue)
    for pk, parent in waited_for:
        child_removed(unit, parent, pk, now)


def remember(
    unit: Unit, name: str, key: str, value: str | None, replace_it: bool, ttl_ms: Millis | None, now: Millis
) -> str | None:
    """Note a value unless there is one; answers what was there."""
    queue = unit.look(name) if value is None else unit.queue(name)
    if queue is None:
        return None
    old = "SELECT queue, key FROM corral_note WHERE expires_at <= ? LIMIT 1000"  # a million must not stop the store
    unit.db.execute(f"DELETE FROM corral_note WHERE (queue, key) IN ({old})", (now,))  # noqa: S608  # constants only
    fresh = "SELECT value FROM corral_note WHERE queue = ? AND key = ? AND ifnull(expires_at > ?, 1)"
    before = unit.one(fresh, (queue.pk, key, now))
    if value is not None and (before is None or replace_it):
        expires_at = None if ttl_ms is None else now + ttl_ms
        unit.db.execute("INSERT OR REPLACE INTO corral_note VALUES (?, ?, ?, ?)", (queue.pk, key, value, expires_at))
    return None if before is None else str(before)
