"""Adding: the one door through which every producer's jobs go into the store."""

import asyncio
import logging
import random
from collections.abc import Sequence

from corral.errors import ConfigError, QueueFullError
from corral.intake import OPEN, Intake
from corral.job import NewJob
from corral.storage.port import Added, Storage

logger = logging.getLogger("corral.queue")

#: One bulk is one atomic step; more than this would hold the store for too long.
MAX_BULK = 10_000


async def add_all(
    storage: Storage, jobs: Sequence[NewJob], intake: Intake = OPEN, *, patience: float = 0.0,
    limit: int = MAX_BULK,
) -> list[Added]:  # fmt: skip
    """Add jobs in one atomic step, after the application's intake has let them in.

    Args:
        patience: seconds to wait for room when a queue or group is full.

    Raises:
        ConfigError: more than `limit` jobs. QueueFullError: no room within `patience`. What the intake raises.
    """
    if len(jobs) > limit:
        raise ConfigError(f"a bulk is at most {limit:,} jobs, not {len(jobs):,}: add in parts", key="jobs")
    if not jobs:
        return []
    if intake.middlewares or intake.guards:
        jobs = await intake.admit(jobs)
    added = await (_when_there_is_room(storage, jobs, patience) if patience > 0 else storage.add(jobs))
    if logger.isEnabledFor(logging.INFO):
        for answer, job in zip(added, jobs, strict=True):
            logger.info(
                "Job added to queue",
                extra={"event": "job.added", "queue": job.queue, "job": job.name, "jobId": answer.id},
            )
    return added


async def _when_there_is_room(storage: Storage, jobs: Sequence[NewJob], patience: float) -> list[Added]:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            return await storage.add(jobs)
        except QueueFullError as error:
            left = until - loop.time()
            if left <= 0:
                raise
            # Up to a tenth later than told, or all who wait would come back in the same instant.
            nap = error.retry_after * (1 + random.random() / 10)
            await asyncio.sleep(min(max(nap, 0.01), left))
