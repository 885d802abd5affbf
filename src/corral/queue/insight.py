"""The verbs that look at a queue as a whole, and its events."""

import re
from collections.abc import AsyncIterator

from corral.errors import ConfigError
from corral.event import NOW, Event, EventType
from corral.job import Job, JobId, JobState, check_name
from corral.listener import events as listen
from corral.options import priority_rank
from corral.payload import to_json
from corral.queue.base import QueueBase
from corral.schedule import Schedule
from corral.storage.insight import Page
from corral.storage.port import Bucket, QueueCounts, WorkerInfo
from corral.timing import Seconds, now_ms, to_ms

#: Words that readers of the event log know already, in corral's spelling or in BullMQ's.
_TAKEN = frozenset(kind.value for kind in EventType) | {"error", "retries-exhausted", "ioredis"}
_EVENT_NAME = re.compile(r"[A-Za-z][\w.-]{0,99}")


class InsightVerbs(QueueBase):
    """Counts, workers, figures, deduplication and events."""

    async def counts(self) -> QueueCounts:
        """How many jobs are in each state, and how many ever completed and failed."""
        return (await self.storage.counts([self.name]))[0]

    async def counts_by_priority(self) -> dict[int, int]:
        """How many jobs wait with each priority, best first; those of groups are not among them.

        Waiting jobs stand by priority, so a few looks for each one that occurs are enough, however many wait. On a busy
        queue the numbers are as of slightly different moments.
        """
        found: dict[int, int] = {}
        begin = 0
        while (first := await self._waiting(begin)) is not None and first.group is None:
            low, high = begin, begin + 1
            while await self._ranks(high, first.priority):  # doubling, then halving: the cost is that of the answer
                low, high = high, begin + 2 * (high - begin)
            while low + 1 < high:
                middle = (low + high) // 2
                if await self._ranks(middle, first.priority):
                    low = middle
                else:
                    high = middle
            found[first.priority] = found.get(first.priority, 0) + high - begin
            begin = high
        return found

    async def _waiting(self, place: int) -> Job | None:
        page = await self.storage.page(self.name, [JobState.WAITING], start=place, limit=1)
        return page.items[0] if page.items else None

    async def _ranks(self, place: int, priority: int) -> bool:
        """Whether the job at this place stands no later than those of the priority."""
        job = await self._waiting(place)
        return job is not None and job.group is None and priority_rank(job.priority) <= priority_rank(priority)

    async def workers(self) -> list[WorkerInfo]:
        """Workers that serve this queue and were seen within a minute."""
        return [one for one in await self.storage.workers() if self.name in one.queues]

    async def metrics(self, last: Seconds = 3600) -> list[Bucket]:
        """What was done in the last so many seconds, minute by minute; minutes without work are left out."""
        until = now_ms() + 1
        return await self.storage.metrics(self.name, since=until - to_ms(last, "last"), until=until)

    async def schedules(self, *, start: int = 0, limit: int = 100) -> Page[Schedule]:
        """The schedules that make jobs for this queue, by key; `app.scheduler(…)` changes them."""
        return await self.storage.schedules(queue=self.name, start=start, limit=limit)

    async def deduplication(self, dedup_id: str) -> JobId | None:
        """The job that keeps others with this deduplication id out; None when there is none."""
        return await self.storage.deduplication(self.name, dedup_id)

    async def stop_deduplication(self, dedup_id: str) -> JobId | None:
        """Let others with this deduplication id in from now on; answers the job that kept them out."""
        return await self.storage.deduplication(self.name, dedup_id, remove=True)

    def events(self, *, after: str = NOW) -> AsyncIterator[Event]:
        """Everything that happens to the queue's jobs from now on (or from a cursor), in any process."""
        return listen(self.storage, self.name, after=after)

    async def publish(self, name: str, data: object = None, *, job_id: JobId | None = None) -> None:
        """Write an event of your own into the queue's log; readers get it as `EventType.CUSTOM` with this name.

        Raises:
            ConfigError: a name that is no word, or that corral's own or BullMQ's events have. PayloadError: not JSON.
        """
        check_name(name, "event name")
        if not _EVENT_NAME.fullmatch(name) or name in _TAKEN:
            raise ConfigError(f"event name {name!r} cannot be used: take a word that no other event has", key="event")
        detail = None if data is None else to_json(data, "event")
        event = Event(type=EventType.CUSTOM, queue=self.name, at=0, job_id=job_id, name=name, detail=detail)
        await self.storage.emit([event])
