"""claim: promote what is due, drop what expired, obey pause, limits and caps, and hand out the best of the rest."""

from collections.abc import Sequence

from corral.event import EventType
from corral.job import NO_OPTIONS, Job, JobState
from corral.options import priority_rank
from corral.storage.port import BATCH, Claim, Claimed
from corral.storage.sqlite.ending import fail_pending
from corral.storage.sqlite.rows import read_options, read_parent, read_traces
from corral.storage.sqlite.unit import ACTIVE, DELAYED, EVENT_CODE, WAITING, QueueRow, Row, Unit, numbers_in
from corral.timing import Millis

#: Due jobs moved per call; the rest follow with the next one (a million jobs due at once must not stop the store).
PROMOTE = 1_000
#: Jobs set aside per call because their name is at its cap.
HOLD = 1_000

_ACTIVE_CODE = EVENT_CODE[EventType.ACTIVE]
_BEST = (
    "SELECT pk, id, name, data, options, priority, created_at, attempts_started, attempts_made, crashes, progress, reason, "
    "traces, schedule, scheduled_for, parent_ref, pending, expires_at, worker FROM corral_job "
    "WHERE queue = ? AND state = 0 ORDER BY k1, k2 LIMIT ?"
)
#: k2 stays: jobs recovered together go back in the order they were served in.
_TAKE = (
    "UPDATE corral_job SET state = 2, k1 = ?, token = ?, worker = ?, started_at = ?, "
    "attempts_started = attempts_started + 1, expires_at = NULL, cancel = NULL WHERE pk IN carray(?)"
)
_DUE = "SELECT pk, id, name, priority, k1 FROM corral_job WHERE queue = ? AND state = 1 AND k1 <= ? ORDER BY k1, k2 LIMIT ?"
_NEXT = "SELECT k1 FROM corral_job WHERE queue = ? AND state = 1 ORDER BY k1 LIMIT 1"


def claim(unit: Unit, name: str, wish: Claim, now: Millis) -> Claimed:
    """Take up to `wish.count` jobs."""
    queue = unit.look(name)
    if queue is None:
        return Claimed()
    if queue.info.paused:
        return Claimed(paused=True)
    next_at = promote_due(unit, queue, now) if queue.count[DELAYED] else None
    count, held_until = _allowance(queue, min(wish.count, BATCH), now)
    if count <= 0:
        return Claimed(next_at=next_at, held_until=held_until)
    rows = _choose(unit, queue, count, now) if queue.count[WAITING] else []
    if not rows:
        return Claimed(next_at=next_at)
    jobs = _take(unit, queue, rows, wish, now)
    if queue.info.rate_limit is not None:
        queue.window_used += len(jobs)
    if not queue.count[WAITING]:
        queue.tell(EventType.DRAINED, now)
    return Claimed(jobs=tuple(jobs), next_at=next_at)


def promote_due(unit: Unit, queue: QueueRow, now: Millis) -> Millis | None:
    """Move due jobs to the end of their rank; answers when the next one falls due."""
    due = unit.db.execute(_DUE, (queue.pk, now, PROMOTE)).fetchall()
    if due:
        order = unit.numbers(len(due))
        unit.db.executemany(
            "UPDATE corral_job SET state = 0, k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?",
            [(priority_rank(row[3]), order + index, row[4], row[0]) for index, row in enumerate(due)],
        )
        queue.move(DELAYED, WAITING, len(due))
        for row in due:
            queue.tell(EventType.WAITING, now, row[1] or str(row[0]), row[2])
        if len(due) == PROMOTE:
            unit.ready.add(queue.name)
    if not queue.count[DELAYED]:
        return None
    next_at = unit.one(_NEXT, (queue.pk,))
    return None if next_at is None else int(next_at)


def _allowance(queue: QueueRow, count: int, now: Millis) -> tuple[int, Millis | None]:
    """How many may start now under the queue's limits, and when the rate limit next lets one pass."""
    info = queue.info
    if info.concurrency is not None:
        count = min(count, info.concurrency - queue.count[ACTIVE])
    limit = info.rate_limit
    if limit is None or count <= 0:
        return count, None
    end = queue.window_at + limit.per_ms
    if not queue.window_at <= now < end:  # over, or the clock went back
        if not queue.count[WAITING]:
            return count, None  # a window begins with its first start
        queue.window_at, queue.window_used, end = now, 0, now + limit.per_ms
    left = limit.count - queue.window_used
    return (min(count, left), None) if left > 0 else (0, end)


