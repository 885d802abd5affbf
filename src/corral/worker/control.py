"""What can be done to a worker while it runs: pause it, resize it, cancel what it holds, close it."""

import asyncio
import logging

from corral.errors import QueueNotFoundError
from corral.job import Job, JobId
from corral.worker.fetcher import Fetcher
from corral.worker.lane import check_slots

logger = logging.getLogger("corral.worker")

#: How often `pause` looks whether the last job has ended.
LOOK = 0.02


class Controls:
    """The verbs. They concern this worker alone: `Queue.pause` and `Queue.limit` are for all of them."""

    fetchers: list[Fetcher]

    async def pause(self, *, wait: bool = True) -> None:
        """Take no more jobs. With `wait`, until those that run have ended; without it, come back at once."""
        for fetcher in self.fetchers:
            fetcher.pause(True)
        # Looking costs nothing unless somebody waits; an event would cost something at the end of every job.
        while wait and not all(fetcher.at_rest for fetcher in self.fetchers):  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    def quiet(self) -> None:
        """Take no more jobs, as `pause`, without waiting for anything."""
        for fetcher in self.fetchers:
            fetcher.pause(True)
        logger.info("worker takes no more jobs", extra={"event": "worker.quiet"})

    def resume(self) -> None:
        """Take jobs again."""
        for fetcher in self.fetchers:
            fetcher.pause(False)

    @property
    def paused(self) -> bool:
        """Whether it takes no jobs because `pause` told it so."""
        return any(fetcher.paused for fetcher in self.fetchers)

    @property
    def jobs(self) -> list[Job]:
        """The jobs that it holds, as they were when it took them."""
        return [job for fetcher in self.fetchers for job in fetcher.jobs]

    def resize(self, concurrency: int, *, queue: str | None = None) -> None:
        """Change how many handlers may run at once, for one of its queues or for each of them.

        Fewer takes effect as jobs end: none is stopped for it.

        Raises:
            ConfigError: less than 1. QueueNotFoundError: a queue that this worker does not serve.
        """
        check_slots(concurrency)
        for fetcher in self._fetchers_of(queue):
            fetcher.resize(concurrency)

    def cancel(self, *job_ids: JobId, queue: str | None = None, reason: str = "") -> list[JobId]:
        """Stop jobs that run here; they fail as cancelled. Answers those it reached.

        Raises:
            QueueNotFoundError: a queue that this worker does not serve.
        """
        return [one for fetcher in self._fetchers_of(queue) for one in fetcher.cancel(frozenset(job_ids), reason)]

    def cancel_all(self, *, queue: str | None = None, reason: str = "") -> list[JobId]:
        """Stop every job that runs here, as `cancel`."""
        return [one for fetcher in self._fetchers_of(queue) for one in fetcher.cancel(None, reason)]

    def _fetchers_of(self, queue: str | None) -> list[Fetcher]:
        if queue is None:
            return self.fetchers
        found = [fetcher for fetcher in self.fetchers if fetcher.lane.queue == queue]
        if not found:
            raise QueueNotFoundError(queue, [fetcher.lane.queue for fetcher in self.fetchers])
        return found
