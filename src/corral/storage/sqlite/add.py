"""add: new jobs of any queues, parents before children, all or none."""

from collections.abc import Sequence

from corral.errors import QueueFullError
from corral.event import EventType
from corral.job import NewJob, ParentRef
from corral.options import RateLimit, priority_rank
from corral.storage.port import Added
from corral.storage.sqlite.flows import attach, find_pk, release
from corral.storage.sqlite.rows import options_text, parent_text
from corral.storage.sqlite.unit import CHILDREN, DELAYED, WAITING, QueueRow, Unit, Value, job_key
from corral.timing import Millis

_INSERT = (
    "INSERT INTO corral_job (pk, queue, state, k1, k2, id, name, data, options, priority, created_at, ready_at, "
    "expires_at, schedule, scheduled_for, parent, parent_ref) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
_FIND = "SELECT pk FROM corral_job WHERE queue = ? AND id = ?"


def add(unit: Unit, jobs: Sequence[NewJob], now: Millis) -> list[Added]:
    """Insert the jobs that are not there yet. One INSERT per job in one prepared statement; one event row per queue."""
    rows: list[tuple[Value, ...]] = []
    answers: list[Added] = []
    known: set[tuple[int, str]] = set()  # ids of this very call, which are not in the table yet
    passed_over: list[ParentRef] = []
    queue: QueueRow | None = None
    for job in jobs:
        if queue is None or queue.name != job.queue:
            queue = unit.queue(job.queue)
        if queue.info.add_limit is not None and not job.schedule:
            _count_against(queue, queue.info.add_limit, now)
        if job.id is not None:
            if (queue.pk, job.id) in known or unit.one(_FIND, (queue.pk, job.id)) is not None:
                queue.tell(EventType.DUPLICATED, now, job.id, job.name)
                answers.append(Added(job.id, False))
                if job.parent is not None:
                    passed_over.append(job.parent)
                continue
            known.add((queue.pk, job.id))
        number, queue.next_id = queue.next_id, queue.next_id + 1
        job_id = job.id or str(number)
        rows.append(_row(unit, queue, job, number, job_id, now))
        if job.parent is not None:
            _flush(unit, rows)  # the parent may be among them
            attach(unit, job.parent, job_key(queue.pk, number), queue.name, job_id)
        answers.append(Added(job_id, True))
    _flush(unit, rows)
    for parent in passed_over:
        _let_go(unit, parent, now)
    return answers


def _count_against(queue: QueueRow, limit: RateLimit, now: Millis) -> None:
    """Count an add against the producers' limit. Raises: QueueFullError, which undoes the whole call."""
    if abs(now - queue.add_at) >= limit.per_ms:
        queue.add_at, queue.add_used = now, 0
    queue.add_used += 1
    if queue.add_used > limit.count:
        raise QueueFullError(queue.name, limit.count, limit.per, max(0.001, (queue.add_at + limit.per_ms - now) / 1000))


def _let_go(unit: Unit, parent: ParentRef, now: Millis) -> None:
    """A parent whose children were all there already would wait for ever."""
    queue = unit.look(parent.queue)
    pk = None if queue is None else find_pk(unit, queue, parent.id)
    if pk is not None and not unit.number("SELECT pending FROM corral_job WHERE pk = ?", (pk,)):
        release(unit, pk, now)


def _flush(unit: Unit, rows: list[tuple[Value, ...]]) -> None:
    if rows:
        unit.db.executemany(_INSERT, rows)
        rows.clear()


def _row(unit: Unit, queue: QueueRow, job: NewJob, number: int, job_id: str, now: Millis) -> tuple[Value, ...]:
    due = job.run_at if job.run_at is not None else now + job.delay_ms
    queue.events.append((0, now, job_id, job.name, None))  # code 0 is ADDED; `tell` without its checks, as this is hot
    order = queue.take()
    if job.children:
        state, k1, k2 = CHILDREN, now, order
    elif due > now:
        state, k1, k2 = DELAYED, due, order
        queue.tell(EventType.DELAYED, now, job_id, job.name, str(due))
        unit.ready.add(queue.name)  # a worker that sleeps until a later job falls due must learn of this one
    else:
        state, k1, k2 = WAITING, priority_rank(job.priority), -order if job.lifo else order
        unit.ready.add(queue.name)
    queue.count[state] += 1
    lifespan = job.options.lifespan_ms
    parent = job.parent
    return (
        job_key(queue.pk, number),
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
