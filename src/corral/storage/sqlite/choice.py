"""What a claim picks: jobs as they stand in line, without those that expired and those whose name has no room."""

from collections import Counter
from typing import Final

from corral.event import EventType
from corral.storage.sqlite.ending import BACK, HELD_OF_NAME, fail_pending, serve_again
from corral.storage.sqlite.groups import set_aside
from corral.storage.sqlite.unit import GROUPED, WAITING, QueueRow, Row, Unit
from corral.storage.sqlite.windows import count_starts, full_until, read_started, room, started_text
from corral.timing import Millis

#: Jobs passed over per call: set aside because their name has no room, or failed because they expired.
PASS_OVER = 1_000
#: Jobs looked at at once after the first ones turned out to be of no use.
LOOK_AHEAD = 100

#: What a claim reads of a waiting job; the rest only where there are groups, or jobs may be passed over.
FEW_COLUMNS = (
    "pk, id, name, data, options, priority, created_at, attempts_started, attempts_made, crashes, progress, "
    "reason, traces, schedule, scheduled_for, parent_ref, pending, expires_at, past, dedup, fingerprint, ready_at"
)
FEW: Final = 22
COLUMNS = f"{FEW_COLUMNS}, gid, k1, k2"
PK: Final = 0
NAME: Final = 2
EXPIRES: Final = 17
GID: Final = 22
_K1: Final = 23
_K2: Final = 24

_OWN = (
    f"SELECT {COLUMNS} FROM corral_job WHERE queue = ? AND state = 0 "  # noqa: S608  # constants only
    "AND (k1, k2) > (?, ?) ORDER BY k1, k2 LIMIT ?"
)
_OF_GROUP = (
    f"SELECT {COLUMNS} FROM corral_job WHERE queue = ? AND state = 7 AND gid = ? "  # noqa: S608  # constants only
    "AND (k1, k2) > (?, ?) ORDER BY k1, k2 LIMIT ?"
)


class Source:
    """Waiting jobs of the queue itself, or of one group, in order, read a few at a time."""

    def __init__(self, unit: Unit, queue: QueueRow, size: int, group: str | None = None) -> None:
        self._unit = unit
        self._sql = _OWN if group is None else _OF_GROUP
        self._list = (queue.pk,) if group is None else (queue.pk, group)
        self._size = size
        self._behind: tuple[int, int] | None = (-1, 0)  #: where reading goes on; None: there is no more
        self._rows: list[Row] = []  #: the next one last

    def peek(self) -> Row | None:
        """The next job, None at the end."""
        if not self._rows and self._behind is not None:
            rows = self._unit.rows(self._sql, (*self._list, *self._behind, self._size))
            self._behind = (rows[-1][_K1], rows[-1][_K2]) if len(rows) == self._size else None
            self._size = max(self._size, LOOK_AHEAD)
            self._rows = rows[::-1]
        return self._rows[-1] if self._rows else None

    def pop(self) -> None:
        """Go on behind the next job."""
        self._rows.pop()

    def read_again(self, row: Row) -> None:
        """Go on behind this job with what stands there by now."""
        self._behind, self._rows = (row[_K1], row[_K2]), []


