"""Deduplication ids: who owns one, until when, and what is to be added when the owner has ended."""

from typing import NamedTuple

import msgspec

from corral.job import NewJob
from corral.storage.sqlite.unit import QueueRow, Unit
from corral.timing import Millis

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(NewJob).decode

#: Keys whose time is over, deleted with an add: a million of them must not stop the store.
SLICE = 1_000


class Key(NamedTuple):
    """What stands under a deduplication id, beside its owner."""

    expires_at: Millis | None
    kept: NewJob | None


def key_of(unit: Unit, queue: QueueRow, dedup_id: str, job_id: str) -> Key | None:
    """A deduplication id as this job owns it; None when it does not."""
    sql = "SELECT expires_at, kept FROM corral_dedup WHERE queue = ? AND id = ? AND job = ?"
    row = unit.row(sql, (queue.pk, dedup_id, job_id))
    return None if row is None else Key(row[0], None if row[1] is None else _decode(row[1]))


def owner_of(unit: Unit, queue: QueueRow, dedup_id: str, now: Millis) -> tuple[str, bool] | None:
    """The job that owns an id, and whether it does so for a time of its own; None when the id is free."""
    row = unit.row("SELECT job, expires_at FROM corral_dedup WHERE queue = ? AND id = ?", (queue.pk, dedup_id))
    if row is None or (row[1] is not None and row[1] <= now):
        return None
    return row[0], row[1] is not None


def own(unit: Unit, queue: QueueRow, dedup_id: str, job_id: str, expires_at: Millis | None) -> None:
    """Make a job the owner of an id."""
    unit.db.execute(
        "INSERT OR REPLACE INTO corral_dedup VALUES (?, ?, ?, ?, NULL)", (queue.pk, dedup_id, job_id, expires_at)
    )


def pass_on(unit: Unit, queue: QueueRow, dedup_id: str, job_id: str) -> None:
    """Make another job the owner for the time that is left."""
    unit.db.execute(
        "UPDATE corral_dedup SET job = ?, kept = NULL WHERE queue = ? AND id = ?", (job_id, queue.pk, dedup_id)
    )


def extend(unit: Unit, queue: QueueRow, dedup_id: str, expires_at: Millis) -> None:
    """Begin the owner's time again."""
    unit.db.execute(
        "UPDATE corral_dedup SET expires_at = ? WHERE queue = ? AND id = ?", (expires_at, queue.pk, dedup_id)
    )


def owner_ended(unit: Unit, queue: QueueRow, dedup_id: str, job_id: str, now: Millis) -> None:
    """The id of a job that has ended is free, unless it has a time of its own. What was kept out last is added.

    That takes the id over, whatever time of the owner another newcomer has begun meanwhile.
    """
    sql = (
        "DELETE FROM corral_dedup WHERE queue = ? AND id = ? AND job = ? "
        "AND (expires_at IS NULL OR expires_at <= ? OR kept IS NOT NULL) RETURNING kept"
    )
    row = unit.row(sql, (queue.pk, dedup_id, job_id, now))
    if row is not None and row[0] is not None:
        unit.adds.append(((_decode(row[0]),), now))


def owner_removed(unit: Unit, queue: QueueRow, dedup_id: str, job_id: str) -> None:
    """The id of a job that was removed is free, whatever its time, and what it kept out is forgotten."""
    sql = "DELETE FROM corral_dedup WHERE queue = ? AND id = ? AND job = ?"
    unit.db.execute(sql, (queue.pk, dedup_id, job_id))


def keep(unit: Unit, queue: QueueRow, dedup_id: str, job: NewJob) -> None:
    """Note what is to be added when the owner has ended, in place of what was noted before."""
    unit.db.execute(
        "UPDATE corral_dedup SET kept = ?, expires_at = NULL WHERE queue = ? AND id = ?",
        (_encode(job).decode(), queue.pk, dedup_id),
    )


def keeps_one(unit: Unit, queue: QueueRow, dedup_id: str) -> bool:
    """Whether one is noted for the owner's end: it makes room for a newer one though the owner waits again."""
    sql = "SELECT 1 FROM corral_dedup WHERE queue = ? AND id = ? AND kept IS NOT NULL"
    return unit.row(sql, (queue.pk, dedup_id)) is not None


def forget_old(unit: Unit, now: Millis) -> None:
    """Delete ids whose time is over."""
    old = f"SELECT queue, id FROM corral_dedup WHERE expires_at <= ? LIMIT {SLICE}"  # noqa: S608  # constants only
    unit.db.execute(f"DELETE FROM corral_dedup WHERE (queue, id) IN ({old})", (now,))  # noqa: S608


def deduplication(unit: Unit, name: str, dedup_id: str, now: Millis) -> str | None:
    """Who owns an id."""
    queue = unit.look(name)
    found = None if queue is None else owner_of(unit, queue, dedup_id, now)
    return None if found is None else found[0]


def let_go(unit: Unit, name: str, dedup_id: str, now: Millis) -> str | None:
    """Free an id, and forget what its owner kept out; answers who owned it."""
    before = deduplication(unit, name, dedup_id, now)
    queue = unit.look(name)
    if queue is not None:
        unit.db.execute("DELETE FROM corral_dedup WHERE queue = ? AND id = ?", (queue.pk, dedup_id))
    return before
