"""A unit of work: one transaction's view of the queues it touches.

Queue rows are read once and written once per transaction, however many jobs move; events of a transaction become one
row per queue. That is what makes a batch of 100 cost little more than a single job.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import apsw
import msgspec

from corral.event import EventType
from corral.job import NewJob
from corral.storage.port import QueueInfo
from corral.storage.sqlite.grouprow import GROUP_COLUMNS, GroupRow, store_groups
from corral.timing import Millis

Value: TypeAlias = int | str | bytes | float | None
#: A row as it was selected: its types are those of the columns, which no type checker can see.
Row: TypeAlias = tuple[Any, ...]

WAITING, DELAYED, ACTIVE, CHILDREN, COMPLETED, FAILED, HELD, GROUPED = range(8)
#: The state each one is counted in: held jobs and those in groups wait too.
COUNTED = (WAITING, DELAYED, ACTIVE, CHILDREN, COMPLETED, FAILED, WAITING, WAITING)

#: Events a queue keeps. 10,000 is BullMQ's default too.
MAX_EVENTS = 10_000
#: A result or reason longer than this stays with the job and is not copied into its event (2,000 of 10 kB were 20 MB).
MAX_DETAIL = 1_000

_T = EventType
#: Events are stored by their place in this list: new kinds go to its end, or old files would tell of other things.
_KNOWN = (
    _T.ADDED, _T.DUPLICATED, _T.WAITING, _T.DELAYED, _T.ACTIVE, _T.PROGRESS, _T.COMPLETED, _T.RETRYING, _T.FAILED,
    _T.EXPIRED, _T.CANCELLED, _T.STALLED, _T.SNOOZED, _T.RELEASED, _T.WAITING_CHILDREN, _T.REMOVED, _T.DRAINED,
    _T.IDLE, _T.PAUSED, _T.RESUMED, _T.CLEANED, _T.DEDUPLICATED, _T.LIMITED, _T.CUSTOM,
)  # fmt: skip
EVENT_TYPES = (*_KNOWN, *(kind for kind in EventType if kind not in _KNOWN))
EVENT_CODE = {kind: code for code, kind in enumerate(EVENT_TYPES)}

_encode_info = msgspec.json.Encoder().encode
_decode_info = msgspec.json.Decoder(QueueInfo).decode
_pack = msgspec.msgpack.Encoder().encode

_COLUMNS = (
    "pk, name, settings, waiting, delayed, active, children, completed, failed, completed_total, failed_total, "
    "window_at, window_used, next_event, next_number, "
    "next_id, add_at, add_used, grouped, turn, plain_turn, windows"
)
_SELECT_QUEUE = f"SELECT {_COLUMNS} FROM corral_queue WHERE name = ?"  # noqa: S608  # constants only
_UPDATE_QUEUE = (
    "UPDATE corral_queue SET waiting=?, delayed=?, active=?, children=?, completed=?, failed=?, completed_total=?, "
    "failed_total=?, window_at=?, window_used=?, next_event=?, next_number=?, "
    "next_id=?, add_at=?, add_used=? WHERE pk=?"
)
#: Apart, so that queues without groups and windows do not pay for them.
_UPDATE_TURNS = "UPDATE corral_queue SET grouped=?, turn=?, plain_turn=?, windows=? WHERE pk=?"


#: A job's key is its queue's key and, in the low 40 bits, its number in the queue: a million million jobs.
NUMBER_BITS = 40
NUMBER_MASK = (1 << NUMBER_BITS) - 1


def job_key(queue: int, number: int) -> int:
    """The key of a queue's n-th job. Jobs of one queue thus lie together in the file."""
    return queue << NUMBER_BITS | number


def is_number(job_id: str) -> bool:
    """Whether an id may be a job's number: "007" is what another program chose."""
    return job_id.isascii() and job_id.isdecimal() and len(job_id) < 13 and job_id[0] != "0"


def id_of(key: int, chosen: str | None) -> str:
    """What a job is called: the id its caller chose, or its number."""
    return str(key & NUMBER_MASK) if chosen is None else chosen


def numbers_in(values: Iterable[int]) -> object:
    """A list of numbers as one bound value, for `IN carray(?)`. It may not be empty: -1 stands for no row at all."""
    return apsw.carray(array("q", values) or array("q", (-1,)))


