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
from corral.storage.port import QueueInfo
from corral.timing import Millis

Value: TypeAlias = int | str | bytes | float | None
#: A row as it was selected: its types are those of the columns, which no type checker can see.
Row: TypeAlias = tuple[Any, ...]

WAITING, DELAYED, ACTIVE, CHILDREN, COMPLETED, FAILED, HELD = range(7)
#: The counter column of each state. Held jobs are waiting ones that are out of the way.
COUNTER = ("waiting", "delayed", "active", "children", "completed", "failed", "waiting")

#: Events a queue keeps. 10,000 is BullMQ's default too.
MAX_EVENTS = 10_000
#: A result or reason longer than this stays with the job and is not copied into its event (2,000 of 10 kB were 20 MB).
MAX_DETAIL = 1_000

EVENT_TYPES = tuple(EventType)
EVENT_CODE = {kind: code for code, kind in enumerate(EVENT_TYPES)}

_encode_info = msgspec.json.Encoder().encode
_decode_info = msgspec.json.Decoder(QueueInfo).decode
_pack = msgspec.msgpack.Encoder().encode

_COLUMNS = (
    "pk, name, settings, waiting, delayed, active, children, completed, failed, completed_total, failed_total, "
    "window_at, window_used, next_event, next_number, "
    "next_id, add_at, add_used"
)
_SELECT_QUEUE = f"SELECT {_COLUMNS} FROM corral_queue WHERE name = ?"  # noqa: S608  # constants only
_UPDATE_QUEUE = (
    "UPDATE corral_queue SET waiting=?, delayed=?, active=?, children=?, completed=?, failed=?, completed_total=?, "
    "failed_total=?, window_at=?, window_used=?, next_event=?, next_number=?, "
    "next_id=?, add_at=?, add_used=? WHERE pk=?"
)


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
        "info",
        "name",
        "next_event",
        "next_id",
        "next_number",
        "pk",
        "stored",
        "window_at",
        "window_used",
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
        self.info = QueueInfo(name=self.name) if settings == "{}" else _decode_info(settings)
        self.events: list[tuple[int, Millis, str | None, str | None, str | None]] = []
        self.stored: tuple[int, ...] = row[3:]  # in the order of `columns`

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
        self.count[WAITING if source == HELD else source] -= jobs
        self.count[WAITING if target == HELD else target] += jobs

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

    __slots__ = ("_queues", "db", "ready")

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self.ready: set[str] = set()  #: queues in which something became claimable
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
        self.db.execute(_UPDATE_QUEUE, (*(0,) * 10, queue.next_event, queue.next_number, queue.next_id, 0, 0, queue.pk))
        self.db.execute("UPDATE corral_queue SET settings = NULL WHERE pk = ?", (queue.pk,))
        self._queues[queue.name] = None

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
            if queue.events:
                self._store_events(queue)
                told.add(queue.name)
            self._store_counts(queue)
        return told

    def _store_counts(self, queue: QueueRow) -> None:
        columns = queue.columns()
        if columns != queue.stored:  # a beat or a claim that found nothing must not cost a write to the disk
            self.db.execute(_UPDATE_QUEUE, (*columns, queue.pk))

    def _store_events(self, queue: QueueRow) -> None:
        first, last = queue.next_event, queue.next_event + len(queue.events)
        self.db.execute("INSERT INTO corral_event VALUES (?, ?, ?)", (queue.pk, first, _pack(queue.events)))
        queue.next_event = last
        if first // 500 != last // 500:  # look for old ones once in 500 events, not at every transaction
            self.db.execute("DELETE FROM corral_event WHERE queue = ? AND seq < ?", (queue.pk, last - MAX_EVENTS))
