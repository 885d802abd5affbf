"""BullQueues: the queue managers that the guides write around Bull, over one application."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from corral.app.app import Corral
from corral.compat.job import BullJob
from corral.compat.queue import DEFAULT, BullQueue, Processor
from corral.compat.reading import Options, moment
from corral.errors import ConfigError, JobNotFoundError
from corral.naming import check_name

Name = str


class BullQueues:
    """All queues of an application by name, with the methods of `jobQueueManager` and `queueService`. Times in ms."""

    def __init__(self, app: Corral) -> None:
        self.app = app
        self._queues: dict[str, BullQueue] = {}

    def __repr__(self) -> str:
        return f"BullQueues({', '.join(self._queues)})"

    def queue(self, name: str) -> BullQueue:
        """The queue of this name; declared when it is new."""
        if name not in self._queues:
            self._queues[name] = BullQueue(check_name(name, "queue name"), self.app)
        return self._queues[name]

    async def close(self) -> None:
        """Stop listening to events."""
        for queue in self._queues.values():
            await queue.close()

    # -- adding ----------------------------------------------------------------------------------------------------

    async def add_job(self, queue: str, *arguments: object) -> BullJob:
        """`addJob(queue, name, data, options)`, or `addJob(queue, data, options)` for a job without a name."""
        return await self.queue(queue).add(*arguments)

    async def add_delayed_job(self, queue: str, name: str, data: object, delay: float) -> BullJob:
        """A job that runs in so many ms."""
        return await self.queue(queue).add(name, data, {"delay": delay})

    async def add_scheduled_job(self, queue: str, name: str, data: object, run_at: datetime | int | str) -> BullJob:
        """A job that runs at a time; one that has passed is now."""
        left = (moment(run_at, "runAt") - datetime.now(tz=moment(run_at, "runAt").tzinfo)).total_seconds()
        return await self.queue(queue).add(name, data, {"delay": max(0, round(left * 1000))})

    async def add_repeating_job(
        self, queue: str, name: str, data: object, cron: str, options: Options | None = None
    ) -> BullJob:
        """A job that comes again by a cron line."""
        return await self.queue(queue).add(name, data, {**(options or {}), "repeat": {"cron": cron}})

    async def add_recurring_job(self, queue: str, key: str, data: object, cron: str) -> BullJob:
        """A schedule with a key of its own: the same key again changes it."""
        return await self.queue(queue).upsert_job_scheduler(key, {"cron": cron}, {"name": DEFAULT, "data": data})

    def process_jobs(
        self, queue: str, name: str, processor: Processor, concurrency: int = 1
    ) -> Callable[..., Any] | None:
        """Register the handler of a name; at most `concurrency` of its jobs run at once, over all workers."""
        self.queue(queue).process(name, concurrency, processor)
        return None

    # -- looking -----------------------------------------------------------------------------------------------------

    async def get_job(self, queue: str, job_id: str) -> BullJob | None:
        """The job, or None."""
        return await self.queue(queue).get_job(job_id)

    async def get_queue_stats(self, queue: str) -> dict[str, int]:
        """The six counts."""
        return await self.queue(queue).get_job_counts()

    async def get_all_queue_stats(self) -> dict[str, dict[str, int]]:
        """The six counts of every queue of the application."""
        return {name: await self.get_queue_stats(name) for name in self.app.queues}

    async def get_failed_jobs(self, queue: str, start: int = 0, end: int = -1) -> list[BullJob]:
        """Failed jobs, newest first."""
        return await self.queue(queue).get_failed(start, end)

    # -- acting ------------------------------------------------------------------------------------------------------

    async def retry_job(self, queue: str, job_id: str) -> None:
        """Run a failed job again. Raises: JobNotFoundError."""
        await (await self._job(queue, job_id)).retry()

    async def retry_all_failed_jobs(self, queue: str) -> int:
        """Run every failed job again; answers how many. Those that fail again meanwhile stay failed."""
        live, retried = await self.queue(queue).queue(), 0
        failed = (await live.counts()).failed
        while retried < failed and (batch := await live.retry(limit=min(1_000, failed - retried))):
            retried += len(batch)
        return retried

    async def remove_job(self, queue: str, job_id: str) -> None:
        """Delete a job; one that runs is cancelled. Raises: JobNotFoundError."""
        await (await self._job(queue, job_id)).remove()

    async def _job(self, queue: str, job_id: str) -> BullJob:
        job = await self.get_job(queue, job_id)
        if job is None:
            raise JobNotFoundError(queue, job_id)
        return job

    async def pause_queue(self, queue: str) -> None:
        """Stop handing out the queue's jobs."""
        await self.queue(queue).pause()

    async def resume_queue(self, queue: str) -> None:
        """Hand them out again."""
        await self.queue(queue).resume()

    async def empty_queue(self, queue: str) -> None:
        """Delete what waits and what is due later."""
        await self.queue(queue).empty()

    async def clean_queue(self, queue: str, grace: float, status: str = "completed") -> list[str]:
        """Delete jobs that ended at least `grace` ms ago; answers their ids."""
        if isinstance(status, int):
            raise ConfigError(f"status must be a state, not {status!r}", key="status")
        return await self.queue(queue).clean(grace, status)

    # -- the guides' spellings -----------------------------------------------------------------------------------------

    addJob = add_job
    addDelayedJob = add_delayed_job
    addScheduledJob = add_scheduled_job
    addRepeatingJob = add_repeating_job
    addRecurringJob = add_recurring_job
    processJobs = process_jobs
    getJob = get_job
    getQueueStats = get_queue_stats
    getAllQueueStats = get_all_queue_stats
    getFailedJobs = get_failed_jobs
    retryJob = retryFailedJob = retry_failed_job = retry_job
    retryAllFailedJobs = retry_all_failed_jobs
    removeJob = remove_job
    pauseQueue = pause_queue
    resumeQueue = resume_queue
    emptyQueue = empty_queue
    cleanQueue = clean_queue
