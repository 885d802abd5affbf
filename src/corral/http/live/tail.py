"""Tail: one queue's events for all who look at the queue or at one of its jobs."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable

from corral.errors import JobNotFoundError, StorageError
from corral.event import NOW, OLDEST, Event, EventCursor, EventType
from corral.http.live.follow import Follower
from corral.http.live.stream import Message, Stream
from corral.monitor.monitor import Monitor

#: Seconds between two messages about the same list, and between two looks at a log.
CALM = 1.0
#: Events that a viewer who comes back is told of; who missed more begins anew.
CAUGHT_UP = 1_000

#: Where a job is after an event. Those that are not here say nothing about that.
_STATES = {
    EventType.ADDED: "waiting", EventType.WAITING: "waiting", EventType.RETRYING: "waiting",
    EventType.STALLED: "waiting", EventType.RELEASED: "waiting", EventType.LIMITED: "waiting",
    EventType.DELAYED: "delayed", EventType.SNOOZED: "delayed", EventType.ACTIVE: "active",
    EventType.WAITING_CHILDREN: "waiting-children", EventType.COMPLETED: "completed", EventType.FAILED: "failed",
    EventType.REMOVED: "removed", EventType.CLEANED: "removed",
}  # fmt: skip


class Tail:
    """Follows one queue as long as somebody looks. `troubled` is told of each failure, and of None when it is over."""

    def __init__(self, monitor: Monitor, queue: str, troubled: Callable[[str | None], None]) -> None:
        self.queue = queue
        self.streams: set[Stream] = set()
        self._monitor = monitor
        self._troubled = troubled
        self._moved: Counter[str] = Counter()
        self._newest: EventCursor = ""
        self._lines: dict[str, Follower] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._joining = asyncio.Lock()

    async def join(self, stream: Stream, after: EventCursor | None) -> bool:
        """Tell this stream too, from `after` on if it knows that; False when what came after it is not all kept."""
        storage = self._monitor.storage
        self.streams.add(stream)  # from here on nothing is missed; what is told twice does no harm
        async with self._joining:
            if not self._tasks:
                _, cursor = await storage.events(self.queue, after=NOW)
                self._tasks = [asyncio.create_task(self._follow(cursor)), asyncio.create_task(self._sum_up())]
        for job_id in {job_id for queue, job_id in stream.topics.jobs if queue == self.queue} - self._lines.keys():
            await self._log(job_id)  # what is written from here on is told
        if after is None:
            return True
        missed, _ = await storage.events(self.queue, after=after, limit=CAUGHT_UP)
        oldest, _ = await storage.events(self.queue, after=OLDEST, limit=1)
        # When the oldest event that is kept comes right after the mark, others may have been forgotten between them.
        whole = len(missed) < CAUGHT_UP and not (missed and oldest and missed[0].cursor == oldest[0].cursor)
        for event in missed if whole else ():
            self._tell(event, [stream])
        if whole and missed and self.queue in stream.topics.queues:
            moved = Counter(_STATES[event.type] for event in missed if event.type in _STATES)
            stream.put(self._summary(moved, missed[-1].cursor))
        return whole

    def leave(self, stream: Stream) -> bool:
        """Tell this stream no longer; True when nobody is left."""
        self.streams.discard(stream)
        if not self.streams:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
        return not self.streams

    async def _follow(self, cursor: EventCursor) -> None:
        storage = self._monitor.storage
        while True:
            try:
                batch, cursor = await storage.events(self.queue, after=cursor, timeout=30.0)
            except StorageError as error:
                self._troubled(type(error).__name__)
                await asyncio.sleep(CALM)
                continue
            self._troubled(None)
            for event in batch:
                self._tell(event, self.streams)
                if event.type in _STATES:
                    self._moved[_STATES[event.type]] += 1
                self._newest = event.cursor

    def _tell(self, event: Event, streams: Iterable[Stream]) -> None:
        if event.job_id is None:
            return
        about = (self.queue, event.job_id)
        for stream in streams:
            if about in stream.topics.jobs:
                stream.put(_message(event))

    async def _sum_up(self) -> None:
        """Lists that changed, and logs that grew: now and then, however much happens."""
        while True:
            await asyncio.sleep(CALM)
            if self._moved:
                message = self._summary(self._moved, self._newest)
                self._moved = Counter()
                for stream in self.streams:
                    if self.queue in stream.topics.queues:
                        stream.put(message)
            try:
                await self._logs()
            except StorageError as error:
                self._troubled(type(error).__name__)

    def _summary(self, moved: Counter[str], cursor: EventCursor) -> Message:
        data = {"queue": self.queue, "states": dict(moved), "n": moved.total()}
        return Message("jobs", data, queue=self.queue, cursor=cursor)

    async def _logs(self) -> None:
        watched = {job_id for stream in self.streams for queue, job_id in stream.topics.jobs if queue == self.queue}
        for job_id in self._lines.keys() - watched:
            del self._lines[job_id]
        for job_id in watched:
            await self._log(job_id)

    async def _log(self, job_id: str) -> None:
        """Tell what is new in a log; of one that nobody has looked at yet, only where it ends is read."""
        if job_id not in self._lines:
            self._lines[job_id] = Follower(
                lambda start, limit: self._monitor.logs(self.queue, job_id, start=start, limit=limit)
            )
        try:
            new = await self._lines[job_id].look()
        except JobNotFoundError:
            return
        for number, line in new:
            data = {"queue": self.queue, "id": job_id, "n": number, "message": line}
            for stream in self.streams:
                if (self.queue, job_id) in stream.topics.jobs:
                    stream.put(Message("log", data))


def _message(event: Event) -> Message:
    """An event of a job. Results, reasons and progress that is no number stay where what is sensitive gets hidden."""
    about: dict[str, object] = {"queue": event.queue, "id": event.job_id, "name": event.name}
    if event.type is EventType.PROGRESS:
        progress = _number(event.detail)
        return Message("progress", {**about, "progress": progress}, queue=event.queue, cursor=event.cursor)
    data = {**about, "event": str(event.type), "to": _STATES.get(event.type), "at_ms": event.at}
    return Message("job", data, queue=event.queue, cursor=event.cursor)


def _number(text: str | None) -> int | float | None:
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