class QueueRow:
    """A queue in this transaction. `count` is indexed by state, with held jobs among the waiting."""

    __slots__ = (
        "add_at",
        "add_used",
        "completed_total",
        "count",
        "events",
        "failed_total",
        "grouped",
        "groups",
        "groups_at",
        "info",
        "name",
        "next_event",
        "next_id",
        "next_number",
        "pk",
        "plain_turn",
        "stored",
        "stored_turns",
        "turn",
        "window_at",
        "window_used",
        "windows",
    )

    def __init__(self, row: Row) -> None:
        self.pk: int = row[0]
        self.name: str = row[1]
        settings: str = row[2]
        self.count: list[int] = list(row[3:9])
        self.completed_total: int = row[9]
        self.failed_total: int = row[10]
        self.window_at: Millis = row[11]
        self.window_used: int = row[12]
        self.next_event: int = row[13]
        self.next_number: int = row[14]
        self.next_id: int = row[15]
        self.add_at: Millis = row[16]
        self.add_used: int = row[17]
        self.grouped: int = row[18]  #: waiting jobs in groups, set aside ones included
        self.turn: int = row[19]  #: the turn that was served last in the ring of groups
        self.plain_turn: int = row[20]  #: that of the jobs without a group, while there are groups
        self.windows: str | None = row[21]  #: `Started` as JSON
        self.groups: dict[str, GroupRow] = {}  #: those this transaction has looked at
        self.groups_at: Millis = 0
        self.info = QueueInfo(name=self.name) if settings == "{}" else _decode_info(settings)
        self.events: list[tuple[int, Millis, str | None, str | None, str | None]] = []
        self.stored: tuple[int, ...] = row[3:18]  # in the order of `columns`
        self.stored_turns: tuple[int | str | None, ...] = row[18:]

    def take(self, count: int = 1) -> int:
        """Take `count` places in the order, never given out before; answers the first. Negated they sort in front."""
        first = self.next_number
        self.next_number = first + count
        return first

    def columns(self) -> tuple[int, ...]:
        """The columns that transitions change, in the order of the UPDATE."""
        return (
            *self.count, self.completed_total, self.failed_total, self.window_at, self.window_used, self.next_event,
            self.next_number, self.next_id, self.add_at, self.add_used,
        )  # fmt: skip

    def move(self, source: int, target: int, jobs: int = 1) -> None:
        """Count jobs out of one state into another."""
        self.count[COUNTED[source]] -= jobs
        self.count[COUNTED[target]] += jobs

    def tell_text(self, kind: EventType, at: Millis, job_id: str, name: str | None, text: str) -> None:
        """Write down an event whose detail is a sentence."""
        self.tell(kind, at, job_id, name, _encode_info(text[: MAX_DETAIL // 2]).decode())

    def tell(
        self, kind: EventType, at: Millis, job_id: str | None = None, name: str | None = None, detail: str | None = None
    ) -> None:
        """Write down an event; it is stored with the transaction."""
        if detail is not None and len(detail) > MAX_DETAIL:
            detail = None
        self.events.append((EVENT_CODE[kind], at, job_id, name, detail))


class Unit:
    """What one transaction has read and will write."""

    __slots__ = ("_queues", "adds", "db", "ready")

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self.ready: set[str] = set()  #: queues in which something became claimable
        #: What ends of jobs bring, to be added before the step is over.
        self.adds: list[tuple[Sequence[NewJob], Millis]] = []
        self._queues: dict[str, QueueRow | None] = {}

    # -- queues --------------------------------------------------------------------------------------------------

    def look(self, name: str) -> QueueRow | None:
        """The queue, or None when nobody used this name yet."""
        if name not in self._queues:
            row = self.db.execute(_SELECT_QUEUE, (name,)).fetchone()
            self._queues[name] = None if row is None or row[2] is None else QueueRow(row)
        return self._queues[name]

    def queue(self, name: str) -> QueueRow:
        """The queue, made on first use."""
        row = self.look(name)
        if row is None:
            revive = "INSERT INTO corral_queue (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET settings = '{}'"
            self.db.execute(revive, (name,))
            del self._queues[name]
            row = self.look(name)
            assert row is not None
        return row

    def by_pk(self, pk: int) -> QueueRow:
        """The queue with this key."""
        for row in self._queues.values():
            if row is not None and row.pk == pk:
                return row
        return self.queue(str(self.one("SELECT name FROM corral_queue WHERE pk = ?", (pk,))))

    def save_info(self, queue: QueueRow, info: QueueInfo) -> None:
        """Store changed settings."""
        queue.info = info
        self.db.execute("UPDATE corral_queue SET settings = ? WHERE pk = ?", (_encode_info(info).decode(), queue.pk))

    def bury(self, queue: QueueRow) -> None:
        """The queue is gone. Its row stays with its numbers: an id or a cursor must never mean two things."""
        numbers = (queue.next_event, queue.next_number, queue.next_id)
        self.db.execute(_UPDATE_QUEUE, (*(0,) * 10, *numbers, 0, 0, queue.pk))
        self.db.execute(_UPDATE_TURNS, (0, 0, 0, None, queue.pk))
        self.db.execute("UPDATE corral_queue SET settings = NULL WHERE pk = ?", (queue.pk,))
        self._queues[queue.name] = None

    # -- groups --------------------------------------------------------------------------------------------------

    def group(self, queue: QueueRow, name: str, now: Millis) -> GroupRow:
        """One group of a queue; what becomes of it is written by `sync_groups`."""
        queue.groups_at = now
        group = queue.groups.get(name)
        if group is None:
            row = self.row(f"SELECT {GROUP_COLUMNS} FROM corral_group WHERE queue = ? AND id = ?", (queue.pk, name))  # noqa: S608
            group = queue.groups[name] = GroupRow(name, row)
        return group

    def sync_groups(self, queue: QueueRow, now: Millis) -> None:
        """Let the groups that were looked at into the ring or take them out of it, and write them down."""
        if store_groups(self.db, queue.pk, queue.groups.values(), queue.info.group_limits, queue.turn + 1, now):
            self.ready.add(queue.name)

    # -- rows ----------------------------------------------------------------------------------------------------

    def one(self, sql: str, values: Sequence[Value] = ()) -> Value:
        """The first value of the first row, or None."""
        row = self.db.execute(sql, tuple(values)).fetchone()
        return None if row is None else row[0]

    def number(self, sql: str, values: Sequence[Value] = ()) -> int | None:
        """The first value of the first row, an integer, or None."""
        value = self.one(sql, values)
        assert value is None or isinstance(value, int)
        return value

    def row(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """The first row, or None."""
        found: Row | None = self.db.execute(sql, tuple(values)).fetchone()
        return found

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows."""
        found: list[Row] = self.db.execute(sql, tuple(values)).fetchall()
        return found

    # -- the end -------------------------------------------------------------------------------------------------

    def flush(self) -> set[str]:
        """Write queue rows, events and numbers back; answers the queues that have new events."""
        told = set()
        for queue in self._queues.values():
            if queue is None:
                continue
            if queue.groups:
                self.sync_groups(queue, queue.groups_at)
            if queue.events:
                self._store_events(queue)
                told.add(queue.name)
            self._store_counts(queue)
        return told

    def _store_counts(self, queue: QueueRow) -> None:
        columns = queue.columns()
        if columns != queue.stored:  # a beat or a claim that found nothing must not cost a write to the disk
            self.db.execute(_UPDATE_QUEUE, (*columns, queue.pk))
        turns = (queue.grouped, queue.turn, queue.plain_turn, queue.windows)
        if turns != queue.stored_turns:
            self.db.execute(_UPDATE_TURNS, (*turns, queue.pk))

    def _store_events(self, queue: QueueRow) -> None:
        first, last = queue.next_event, queue.next_event + len(queue.events)
        self.db.execute("INSERT INTO corral_event VALUES (?, ?, ?)", (queue.pk, first, _pack(queue.events)))
        queue.next_event = last
        if first // 500 != last // 500:  # look for old ones once in 500 events, not at every transaction
            self.db.execute("DELETE FROM corral_event WHERE queue = ? AND seq < ?", (queue.pk, last - MAX_EVENTS))
