"""The monitor's verbs about one thing in full: a job as it is stored, its texts, its log, the settings."""

from collections.abc import Sequence

from corral.errors import ConfigError, JobNotFoundError, QueueNotFoundError
from corral.job import Job, JobId
from corral.monitor.base import MonitorBase
from corral.sensitive import shown_text
from corral.storage.insight import Page
from corral.storage.port import QueueInfo

#: What of a job is text that may be long.
PARTS = ("data", "result", "progress")
#: Lines of a log that one answer has at most.
LINES = 1_000


class TextVerbs(MonitorBase):
    """Whatever lists cut off or leave out."""

    async def kept(self, queue: str, job_id: JobId) -> Job:
        """A job as it is stored, all of it, nothing hidden. Raises: JobNotFoundError."""
        [job] = await self.storage.get(queue, [job_id])
        if job is None:
            raise JobNotFoundError(queue, job_id)
        return job

    async def states(self, queue: str, ids: Sequence[JobId]) -> list[Job | None]:
        """These jobs without their long texts, in order; None where there is none."""
        return await self.storage.get(queue, ids, lean=True) if ids else []

    async def text(self, queue: str, job_id: JobId, part: str = "data", *, reveal: bool = False) -> str | None:
        """The payload (`data`), the result or the progress of a job as JSON text, however long; None: there is none.

        Raises:
            JobNotFoundError: no such job. ConfigError: another part.
        """
        if part not in PARTS:
            raise ConfigError(f"part must be one of {', '.join(PARTS)}, not {part!r}", key="part")
        job = await self.kept(queue, job_id)
        found = {"data": job.data, "result": job.result, "progress": job.progress}[part]
        return found if found is None or reveal else self.hidden(found, job)

    def hidden(self, text: str, job: Job) -> str:
        """A text of this job with what is sensitive replaced."""
        return shown_text(text, (*self._sensitive, *job.options.sensitive))

    async def logs(self, queue: str, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        """Lines of a job's log from number `start` on, oldest first. Raises: JobNotFoundError."""
        [job] = await self.storage.get(queue, [job_id], lean=True)
        if job is None:
            raise JobNotFoundError(queue, job_id)
        return await self.storage.logs(queue, job_id, start=max(0, start), limit=max(0, min(limit, LINES)))

    async def deduplication(self, queue: str, key: str) -> JobId | None:
        """The job that keeps others with this deduplication id out."""
        return await self.storage.deduplication(queue, key, now=self.store_now())

    async def info(self, queue: str) -> QueueInfo:
        """A queue's settings as they are stored, at most a second old. Raises: QueueNotFoundError."""
        facts, _ = await self.snapshot()
        for one in facts.infos:
            if one.name == queue:
                return one
        raise QueueNotFoundError(queue, [one.name for one in facts.infos])
