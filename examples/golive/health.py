"""The platform's own look at its queues, once a minute while a worker runs.

corral's alerts have the same thresholds and reach people (`build.py` declares them); these are the lines that the
platform's log always had.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from corral import Corral, StorageError

from .service import JobQueueManager

logger = logging.getLogger("golive.health")

MAX_FAILED = 100
MAX_WAITING = 1_000


async def check_queues(manager: JobQueueManager) -> None:
    """Look once, and warn of queues in which too much has failed, or waits."""
    for queue, stats in (await manager.get_all_queue_stats()).items():
        if stats["failed"] > MAX_FAILED:
            logger.warning("High failure rate", extra={"queue": queue, "failed": stats["failed"]})
        if stats["waiting"] > MAX_WAITING:
            logger.warning("Queue backing up", extra={"queue": queue, "waiting": stats["waiting"]})


async def watch_queues(manager: JobQueueManager, interval: float) -> None:
    """Look every `interval` seconds, for ever. A store that is away is looked at again the next time."""
    while True:
        await asyncio.sleep(interval)
        try:
            await check_queues(manager)
        except StorageError as error:
            logger.warning("The queues cannot be looked at: %s", error)


def watching(interval: float) -> Callable[[Corral], AbstractAsyncContextManager[None]]:
    """The application's lifespan: looks at the queues as long as a worker runs."""

    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        task = asyncio.create_task(watch_queues(JobQueueManager(app), interval))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    return lifespan
