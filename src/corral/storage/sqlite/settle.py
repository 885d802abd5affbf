"""settle: verdicts on finished runs, refused one by one where the lease has gone."""

from collections.abc import Sequence
from typing import Literal

import apsw

from corral.event import EventType
from corral.job import PastAttempt
from corral.options import Keep
from corral.outcome import Completed, Crashed, Failed, Limited, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import Refusal, Settlement
from corral.storage.sqlite import dedup
from corral.storage.sqlite.add import add_what_ends_bring
from corral.storage.sqlite.ending import idle, retain, serving_order, to_front, to_later, unhold
from corral.storage.sqlite.failures import note_failure
from corral.storage.sqlite.flows import ended_badly, ended_well, parked_parent, spend
from corral.storage.sqlite.groups import ended as run_ended
from corral.storage.sqlite.groups import lengthen
from corral.storage.sqlite.limits import hold_on
from corral.storage.sqlite.rows import add_past, add_trace, shown_options
from corral.storage.sqlite.unit import (
    ACTIVE,
    CHILDREN,
    COMPLETED,
    EVENT_CODE,
    FAILED,
    MAX_DETAIL,
    QueueRow,
    Row,
    Unit,
    id_of,
    is_number,
    job_key,
    numbers_in,
)
from corral.timing import Millis

_COMPLETED_CODE = EVENT_CODE[EventType.COMPLETED]
#: The plus signs keep SQLite from reading every active job of the queue instead of these few.
LOOK = (
    "SELECT pk, token, name, started_at, ready_at, priority, parent, parent_ref, traces, crashes, k2, id, cancel, "
    "edges, dedup, gid, attempts_made, worker, past FROM corral_job WHERE pk IN carray(?) AND +queue = ? AND +state = 2"
)
_PK, _TOKEN, _NAME, _STARTED, _READY, _PRIORITY, _PARENT, _REF = range(8)
_TRACES, _CRASHES, _ORDER, _ID, _CANCEL, _EDGES, _DEDUP, GROUP = range(8, 16)
_MADE, _WORKER, PAST = range(16, 19)
_COMPLETE_ALL = (
    "UPDATE corral_job SET state = 4, k1 = ?, k2 = ?, token = NULL, attempts_made = attempts_made + 1, result = ? "
    "WHERE pk IN carray(?)"
)
_COMPLETE_ONE = _COMPLETE_ALL.replace("IN carray(?)", "= ?")
_MINUTE = (
    "INSERT INTO corral_minute VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "completed = completed + excluded.completed, failed = failed + excluded.failed, "
    "retried = retried + excluded.retried, wait_ms = wait_ms + excluded.wait_ms, "
    "run_ms = run_ms + excluded.run_ms RETURNING completed + failed + retried"
)
#: How long minutes are kept: two weeks are 20,160 rows a queue.
MINUTES_MS: Millis = 14 * 86_400_000


def settle(unit: Unit, name: str, settlements: Sequence[Settlement], now: Millis) -> dict[str, Refusal]:
    """Apply the verdicts; answers those that changed nothing."""
    queue = unit.look(name)
    if queue is None:
        return {one.job_id: Refusal.JOB_MISSING for one in settlements}
    keys = _keys(unit, queue, settlements)
    rows: dict[int, Row] = {row[0]: row for row in unit.rows(LOOK, (numbers_in(keys.values()), queue.pk))}
    refused: dict[str, Refusal] = {}
    done: list[tuple[Row, Completed]] = []
    back: list[tuple[Row, Released | Limited | Crashed]] = []
    ended = _Tally()
    for one in settlements:
        pk = keys.get(one.job_id, -1)
        row = rows.get(pk)
        if row is None or row[_TOKEN] != one.token:
            refused[one.job_id] = _why(unit, queue, pk)
            continue
        del rows[pk]  # a second verdict of the same run finds nothing
        ended.names.append(row[_NAME])
        if row[GROUP] is not None:
            run_ended(unit, queue, row[GROUP], now)
        match one.outcome if row[_CANCEL] is None else _unless_cancelled(row, one.outcome, queue):
            case Completed() as outcome:
                done.append((row, outcome))
            case Released() | Crashed() as outcome:
                back.append((row, outcome))
            case Limited() as outcome:
                _hold(unit, queue, row, outcome, now)
                back.append((row, outcome))
            case outcome:
                _settle_one(unit, queue, row, outcome, ended, now)
    ended.attempts([row for row, _ in done], now)
    ended.completed = len(done)
    if done:
        _complete(unit, queue, done, now)
    if back:
        _give_back(unit, queue, back, now)
    add_what_ends_bring(unit)
    if ended.names:
        _make_room(unit, queue, ended, now)
    return refused


