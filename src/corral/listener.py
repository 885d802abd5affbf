"""Listening: a queue's event log as an async iterator."""

from collections.abc import AsyncIterator

from corral.event import NOW, Event, EventCursor
from corral.storage.port import Storage


async def events(storage: Storage, queue: str, *, after: EventCursor = NOW) -> AsyncIterator[Event]:
    """Yield the queue's events, oldest first, for as long as the caller iterates.

    `after` is where to begin: `NOW`, `OLDEST`, or the `cursor` of the last event that was seen.
    """
    cursor = after
    while True:
        batch, cursor = await storage.events(queue, after=cursor, limit=1000, timeout=30.0)
        for event in batch:
            yield event
