"""Gauges: how many jobs wait and run in each queue, how old the oldest is, and how many were ever added; by minute.

What ends is counted by workers while they settle it. What waits is a state: somebody has to look. Every worker looks at
its queues and every API process at all of them, twice a minute, and the first to look in a minute writes it down: three
calls for all queues together, whatever they hold. Points of one hour stand in one record, those of a day's hours in
another.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from msgspec import Struct

from corral.storage.port import QueueCounts, Storage
from corral.storage.records import MAX_CHANGES, MAX_ID, Entry, EntryChange
from corral.timing import Millis, now_ms

#: Minutes of an hour, and hours of a day, in one record each, whose id is `queue/number of the hour or day`.
MINUTES, HOURS = "gauges", "gauges-hour"
MINUTE: Millis = 60_000
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR
#: As long as workers' figures are kept: minutes for two days, hours for 62.
KEPT = {MINUTES: 2 * DAY, HOURS: 62 * DAY}
#: Seconds between two looks, up to a fifth more: each minute is seen, and most looks find it written already.
EVERY = 27.0
#: Records that are asked for, and queues that are looked at, at once.
TOGETHER = 100
#: Hours that are made points of their day by a process that has just started.
BACK = 6


class Gauge(Struct, frozen=True, array_like=True):
    """A queue as it was at some moment of a minute, or over an hour."""

    at: Millis  #: the beginning of that minute or hour
    waiting: int  #: over an hour: the most
    oldest_ms: Millis  #: how long the oldest waiting job had waited; over an hour: the longest
    busy: float  #: jobs that ran; over an hour: on average
    added: int  #: jobs that were ever added; over an hour: at its end


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Gauge]).decode


def record_id(queue: str, number: int) -> str:
    """The id of an hour's or a day's record."""
    return f"{queue}/{number}"


def read(entry: Entry) -> list[Gauge]:
    """The points of a record; none of one that a later corral wrote in another way."""
    try:
        return _decode(entry.text)
    except msgspec.MsgspecError:
        return []


def gauge_of(counts: QueueCounts, now: Millis) -> Gauge:
    """A queue as it is."""
    oldest = counts.oldest_waiting_at
    return Gauge(
        at=now - now % MINUTE, waiting=counts.waiting, oldest_ms=0 if oldest is None else max(0, now - oldest),
        busy=counts.active, added=counts.added_total,
    )  # fmt: skip


def over_hour(points: Sequence[Gauge]) -> Gauge:
    """The minutes of an hour as one point."""
    return Gauge(
        at=points[-1].at - points[-1].at % HOUR, waiting=max(one.waiting for one in points),
        oldest_ms=max(one.oldest_ms for one in points),
        busy=round(sum(one.busy for one in points) / len(points), 2), added=points[-1].added,
    )  # fmt: skip


class Gauges:
    """Looks at queues and writes down what it sees, unless somebody else has in this minute.

    Args:
        queues: which; a function is asked at each look.
        clock: epoch milliseconds.
    """

    def __init__(
        self, storage: Storage, queues: Sequence[str] | Callable[[], Awaitable[Sequence[str]]], *,
        clock: Callable[[], Millis] = now_ms, store_now: Callable[[], Millis | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._storage = storage
        self._queues = queues
        self._clock = clock
        self._store_now = store_now
        self._minute = -1

    async def __call__(self) -> None:
        """Look once."""
        now = self._clock()
        if now // MINUTE == self._minute:
            return
        queues = await self._queues() if callable(self._queues) else self._queues
        named = [one for one in queues if len(one) < MAX_ID - 20]
        for begin in range(0, len(named), TOGETHER):
            await self._look(named[begin : begin + TOGETHER], now)
        self._minute = now // MINUTE

    async def _look(self, queues: Sequence[str], now: Millis) -> None:
        hour = now // HOUR
        known = await self._records(MINUTES, queues, hour)
        minute = now - now % MINUTE
        missing = [one for one in queues if not known.get(one, (0, ()))[1] or known[one][1][-1].at < minute]
        if not missing:
            return
        found = {one.queue: gauge_of(one, now) for one in await self._storage.counts(missing)}
        begun = [one for one in missing if one not in known]
        if begun:  # whoever has just come looks further back: nobody may have been there for a while
            for back in range(BACK if self._minute < 0 else 1, 0, -1):
                await self._sum_up(begun, hour - back)
        changes = [
            _change(queue, hour, [*known.get(queue, (0, ()))[1], gauge], known.get(queue, (0, ()))[0], MINUTES)
            for queue, gauge in found.items()
        ]
        await self._write(MINUTES, changes)

    async def _sum_up(self, queues: Sequence[str], hour: int) -> None:
        """An hour has begun: the one before becomes a point of its day."""
        minutes = await self._records(MINUTES, queues, hour)
        day = hour * HOUR // DAY
        known = await self._records(HOURS, list(minutes), day) if minutes else {}
        changes = []
        for queue, (_, points) in minutes.items():
            version, hours = known.get(queue, (0, ()))
            if points and (not hours or hours[-1].at < hour * HOUR):
                changes.append(_change(queue, day, [*hours, over_hour(points)], version, HOURS))
        await self._write(HOURS, changes)

    async def _records(
        self, kind: str, queues: Sequence[str], number: int
    ) -> Mapping[str, tuple[int, Sequence[Gauge]]]:
        """By queue: the version of its record, and the points in it."""
        ids = [record_id(queue, number) for queue in queues]
        entries = await self._storage.entries(kind, ids=ids, now=self._store_now())
        return {entry.id.rpartition("/")[0]: (entry.version, read(entry)) for entry in entries}

    async def _write(self, kind: str, changes: Sequence[EntryChange]) -> None:
        # Of two that look in the same moment one writes; the other's answer is None, and there is nothing left to do.
        for begin in range(0, len(changes), MAX_CHANGES):
            await self._storage.write_entries(kind, changes[begin : begin + MAX_CHANGES], now=self._store_now())


def _change(queue: str, number: int, points: Sequence[Gauge], version: int, kind: str) -> EntryChange:
    span = HOUR if kind == MINUTES else DAY
    return EntryChange(
        id=record_id(queue, number), text=_encode(points).decode(), version=version, ttl_ms=KEPT[kind] + span
    )
