"""add: new jobs of any queues, parents before children, all or none."""

from collections.abc import Sequence

from corral.event import EventType
from corral.job import NewJob
from corral.options import priority_rank
from corral.storage.port import Added
from corral.storage.sqlite.flows import attach
from corral.storage.sqlite.rows import options_text, parent_text
from corral.storage.sqlite.unit import CHILDREN, DELAYED, WAITING, QueueRow, Unit, Value
from corral.timing import Millis

_INSERT = (
    "INSERT INTO corral_job (pk, queue, state, k1, k2, id, name, data, options, priority, created_at, ready_at, "
    "expires_at, schedule, scheduled_for, parent, parent_ref) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_FIND = "SELECT pk FROM corral_job WHERE queue = ? AND id = ?"


def add(unit: Unit, jobs: Sequence[NewJob], now: Millis) -> list[Added]:
    """Insert the jobs that are not there yet. One INSERT per job in one prepared statement; one event row per queue."""
    pk = unit.numbers(len(jobs))
    rows: list[tuple[Value, ...]] = []
    answers: list[Added] = []
    known: dict[tuple[int, str], int] = {}  # ids of this very call, which are not in the table yet
    queue: QueueRow | None = None
    for job in jobs:
        if queue is None or queue.name != job.queue:
            queue = unit.queue(job.queue)
        if job.id is not None:
            if (queue.pk, job.id) in known or unit.one(_FIND, (queue.pk, job.id)) is not None:
                queue.tell(EventType.DUPLICATED, now, job.id, job.name)
                answers.append(Added(job.id, False))
                continue
            known[queue.pk, job.id] = pk
        if job.parent is not None or job.children:
            _flush(unit, rows)  # a child looks its parent up
        rows.append(_row(unit, queue, job, pk, now))
        if job.parent is not None:
            _flush(unit, rows)
            attach(unit, job.parent, pk, queue.name, job.id or str(pk))
        answers.append(Added(job.id or str(pk), True))
        pk += 1
    _flush(unit, rows)
    return answers


def _flush(unit: Unit, rows: list[tuple[Value, ...]]) -> None:
    if rows:
        unit.db.executemany(_INSERT, rows)
        rows.clear()


def _row(unit: Unit, queue: QueueRow, job: NewJob, pk: int, now: Millis) -> tuple[Value, ...]:
    due = job.run_at if job.run_at is not None else now + job.delay_ms
    id_ = job.id or str(pk)
    queue.events.append((0, now, id_, job.name, None))  # code 0 is ADDED; `tell` without its checks, as this is hot
    if job.children:
        state, k1, k2 = CHILDREN, now, pk
    elif due > now:
        state, k1, k2 = DELAYED, due, pk
        queue.tell(EventType.DELAYED, now, id_, job.name, str(due))
    else:
        state, k1, k2 = WAITING, priority_rank(job.priority), -pk if job.lifo else pk
        unit.ready.add(queue.name)
    queue.count[state] += 1
    lifespan = job.options.lifespan_ms
    parent = job.parent
    return (
        pk,
        queue.pk,
        state,
        k1,
        k2,
        job.id,
        job.name,
        job.data,
        options_text(job.options),
        job.priority,
        now,
        max(due, now),
        None if lifespan is None else now + lifespan,
        job.schedule,
        job.scheduled_for,
        None,
        None if parent is None else parent_text(parent),
    )