class Choice:
    """The jobs a claim has picked so far, and those it passed over on the way."""

    def __init__(self, unit: Unit, queue: QueueRow, count: int, now: Millis) -> None:
        self._unit = unit
        self._queue = queue
        self._now = now
        self.left = count
        self.rows: list[Row] = []
        self.stopped = False  #: so many were passed over that the rest is for the next call
        self._picked: set[int] = set()
        self._passed = 0
        self._expired: list[Row] = []
        self._aside: list[Row] = []
        self._caps = queue.info.name_concurrency
        self._limits = queue.info.name_limits
        self._running = _running_by_name(unit, queue) if self._caps else {}
        self._started = read_started(queue.windows)
        self._rooms: dict[str, int] = {}
        self._starts: Counter[str] = Counter()
        self._shut: set[str] = set(self._started.shut)

    def pick(self, source: Source, until: int | None = None) -> Row | None:
        """The next job that may run, of ranks up to `until`; None when there is none."""
        while self.left and not self.stopped and (row := source.peek()) is not None:
            if until is not None and row[_K1] > until:
                return None
            source.pop()
            if row[PK] in self._picked:
                continue
            name = row[NAME]
            if row[EXPIRES] is not None and row[EXPIRES] <= self._now:
                self._expired.append(row)
                # Its slot is the next one's of its name, which may stand before those that have been read.
                if name in self._caps and serve_again(self._unit, self._queue, name, 1, self._now):
                    source.read_again(row)
            elif (self._caps or self._limits) and not self._has_room(name):
                self._aside.append(row)
            else:
                self.rows.append(row)
                self._picked.add(row[PK])
                self.left -= 1
                return row
            self._passed += 1
            self.stopped = self._passed >= PASS_OVER
        return None

    def _room_of(self, name: str) -> int:
        """How many of this name may start."""
        most = self._caps[name] - self._running.get(name, 0) if name in self._caps else PASS_OVER
        if name in self._limits:
            if name not in self._rooms:
                windows = self._started.names.get(name, ())
                self._rooms[name] = room(self._limits[name], windows, self._now)
            most = min(most, self._rooms[name])
        return most

    def _has_room(self, name: str) -> bool:
        """Whether one more of this name may start; counts it then."""
        if self._room_of(name) <= 0:
            if self._rooms.get(name, 1) <= 0:
                self._shut.add(name)
            return False
        if name in self._limits:
            self._rooms[name] -= 1
            self._starts[name] += 1
        if name in self._caps:
            self._running[name] = self._running.get(name, 0) + 1
        return True

    def pass_over(self) -> bool:
        """Write down what was passed over; True when that may have brought back jobs for which there is room."""
        expired, aside, self._expired, self._aside = self._expired, self._aside, [], []
        if aside:
            self._unit.db.executemany("UPDATE corral_job SET state = 6 WHERE pk = ?", [(row[PK],) for row in aside])
            for row in aside:
                set_aside(self._unit, self._queue, row[GID], self._now)
        for row in expired:
            state = WAITING if row[GID] is None else GROUPED
            fail_pending(self._unit, self._queue, row[PK], state, "expired", self._now, first=EventType.EXPIRED)
        if not self.left or self.stopped:
            return False
        return self._bring_back() or any(row[NAME] in self._caps for row in expired)

    def _bring_back(self) -> bool:
        """Serve held jobs for whose name there is room while slots stay empty.

        Whoever ends brings one held job of its name back, but that one may stand in a group that is blocked.
        """
        queue, found = self._queue, False
        for name in {*self._caps, *self._limits} if queue.grouped else ():
            wanted = min(self.left, self._room_of(name))
            for pk, group in self._unit.rows(HELD_OF_NAME, (queue.pk, name, PASS_OVER)) if wanted > 0 else ():
                if group is not None and self._is_blocked(group):
                    continue
                self._unit.db.execute(BACK, (pk,))
                set_aside(self._unit, queue, group, self._now, -1)
                found, wanted = True, wanted - 1
                if not wanted:
                    break
        return found

    def _is_blocked(self, group: str) -> bool:
        row = self._unit.group(self._queue, group, self._now)
        return row.blocked(self._queue.info.group_limits, self._now)[0]

    def count_starts(self) -> None:
        """Count the starts of names that have a limit."""
        if self._starts or self._shut:
            for name, count in self._starts.items():
                count_starts(self._limits[name], self._started.names.setdefault(name, []), count, self._now)
            self._started.shut = sorted(self._shut)
            self._queue.windows = started_text(self._started, self._now)


def _running_by_name(unit: Unit, queue: QueueRow) -> dict[str, int]:
    rows = unit.rows("SELECT name, count(*) FROM corral_job WHERE queue = ? AND state = 2 GROUP BY name", (queue.pk,))
    return {row[0]: row[1] for row in rows}


def open_names(unit: Unit, queue: QueueRow, now: Millis) -> None:
    """Serve jobs again whose name has room now."""
    started = read_started(queue.windows)
    limits = queue.info.name_limits
    shut = []
    for name in started.shut:
        wanted = min(room(limits.get(name, ()), started.names.get(name, ()), now), PASS_OVER)
        # With as many as were wanted there may be more of them: looked at again when these have started.
        if wanted <= 0 or serve_again(unit, queue, name, wanted, now) == wanted:
            shut.append(name)
    if shut != started.shut:
        started.shut = shut
        queue.windows = started_text(started, now)


def names_free_at(queue: QueueRow, now: Millis) -> Millis | None:
    """When the next name has room again of which jobs are set aside."""
    started = read_started(queue.windows)
    limits = queue.info.name_limits
    ends = [full_until(limits.get(name, ()), started.names.get(name, ()), now) for name in started.shut]
    return min((end for end in ends if end is not None), default=None)
