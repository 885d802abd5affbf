"""What is asked: reads only, each on one consistent snapshot."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from corral.event import NOW, Event, EventCursor
from corral.job import Job
from corral.schedule import Schedule
from corral.storage.insight import Page
from corral.storage.port import REASON, Bucket, Children, QueueCounts, QueueInfo, WorkerInfo
from corral.storage.sqlite.flows import find_pk
from corral.storage.sqlite.rows import JOB_COLUMNS, LEAN_COLUMNS, to_job, to_lean_job
from corral.storage.sqlite.schedules import decode
from corral.storage.sqlite.unit import (
    ACTIVE,
    CHILDREN,
    COMPLETED,
    DELAYED,
    EVENT_TYPES,
    FAILED,
    GROUPED,
    HELD,
    WAITING,
    QueueRow,
    Unit,
    Value,
)
from corral.timing import Millis

_read_worker = msgspec.json.Decoder(WorkerInfo).decode
_unpack = msgspec.msgpack.Decoder(list[tuple[int, int, str | None, str | None, str | None]]).decode


def get(unit: Unit, name: str, ids: Sequence[str], lean: bool = False) -> list[Job | None]:
    """Jobs by id."""
    queue = unit.look(name)
    return [None if queue is None else _get(unit, queue, job_id, lean) for job_id in ids]


def _get(unit: Unit, queue: QueueRow, job_id: str, lean: bool) -> Job | None:
    pk = find_pk(unit, queue, job_id)
    columns, read = (LEAN_COLUMNS, to_lean_job) if lean else (JOB_COLUMNS, to_job)
    row = pk and unit.row(f"SELECT {columns} FROM corral_job WHERE pk = ?", (pk,))  # noqa: S608
    return read(queue.name, row) if row else None


def counts(unit: Unit, names: Sequence[str]) -> list[QueueCounts]:
    """The counters, which every transaction keeps."""
    return [_counts(unit, name) for name in names]


def _counts(unit: Unit, name: str) -> QueueCounts:
    queue = unit.look(name)
    if queue is None:
        return QueueCounts(queue=name)
    count = queue.count
    oldest = None
    if count[WAITING]:  # the head of each rank is old, but the oldest of all may stand behind: ask the head only
        head = "SELECT ready_at FROM corral_job WHERE queue = ? AND state = ? ORDER BY k1, k2 LIMIT 100"
        sql = f"SELECT min(ready_at) FROM ({head})"  # noqa: S608  # constants only
        heads = [unit.number(sql, (queue.pk, state)) for state in (WAITING, HELD, GROUPED)]
        oldest = min((at for at in heads if at is not None), default=None)
    return QueueCounts(
        queue=name,
        waiting=count[WAITING],
        active=count[ACTIVE],
        delayed=count[DELAYED],
        waiting_children=count[CHILDREN],
        completed=count[COMPLETED],
        failed=count[FAILED],
        paused=count[WAITING] if queue.info.paused else 0,
        completed_total=queue.completed_total,
        failed_total=queue.failed_total,
        added_total=queue.next_id - 1,
        oldest_waiting_at=oldest,
    )


def children(unit: Unit, name: str, job_id: str, lean: bool = False) -> Children:
    """The children of a job."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, job_id)
    value = f"iif(state = {FAILED}, substr(value, 1, {REASON}), '')" if lean else "value"
    sql = f"SELECT queue, id, state, {value} FROM corral_child WHERE parent = ? ORDER BY child"  # noqa: S608  # constants only
    rows = unit.rows(sql, (pk,))
    return Children(
        pending=tuple((row[0], row[1]) for row in rows if row[2] == 0),
        completed={row[1]: row[3] for row in rows if row[2] == COMPLETED},
        failed={row[1]: row[3] for row in rows if row[2] == FAILED},
        queues={row[1]: row[0] for row in rows},
    )


