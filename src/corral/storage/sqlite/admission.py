"""Admission: whether a job with a deduplication id is let in, and what becomes of the one that stands in its way."""

import msgspec

from corral.event import EventType
from corral.job import JobId, NewJob
from corral.storage.sqlite import dedup
from corral.storage.sqlite.flows import find_pk, gone, uncouple
from corral.storage.sqlite.unit import ACTIVE, DELAYED, QueueRow, Unit
from corral.timing import Millis

_encode = msgspec.json.Encoder().encode


def admit(unit: Unit, queue: QueueRow, job: NewJob, now: Millis) -> JobId | None:
    """Let a job in (None), or answer who keeps it out. Whoever is let in owns the id, by the number it is to get."""
    wish = job.dedup
    assert wish is not None  # the caller looks: most jobs have none
    dedup.forget_old(unit, now)
    expires_at = None if wish.ttl_ms is None or wish.keep_last else now + wish.ttl_ms
    own_id = job.id or str(queue.next_id)
    found = dedup.owner_of(unit, queue, wish.id, now)
    pk = None if found is None else find_pk(unit, queue, found[0])
    if found is None or (pk is None and not found[1]):  # free, or its owner is gone and nobody could tell
        dedup.own(unit, queue, wish.id, own_id, expires_at)
        return None
    owner = found[0]
    state = None if pk is None else unit.number("SELECT state FROM corral_job WHERE pk = ?", (pk,))
    if wish.keep_last and (state == ACTIVE or dedup.keeps_one(unit, queue, wish.id)):
        dedup.keep(unit, queue, wish.id, job)
    elif wish.replace:
        if pk is None or state != DELAYED:
            return owner
        _replace(unit, queue, pk, owner, now)
        _tell(queue, job, own_id, owner, now)
        if wish.extend and expires_at is not None:
            dedup.own(unit, queue, wish.id, own_id, expires_at)
        else:
            dedup.pass_on(unit, queue, wish.id, own_id)
        return None
    else:
        if wish.extend and expires_at is not None:
            dedup.extend(unit, queue, wish.id, expires_at)
        if wish.reschedule and pk is not None and state == DELAYED:
            _reschedule(unit, queue, pk, owner, job, now)
    _tell(queue, job, owner, job.id, now)
    return owner


def _tell(queue: QueueRow, job: NewJob, stays: JobId, goes: JobId | None, now: Millis) -> None:
    assert job.dedup is not None
    detail = _encode({"dedup": job.dedup.id, "kept_out": goes}).decode()
    queue.tell(EventType.DEDUPLICATED, now, stays, job.name, detail)


def _replace(unit: Unit, queue: QueueRow, pk: int, owner: JobId, now: Millis) -> None:
    """Remove a delayed owner. With plain statements: an application's own connection may do this."""
    row = unit.row("SELECT name, parent, edges FROM corral_job WHERE pk = ?", (pk,))
    assert row is not None  # its state has just been read
    name, parent, edges = row
    uncouple(unit, pk, edges)
    for sql in (
        "DELETE FROM corral_log WHERE job = ?",
        "DELETE FROM corral_child WHERE parent = ?",
        "DELETE FROM corral_job WHERE pk = ?",
    ):
        unit.db.execute(sql, (pk,))
    gone(unit, parent, edges, pk, now)
    queue.count[DELAYED] -= 1
    queue.tell(EventType.REMOVED, now, owner, name)


def _reschedule(unit: Unit, queue: QueueRow, pk: int, owner: JobId, job: NewJob, now: Millis) -> None:
    due = job.run_at if job.run_at is not None else now + job.delay_ms
    sql = "UPDATE corral_job SET k1 = ?, k2 = ?, ready_at = ? WHERE pk = ? RETURNING name"
    name = unit.one(sql, (due, queue.take(), due, pk))
    queue.tell(EventType.DELAYED, now, owner, str(name), str(due))
    unit.ready.add(queue.name)