def _make_room(unit: Unit, queue: QueueRow, ended: "_Tally", now: Millis) -> None:
    """Runs are over: others may start in their place."""
    unhold(unit, queue, ended.names, now)
    idle(queue, now)
    ended.store(unit, queue, now)
    info = queue.info
    capped = queue.grouped and (info.name_concurrency or info.name_limits)
    if info.concurrency is not None or info.probing or capped:
        unit.ready.add(queue.name)  # a slot of the queue or of a group came free: another process may fill it


def _unless_cancelled(row: Row, outcome: Outcome, queue: QueueRow) -> Outcome:
    """A run that was asked to stop does not come back: it ends as cancelled, unless it has ended by itself."""
    if isinstance(outcome, Completed | Failed):
        return outcome
    return Failed(cancelled(row[_CANCEL]), None, queue.info.keep_failed or Keep())


def cancelled(reason: str) -> str:
    """What people read on a job that somebody stopped."""
    return f"cancelled: {reason}" if reason else "cancelled"


def _settle_one(
    unit: Unit, queue: QueueRow, row: Row, outcome: Failed | Retried | Snoozed | Parked, ended: "_Tally", now: Millis
) -> None:
    match outcome:
        case Failed():
            ended.failed += 1
            ended.attempts([row], now)
            _fail(unit, queue, row, outcome, now)
        case Retried():
            ended.retried += 1
            ended.attempts([row], now)
            _retry(unit, queue, row, outcome, now)
        case Snoozed(after_ms):
            to_later(unit, queue, row[_PK], row[_PRIORITY], row[GROUP], after_ms, now)
            queue.tell(EventType.SNOOZED, now, _id(row), row[_NAME], str(now + after_ms))
        case Parked():
            _park(unit, queue, row, now)


def _keys(unit: Unit, queue: QueueRow, settlements: Sequence[Settlement]) -> dict[str, int]:
    """The pk of each job: its id when the store numbered it, else looked up."""
    keys = {}
    chosen = []
    base = job_key(queue.pk, 0)
    for one in settlements:
        if is_number(one.job_id):
            keys[one.job_id] = base | int(one.job_id)
        else:
            chosen.append(one.job_id)
    if chosen:
        sql = "SELECT id, pk FROM corral_job WHERE queue = ? AND id IN carray(?)"
        keys.update(unit.rows(sql, (queue.pk, apsw.carray(tuple(chosen)))))
    return keys


def _why(unit: Unit, queue: QueueRow, pk: int) -> Refusal:
    there = unit.one("SELECT 1 FROM corral_job WHERE pk = ? AND queue = ?", (pk, queue.pk))
    return Refusal.LEASE_LOST if there else Refusal.JOB_MISSING


def _id(row: Row) -> str:
    return id_of(row[_PK], row[_ID])


