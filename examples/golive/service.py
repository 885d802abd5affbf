"""The platform's job service: what the rest of the platform calls to add jobs, and to look after the queues.

`JobQueueManager` is corral's manager for code that was written for Bull: options are Bull's, times are milliseconds.
Its methods have their names from the platform, in snake_case; the spellings of JavaScript (`addJob`) work as well.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from corral import ConfigError, Corral, Job, JobHandle, JobState, UnknownJobError
from corral.compat import BullJob, BullQueue, BullQueues

from .payloads import CleanupJobType, CustomEmail, EmailJobData, EmailJobType, ReportJobType
from .queues import JobPriority, QueueName
from .schedules import CLEANUP, SCHEDULES

Processor = Callable[[BullJob], Any]
Stats = dict[str, int]


class JobQueueManager(BullQueues):
    """All queues by name."""

    def queue(self, name: str) -> BullQueue:
        """The queue of this name. Raises: ConfigError: it is none of the platform's."""
        if name not in self.app.queues:
            raise ConfigError(f"queue {str(name)!r} does not exist; there are {', '.join(QueueName)}", key="queue")
        return super().queue(name)

    async def add_job(self, queue: str, *arguments: object) -> BullJob:
        """Add a job: `add_job(QueueName.EMAIL, "custom-email", data, {"priority": 1, "attempts": 5})`.

        Raises:
            UnknownJobError: jobs of this name are another queue's. PayloadError: the data is too much, or not JSON.
            ConfigError: an option that cannot be meant.
        """
        if arguments and isinstance(arguments[0], str):
            self._check_home(queue, arguments[0])
        return await super().add_job(queue, *arguments)

    async def add_delayed_job(self, queue: str, name: str, data: object, delay: float) -> BullJob:
        """A job that runs in so many ms. Raises: as `add_job`."""
        self._check_home(queue, name)
        return await super().add_delayed_job(queue, name, data, delay)

    async def add_scheduled_job(self, queue: str, name: str, data: object, run_at: datetime | int | str) -> BullJob:
        """A job that runs at a time; one that has passed is now. Raises: as `add_job`."""
        self._check_home(queue, name)
        return await super().add_scheduled_job(queue, name, data, run_at)

    async def add_repeating_job(
        self, queue: str, name: str, data: object, cron: str, options: Mapping[str, object] | None = None
    ) -> BullJob:
        """A job that comes again by a cron line. One that the table of schedules has already is that one.

        Raises: as `add_job`.
        """
        self._check_home(queue, name)
        keys = [key for key, line in SCHEDULES.items() if line == (queue, name, cron, data)]
        if options or not keys:
            return await super().add_repeating_job(queue, name, data, cron, options)
        storage = await self.app.open()
        wanted = [schedule for schedule in self.app.schedules.declared() if schedule.key in keys]
        await self.app.scheduler(storage).reconcile(wanted, prune=False)
        [stored] = [one for one in (await storage.schedules(queue=queue)).items if one.key in keys]
        first = Job(
            id=f"repeat:{stored.key}:{stored.next_at}", queue=stored.queue, name=stored.name, state=JobState.DELAYED,
            data=stored.data, options=stored.options, priority=stored.priority, created_at=round(time.time() * 1000),
            run_at=stored.next_at, schedule=stored.key,
        )  # fmt: skip
        return BullJob(first, await self.queue(queue).queue())

    def _check_home(self, queue: str, name: str) -> None:
        """Raises: UnknownJobError: jobs of this name are another queue's."""
        target = self.queue(queue)
        if name in self.app.queues[target.name].definitions:
            return
        homes = [home.name for home in self.app.queues.values() if name in home.definitions]
        if homes:
            raise UnknownJobError(f"{target.name} (it belongs to {', '.join(homes)})", name)

    def process_jobs(
        self, queue: str, name: str, processor: Processor, concurrency: int = 1
    ) -> Callable[..., Any] | None:
        """Register the handler of a name; so many of its jobs run at once, over all workers.

        The number is the limit of that name, and the queue gets slots enough for all such names to reach theirs.
        """
        declared = self.app.queues[self.queue(queue).name]
        answer = super().process_jobs(queue, name, processor, concurrency)
        wanted = sum(one.handler.concurrency or 0 for one in declared.definitions.values())
        declared.concurrency = max(declared.concurrency, wanted)
        return answer

    async def get_queue_stats(self, queue: str) -> Stats:
        """The six counts of a queue; beside them what it has done in all its time, and whether it is paused."""
        return (await self._stats([self.queue(queue).name]))[queue]

    async def get_all_queue_stats(self) -> dict[str, Stats]:
        """The same of every queue, in two questions to the store."""
        return await self._stats(list(self.app.queues))

    async def _stats(self, names: list[str]) -> dict[str, Stats]:
        storage = await self.app.open()
        paused = {info.name for info in await storage.queues() if info.paused}
        counts = await storage.counts(names)
        return {
            name: {
                "waiting": one.waiting,
                "active": one.active,
                "completed": one.completed,
                "failed": one.failed,
                "delayed": one.delayed,
                "paused": one.paused,
                "completedTotal": one.completed_total,
                "failedTotal": one.failed_total,
                "isPaused": name in paused,
            }
            for name, one in zip(names, counts, strict=True)
        }

    addJob = add_job  # noqa: N815
    addDelayedJob = add_delayed_job  # noqa: N815
    addScheduledJob = add_scheduled_job  # noqa: N815
    addRepeatingJob = add_repeating_job  # noqa: N815
    processJobs = process_jobs  # noqa: N815
    getQueueStats = get_queue_stats  # noqa: N815
    getAllQueueStats = get_all_queue_stats  # noqa: N815


class JobService:
    """The producer functions, bound to one application."""

    def __init__(self, app: Corral) -> None:
        self.app = app
        self.manager = JobQueueManager(app)

    async def add_email_job(
        self, kind: EmailJobType, data: EmailJobData | CustomEmail | Mapping[str, object],
        priority: JobPriority | None = None,
    ) -> JobHandle[object]:  # fmt: skip
        """Add a mail. Without a priority it has that of its kind: alerts go first.

        Raises:
            PayloadError: it cannot become a mail; with every complaint.
        """
        return await self._add(QueueName.EMAIL, kind, data, priority)

    async def add_report_job(
        self, kind: ReportJobType, data: Mapping[str, object], priority: JobPriority | None = None
    ) -> JobHandle[object]:
        """Add a report. Raises: PayloadError, with every complaint."""
        return await self._add(QueueName.REPORT, kind, data, priority)

    async def add_cleanup_job(
        self, kind: CleanupJobType, data: Mapping[str, object] | None = None, priority: JobPriority | None = None
    ) -> JobHandle[object]:
        """Add a clean-up. Without a priority it is LOW. Raises: PayloadError, with every complaint."""
        return await self._add(QueueName.CLEANUP, kind, data or {}, priority)

    async def schedule_daily_cleanup(self) -> list[str]:
        """Have the four clean-ups run by the clock; answers their keys. A second call changes nothing."""
        wanted = [schedule for schedule in self.app.schedules.declared() if schedule.key in CLEANUP]
        await self.app.scheduler(await self.app.open()).reconcile(wanted, prune=False)
        return [schedule.key for schedule in wanted]

    async def _add(self, queue: QueueName, kind: str, data: object, priority: JobPriority | None) -> JobHandle[object]:
        definition = self.app.definition(queue, kind)
        if priority is None:
            handle: JobHandle[object] = await definition.add(data)
        else:
            handle = await definition.add(data, priority=priority)
        return handle
