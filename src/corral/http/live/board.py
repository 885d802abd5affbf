"""Board: the numbers of all queues, and what changed of them since they were told last."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import zip_longest
from typing import TypeAlias

from corral.admin.objects import Operation
from corral.http.live.stream import Message, Stream
from corral.monitor.monitor import Monitor
from corral.storage.port import QueueCounts

#: Seconds between two looks: at counts and operations, at rates, at workers, schedules and what wants attention.
COUNTS, RATES, SLOW = 1.0, 2.0, 5.0
#: When more than so many things change at once, half as often: a viewer gets 2 KB a second, not 5.
MANY = 30
#: Of a worker: its slots and running jobs by queue. It is not told as it is.
PARTS = "parts"
#: Of one thing (a queue, a worker …) by what it is known by: which queues it is about, and what there is to say.
Facts: TypeAlias = dict[str, tuple[tuple[str, ...], Mapping[str, object]]]
Gather: TypeAlias = Callable[[], Awaitable[Facts]]


class Board:
    """Looks as often as somebody wants to know, and tells each stream what is new for it."""

    def __init__(
        self, monitor: Monitor, running: Callable[[], Awaitable[Sequence[Operation]]],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._monitor = monitor
        self._running = running
        self._seconds = seconds
        self._names: tuple[str, ...] = ()
        self._next: dict[str, float] = {}  #: when each topic is looked at again
        self._told: dict[str, Facts] = {}

    async def look(self, streams: set[Stream]) -> None:
        """One round. Raises: StorageError."""
        wanted = frozenset[str]().union(*(_wishes(stream) for stream in streams))
        for topic in self._told.keys() - wanted:
            del self._told[topic]
        for topic, (period, gather) in self._sources().items():
            if topic in wanted and self._seconds() >= self._next.get(topic, 0.0):
                now = await gather()
                changed = self._tell(topic, now, streams)
                self._next[topic] = self._seconds() + period * (1 if changed <= MANY else 2)

    def greet(self, stream: Stream) -> None:
        """Tell a new stream what is known already; what is not comes with the next look."""
        for topic in _wishes(stream):
            if topic in self._told:
                _send(stream, topic, self._told[topic], {})
            else:
                self._next.pop(topic, None)

    def forget(self) -> None:
        """After a failure everything is told anew."""
        self._told.clear()
        self._next.clear()

    def _sources(self) -> Mapping[str, tuple[float, Gather]]:
        return {
            "counts": (COUNTS, self._counts),
            "rates": (RATES, self._rates),
            "workers": (SLOW, self._workers),
            "schedules": (SLOW, self._schedules),
            "attention": (SLOW, self._attention),
            "operations": (COUNTS, self._operations),
        }

    def _tell(self, topic: str, now: Facts, streams: set[Stream]) -> int:
        """Tell each stream; answers how many facts have changed."""
        before = self._told.get(topic, {})
        self._told[topic] = now
        for stream in streams:
            if topic in _wishes(stream):
                _send(stream, topic, now, before)
        return sum(before.get(key) != fact for key, fact in now.items())

    # -- what there is -------------------------------------------------------------------------------------------

    async def _counts(self) -> Facts:
        if self._seconds() >= self._next.get("names", 0.0):
            self._names = tuple(row.name for row in (await self._monitor.overview()).queues)
            self._next["names"] = self._seconds() + SLOW
        return {one.queue: ((one.queue,), _states(one)) for one in await self._monitor.storage.counts(self._names)}

    async def _rates(self) -> Facts:
        rows = (await self._monitor.overview()).queues
        return {row.name: ((row.name,), {
            "per_second": row.rates.per_second, "failure_share": row.rates.failure_share, "state": row.state,
            "oldest_waiting_ms": row.oldest_waiting_ms, "wait_p95_ms": row.wait.p95, "run_p95_ms": row.run.p95,
            "workers": row.workers, "slots": row.slots, "busy": row.busy, "attention": row.attention,
        }) for row in rows}  # fmt: skip

    async def _workers(self) -> Facts:
        return {one.id: (one.queues, {
            "id": one.id, "name": one.name, "state": one.state, "busy": one.busy, "slots": one.slots,
            PARTS: {
                queue: (slots, sum(job.queue == queue for job in one.jobs))
                for queue, slots in zip_longest(one.queues, one.slots_of[: len(one.queues)], fillvalue=0)
            },
        }) for one in (await self._monitor.workers()).items}  # fmt: skip

    async def _schedules(self) -> Facts:
        page = await self._monitor.schedules()
        return {f"{one.queue}/{one.key}": ((one.queue,), {
            "queue": one.queue, "key": one.key, "state": one.state, "next_at_ms": one.next_at, "fired": one.fired,
        }) for one in page.items}  # fmt: skip

    async def _attention(self) -> Facts:
        return {one.id: ((one.queue,) if one.queue else (), {
            "id": one.id, "rule": one.rule, "severity": one.severity, "queue": one.queue, "message": one.message,
            "remedy": one.remedy,
        }) for one in await self._monitor.attention()}  # fmt: skip

    async def _operations(self) -> Facts:
        return {one.id: ((), {
            "id": one.id, "action": one.action, "state": one.state, "total": one.total, "done": one.done,
            "failed": one.failed, "skipped": one.skipped, "by": one.by,
        }) for one in await self._running()}  # fmt: skip


def _wishes(stream: Stream) -> frozenset[str]:
    """The sorts of facts that a stream wants."""
    return stream.topics.board | ({"operations"} if stream.topics.operations else set())


def _as_seen(stream: Stream, fact: Mapping[str, object]) -> Mapping[str, object]:
    """A fact without what a worker does for queues that there are not for the stream's viewer."""
    parts = fact.get(PARTS)
    if not isinstance(parts, dict):
        return fact
    told = {name: value for name, value in fact.items() if name != PARTS}
    seen = [part for queue, part in parts.items() if stream.sees(queue)]
    if len(seen) == len(parts):
        return told
    busy = sum(busy for _, busy in seen)
    state = "idle" if told["state"] == "busy" and not busy else told["state"]
    return {**told, "state": state, "busy": busy, "slots": sum(slots for slots, _ in seen)}


