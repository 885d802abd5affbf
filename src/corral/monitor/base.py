"""What every group of the monitor's verbs stands on: the store, the time, and one snapshot a second."""

import asyncio
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from corral.errors import QueueNotFoundError
from corral.monitor.agenda import schedule_row
from corral.monitor.completion import Heard
from corral.monitor.gather import Facts, Gatherer, alive
from corral.monitor.numbers import together
from corral.monitor.objects import Finding, Overview, QueueRow, Totals
from corral.monitor.rules import attention, grade
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.monitor.workforce import worker_row
from corral.storage.port import QueueCounts, Storage
from corral.timing import Millis, now_ms

#: A snapshot is as good as new for this long: a hundred viewers cost the store what one does.
FRESH_MS: Millis = 1_000
#: Schedules that are looked at for the overview.
SCHEDULES = 1_000


class MonitorBase:
    """Reads from `storage`, which whoever made it opens and closes.

    Args:
        thresholds: from when on something wants attention.
        sensitive: payload paths that are hidden whatever their names, beside those that jobs bring with them.
        clock: epoch milliseconds, for tests; without it the machine's clock here and the store's own there.
    """

    def __init__(
        self, storage: Storage, *, thresholds: Thresholds = DEFAULTS, sensitive: Sequence[str] = (),
        clock: Callable[[], Millis] | None = None,
    ) -> None:  # fmt: skip
        self.storage = storage
        self.thresholds = thresholds
        self._sensitive = tuple(sensitive)
        self._clock = clock
        self._gatherer = Gatherer(storage)
        self._lock = asyncio.Lock()
        self._shot: tuple[Facts, Overview] | None = None
        self._since: dict[str, Millis] = {}
        self._words = Heard()
        #: Tells seconds, for the budget of a search; tests put another one here.
        self.seconds: Callable[[], float] = time.monotonic

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.storage!r})"

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Payload paths that are hidden whatever their names."""
        return self._sensitive

    def at(self) -> Millis:
        """The present moment."""
        return now_ms() if self._clock is None else self._clock()

    def store_now(self) -> Millis | None:
        """The `now` for the store: None, so that its own clock decides, except in tests."""
        return None if self._clock is None else self._clock()

    async def snapshot(self) -> tuple[Facts, Overview]:
        """Everything as it stands, at most a second old. Whoever comes while it is being made waits for it."""
        async with self._lock:
            at = self.at()
            if self._shot is not None and 0 <= at - self._shot[0].at < FRESH_MS:
                return self._shot
            facts = await self._gatherer.facts(at, self.store_now())
            self._shot = facts, await self._overview(facts)
            return self._shot

    def forget(self) -> None:
        """Let the next answer be of now: something has been changed by who will look at it at once."""
        self._shot = None

    async def _overview(self, facts: Facts) -> Overview:
        at = facts.at
        page = await self.storage.schedules(limit=SCHEDULES)
        schedules = [schedule_row(one, None, at) for one in page.items]
        workers = [worker_row(one, (), at) for one in facts.workers]
        found = self._aged(
            attention(facts.rows, schedules, workers, now=at, thresholds=self.thresholds, memory=facts.memory), at
        )
        rows = tuple(_graded(row, grade(found, row.name)) for row in facts.rows)
        oldest = max(facts.rows, key=lambda row: row.oldest_waiting_ms or -1, default=None)
        here = alive(facts.workers, at)
        return Overview(
            at=at,
            totals=_totals(tuple(facts.counts.values())),
            rates=together((row.rates for row in rows), rows[0].rates.window_ms if rows else 0),
            wait=facts.wait,
            run=facts.run,
            oldest_waiting_ms=None if oldest is None else oldest.oldest_waiting_ms,
            oldest_waiting_queue="" if oldest is None or oldest.oldest_waiting_ms is None else oldest.name,
            workers=len(here),
            slots=sum(one.slots for one in here),
            busy=sum(one.running for one in here),
            schedules=page.total,
            overdue=sum(one.state in ("overdue", "lost") for one in schedules),
            queues=tuple(sorted(rows, key=lambda row: (-row.attention, row.name))),
            attention=found,
            spreads_of=facts.spreads_of,
            worked=facts.worked,
            took_ms=facts.took_ms,
        )

    def _aged(self, found: Sequence[Finding], at: Millis) -> tuple[Finding, ...]:
        """Findings with the moment since when they hold: their own, or when they were seen first."""
        self._since = {one.id: self._since.get(one.id, at) for one in found}
        return tuple(one if one.since is not None else _since(one, self._since[one.id]) for one in found)

    async def row(self, queue: str) -> QueueRow:
        """One queue's numbers. Raises: QueueNotFoundError."""
        _, overview = await self.snapshot()
        for row in overview.queues:
            if row.name == queue:
                return row
        raise QueueNotFoundError(queue, [row.name for row in overview.queues])


def seen(queue: str, visible: Sequence[str]) -> bool:
    """Whether a queue's name fits one of these patterns."""
    return any(fnmatchcase(queue, pattern) for pattern in visible)


def _graded(row: QueueRow, attention: int) -> QueueRow:
    return replace(row, attention=attention) if attention else row


def _since(finding: Finding, at: Millis) -> Finding:
    return replace(finding, since=at)


def _totals(counts: Sequence[QueueCounts]) -> Totals:
    return Totals(
        waiting=sum(one.waiting for one in counts),
        active=sum(one.active for one in counts),
        delayed=sum(one.delayed for one in counts),
        waiting_children=sum(one.waiting_children for one in counts),
        completed=sum(one.completed for one in counts),
        failed=sum(one.failed for one in counts),
        completed_total=sum(one.completed_total for one in counts),
        failed_total=sum(one.failed_total for one in counts),
    )
