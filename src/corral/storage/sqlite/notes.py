"""remember: the ledger of effects, where the first note stands."""

from corral.errors import LeaseLostError
from corral.storage.port import Lease
from corral.storage.sqlite.flows import find_pk
from corral.storage.sqlite.unit import Unit
from corral.timing import Millis


def remember(
    unit: Unit, name: str, key: str, value: str | None, replace_it: bool, ttl_ms: Millis | None, lease: Lease | None,
    now: Millis,
) -> str | None:  # fmt: skip
    """Note a value unless there is one; answers what was there. Raises: LeaseLostError."""
    if value is not None and lease is not None:
        _check(unit, lease)
    queue = unit.look(name) if value is None else unit.queue(name)
    if queue is None:
        return None
    old = "SELECT queue, key FROM corral_note WHERE expires_at <= ? LIMIT 1000"  # a million must not stop the store
    unit.db.execute(f"DELETE FROM corral_note WHERE (queue, key) IN ({old})", (now,))  # noqa: S608  # constants only
    fresh = "SELECT value FROM corral_note WHERE queue = ? AND key = ? AND ifnull(expires_at > ?, 1)"
    before = unit.one(fresh, (queue.pk, key, now))
    if value is not None and (before is None or replace_it):
        expires_at = None if ttl_ms is None else now + ttl_ms
        unit.db.execute("INSERT OR REPLACE INTO corral_note VALUES (?, ?, ?, ?)", (queue.pk, key, value, expires_at))
    return None if before is None else str(before)


def _check(unit: Unit, lease: Lease) -> None:
    """Whether the lease is held, by the rule that verdicts are accepted by: what counts is the token, not the time."""
    home = unit.look(lease.queue)
    pk = None if home is None else find_pk(unit, home, lease.job_id)
    held = "SELECT 1 FROM corral_job WHERE pk = ? AND state = 2 AND token = ?"
    if pk is None or unit.one(held, (pk, lease.token)) is None:
        raise LeaseLostError(lease.queue, lease.job_id)
