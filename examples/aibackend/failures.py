"""When a job has failed for good: an error tracker, the administrators and the person whose job it was are told."""

import json
import logging
from collections.abc import Mapping
from typing import Protocol

from corral import Corral, Event, Job

from .data import Data
from .payloads import Notice, QueueName

logger = logging.getLogger("aibackend")


class Tracker(Protocol):
    """An error tracker: `sentry_sdk.capture_message(message, contexts=…)` has this shape."""

    def capture(self, message: str, contexts: Mapping[str, Mapping[str, object]]) -> None:
        """Take a failure in."""
        ...


class LogTracker:
    """What does while no tracker is there: the log."""

    def capture(self, message: str, contexts: Mapping[str, Mapping[str, object]]) -> None:
        """Write it down, without the payload."""
        facts = {key: value for key, value in contexts["job"].items() if key != "data"}
        logger.error("Captured: %s", message, extra={"context": facts})


class FailedJobs:
    """Declares what is done about failed jobs. `failed` is the end of a job, and not of one attempt."""

    def __init__(self, app: Corral, data: Data, tracker: Tracker) -> None:
        self.app = app
        self.data = data
        self.tracker = tracker
        app.on("failed")(self.failed)

    async def failed(self, event: Event, job: Job) -> None:
        """Tell everybody who is to know; each once, by ids made of the job's. A cancelled job is nobody's trouble."""
        if event.is_cancellation:
            return
        reason = str(json.loads(event.detail)) if event.detail else "?"
        data = json.loads(job.data)
        # The hook has the job as its worker took it: what came of it, the store knows, if it is still kept.
        stored = (await (await self.app.open()).get(job.queue, [job.id]))[0]
        attempts = job.attempts_made + 1 if stored is None else stored.attempts_made
        facts = {"id": job.id, "name": job.name, "data": data, "attempts": attempts}
        self.tracker.capture(reason, {"job": facts})
        whose = data.get("userId") if isinstance(data, dict) else None
        if isinstance(whose, str) and job.queue == QueueName.AI_TASKS:
            await self.data.notify(f"failed-{job.queue}-{job.id}-{job.created_at}", whose, "Your job failed", job.id)
        if job.queue == QueueName.EMAIL:
            return  # a mail about a mail that did not arrive would not arrive either
        for admin in await self.data.admins():
            text = f"{job.queue}/{job.name} failed: {reason}"[:1_000]
            mail = self.app.definition(QueueName.EMAIL, "send-notification")
            notice = Notice(user_id=admin.id, message=text, job_id=job.id)
            await mail.add(notice, id=f"failed-{job.queue}-{job.id}-{job.created_at}-{admin.id}")
