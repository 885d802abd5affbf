"""How many jobs ended in each of the last 24 hours, queue by queue: read a few queues at a time, and remembered."""

import asyncio
import time
from collections.abc import Sequence

from msgspec import Struct

from corral.monitor.objects import QueueRow
from corral.storage.insight import TIERS, Tier
from corral.storage.port import Storage
from corral.timing import Millis

HOURS = 24
HOUR: Millis = TIERS[Tier.HOUR][0]
#: Queues asked together, and for how long one answer asks (seconds). Hours come with their histograms, so a first look
#: at 200 busy queues takes an engine some tenths of a second: each answer learns some more.
TOGETHER = 10
BUDGET_S = 0.03
#: The hour that runs is read again after this, sooner where nothing was found yet and something has ended; those that
#: are over do not change.
AGAIN_MS: Millis = 300_000
SOON_MS: Millis = 1_000


class Course(Struct):
    """What is known of one queue."""

    at: Millis
    ended: dict[Millis, int]


class Trends:
    """Remembers the courses of queues that somebody has looked at within the last day."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, Course] = {}

    async def learn(self, rows: Sequence[QueueRow], at: Millis) -> dict[str, tuple[int, ...]]:
        """Ask about some more of these queues, the busiest first; answer what is known, oldest hour first.

        A queue is left out that was not asked for yet, or whose workers recorded nothing in that time.
        """
        self._known = {name: one for name, one in self._known.items() if 0 <= at - one.at < HOURS * HOUR}
        worked = [one for one in rows if one.completed_total + one.failed_total + one.completed + one.failed]
        asked = [one for one in worked if self._is_due(one, at)]
        asked.sort(key=lambda one: (one.name in self._known, -one.rates.per_second, one.name))
        deadline = time.perf_counter() + BUDGET_S
        for begin in range(0, len(asked), TOGETHER):
            await asyncio.gather(*(self._ask(one.name, at) for one in asked[begin : begin + TOGETHER]))
            if time.perf_counter() > deadline:
                break
        first = at - at % HOUR - (HOURS - 1) * HOUR
        hours = range(first, at + 1, HOUR)
        return {
            row.name: tuple(course.ended.get(hour, 0) for hour in hours)
            for row in worked
            if (course := self._known.get(row.name)) is not None and any(hour >= first for hour in course.ended)
        }

    def _is_due(self, row: QueueRow, at: Millis) -> bool:
        known = self._known.get(row.name)
        if known is None:
            return True
        begins = not known.ended and row.rates.source != "none"
        return at - known.at > (SOON_MS if begins else AGAIN_MS)

    async def _ask(self, name: str, at: Millis) -> None:
        known = self._known.get(name)
        first = at - at % HOUR - (HOURS - 1) * HOUR
        # Workers write every ten seconds, and late ones a little later: the hour before may still have grown.
        since = first if known is None else max(first, known.at - known.at % HOUR - HOUR)
        ended = {} if known is None else {hour: count for hour, count in known.ended.items() if first <= hour < since}
        for sample in await self._storage.series(name, Tier.HOUR, since=since, until=at + 1):
            ended[sample.at] = ended.get(sample.at, 0) + sample.completed + sample.failed
        self._known[name] = Course(at, ended)