def logs(unit: Unit, name: str, job_id: str, start: int, limit: int) -> Page[str]:
    """Lines of a job's log."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, job_id)
    total = unit.number("SELECT count(*) FROM corral_log WHERE job = ?", (pk,)) or 0
    sql = "SELECT text FROM corral_log WHERE job = ? ORDER BY line LIMIT ? OFFSET ?"
    return Page(tuple(str(row[0]) for row in unit.rows(sql, (pk, limit, start))), total)


def metrics(unit: Unit, name: str, since: Millis, until: Millis) -> list[Bucket]:
    """Minute buckets."""
    queue = unit.look(name)
    if queue is None:
        return []
    sql = (
        "SELECT at, completed, failed, retried, wait_ms, run_ms FROM corral_minute "
        "WHERE queue = ? AND at >= ? AND at < ? ORDER BY at"
    )
    return [
        Bucket(at=row[0], completed=row[1], failed=row[2], retried=row[3], wait_ms=row[4], run_ms=row[5])
        for row in unit.rows(sql, (queue.pk, since, until))
    ]


def queues(unit: Unit) -> list[QueueInfo]:
    """Every queue."""
    names = [str(row[0]) for row in unit.rows("SELECT name FROM corral_queue WHERE settings IS NOT NULL ORDER BY name")]
    found = (unit.look(name) for name in names)
    return [_told(queue) for queue in found if queue is not None]


def _told(queue: QueueRow) -> QueueInfo:
    """The settings, and until when the rate limit lets nothing start. None of that is stored with the settings."""
    limit = queue.info.rate_limit
    if limit is None or queue.window_used < limit.count:
        return queue.info
    return replace(queue.info, limited_until=queue.window_at + limit.per_ms)


def workers(unit: Unit, stale_ms: Millis, now: Millis) -> list[WorkerInfo]:
    """Workers seen lately."""
    rows = unit.rows("SELECT body FROM corral_worker WHERE seen_at >= ?", (now - stale_ms,))
    return sorted((_read_worker(str(row[0])) for row in rows), key=lambda worker: (worker.name, worker.id))


def schedules(unit: Unit, queue: str | None, due_by: Millis | None, start: int, limit: int) -> Page[Schedule]:
    """Schedules by queue and key, or the due ones by time."""
    where, order = "1", "queue, key"
    parameters: list[Value] = []
    if queue is not None:
        where += " AND queue = ?"
        parameters.append(queue)
    if due_by is not None:
        where, order = where + " AND next_at <= ?", "next_at, queue, key"
        parameters.append(due_by)
    total = unit.number(f"SELECT count(*) FROM corral_schedule WHERE {where}", parameters) or 0  # noqa: S608
    sql = f"SELECT body FROM corral_schedule WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
    rows = unit.db.execute(sql, [*parameters, limit, start])
    return Page(tuple(schedule for row in rows if (schedule := decode(str(row[0]))) is not None), total)


def events(unit: Unit, name: str, after: EventCursor, limit: int) -> tuple[list[Event], EventCursor]:
    """Events after a cursor: the number of the last one seen."""
    queue = unit.look(name)
    if queue is None:
        return [], "0"
    if after == NOW:
        return [], str(queue.next_event - 1)
    seen = int(after) if after.isdecimal() else 0
    # The row that holds event `seen + 1` begins at or before it.
    first = unit.one("SELECT max(seq) FROM corral_event WHERE queue = ? AND seq <= ?", (queue.pk, seen + 1)) or 0
    found: list[Event] = []
    sql = "SELECT seq, body FROM corral_event WHERE queue = ? AND seq >= ? ORDER BY seq LIMIT ?"
    for seq, body in unit.rows(sql, (queue.pk, first, limit + 1)):  # each row has at least one event
        for number, (code, at, job_id, job_name, detail) in enumerate(_unpack(body), start=seq):
            if number > seen:
                kind = EVENT_TYPES[code]
                found.append(
                    Event(type=kind, queue=name, at=at, cursor=str(number), job_id=job_id, name=job_name, detail=detail)
                )
        if len(found) >= limit:
            break
    found = found[:limit]
    return found, found[-1].cursor if found else str(max(seen, 0))
