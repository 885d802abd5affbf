"""Where jobs stand: pages of them in order, how many are before one, and the groups they stand in."""

from collections.abc import Sequence

from corral.job import Job, JobState
from corral.storage.insight import GroupInfo, Page, Place
from corral.storage.sqlite.commands import CODES
from corral.storage.sqlite.flows import find_pk
from corral.storage.sqlite.grouprow import GROUP_COLUMNS, GroupRow
from corral.storage.sqlite.rows import JOB_COLUMNS, LEAN_COLUMNS, to_job, to_lean_job
from corral.storage.sqlite.unit import (
    COMPLETED,
    COUNTED,
    DELAYED,
    FAILED,
    GROUPED,
    HELD,
    WAITING,
    QueueRow,
    Row,
    Unit,
    Value,
    numbers_in,
)
from corral.storage.sqlite.windows import full_until
from corral.timing import Millis

#: Jobs before one that are counted: 100,000 entries of an index are 3 ms.
FAR = 100_000
#: Where groups stand among ranks (below) and times (above), when states are merged.
_BEHIND = 1 << 22

_SHOWN = "queue = ? AND (waiting > 0 OR active > 0 OR settings IS NOT NULL)"


def page(
    unit: Unit, name: str, states: Sequence[JobState], start: int, limit: int, newest_first: bool,
    job_name: str | None, group: str | None, lean: bool = False, ended_by: Millis | None = None,
) -> Page[Job]:  # fmt: skip
    """A stretch of the jobs in some states. The total comes from the counters unless there is a filter."""
    queue = unit.look(name)
    if queue is None:
        return Page((), 0)
    codes = sorted({code for state in states for code in CODES[state]})
    filters = [("name = ?", job_name)] if job_name is not None else []
    filters += [("gid = ?", group)] if group is not None else []
    where = "".join(f" AND {sql}" for sql, _ in filters)
    values = tuple(value for _, value in filters)
    if filters:
        sql = f"SELECT count(*) FROM corral_job WHERE queue = ? AND state IN carray(?){where}"  # noqa: S608
        total = int(unit.rows(sql, (queue.pk, numbers_in(codes), *values))[0][0])
    else:
        total = sum(queue.count[code] for code in codes if COUNTED[code] == code)
    # Waiting jobs are listed as they will be served; turning that round would put the last first.
    descending = newest_first and not set(codes) & {WAITING, DELAYED}
    start, limit = max(0, start), max(0, limit)
    if len(codes) == 1 and codes[0] not in (HELD, GROUPED):  # one run of the index, which skips a million in 30 ms
        pks = _stretch(unit, queue, codes[0], where, values, descending, limit, start, ended_by)
    else:
        pks = _places(unit, queue, codes, where, values, descending, start + limit, ended_by)[start:]
    columns, read = (LEAN_COLUMNS, to_lean_job) if lean else (JOB_COLUMNS, to_job)
    rows = [unit.rows(f"SELECT {columns} FROM corral_job WHERE pk = ?", (pk,))[0] for pk in pks]  # noqa: S608
    return Page(tuple(read(name, row) for row in rows), total)


def _stretch(
    unit: Unit, queue: QueueRow, code: int, where: str, values: tuple[Value, ...], descending: bool, limit: int,
    start: int, ended_by: Millis | None,
) -> list[int]:  # fmt: skip
    """The keys of a stretch of the jobs in one state, in order."""
    way = "DESC" if descending else "ASC"
    until, end = _until(code, ended_by)
    select = f"SELECT pk FROM corral_job WHERE queue = ? AND state = ?{until}{where}"  # noqa: S608
    sql = f"{select} ORDER BY k1 {way}, k2 {way}, pk {way} LIMIT ? OFFSET ?"
    return [row[0] for row in unit.rows(sql, (queue.pk, code, *end, *values, limit, start))]


def _until(code: int, ended_by: Millis | None) -> tuple[str, tuple[Value, ...]]:
    """The end of the run of a state of finished jobs."""
    return ("", ()) if ended_by is None or code not in (COMPLETED, FAILED) else (" AND k1 <= ?", (ended_by,))


