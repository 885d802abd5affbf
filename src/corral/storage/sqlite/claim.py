"""claim: promote what is due, drop what expired, obey pause, limits and caps, and hand out the best of the rest."""

from collections.abc import Sequence

from msgspec import MsgspecError

from corral.event import EventType
from corral.job import NO_OPTIONS, Job, JobState
from corral.options import Keep, priority_rank
from corral.storage.port import BATCH, Claim, Claimed
from corral.storage.sqlite.ending import fail_pending, unhold
from corral.storage.sqlite.rows import read_options, read_parent, read_traces
from corral.storage.sqlite.settle import LOOK, fail
from corral.storage.sqlite.unit import ACTIVE, DELAYED, EVENT_CODE, WAITING, QueueRow, Row, Unit, id_of, numbers_in
from corral.timing import Millis

#: Due jobs moved per call; the rest follow with the next one (a million jobs due at once must not stop the store).
PROMOTE = 1_000
#: Jobs passed over per call: set aside because their name is at its cap, or failed because they expired.
PASS_OVER = 1_000
#: Jobs looked at at once after the first ones turned out to be of no use.
LOOK_AHEAD = 100

_ACTIVE_CODE = EVENT_CODE[EventType.ACTIVE]
_BEST = (
    "SELECT pk, id, name, data, options, priority, created_at, attempts_started, attempts_made, crashes, progress, "
    "reason, traces, schedule, scheduled_for, parent_ref, pending, expires_at, worker, dedup, "
    "fingerprint FROM corral_job "
    "WHERE queue = ? AND state = 0 ORDER BY k1, k2 LIMIT ?"
)
#: k2 stays: jobs recovered together go back in the order they were served in.
_TAKE = (
    "UPDATE corral_job SET state = 2, k1 = ?, token = ?, worker = ?, started_at = ?, "
    "attempts_started = attempts_started + 1, expires_at = NULL, cancel = NULL WHERE pk IN carray(?)"
)
_DUE = (
    "SELECT pk, id, name, priority, k1 FROM corral_job "
    "WHERE queue = ? AND state = 1 AND k1 <= ? ORDER BY k1, k2 LIMIT ?"
)
_NEXT = "SELECT k1 FROM corral_job WHERE queue = ? AND state = 1 ORDER BY k1 LIMIT 1"


def claim(unit: Unit, name: str, wish: Claim, now: Millis) -> Claimed:
    """Take up to `wish.count` jobs."""
    queue = unit.look(name)
    if queue is None:
        return Claimed()
    if queue.info.paused:
        return Claimed(paused=True)
    next_at = promote_due(unit, queue, now) if queue.count[DELAYED] else None
    count = min(wish.count, BATCH, _allowed(queue, now))
    rows, more = _choose(unit, queue, count, now) if count > 0 and queue.count[WAITING] else ([], False)
    jobs = _take(unit, queue, rows, wish, now) if rows else []
    more = more or len(jobs) < len(rows)
    if rows and not queue.count[WAITING]:
        queue.tell(EventType.DRAINED, now)
    held_until = _held_until(queue, len(rows), now)
    if more and held_until is None:
        held_until = now  # not idle: the next call goes on behind those that were passed over
    return Claimed(jobs=tuple(jobs), next_at=next_at, held_until=held_until)


def promote_due(unit: Unit, queue: QueueRow, now: Millis) -> Millis | None:
    """Move due jobs to the end of their rank; answers when the next one falls due."""
    due = unit.rows(_DUE, (queue.pk, now, PROMOTE))
    if due:
        order = queue.take(len(due))
        unit.db.executemany(
            "UPDATE corral_job SET state = 0, k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?",
            [(priority_rank(row[3]), order + index, row[4], row[0]) for index, row in enumerate(due)],
        )
        queue.move(DELAYED, WAITING, len(due))
        for row in due:
            queue.tell(EventType.WAITING, now, id_of(row[0], row[1]), row[2])
        if len(due) == PROMOTE:
            unit.ready.add(queue.name)
    if not queue.count[DELAYED]:
        return None
    next_at = unit.one(_NEXT, (queue.pk,))
    return None if next_at is None else int(next_at)


def _allowed(queue: QueueRow, now: Millis) -> int:
    """How many may start now under the limits of the whole queue."""
    info = queue.info
    allowed = BATCH if info.concurrency is None else info.concurrency - queue.count[ACTIVE]
    if info.rate_limit is not None:
        used = queue.window_used if _in_window(queue, now) else 0
        allowed = min(allowed, info.rate_limit.count - used)
    return allowed


def _in_window(queue: QueueRow, now: Millis) -> bool:
    """Whether the rate limit's window is open. One far ahead means that the clock went back: it does not count.

    A claimer may be a few milliseconds behind the one that opened the window, so "ahead" begins a whole window away.
    """
    limit = queue.info.rate_limit
    return limit is not None and abs(now - queue.window_at) < limit.per_ms


