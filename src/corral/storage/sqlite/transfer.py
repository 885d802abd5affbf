"""Carrying a queue's content out of an SQLite store and into one."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from corral.job import Job, JobId
from corral.options import ParentPolicy
from corral.storage.sqlite import dedup, unpack
from corral.storage.sqlite.flows import find_pk
from corral.storage.sqlite.rows import JOB_COLUMNS, read_options, to_job
from corral.storage.sqlite.store import SqliteStorage
from corral.storage.sqlite.unit import (
    ACTIVE,
    CHILDREN,
    COMPLETED,
    DELAYED,
    FAILED,
    GROUPED,
    HELD,
    WAITING,
    QueueRow,
    Row,
    Unit,
    id_of,
)
from corral.storage.sqlite.unpack import TIE_STATES
from corral.storage.transfer import (
    DEDUPLICATION,
    LEDGER_KEY,
    SLICE,
    SLICE_BYTES,
    Figures,
    Item,
    Note,
    Notes,
    Packed,
    Parcel,
    Stored,
    Tie,
)
from corral.timing import Millis, now_ms

#: The states in the order they are packed; held jobs and those of groups stand among the waiting ones.
STATES = ((WAITING, HELD, GROUPED), (DELAYED,), (CHILDREN,), (COMPLETED,), (FAILED,))
_MORE = "expires_at, cancel, parent, k2, state, later"
_COLUMNS = f"{JOB_COLUMNS}, {_MORE}"
_SHOWN = JOB_COLUMNS.count(",") + 1
_NEXT = (
    f"SELECT {_COLUMNS} FROM corral_job WHERE queue = ? AND state = ? "  # noqa: S608  # constants only
    "AND (k1, k2, pk) > (?, ?, ?) ORDER BY k1, k2, pk LIMIT ?"
)
_SIZE = 5, 14, 15, 17, 26  # data, progress, result, traces, past: columns that may be long
_FIRST = -(1 << 62)
#: How far up a family is searched for a running job.
GENERATIONS = 20


class _Foreign(msgspec.Struct):
    bullmq: dict[str, tuple[str | None, str | None]] = {}


_Place = tuple[int, int, int, int]
_decode_place = msgspec.json.Decoder(_Place).decode
_decode_foreign = msgspec.json.Decoder(_Foreign).decode
_encode = msgspec.json.Encoder().encode


class SqliteTransfer(SqliteStorage):
    """An SQLite store that can be moved. See `corral.storage.transfer` for what each verb promises."""

    async def pack(self, queue: str, *, after: str = "", limit: int = SLICE) -> Parcel:
        return await self._core.read(lambda unit: pack(unit, queue, after, limit))

    async def look(self, queue: str, ids: Sequence[JobId]) -> list[Packed | None]:
        return await self._core.read(lambda unit: look(unit, queue, ids))

    async def unpack(self, queue: str, items: Sequence[Item]) -> list[bool]:
        return await self._core.write(lambda unit: unpack.unpack(unit, queue, items))

    async def pack_ties(self, queue: str, parents: Sequence[JobId]) -> list[tuple[Tie, ...]]:
        return await self._core.read(lambda unit: [ties(unit, queue, parent) for parent in parents])

    async def unpack_ties(self, queue: str, parent: JobId, ties: Sequence[Tie], *, first: bool) -> None:
        await self._core.write(lambda unit: unpack.unpack_ties(unit, queue, parent, ties, first, now_ms()))

    async def unpack_log(self, queue: str, job_id: JobId, lines: Sequence[str], *, first: bool) -> None:
        await self._core.write(lambda unit: unpack.unpack_log(unit, queue, job_id, lines, first))

    async def mark(self, queue: str, marks: Mapping[JobId, str]) -> None:
        await self._core.write(lambda unit: unpack.mark(unit, queue, marks))

    async def pack_notes(self, queue: str, *, after: str = "", limit: int = SLICE) -> Notes:
        return await self._core.read(lambda unit: notes(unit, queue, after, limit, now_ms()))

    async def pack_figures(self, queue: str) -> Figures:
        return await self._core.read(lambda unit: figures(unit, queue))

    async def unpack_figures(self, queue: str, figures: Figures, *, replace: bool) -> None:
        await self._core.write(lambda unit: unpack.unpack_figures(unit, queue, figures, replace))


# -- jobs --------------------------------------------------------------------------------------------------------------


def pack(unit: Unit, name: str, after: str, limit: int) -> Parcel:
    """The next jobs behind a place: (state's index, k1, k2, pk)."""
    queue = unit.look(name)
    if queue is None:
        return Parcel()
    at, *behind = _decode_place(after) if after else (0, _FIRST, _FIRST, _FIRST)
    packer = _Packer(unit, queue)
    while at < len(STATES):
        for row in _rows(unit, queue, STATES[at], behind, limit - packer.count):
            packer.add(row)
            if packer.full(limit):
                return packer.parcel(_encode((at, row[3], row[_SHOWN + 3], row[0])).decode())
        at, behind = at + 1, [_FIRST, _FIRST, _FIRST]
    return packer.parcel(None)


def _rows(unit: Unit, queue: QueueRow, states: Sequence[int], behind: Sequence[int], limit: int) -> list[Row]:
    found = [row for state in states for row in unit.rows(_NEXT, (queue.pk, state, *behind, limit))]
    if len(states) > 1:
        found.sort(key=lambda row: (row[3], row[_SHOWN + 3], row[0]))
    return found[:limit]


class _Packer:
    """Collects rows until a slice is full."""

    def __init__(self, unit: Unit, queue: QueueRow) -> None:
        self._unit = unit
        self._queue = queue
        self._marks = unit.one("SELECT 1 FROM sqlite_schema WHERE name = 'corral_moved'") is not None
        self._jobs: list[Packed] = []
        self._unreadable: list[JobId] = []
        self._bytes = 0

    @property
    def count(self) -> int:
        return len(self._jobs) + len(self._unreadable)

    def full(self, limit: int) -> bool:
        return self.count >= limit or self._bytes >= SLICE_BYTES

    def parcel(self, place: str | None) -> Parcel:
        return Parcel(jobs=tuple(self._jobs), unreadable=tuple(self._unreadable), next=place)

    def add(self, row: Row) -> None:
        self._bytes += sum(len(row[column] or "") for column in _SIZE)
        packed = self.packed(row)
        if packed is None:
            self._unreadable.append(id_of(row[0], row[1]))
        else:
            self._jobs.append(packed)

    def packed(self, row: Row) -> Packed | None:
        """The job in a row; None for one that another version or another program wrote unreadably."""
        try:
            whole = stored(self._queue.name, row)
        except msgspec.MsgspecError:
            return None
        whole = self._with_key(whole)
        pk, parent = row[0], row[_SHOWN + 2]
        one = self._unit.one
        return Packed(
            stored=whole,
            mark=str(one("SELECT stamp FROM corral_moved WHERE job = ?", (pk,)) or "") if self._marks else "",
            lines=self._unit.number("SELECT count(*) FROM corral_log WHERE job = ?", (pk,)) or 0,
            is_parent=one("SELECT 1 FROM corral_child WHERE parent = ? LIMIT 1", (pk,)) is not None,
            tied=parent is not None,
            stays=parent is not None and row[_SHOWN + 4] not in (COMPLETED, FAILED) and self._runs(parent),
        )

    def _with_key(self, whole: Stored) -> Stored:
        """The job with the deduplication id that it owns, if it does."""
        if whole.job.dedup_id is None:
            return whole
        key = dedup.key_of(self._unit, self._queue, whole.job.dedup_id, whole.job.id)
        if key is None:
            return whole
        until = (None, "" if key.expires_at is None else str(key.expires_at))
        return replace(whole, foreign={**whole.foreign, DEDUPLICATION: until}, follower=key.kept)

    def _runs(self, pk: int | None) -> bool:
        """Whether this job, or one above it, is running."""
        for _ in range(GENERATIONS):
            row = None if pk is None else self._unit.row("SELECT state, parent FROM corral_job WHERE pk = ?", (pk,))
            if row is None:
                return False
            if row[0] == ACTIVE:
                return True
            pk = row[1]
        return False


def stored(queue: str, row: Row) -> Stored:
    """A job from its row (`_COLUMNS`). Raises: msgspec.MsgspecError when it cannot be read."""
    expires_at, cancel, _, _, state, later = row[_SHOWN:]
    job: Job = replace(to_job(queue, row[:_SHOWN]), pending_children=0)
    options = row[6]
    if options is not None:
        read_options(options)  # what is shown to people as none must not be carried as none
    return Stored(
        job=job,
        ready_at=row[9],
        expires_at=expires_at,
        since=row[3] if state == CHILDREN else None,
        cancel=cancel,
        delay_ms=later,
        foreign=_decode_foreign(options).bullmq if options and '"bullmq"' in options else {},
    )


def look(unit: Unit, name: str, ids: Sequence[JobId]) -> list[Packed | None]:
    """Jobs by id."""
    queue = unit.look(name)
    if queue is None:
        return [None] * len(ids)
    packer = _Packer(unit, queue)
    found: list[Packed | None] = []
    for job_id in ids:
        pk = find_pk(unit, queue, job_id)
        row = pk and unit.row(f"SELECT {_COLUMNS} FROM corral_job WHERE pk = ?", (pk,))  # noqa: S608
        found.append(packer.packed(row) if row else None)
    return found


# -- what belongs to them ----------------------------------------------------------------------------------------------


def ties(unit: Unit, name: str, parent: JobId) -> tuple[Tie, ...]:
    """A parent's children."""
    queue = unit.look(name)
    pk = None if queue is None else find_pk(unit, queue, parent)
    sql = (
        "SELECT c.queue, c.id, c.state, c.policy, c.value, a.policy FROM corral_child AS c "
        "LEFT JOIN corral_after AS a ON a.before = c.child AND a.job = c.parent WHERE c.parent = ? ORDER BY c.child"
    )
    return tuple(_tie(row) for row in unit.rows(sql, (pk,)))


def _tie(row: Row) -> Tie:
    queue, job_id, state, policy, value, edge = row
    left = ParentPolicy(policy) if state == FAILED or edge is not None else ParentPolicy.WAIT
    return Tie(queue=queue, id=job_id, state=TIE_STATES[state], policy=left, value=value, after=edge is not None)


def notes(unit: Unit, name: str, after: str, limit: int, now: Millis) -> Notes:
    """Notes behind a key."""
    queue = unit.look(name)
    if queue is None:
        return Notes(())
    sql = (
        "SELECT key, value, expires_at FROM corral_note WHERE queue = ? AND key > ? AND key != ? "
        "AND ifnull(expires_at > ?, 1) ORDER BY key LIMIT ?"
    )
    found = tuple(Note(*row) for row in unit.rows(sql, (queue.pk, after, LEDGER_KEY, now, limit)))
    return Notes(found, found[-1].key if len(found) == limit else None)


def figures(unit: Unit, name: str) -> Figures:
    """The counters."""
    queue = unit.look(name)
    if queue is None:
        return Figures()
    return Figures(last_id=queue.next_id - 1, completed=queue.completed_total, failed=queue.failed_total)