def _places(
    unit: Unit, queue: QueueRow, codes: Sequence[int], where: str, values: tuple[Value, ...], descending: bool,
    end: int, ended_by: Millis | None,
) -> list[int]:  # fmt: skip
    """The keys of the first `end` jobs in these states, in order.

    Each state is read along the index as far as needed and then merged: one query over several states would sort all
    their jobs. Jobs that wait in groups come behind the other waiting ones.
    """
    way = "DESC" if descending else "ASC"
    select = f"SELECT k1, k2, pk, gid FROM corral_job WHERE queue = ? AND state = ?{where}"  # noqa: S608
    found: list[tuple[int, bytes, int, int, int]] = []
    for code in codes:
        if code != GROUPED:
            own = " AND gid IS NULL" if code == HELD else ""
            until, last = _until(code, ended_by)
            sql = f"{select}{own}{until} ORDER BY k1 {way}, k2 {way}, pk {way} LIMIT ?"
            found += [(row[0], b"", *row[:3]) for row in unit.rows(sql, (queue.pk, code, *values, *last, end))]
        if code in (HELD, GROUPED) and queue.grouped:
            sql = f"{select} AND gid IS NOT NULL ORDER BY gid, k1, k2, pk LIMIT ?"
            rows = unit.rows(sql, (queue.pk, code, *values, end))
            found += [(_BEHIND, str(row[3]).encode(), *row[:3]) for row in rows]
    found.sort(reverse=descending)
    return [row[-1] for row in found[:end]]


def place(unit: Unit, name: str, job_id: str) -> Place | None:
    """How many stand before a job."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, job_id)
    row = None if pk is None else unit.row("SELECT state, k1, k2, gid FROM corral_job WHERE pk = ?", (pk,))
    if queue is None or row is None or COUNTED[row[0]] not in (WAITING, DELAYED):
        return None
    state, _, _, group = row
    if state == DELAYED:
        ahead, groups = _before(unit, queue, DELAYED, "", (), row), 0
    elif group is None:
        own = (_before(unit, queue, code, " AND gid IS NULL", (), row) for code in (WAITING, HELD))
        ahead, groups = sum(own), 0
    else:
        own = (_before(unit, queue, code, " AND gid = ?", (group,), row) for code in (GROUPED, HELD))
        ahead = sum(own)
        groups = unit.number("SELECT count(*) FROM corral_group WHERE queue = ? AND waiting > 0", (queue.pk,)) or 0
    return Place(ahead=min(ahead, FAR), exact=ahead < FAR, groups=groups)


def _before(unit: Unit, queue: QueueRow, code: int, where: str, values: tuple[Value, ...], row: Row) -> int:
    inner = f"SELECT 1 FROM corral_job WHERE queue = ? AND state = ?{where} AND (k1, k2) < (?, ?) LIMIT ?"  # noqa: S608
    sql = f"SELECT count(*) FROM ({inner})"  # noqa: S608  # constants only
    return unit.number(sql, (queue.pk, code, *values, row[1], row[2], FAR)) or 0


def groups(unit: Unit, name: str, start: int, limit: int) -> Page[GroupInfo]:
    """Groups that have jobs or settings, by id."""
    queue = unit.look(name)
    if queue is None:
        return Page((), 0)
    total = unit.number(f"SELECT count(*) FROM corral_group WHERE {_SHOWN}", (queue.pk,)) or 0  # noqa: S608
    sql = f"SELECT {GROUP_COLUMNS} FROM corral_group WHERE {_SHOWN} ORDER BY id LIMIT ? OFFSET ?"  # noqa: S608
    rows = unit.rows(sql, (queue.pk, max(0, limit), max(0, start)))
    return Page(tuple(_info(queue, GroupRow(row[0], row)) for row in rows), total)


def _info(queue: QueueRow, group: GroupRow) -> GroupInfo:
    settings = group.settings
    return GroupInfo(
        id=group.id,
        waiting=group.waiting,
        active=group.active,
        paused=settings.paused,
        limits=settings.limits,
        held_until=settings.held_until,
        hold_reason=settings.hold_reason,
        probing=settings.probing,
        free_at=full_until(group.limits(queue.info.group_limits).rate_limits, group.windows, None),
    )
