"""heartbeat and recover: who is alive, and what becomes of the jobs of those who are not."""

from collections.abc import Sequence

import msgspec

from corral.event import EventType
from corral.options import Keep
from corral.storage.port import Lease, Pulse, Recovered, WorkerInfo
from corral.storage.sqlite.add import add_what_ends_bring
from corral.storage.sqlite.ending import idle, serving_order, to_front, unhold
from corral.storage.sqlite.flows import find_pk
from corral.storage.sqlite.groups import ended as run_ended
from corral.storage.sqlite.groups import tend
from corral.storage.sqlite.settle import GROUP, LOOK, cancelled, crashes_allowed, fail, past_with, quarantine_reason
from corral.storage.sqlite.unit import ACTIVE, Row, Unit, id_of, numbers_in
from corral.timing import Millis

_encode = msgspec.json.Encoder().encode
_SEEN = "INSERT OR REPLACE INTO corral_worker VALUES (?, ?, ?)"


def heartbeat(unit: Unit, worker: WorkerInfo, leases: Sequence[Lease], lease_ms: Millis, now: Millis) -> Pulse:
    """Be seen, renew what is half gone, report what is lost or to be stopped."""
    lost: list[Lease] = []
    cancelled: list[tuple[Lease, str]] = []
    for lease in leases:
        queue = unit.look(lease.queue)
        pk = None if queue is None else find_pk(unit, queue, lease.job_id)
        row = None
        if pk is not None:
            sql = "SELECT k1, cancel FROM corral_job WHERE pk = ? AND state = 2 AND token = ?"
            row = unit.row(sql, (pk, lease.token))
        if row is None:
            lost.append(lease)
            continue
        if row[1] is not None:
            cancelled.append((lease, row[1]))
        # More than 1.5 leases ahead means the clock went back: bring it in, or the job would hang for as long (D10).
        if not now + lease_ms // 2 < row[0] <= now + lease_ms * 3 // 2:
            unit.db.execute("UPDATE corral_job SET k1 = ? WHERE pk = ?", (now + lease_ms, pk))
    _see(unit, worker, lease_ms, now)
    return Pulse(lost=tuple(lost), cancelled=tuple(cancelled))


def _see(unit: Unit, worker: WorkerInfo, lease_ms: Millis, now: Millis) -> None:
    """Note the worker. A beat without news within a third of a lease is dropped: it would cost a write to the disk."""
    if not worker.queues:
        unit.db.execute("DELETE FROM corral_worker WHERE id = ?", (worker.id,))
        return
    row = unit.row("SELECT seen_at, body FROM corral_worker WHERE id = ?", (worker.id,))
    news = row is None or _encode(msgspec.structs.replace(worker, seen_at=row[0])).decode() != row[1]
    if row is None or news or not 0 <= now - row[0] < lease_ms // 3:
        body = _encode(msgspec.structs.replace(worker, seen_at=now)).decode()
        unit.db.execute(_SEEN, (worker.id, now, body))
        unit.db.execute("DELETE FROM corral_worker WHERE seen_at < ?", (now - 3_600_000,))


def recover(unit: Unit, name: str, max_crashes: int, limit: int, now: Millis) -> Recovered:
    """Take back jobs whose lease ran out, a slice at a time."""
    queue = unit.look(name)
    if queue is None:
        return Recovered()
    tend(unit, queue, now)
    if not queue.count[ACTIVE]:
        return Recovered()
    expired = "SELECT pk FROM corral_job WHERE queue = ? AND state = 2 AND k1 <= ? ORDER BY k1 LIMIT ?"
    pks = [row[0] for row in unit.rows(expired, (queue.pk, now, limit))]
    if not pks:
        return Recovered()
    rows: list[Row] = unit.rows(LOOK, (numbers_in(pks), queue.pk))
    rows.sort(key=lambda row: serving_order(row[5], row[3], row[10]))
    requeued, quarantined, front = [], [], []
    keep = queue.info.keep_failed or Keep()
    for row in rows:
        pk, crashes = row[0], row[9] + 1
        called = id_of(pk, row[11])
        past = past_with(row, "crashed", LOST, now)
        unit.db.execute("UPDATE corral_job SET crashes = ?, past = ? WHERE pk = ?", (crashes, past, pk))
        run_ended(unit, queue, row[GROUP], now)
        queue.tell_text(EventType.STALLED, now, called, row[2], LOST)
        if row[12] is not None or crashes >= crashes_allowed(unit, pk, max_crashes):
            reason = quarantine_reason(crashes, LOST) if row[12] is None else cancelled(row[12])
            fail(unit, queue, row, reason, None, keep, now, past=past, attempt=0)
            quarantined.append(called)
        else:
            front.append((pk, row[5], row[GROUP]))
            requeued.append(called)
    if front:
        to_front(unit, queue, front, now)
    unhold(unit, queue, [row[2] for row in rows], now)
    add_what_ends_bring(unit)
    idle(queue, now)
    unit.ready.add(name)
    return Recovered(requeued=tuple(requeued), quarantined=tuple(quarantined), more=len(rows) == limit)


LOST = "the worker running it was lost"
