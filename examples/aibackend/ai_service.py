"""What web requests ask for: answers by a queue, how they stand, and to be left alone with them."""

import json
import logging
from contextlib import AsyncExitStack
from typing import Self

from typing_extensions import TypedDict

from corral import Corral, Exponential, Job, JobNotFoundError, JobState, Keep
from corral.compat import BullJob, BullQueue
from corral.handlers.ai import GenerateCompletion

from .payloads import QueueName

logger = logging.getLogger("aibackend")


class Queued(TypedDict):
    """What adding a job answers."""

    jobId: str
    status: str


class JobStatus(TypedDict):
    """How a job stands."""

    id: str
    state: str  #: waiting, active, completed, failed, delayed
    progress: int  #: 0 to 100
    result: object  #: when it is completed
    failedReason: str | None  #: when it has failed
    attempts: int


class Cancelled(TypedDict):
    """What cancelling answers."""

    message: str


class JobEndedError(Exception):
    """There is nothing to cancel any more."""


class AiService:
    """Adds and watches jobs of `ai-tasks`. It holds nothing: every process of the web application has one."""

    def __init__(self, app: Corral) -> None:
        self.queue = app.queues[QueueName.AI_TASKS]

    async def queue_completion(self, user_id: str, conversation_id: str, message: str) -> Queued:
        """Have a message answered. When this returns, the job is stored durably.

        Raises:
            PayloadError: the message is refused, with every complaint.
        """
        data = GenerateCompletion(
            user_id=user_id, conversation_id=conversation_id, message=message, model="gpt-4", max_tokens=4096,
            temperature=0.7,
        )  # fmt: skip
        job = await self.queue.definition("generate-completion").add(
            data, attempts=3, backoff=Exponential(5), keep_completed=Keep(count=100), keep_failed=Keep(count=500)
        )
        return {"jobId": job.id, "status": "queued"}

    async def get_job_status(self, job_id: str, user_id: str | None) -> JobStatus:
        """How a job stands; `user_id` is whose it must be, None for anybody's.

        Raises:
            JobNotFoundError: there is none, or it is somebody else's: who may not see it need not know of it.
        """
        job = await self.own_job(job_id, user_id)
        return {
            "id": job.id,
            "state": str(job.state),
            "progress": percent(job.progress),
            "result": json.loads(job.result) if job.state is JobState.COMPLETED and job.result else None,
            "failedReason": job.failed_reason if job.state is JobState.FAILED else None,
            "attempts": job.attempts_made,
        }

    async def cancel_job(self, job_id: str, user_id: str | None) -> Cancelled:
        """Stop a job, waiting or running. One that runs is told to; it ends within a moment.

        Raises:
            JobNotFoundError: as `get_job_status`. JobEndedError: it has ended already.
        """
        job = await self.own_job(job_id, user_id)
        live = await self.queue.open()
        if not await live.cancel(job.id, reason="cancelled by its user"):
            raise JobEndedError(f"job {job_id} has ended already")
        return {"message": "Job cancelled"}

    async def own_job(self, job_id: str, user_id: str | None) -> Job:
        """The job, when it is this user's. Raises: JobNotFoundError."""
        job = await (await self.queue.open()).get(job_id)
        data = json.loads(job.data)
        owner = data.get("userId") if isinstance(data, dict) else None
        if user_id is not None and owner != user_id:
            raise JobNotFoundError(self.queue.name, job_id)
        return job


def percent(progress: str | None) -> int:
    """Progress as a number, whatever a handler has reported: a number, or a record with a percentage in it."""
    value = json.loads(progress) if progress else 0
    number = value.get("percent", 0) if isinstance(value, dict) else value
    return min(100, max(0, int(number))) if isinstance(number, int | float) else 0


class AiEvents:
    """Tells the log what happens to the jobs of `ai-tasks`, wherever they run: `async with AiEvents(app)`."""

    def __init__(self, app: Corral) -> None:
        self.queue = BullQueue(QueueName.AI_TASKS, app)
        self._stack = AsyncExitStack()
        self.queue.on("completed", lambda job, result: logger.info("Job %s completed: %s", job.id, result))
        self.queue.on("failed", self._failed)
        self.queue.on("progress", lambda job, progress: logger.info("Job %s progress: %s%%", job.id, progress))
        self.queue.on("stalled", lambda job: logger.warning("Job %s stalled", job.id))
        self.queue.on("drained", lambda: logger.info("Queue is empty"))
        self.queue.on("global:completed", lambda id, result: logger.info("Global: Job %s completed", id))
        self.queue.on("global:failed", lambda id, error: logger.error("Global: Job %s failed", id))

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.queue)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _failed(self, job: BullJob, error: Exception) -> None:
        logger.error("Job %s failed: %s", job.id, error)