def _choose(unit: Unit, queue: QueueRow, count: int, now: Millis) -> list[Row]:
    """The best jobs that may run: expired ones fail on the way, ones over their name's cap are set aside."""
    caps = queue.info.name_concurrency
    running = _running_by_name(unit, queue) if caps else {}
    chosen: list[Row] = []
    held = 0
    while len(chosen) < count and held < HOLD:
        rows = unit.db.execute(_BEST, (queue.pk, count - len(chosen) if not chosen else count)).fetchall()
        seen = {row[0] for row in chosen}
        rows = [row for row in rows if row[0] not in seen]
        expired = [row for row in rows if row[17] is not None and row[17] <= now]
        for row in expired:
            fail_pending(unit, queue, row[0], WAITING, "expired", now, first=EventType.EXPIRED)
        gone = {row[0] for row in expired}
        aside: list[tuple[int]] = []
        for row in rows:
            if row[0] in gone:
                continue
            name = row[2]
            if name in caps:
                if running.get(name, 0) >= caps[name]:
                    aside.append((row[0],))
                    continue
                running[name] = running.get(name, 0) + 1
            chosen.append(row)
        if aside:
            unit.db.executemany("UPDATE corral_job SET state = 6 WHERE pk = ?", aside)
            held += len(aside)
        if not aside and not expired:
            break
    if held >= HOLD:
        unit.ready.add(queue.name)
    return chosen[:count]


def _running_by_name(unit: Unit, queue: QueueRow) -> dict[str, int]:
    rows = unit.db.execute("SELECT name, count(*) FROM corral_job WHERE queue = ? AND state = 2 GROUP BY name", (queue.pk,))
    return dict(rows.fetchall())


def _take(unit: Unit, queue: QueueRow, rows: Sequence[Row], wish: Claim, now: Millis) -> list[Job]:
    keys = numbers_in(row[0] for row in rows)  # type: ignore[misc]  # an integer column
    unit.db.execute(_TAKE, (now + wish.lease_ms, wish.token, wish.worker, now, keys))
    queue.move(WAITING, ACTIVE, len(rows))
    told = queue.events
    jobs = []
    for row in rows:
        job = _claimed_job(queue.name, row, wish.worker, now)
        told.append((_ACTIVE_CODE, now, job.id, job.name, None))
        jobs.append(job)
    return jobs


def _claimed_job(queue: str, row: Row, worker: str, now: Millis) -> Job:
    (pk, id_, name, data, options, priority, created_at, started, made, crashes, progress, reason, traces, schedule,
     scheduled_for, parent, pending, _, _) = row  # fmt: skip
    job_id = str(pk) if id_ is None else id_
    choices = NO_OPTIONS if options is None else read_options(options)  # type: ignore[arg-type]  # the column is text
    if not (made or crashes or schedule or parent or progress or priority or traces or reason):
        # Most jobs: a first attempt with nothing special. Ten fewer fields are 0.7 µs of the 4 µs a claim costs.
        return Job(
            id=job_id, queue=queue, name=name, state=JobState.ACTIVE, data=data, options=choices, created_at=created_at,
            started_at=now, attempts_started=started + 1, worker=worker,
        )  # type: ignore[arg-type]  # fmt: skip
    return Job(
        id=job_id,  # type: ignore[arg-type]  # the types of the columns, here and below
        queue=queue,
        name=name,  # type: ignore[arg-type]
        state=JobState.ACTIVE,
        data=data,  # type: ignore[arg-type]
        options=choices,
        priority=priority,  # type: ignore[arg-type]
        created_at=created_at,  # type: ignore[arg-type]
        started_at=now,
        attempts_started=started + 1,  # type: ignore[operator]
        attempts_made=made,  # type: ignore[arg-type]
        crashes=crashes,  # type: ignore[arg-type]
        progress=progress,  # type: ignore[arg-type]
        failed_reason=reason,  # type: ignore[arg-type]
        traces=read_traces(traces) if traces else (),  # type: ignore[arg-type]
        worker=worker,
        parent=read_parent(parent) if parent else None,  # type: ignore[arg-type]
        pending_children=pending,  # type: ignore[arg-type]
        schedule=schedule,  # type: ignore[arg-type]
        scheduled_for=scheduled_for,  # type: ignore[arg-type]
    )