def _send(stream: Stream, topic: str, now: Facts, before: Facts) -> None:
    """What is new to this stream, field by field; None stands for what is there no longer."""
    news: dict[str, object] = {}
    for key, (queues, whole) in now.items():
        if _shows(stream, topic, key, queues):
            fact = _as_seen(stream, whole)
            known = _as_seen(stream, before[key][1]) if key in before else None
            changed = fact if known is None else {name: value for name, value in fact.items() if known[name] != value}
            if changed:
                news[key] = changed
    for key, (queues, _) in before.items():
        if key not in now and _shows(stream, topic, key, queues):
            news[key] = None
    if news or not before:
        stream.put(Message(_EVENTS[topic], news))


def _shows(stream: Stream, topic: str, key: str, queues: tuple[str, ...]) -> bool:
    if topic == "operations":
        return stream.sees_operations and (topic in stream.topics.board or key in stream.topics.operations)
    if not queues:  # it is about all of them
        return stream.sees_operations
    return any(stream.sees(queue) for queue in queues)


def _states(one: QueueCounts) -> dict[str, int]:
    return {
        "waiting": one.waiting, "active": one.active, "delayed": one.delayed, "waiting_children": one.waiting_children,
        "completed": one.completed, "failed": one.failed, "paused": one.paused,
    }  # fmt: skip


#: The events' names, where they differ from the topic's.
_EVENTS = {
    "counts": "counts", "rates": "rates", "workers": "worker", "schedules": "schedule", "attention": "attention",
    "operations": "operation",
}  # fmt: skip
