"""claim: promote what is due, drop what expired, obey pause, limits and caps, and hand out the best of the rest."""

from collections.abc import Sequence

from msgspec import MsgspecError

from corral.event import EventType
from corral.job import NO_OPTIONS, Job, JobState
from corral.options import Keep, priority_rank
from corral.storage.port import BATCH, Claim, Claimed
from corral.storage.sqlite.add import add_what_ends_bring
from corral.storage.sqlite.choice import EXPIRES, FEW, FEW_COLUMNS, GID, NAME, Choice, Source, names_free_at, open_names
from corral.storage.sqlite.ending import unhold
from corral.storage.sqlite.groups import ended, enter, free_next, let_in
from corral.storage.sqlite.limits import allowed, held
from corral.storage.sqlite.ring import PLAIN, serve
from corral.storage.sqlite.rows import read_options, read_parent, read_past, read_traces
from corral.storage.sqlite.settle import LOOK, PAST, fail
from corral.storage.sqlite.unit import (
    ACTIVE,
    DELAYED,
    EVENT_CODE,
    NUMBER_MASK,
    WAITING,
    QueueRow,
    Row,
    Unit,
    id_of,
    numbers_in,
)
from corral.timing import Millis

#: Due jobs moved per call; the rest follow with the next one (a million jobs due at once must not stop the store).
PROMOTE = 1_000

_ACTIVE = JobState.ACTIVE  # a name of the module is found sooner than one of an enum
_ACTIVE_CODE = EVENT_CODE[EventType.ACTIVE]
_BEST = f"SELECT {FEW_COLUMNS} FROM corral_job WHERE queue = ? AND state = 0 ORDER BY k1, k2 LIMIT ?"  # noqa: S608
#: k2 stays: jobs recovered together go back in the order they were served in.
_TAKE = (
    "UPDATE corral_job SET state = 2, k1 = ?, token = ?, worker = ?, started_at = ?, "
    "attempts_started = attempts_started + 1, expires_at = NULL, cancel = NULL WHERE pk IN carray(?)"
)
_DUE = (
    "SELECT pk, id, name, priority, k1, gid FROM corral_job "
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
    if queue.windows is not None:
        open_names(unit, queue, now)
    if queue.grouped:
        let_in(unit, queue, now)
    count = min(wish.count, BATCH, allowed(queue, now))
    rows, more = _choose(unit, queue, count, now) if count > 0 and queue.count[WAITING] else ([], False)
    jobs = _take(unit, queue, rows, wish, now) if rows else []
    if unit.adds:
        add_what_ends_bring(unit)
    more = more or len(jobs) < len(rows)
    if rows and not queue.count[WAITING]:
        queue.tell(EventType.DRAINED, now)
    held_until = held(queue, len(rows), now)
    if more and held_until is None:
        held_until = now  # not idle: the next call goes on behind those that were passed over
    freed_at = None
    if queue.grouped:
        unit.sync_groups(queue, now)
        freed_at = free_next(unit, queue)
    if queue.windows is not None:
        freed_at = _earlier(freed_at, names_free_at(queue, now))
    if freed_at is not None:
        next_at = _earlier(next_at, freed_at)
    return Claimed(jobs=tuple(jobs), next_at=next_at, freed_at=freed_at, held_until=held_until)


def _earlier(one: Millis | None, other: Millis | None) -> Millis | None:
    return other if one is None else one if other is None else min(one, other)


def promote_due(unit: Unit, queue: QueueRow, now: Millis) -> Millis | None:
    """Move due jobs to the end of their rank; answers when the next one falls due."""
    due = unit.rows(_DUE, (queue.pk, now, PROMOTE))
    if due:
        order = queue.take(len(due))
        unit.db.executemany(
            "UPDATE corral_job SET state = ?, k1 = ?, k2 = ?, ready_at = ? WHERE pk = ?",
            [
                (enter(unit, queue, row[5], now), priority_rank(row[3]), order + index, row[4], row[0])
                for index, row in enumerate(due)
            ],
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


def _choose(unit: Unit, queue: QueueRow, count: int, now: Millis) -> tuple[list[Row], bool]:
    """The best jobs that may run: expired ones fail on the way, ones whose name has no room are set aside.

    Also answers whether it stopped after passing over many although more are waiting.
    """
    info = queue.info
    if not (queue.grouped or info.name_concurrency or info.name_limits):
        rows = unit.rows(_BEST, (queue.pk, count))
        if all(row[EXPIRES] is None for row in rows):
            return rows, False  # usual
    choice = Choice(unit, queue, count, now)
    while True:
        own = Source(unit, queue, count)
        if queue.grouped:
            unit.sync_groups(queue, now)
            while choice.pick(own, PLAIN - 1) is not None:
                pass  # urgent ones go before everything
            if choice.left:
                serve(unit, queue, choice, own, now)
        while choice.pick(own) is not None:
            pass
        if not choice.pass_over():
            break
    choice.count_starts()
    if choice.stopped:
        unit.ready.add(queue.name)
    return choice.rows, choice.stopped and not choice.rows


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
    if len(row) != FEW:
        ended(unit, queue, row[GID], now)
    whole = unit.rows(LOOK, (numbers_in((row[0],)), queue.pk))[0]
    fail(unit, queue, whole, reason, None, keep, now, past=whole[PAST], attempt=0)
    unhold(unit, queue, (row[NAME],), now)
    unit.ready.add(queue.name)


def _claimed_job(queue: str, row: Row, worker: str, now: Millis) -> Job:
    group = None
    if len(row) != FEW:
        group, row = row[GID], row[:FEW]
    (pk, id_, name, data, options, priority, created_at, started, made, crashes, progress, reason, traces, schedule,
     scheduled_for, parent, pending, _, past, dedup, fingerprint, ready_at) = row  # fmt: skip
    called = str(pk & NUMBER_MASK) if id_ is None else id_  # id_of, written out
    choices = NO_OPTIONS if options is None else read_options(options)
    if not (
        made or crashes or schedule or parent or progress or priority or traces or reason or dedup or group or pending
        or ready_at > created_at
    ):  # fmt: skip
        # Most jobs: a first attempt with nothing special. Ten fewer fields are 0.7 µs of the 4 µs a claim costs.
        return Job(
            id=called,
            queue=queue,
            name=name,
            state=_ACTIVE,
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
        state=_ACTIVE,
        data=data,
        options=choices,
        priority=priority,
        created_at=created_at,
        run_at=ready_at if ready_at > created_at else None,
        started_at=now,
        attempts_started=started + 1,
        attempts_made=made,
        crashes=crashes,
        progress=progress,
        failed_reason=reason,
        traces=read_traces(traces) if traces else (),
        past=read_past(past) if past else (),
        worker=worker,
        parent=read_parent(parent) if parent else None,
        pending_children=pending,
        group=group,
        dedup_id=dedup,
        fingerprint=fingerprint,
        schedule=schedule,
        scheduled_for=scheduled_for,
    )
