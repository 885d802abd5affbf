"""Failures by kind: one row per fingerprint, counted with the verdict that tells of it."""

from corral.outcome import Failure
from corral.storage.insight import FailureGroup, Page
from corral.storage.sqlite.unit import QueueRow, Unit
from corral.timing import Millis

#: Kinds a queue keeps, the latest ones.
KINDS = 1_000
_COUNT = (
    "INSERT INTO corral_failure VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "type = excluded.type, message = excluded.message, attempts = attempts + 1, jobs = jobs + excluded.jobs, "
    "last_at = excluded.last_at, last_job = excluded.last_job, last_name = excluded.last_name RETURNING attempts"
)
_LATEST = "ORDER BY last_at DESC, fingerprint DESC LIMIT ? OFFSET ?"


def note_failure(
    unit: Unit, queue: QueueRow, job_id: str, name: str, failure: Failure, now: Millis, *, final: bool
) -> None:
    """Count a failed attempt under its kind."""
    values = (
        queue.pk, failure.fingerprint, failure.type, failure.message, int(final), now, now, job_id, name,
    )  # fmt: skip
    if unit.number(_COUNT, values) == 1:  # a new kind
        old = f"SELECT fingerprint FROM corral_failure WHERE queue = ? {_LATEST}"  # noqa: S608  # constants only
        sql = f"DELETE FROM corral_failure WHERE queue = ? AND fingerprint IN ({old})"  # noqa: S608
        unit.db.execute(sql, (queue.pk, queue.pk, -1, KINDS))


def failures(unit: Unit, name: str, start: int, limit: int) -> Page[FailureGroup]:
    """Kinds, latest first."""
    queue = unit.look(name)
    if queue is None:
        return Page((), 0)
    total = unit.number("SELECT count(*) FROM corral_failure WHERE queue = ?", (queue.pk,)) or 0
    columns = "fingerprint, type, message, attempts, jobs, first_at, last_at, last_job, last_name"
    sql = f"SELECT {columns} FROM corral_failure WHERE queue = ? {_LATEST}"  # noqa: S608  # constants only
    return Page(tuple(_group(*row) for row in unit.rows(sql, (queue.pk, max(0, limit), max(0, start)))), total)


def _group(
    fingerprint: str, kind: str, message: str, attempts: int, jobs: int, first_at: Millis, last_at: Millis,
    last_job: str, last_name: str,
) -> FailureGroup:  # fmt: skip
    return FailureGroup(
        fingerprint=fingerprint, type=kind, message=message, attempts=attempts, jobs=jobs, first_at=first_at,
        last_at=last_at, last_job_id=last_job, last_name=last_name,
    )  # fmt: skip