def _held_until(queue: QueueRow, started: int, now: Millis) -> Millis | None:
    """Count starts against the rate limit; answers the end of the window once it is used up."""
    limit = queue.info.rate_limit
    if limit is None:
        return None
    if started and not _in_window(queue, now):
        queue.window_at, queue.window_used = now, 0  # a window begins with its first start
    queue.window_used += started
    full = _in_window(queue, now) and queue.window_used >= limit.count
    return queue.window_at + limit.per_ms if full else None


def _choose(unit: Unit, queue: QueueRow, count: int, now: Millis) -> tuple[list[Row], bool]:
    """The best jobs that may run: expired ones fail on the way, ones over their name's cap are set aside.

    Also answers whether it stopped after passing over many although more are waiting.
    """
    caps = queue.info.name_concurrency
    running = _running_by_name(unit, queue) if caps else {}
    passed = 0
    size = count
    while True:
        rows = unit.rows(_BEST, (queue.pk, size))
        if size == count and not caps and all(row[17] is None for row in rows):
            return rows, False  # usual
        chosen: list[Row] = []
        starting = dict(running)
        aside: list[tuple[int]] = []
        expired: list[int] = []
        for row in rows:
            name = row[2]
            if row[17] is not None and row[17] <= now:
                expired.append(row[0])
            elif name in caps and starting.get(name, 0) >= caps[name]:
                aside.append((row[0],))
            elif len(chosen) < count:
                chosen.append(row)
                starting[name] = starting.get(name, 0) + 1
        for pk in expired:
            fail_pending(unit, queue, pk, WAITING, "expired", now, first=EventType.EXPIRED)
        if aside:
            unit.db.executemany("UPDATE corral_job SET state = 6 WHERE pk = ?", aside)
        passed += len(aside) + len(expired)
        if len(chosen) == count or not (aside or expired):
            return chosen, False
        if passed >= PASS_OVER:
            unit.ready.add(queue.name)
            return chosen, not chosen
        size = max(count, LOOK_AHEAD)


def _running_by_name(unit: Unit, queue: QueueRow) -> dict[str, int]:
    rows = unit.db.execute(
        "SELECT name, count(*) FROM corral_job WHERE queue = ? AND state = 2 GROUP BY name", (queue.pk,)
    )
    return {row[0]: row[1] for row in rows}


def _take(unit: Unit, queue: QueueRow, rows: Sequence[Row], wish: Claim, now: Millis) -> list[Job]:
    keys = numbers_in(row[0] for row in rows)
    unit.db.execute(_TAKE, (now + wish.lease_ms, wish.token, wish.worker, now, keys))
    queue.move(WAITING, ACTIVE, len(rows))
    told = queue.events
    jobs = []
    for row in rows:
        try:
            job = _claimed_job(queue.name, row, wish.worker, now)
        except MsgspecError as error:
            _refuse(unit, queue, row, error, now)
            continue
        told.append((_ACTIVE_CODE, now, job.id, job.name, None))
        jobs.append(job)
    return jobs


def _refuse(unit: Unit, queue: QueueRow, row: Row, error: MsgspecError, now: Millis) -> None:
    """Fail a job that another version or another program wrote unreadably: it must not stop those behind it."""
    reason = f"its stored form cannot be read: {error}"
    keep = queue.info.keep_failed or Keep()
    fail(unit, queue, unit.rows(LOOK, (numbers_in((row[0],)), queue.pk))[0], reason, None, keep, now, attempt=0)
    unhold(unit, queue, (row[2],))
    unit.ready.add(queue.name)


def _claimed_job(queue: str, row: Row, worker: str, now: Millis) -> Job:
    (pk, id_, name, data, options, priority, created_at, started, made, crashes, progress, reason, traces, schedule,
     scheduled_for, parent, pending, _, _, dedup, fingerprint) = row  # fmt: skip
    called = id_of(pk, id_)
    choices = NO_OPTIONS if options is None else read_options(options)
    if not (made or crashes or schedule or parent or progress or priority or traces or reason or dedup or pending):
        # Most jobs: a first attempt with nothing special. Ten fewer fields are 0.7 µs of the 4 µs a claim costs.
        return Job(
            id=called,
            queue=queue,
            name=name,
            state=JobState.ACTIVE,
            data=data,
            options=choices,
            created_at=created_at,
            started_at=now,
            attempts_started=started + 1,
            worker=worker,
        )
    return Job(
        id=called,
        queue=queue,
        name=name,
        state=JobState.ACTIVE,
        data=data,
        options=choices,
        priority=priority,
        created_at=created_at,
        started_at=now,
        attempts_started=started + 1,
        attempts_made=made,
        crashes=crashes,
        progress=progress,
        failed_reason=reason,
        traces=read_traces(traces) if traces else (),
        worker=worker,
        parent=read_parent(parent) if parent else None,
        pending_children=pending,
        dedup_id=dedup,
        fingerprint=fingerprint,
        schedule=schedule,
        scheduled_for=scheduled_for,
    )
