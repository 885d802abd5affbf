"""The ring: groups take turns. Whoever has the smallest turn is served and goes to the end, at the next turn.

The time a group spent outside counts for nothing: it enters at the turn after the one that was served last. So a group
can neither save up turns nor lose any, and one that was there before goes first. The jobs without a group are one more
participant as long as there is a group to share with.
"""

from heapq import heappop, heappush

from corral.options import priority_rank
from corral.storage.sqlite.choice import Choice, Source
from corral.storage.sqlite.grouprow import GROUP_COLUMNS, GroupRow
from corral.storage.sqlite.unit import QueueRow, Unit
from corral.storage.sqlite.windows import count_starts
from corral.timing import Millis

_READY = (
    f"SELECT {GROUP_COLUMNS} FROM corral_group WHERE queue = ? AND turn IS NOT NULL "  # noqa: S608  # constants only
    "AND (turn, id) > (?, ?) ORDER BY turn, id LIMIT ?"
)
#: The rank of jobs with no priority of their own.
PLAIN = priority_rank(0)


class Ring:
    """The groups that may start something, best first, read as far as they are needed."""

    def __init__(self, unit: Unit, queue: QueueRow, wanted: int) -> None:
        self._unit = unit
        self._queue = queue
        self._chunk = wanted
        self._behind: tuple[int, str] | None = (-1, "")  #: how far the table was read; None: to its end
        self._heap: list[tuple[int, bytes, GroupRow]] = []
        self._sources: dict[str, Source] = {}
        self._read()

    def _read(self) -> None:
        rows = self._unit.rows(_READY, (self._queue.pk, *(self._behind or ()), self._chunk))
        for row in rows:
            group = self._queue.groups.setdefault(row[0], GroupRow(row[0], row))
            self.put(group)
        self._behind = (rows[-1][1], rows[-1][0]) if len(rows) == self._chunk else None

    def put(self, group: GroupRow) -> None:
        """Let a group wait for its turn."""
        if group.turn is not None:
            heappush(self._heap, (group.turn, group.id.encode(), group))

    def first(self) -> GroupRow | None:
        """The group whose turn it is."""
        while self._behind is not None and (
            not self._heap or self._heap[0][:2] > (self._behind[0], self._behind[1].encode())
        ):
            self._read()
        return self._heap[0][2] if self._heap else None

    def drop(self) -> None:
        """Take the first one out."""
        heappop(self._heap)

    def source(self, group: GroupRow, wanted: int) -> Source:
        """The waiting jobs of a group."""
        source = self._sources.get(group.id)
        if source is None:
            each = 1 + wanted // len(self._heap)
            source = self._sources[group.id] = Source(self._unit, self._queue, each, group.id)
        return source


def serve(unit: Unit, queue: QueueRow, choice: Choice, plain: Source, now: Millis) -> None:
    """Pick jobs of the groups, and of those without one, in turn, as long as a group may start something."""
    ring = Ring(unit, queue, choice.left)
    for_all = queue.info.group_limits
    queue.groups_at = now
    while choice.left and not choice.stopped and (group := ring.first()) is not None:
        turn = group.turn
        assert turn is not None
        if queue.plain_turn <= turn and choice.pick(plain, PLAIN) is not None:
            queue.turn, queue.plain_turn = turn, turn + 1
            continue
        source = ring.source(group, choice.left)
        ring.drop()
        if choice.pick(source) is None:
            continue  # what it had has expired or was set aside: it leaves without having had its turn
        group.waiting, group.active = group.waiting - 1, group.active + 1
        queue.grouped -= 1
        count_starts(group.limits(for_all).rate_limits, group.windows, 1, now)
        queue.turn, group.turn = turn, turn + 1
        if not group.blocked(for_all, now)[0]:
            ring.put(group)
