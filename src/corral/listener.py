"""Listening: a queue's event log as an async iterator, and one shared tail for everybody who awaits a job's end."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from corral.errors import StorageError
from corral.event import NOW, Event, EventCursor, EventType
from corral.job import JobId
from corral.storage.port import Storage

_ENDS = frozenset({EventType.COMPLETED, EventType.FAILED, EventType.REMOVED})


async def events(storage: Storage, queue: str, *, after: EventCursor = NOW) -> AsyncIterator[Event]:
    """Yield the queue's events, oldest first, for as long as the caller iterates.

    `after` is where to begin: `NOW`, `OLDEST`, or the `cursor` of the last event that was seen.
    """
    cursor = after
    while True:
        batch, cursor = await storage.events(queue, after=cursor, limit=1000, timeout=30.0)
        for event in batch:
            yield event


class Endings:
    """Wakes those who wait for a job to end. A thousand waiters share one tail of the event log."""

    def __init__(self, storage: Storage, queue: str) -> None:
        self._storage = storage
        self._queue = queue
        self._waiting: defaultdict[JobId, set[asyncio.Event]] = defaultdict(set)
        self._tail: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    @asynccontextmanager
    async def watch(self, job_id: JobId) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the job ends or is removed. Look at the job first: it may have ended before."""
        ended = asyncio.Event()
        self._waiting[job_id].add(ended)
        try:
            if self._tail is None or self._tail.done():
                # The cursor is taken before the caller looks at the job, so no end falls between the two.
                _, cursor = await self._storage.events(self._queue, after=NOW)
                if self._tail is None or self._tail.done():
                    self._tail = asyncio.create_task(self._follow(cursor), name=f"corral-endings-{self._queue}")
            yield ended
        finally:
            self._waiting[job_id].discard(ended)
            if not self._waiting[job_id]:
                del self._waiting[job_id]
            if not self._waiting and self._tail is not None:
                self._tail.cancel()
                self._tail = None

    async def _follow(self, cursor: EventCursor) -> None:
        while True:
            try:
                batch, cursor = await self._storage.events(self._queue, after=cursor, timeout=30.0)
            except StorageError:  # the waiters look by themselves every few seconds and will meet it
                await asyncio.sleep(1.0)
                continue
            for event in batch:
                if event.type in _ENDS and event.job_id is not None:
                    for ended in self._waiting.get(event.job_id, ()):
                        ended.set()