class _Tally:
    """What this batch adds to the current minute."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.completed = self.failed = self.retried = 0
        self.wait_ms = self.run_ms = 0

    def attempts(self, rows: Sequence[Row], now: Millis) -> None:
        """Count the times of runs that were attempts; snoozes and hand-backs are none."""
        for row in rows:
            started: Millis = row[_STARTED]
            if started > row[_READY]:
                self.wait_ms += started - row[_READY]
            if now > started:
                self.run_ms += now - started

    def store(self, unit: Unit, queue: QueueRow, now: Millis) -> None:
        if self.completed or self.failed or self.retried:
            minute = now - now % 60_000
            values = (queue.pk, minute, self.completed, self.failed, self.retried, self.wait_ms, self.run_ms)
            if unit.number(_MINUTE, values) == self.completed + self.failed + self.retried:  # a new minute
                old = (queue.pk, minute - MINUTES_MS)
                unit.db.execute("DELETE FROM corral_minute WHERE queue = ? AND at < ?", old)


def _complete(unit: Unit, queue: QueueRow, done: list[tuple[Row, Completed]], now: Millis) -> None:
    order = queue.take()
    result = done[0][1].result
    if all(outcome.result == result for _, outcome in done):  # usual: handlers that return nothing, or one constant
        unit.db.execute(_COMPLETE_ALL, (now, order, result, numbers_in(row[_PK] for row, _ in done)))
    else:
        unit.db.executemany(_COMPLETE_ONE, [(now, order, outcome.result, row[_PK]) for row, outcome in done])
    queue.move(ACTIVE, COMPLETED, len(done))
    queue.completed_total += len(done)
    told = queue.events
    for row, outcome in done:
        detail = outcome.result if len(outcome.result) <= MAX_DETAIL else None
        told.append((_COMPLETED_CODE, now, _id(row), row[_NAME], detail))
        if row[_DEDUP] is not None:
            dedup.owner_ended(unit, queue, row[_DEDUP], _id(row), now)
        if row[_PARENT] is not None or row[_EDGES]:
            ended_well(unit, row[_PARENT], row[_EDGES], row[_PK], outcome.result, now)
        if outcome.adds:
            unit.adds.append((outcome.adds, now))
    bounds: dict[Keep, list[Row]] = {}
    for row, outcome in done:
        bounds.setdefault(outcome.keep, []).append(_to_delete(row))
    for keep, rows in bounds.items():
        retain(unit, queue, COMPLETED, keep, now, own=rows)


def _to_delete(row: Row) -> Row:
    return row[_PK], row[_ID], row[_NAME], row[_PARENT], row[_EDGES]


def _fail(unit: Unit, queue: QueueRow, row: Row, outcome: Failed, now: Millis) -> None:
    kind = outcome.failure
    if kind is not None:
        note_failure(unit, queue, _id(row), row[_NAME], kind, now, final=True)
    fingerprint = None if kind is None else kind.fingerprint
    past = past_with(row, "failed", outcome.reason, now, traced=outcome.trace is not None)
    fail(unit, queue, row, outcome.reason, outcome.trace, outcome.keep, now, past=past, fingerprint=fingerprint)
    if outcome.adds:
        unit.adds.append((outcome.adds, now))


def fail(
    unit: Unit, queue: QueueRow, row: Row, reason: str, trace: str | None, keep: Keep, now: Millis, *,
    past: str | None, attempt: int = 1, fingerprint: str | None = None,
) -> None:  # fmt: skip
    """Fail an active job for good. What was no attempt leaves the kind of the last failure as it was."""
    traces = row[_TRACES] if trace is None else add_trace(row[_TRACES], trace)
    unit.db.execute(
        "UPDATE corral_job SET state = 5, k1 = ?, k2 = ?, token = NULL, attempts_made = attempts_made + ?, reason = ?, "
        "traces = ?, past = ?, fingerprint = CASE WHEN ? THEN ? ELSE fingerprint END WHERE pk = ?",
        (now, queue.take(), attempt, reason, traces, past, attempt, fingerprint, row[_PK]),
    )
    queue.move(ACTIVE, FAILED)
    queue.failed_total += 1
    queue.tell_text(EventType.FAILED, now, _id(row), row[_NAME], reason)
    if row[_DEDUP] is not None:
        dedup.owner_ended(unit, queue, row[_DEDUP], _id(row), now)
    if row[_PARENT] is not None or row[_EDGES]:
        ended_badly(unit, row[_PARENT], row[_EDGES], row[_PK], row[_REF], reason, now)
    retain(unit, queue, FAILED, keep, now, own=[_to_delete(row)])


def _retry(unit: Unit, queue: QueueRow, row: Row, outcome: Retried, now: Millis) -> None:
    kind = outcome.failure
    to_later(unit, queue, row[_PK], row[_PRIORITY], row[GROUP], outcome.after_ms, now)
    traces = row[_TRACES] if outcome.trace is None else add_trace(row[_TRACES], outcome.trace)
    traced = outcome.trace is not None
    past = past_with(row, "retried", outcome.reason, now, retry_delay_ms=outcome.after_ms, traced=traced)
    unit.db.execute(
        "UPDATE corral_job SET attempts_made = attempts_made + 1, reason = ?, traces = ?, past = ?, fingerprint = ? "
        "WHERE pk = ?",
        (outcome.reason, traces, past, None if kind is None else kind.fingerprint, row[_PK]),
    )
    if kind is not None:
        note_failure(unit, queue, _id(row), row[_NAME], kind, now, final=False)
    queue.tell_text(EventType.RETRYING, now, _id(row), row[_NAME], outcome.reason)


def past_with(
    row: Row, outcome: Literal["failed", "retried", "crashed"], reason: str, now: Millis, *,
    retry_delay_ms: Millis | None = None, traced: bool = False,
) -> str:  # fmt: skip
    """The attempts of an active job (LOOK), with this one that has just ended."""
    return add_past(
        row[PAST],
        PastAttempt(row[_MADE] + 1, row[_STARTED], now, row[_WORKER] or "", outcome, reason, retry_delay_ms, traced),
    )


def _park(unit: Unit, queue: QueueRow, row: Row, now: Millis) -> None:
    queue.tell(EventType.WAITING_CHILDREN, now, _id(row), row[_NAME])
    # Asked again: a child may have ended in this very batch, after the rows were read.
    if not unit.number("SELECT pending FROM corral_job WHERE pk = ?", (row[_PK],)):
        spend(unit, row[_PK])
        to_later(unit, queue, row[_PK], row[_PRIORITY], row[GROUP], 0, now)
        return
    unit.db.execute("UPDATE corral_job SET state = 3, k1 = ?, k2 = pk, token = NULL WHERE pk = ?", (now, row[_PK]))
    queue.move(ACTIVE, CHILDREN)
    parked_parent(unit, row[_PK], now)


def _hold(unit: Unit, queue: QueueRow, row: Row, outcome: Limited, now: Millis) -> None:
    """Hold the group, or the queue, of a job whose other side asked for a pause."""
    until = now + outcome.after_ms
    if outcome.group and row[GROUP] is not None:
        until = lengthen(unit.group(queue, row[GROUP], now), until, outcome.reason)
    else:
        until = hold_on(unit, queue, until, outcome.reason)
    queue.tell(EventType.LIMITED, now, _id(row), row[_NAME], str(until))


def _give_back(unit: Unit, queue: QueueRow, back: list[tuple[Row, Released | Limited | Crashed]], now: Millis) -> None:
    """Released and crashed jobs go to the front together, so that they keep the order they were claimed in."""
    front = []
    for row, outcome in sorted(back, key=_serving_order):
        if isinstance(outcome, Crashed):
            crashes = row[_CRASHES] + 1
            past = past_with(row, "crashed", outcome.reason, now)
            unit.db.execute(
                "UPDATE corral_job SET crashes = ?, reason = ?, past = ? WHERE pk = ?",
                (crashes, outcome.reason, past, row[_PK]),
            )
            queue.tell_text(EventType.STALLED, now, _id(row), row[_NAME], outcome.reason)
            if crashes >= crashes_allowed(unit, row[_PK], outcome.limit):
                reason = quarantine_reason(crashes, outcome.reason)
                fail(unit, queue, row, reason, None, outcome.keep, now, past=past, attempt=0)
                continue
        elif isinstance(outcome, Released):
            queue.tell(EventType.RELEASED, now, _id(row), row[_NAME])
        front.append((row[_PK], row[_PRIORITY], row[GROUP]))
    if front:
        to_front(unit, queue, front, now)


def crashes_allowed(unit: Unit, pk: int, limit: int) -> int:
    """How many workers may die with a job: its own number wins. Asked only when one has."""
    text = unit.one("SELECT options FROM corral_job WHERE pk = ?", (pk,))
    own = None if text is None else shown_options(str(text)).max_crashes
    return limit if own is None else own


def _serving_order(one: tuple[Row, Outcome]) -> tuple[int, Millis, int]:
    row = one[0]
    return serving_order(row[_PRIORITY], row[_STARTED], row[_ORDER])


def quarantine_reason(crashes: int, reason: str) -> str:
    """What people read on a job that crashed too many workers."""
    return f"quarantined after {crashes} crash{'es' * (crashes > 1)}: {reason}"
