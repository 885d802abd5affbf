"""The queue service: adding, looking and acting by the name of a queue. Times in options are Bull's milliseconds."""

import json
from collections.abc import Mapping
from typing import Unpack

from corral import AddKeywords, Corral, JobHandle, JobNotFoundError
from corral.compat import BullJob, BullQueues, job_options

from .payloads import QueueName

Stats = dict[str, int]


class QueueService:
    """What the platform's code says to its queues."""

    def __init__(self, app: Corral) -> None:
        self.app = app
        self._bull = BullQueues(app)

    def __repr__(self) -> str:
        return f"<QueueService of {self.app.name}>"

    # -- adding ------------------------------------------------------------------------------------------------------

    async def add_job(
        self, queue: QueueName | str, data: object, options: Mapping[str, object] | None = None,
        **keywords: Unpack[AddKeywords],
    ) -> JobHandle[object]:  # fmt: skip
        """Add a job; when this returns, it is stored durably.

        Args:
            options: as Bull has them, times in ms: `{"priority": 1, "attempts": 5, "delay": 60000, "timeout": 300000}`.
            keywords: the same as corral has them, times in seconds: `priority=1, delay=60`.

        Raises:
            PayloadError: every complaint about the data. ConfigError: a bad option. QueueNotFoundError.
        """
        said: AddKeywords = {**job_options(dict(options or {})), **keywords}
        handle: JobHandle[object] = await self.app.definition(queue, str(queue)).add(data, **said)
        return handle

    async def add_recurring_job(
        self, queue: QueueName | str, key: str, data: object, cron: str, *, tz: str = "UTC"
    ) -> BullJob:
        """A job that comes again by a cron line. The same key again changes it; the answer is its first job to come.

        Raises:
            PayloadError: every complaint about the data. ConfigError: a line that is none.
        """
        checked = json.loads(self.app.definition(queue, str(queue)).new(data).data)
        template = {"name": str(queue), "data": checked}
        return await self._bull.queue(str(queue)).upsert_job_scheduler(key, {"pattern": cron, "tz": tz}, template)

    async def remove_recurring_job(self, queue: QueueName | str, key: str) -> bool:
        """Let it come no more; False when there is none."""
        return await self._bull.queue(str(queue)).remove_job_scheduler(key)

    async def get_recurring_jobs(self, queue: QueueName | str) -> list[dict[str, object]]:
        """What comes again in a queue."""
        return await self._bull.queue(str(queue)).get_job_schedulers()

    async def remove_job(self, queue: QueueName | str, job_id: str) -> None:
        """Delete a job; one that runs is cancelled. Raises: JobNotFoundError."""
        await self._bull.remove_job(str(queue), job_id)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def get_job(self, queue: QueueName | str, job_id: str) -> BullJob | None:
        """A job, or None."""
        return await self._bull.get_job(str(queue), job_id)

    async def get_queue_stats(self, queue: QueueName | str) -> Stats:
        """The six counts: waiting, active, completed, failed, delayed, paused."""
        return await self._bull.get_queue_stats(str(queue))

    async def get_all_queue_stats(self) -> dict[str, Stats]:
        """The six counts of every queue."""
        return {name.value: await self.get_queue_stats(name) for name in QueueName}

    async def get_failed_jobs(self, queue: QueueName | str, start: int = 0, end: int = 99) -> list[BullJob]:
        """Failed jobs from `start` to `end` (both included), newest first."""
        return await self._bull.get_failed_jobs(str(queue), start, end)

    # -- acting ------------------------------------------------------------------------------------------------------

    async def retry_failed_job(self, queue: QueueName | str, job_id: str) -> None:
        """Run a failed job again. Raises: JobNotFoundError, JobStateError."""
        job = await self.get_job(queue, job_id)
        if job is None:
            raise JobNotFoundError(str(queue), job_id)
        await job.retry()

    async def retry_all_failed_jobs(self, queue: QueueName | str) -> int:
        """Run every failed job again; answers how many. Jobs that run are left alone: see `recover_stuck_jobs`."""
        return await self._bull.retry_all_failed_jobs(str(queue))

    async def recover_stuck_jobs(self, queue: QueueName | str) -> list[str]:
        """Give jobs back whose worker is gone; workers do so by themselves, within seconds."""
        return await self._bull.clean_queue(str(queue), 0, "active")

    async def pause_queue(self, queue: QueueName | str) -> None:
        """Hand out no more of its jobs; those that run end."""
        await self._bull.pause_queue(str(queue))

    async def resume_queue(self, queue: QueueName | str) -> None:
        """Hand them out again."""
        await self._bull.resume_queue(str(queue))

    async def empty_queue(self, queue: QueueName | str) -> None:
        """Delete what waits and what is due later. What runs, and what has ended, stays."""
        await self._bull.empty_queue(str(queue))

    async def obliterate_queue(self, queue: QueueName | str, *, force: bool = False) -> None:
        """Delete the queue with everything in it. Raises: QueueBusyError while its jobs run, unless `force`."""
        await self._bull.queue(str(queue)).obliterate({"force": force})

    async def clean_queue(self, queue: QueueName | str, grace: float, status: str = "completed") -> list[str]:
        """Delete jobs that are `completed` or `failed` for at least `grace` ms; answers their ids."""
        return await self._bull.clean_queue(str(queue), grace, status)
