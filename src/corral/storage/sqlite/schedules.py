"""The table of schedules. Times are computed by the caller; this file only compares and stores them."""

import logging
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from corral.job import NewJob
from corral.schedule import Overlap, Schedule
from corral.storage.port import Added
from corral.storage.sqlite.add import add
from corral.storage.sqlite.flows import find_pk
from corral.storage.sqlite.unit import COMPLETED, FAILED, Unit
from corral.timing import Millis

logger = logging.getLogger("corral.storage")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Schedule).decode


def read(unit: Unit, queue: str, key: str) -> Schedule | None:
    """One stored schedule; None where there is none, or none that can be read."""
    body = unit.one("SELECT body FROM corral_schedule WHERE queue = ? AND key = ?", (queue, key))
    return None if body is None else decode(str(body))


def write(unit: Unit, schedule: Schedule) -> None:
    """Store a schedule. A paused or ended one is not among the due ones."""
    due = None if schedule.paused else schedule.next_at
    unit.db.execute(
        "INSERT OR REPLACE INTO corral_schedule VALUES (?, ?, ?, ?)",
        (schedule.queue, schedule.key, due, _encode(schedule).decode()),
    )


def put_schedules(unit: Unit, schedules: Sequence[Schedule], now: Millis) -> list[Schedule]:
    """Create or replace; what a schedule has done so far is kept."""
    stored = []
    for schedule in schedules:
        before = read(unit, schedule.queue, schedule.key)
        if before is not None:
            schedule = replace(schedule, fired=before.fired, last_at=before.last_at, last_job_id=before.last_job_id)
        write(unit, schedule)
        unit.queue(schedule.queue)
        unit.ready.add(schedule.queue)
        stored.append(schedule)
    return stored


def fire_schedule(
    unit: Unit, name: str, key: str, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None, now: Millis
) -> list[Added] | None:
    """Take the slot if nobody did, add its jobs, arm the next one."""
    schedule = read(unit, name, key)
    if schedule is None or schedule.paused or schedule.next_at != slot:
        return None
    skip = schedule.overlap is Overlap.SKIP and _running(unit, schedule)
    added = [] if skip else add(unit, jobs, now)
    last = added[-1].id if added else schedule.last_job_id
    write(
        unit,
        replace(schedule, next_at=next_at, last_at=slot, last_job_id=last, fired=schedule.fired + len(added)),
    )
    return added


def _running(unit: Unit, schedule: Schedule) -> bool:
    queue = unit.look(schedule.queue)
    if queue is None or schedule.last_job_id is None:
        return False
    pk = find_pk(unit, queue, schedule.last_job_id)
    state = None if pk is None else unit.one("SELECT state FROM corral_job WHERE pk = ?", (pk,))
    return state is not None and state not in (COMPLETED, FAILED)


def drop_schedules(unit: Unit, name: str, keys: Sequence[str]) -> list[str]:
    """Delete schedules."""
    sql = "DELETE FROM corral_schedule WHERE queue = ? AND key = ? RETURNING key"
    return [key for key in keys if unit.one(sql, (name, key)) is not None]


def decode(body: str) -> Schedule | None:
    """A schedule from its stored text; None when it means nothing here, such as a time zone this machine lacks."""
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        logger.error("a stored schedule cannot be read and is left out: %s", error)
        return None
