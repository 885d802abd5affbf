"""Gauges over time, for charts: what waits, how long, how much runs, and how many jobs come."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from corral.gauges import DAY, HOUR, HOURS, KEPT, MINUTE, MINUTES, Gauge, read, record_id
from corral.monitor.objects import Level
from corral.storage.port import Storage
from corral.timing import Millis

#: Records asked for at once; one has an hour's minutes or a day's hours.
TOGETHER = 100
#: After a silence longer than this, and than a stretch of the chart, nobody knows when the jobs came.
SILENCE: Millis = 10 * MINUTE


async def gauges_of(
    storage: Storage, queues: Sequence[str], since: Millis, until: Millis, *, step_ms: Millis, now: Millis | None
) -> dict[str, list[Gauge]]:  # fmt: skip
    """By queue: minutes, or for stretches of an hour and more hours with the minutes of those that have no point yet.

    One point before `since` comes along: the first count of added jobs is the difference to it.
    """
    found: dict[str, dict[Millis, Gauge]] = {queue: {} for queue in queues}
    if step_ms >= HOUR:
        await _read(storage, found, HOURS, range((since - HOUR) // DAY, until // DAY + 1), now)
        last = max((max(points) for points in found.values() if points), default=until - 2 * HOUR)
        recent: dict[str, dict[Millis, Gauge]] = {queue: {} for queue in queues}
        await _read(storage, recent, MINUTES, range(max(last, until - KEPT[MINUTES]) // HOUR, until // HOUR + 1), now)
        for queue, minutes in recent.items():
            reached = max(found[queue], default=-HOUR) + HOUR
            found[queue] |= {at: one for at, one in minutes.items() if at >= reached}
    else:
        begin = max(since - SILENCE, until - KEPT[MINUTES])
        await _read(storage, found, MINUTES, range(begin // HOUR, until // HOUR + 1), now)
    return {
        queue: _from(sorted(points.values(), key=lambda one: one.at), since, until) for queue, points in found.items()
    }


async def _read(
    storage: Storage, into: Mapping[str, dict[Millis, Gauge]], kind: str, numbers: Iterable[int], now: Millis | None
) -> None:
    ids = [record_id(queue, number) for number in numbers for queue in into]
    for begin in range(0, len(ids), TOGETHER):
        for entry in await storage.entries(kind, ids=ids[begin : begin + TOGETHER], now=now):
            into[entry.id.rpartition("/")[0]].update({one.at: one for one in read(entry)})


def _from(points: Sequence[Gauge], since: Millis, until: Millis) -> list[Gauge]:
    before = [one for one in points if one.at < since][-1:]
    return before + [one for one in points if since <= one.at < until]


def levels(found: Mapping[str, Sequence[Gauge]], since: Millis, step_ms: Millis) -> tuple[Level, ...]:
    """Queues taken together, by stretches: the most that waited, the longest wait, the average of what ran."""
    waiting: dict[Millis, int] = {}
    oldest: dict[Millis, Millis] = {}
    busy: dict[Millis, float] = {}
    added: dict[Millis, int] = {}
    looks: dict[Millis, int] = {}
    for points in found.values():
        stretches: dict[Millis, list[Gauge]] = {}
        for one in points:
            if one.at >= since:
                stretches.setdefault(one.at - one.at % step_ms, []).append(one)
        for at, some in stretches.items():
            waiting[at] = waiting.get(at, 0) + max(one.waiting for one in some)
            oldest[at] = max(oldest.get(at, 0), *(one.oldest_ms for one in some))
            busy[at] = busy.get(at, 0.0) + sum(one.busy for one in some) / len(some)
            looks[at] = max(looks.get(at, 0), len(some))
        for at, count in _added(points, step_ms):
            if at >= since - since % step_ms:
                added[at] = added.get(at, 0) + count
    return tuple(
        Level(at=at, waiting=waiting[at], oldest_ms=oldest[at], busy=round(busy[at], 2), added=added.get(at),
              looks=looks[at])
        for at in sorted(waiting)
    )  # fmt: skip


def _added(points: Sequence[Gauge], step_ms: Millis) -> Iterable[tuple[Millis, int]]:
    """How many jobs came between each two points, by the stretch of the later one."""
    for before, after in pairwise(points):
        if after.at - before.at <= max(SILENCE, step_ms):
            # A queue that was obliterated counts from nothing again.
            count = after.added - before.added if after.added >= before.added else after.added
            yield after.at - after.at % step_ms, count
