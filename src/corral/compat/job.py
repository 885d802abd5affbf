"""BullJob: a job with the members that handlers and services written for Bull or BullMQ reach for."""

from collections.abc import Awaitable
from typing import overload

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from corral.compat.reading import seconds
from corral.errors import JobNotFoundError
from corral.job import Job, JobState
from corral.payload import from_json, to_json
from corral.queue import Queue
from corral.storage.port import JobPatch
from corral.worker.context import JobContext, SyncJobContext


def _plain(text: str | None) -> object:
    return None if text is None else from_json(text)


class BullJob:
    """One job. Names follow Python; Bull's own spellings are there as well. Times are milliseconds, as in Bull.

    Inside of a handler `context` is the handler's, and what is told through it counts only while the run owns the job.
    """

    def __init__(self, job: Job, queue: Queue | None, context: JobContext | SyncJobContext | None = None) -> None:
        self.job = job
        self.queue = queue
        self.context = context
        self._progress = 0 if job.progress is None else _plain(job.progress)  # Bull and BullMQ begin with 0

    def __repr__(self) -> str:
        return f"BullJob({self.job.queue!r}, {self.job.id!r})"

    # -- facts -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def data(self) -> object:
        """The payload as plain JSON."""
        return from_json(self.job.data)

    @property
    def opts(self) -> dict[str, object]:
        """The job's options in Bull's words, as far as handlers look at them."""
        options = self.job.options
        said: dict[str, object] = {
            "attempts": (self.context.attempts if self.context is not None else options.attempts) or 1,
            "priority": self.job.priority,
            "timeout": options.timeout_ms,
            "lifespan": options.lifespan_ms,
            "keepLogs": options.keep_logs,
            "delay": None if self.job.run_at is None else max(0, self.job.run_at - self.job.created_at),
        }
        return {key: value for key, value in said.items() if value is not None}

    @property
    def attempts_made(self) -> int:
        """Attempts that have ended: 0 in the first run. In a handler look at `is_last_attempt` instead."""
        return self.job.attempts_made

    @property
    def is_last_attempt(self) -> bool:
        """Whether an error now is final: what `attemptsMade >= opts.attempts` is meant to say, and never says."""
        attempts = self.opts["attempts"]
        return isinstance(attempts, int) and self.job.attempts_made + 1 >= attempts

    @property
    def timestamp(self) -> int:
        return self.job.created_at

    @property
    def processed_on(self) -> int | None:
        return self.job.started_at

    @property
    def finished_on(self) -> int | None:
        return self.job.finished_at

    @property
    def failed_reason(self) -> str | None:
        return self.job.failed_reason

    @property
    def stacktrace(self) -> tuple[str, ...]:
        return self.job.traces

    @property
    def returnvalue(self) -> object:
        """What the handler returned, as far as this object knows: `finished()` brings it."""
        return _plain(self.job.result)

    # -- what a handler does -----------------------------------------------------------------------------------------

    @overload
    def progress(self) -> object: ...
    @overload
    def progress(self, value: object) -> Awaitable[None] | None: ...
    def progress(self, value: object = UNSET) -> object:
        """Without a value the progress as it is known here; with one it is reported (await it in async handlers)."""
        return self._progress if value is UNSET else self.update_progress(value)

    def update_progress(self, value: object) -> Awaitable[None] | None:
        """Report progress. Raises: LeaseLostError, when another run owns the job."""
        self._progress = value
        if self.context is not None:
            return self.context.progress(value)
        return self._patch_progress(value)

    async def _patch_progress(self, value: object) -> None:
        queue = self._home()
        await queue.storage.update(queue.name, [JobPatch(job_id=self.id, progress=to_json(value, "progress"))])

    def log(self, line: str) -> Awaitable[object] | None:
        """Append a line to the job's log."""
        return self._home().log(self.id, line) if self.context is None else self.context.log(line)

    # -- what others do ------------------------------------------------------------------------------------------------

    async def get_state(self) -> str:
        """waiting, active, delayed, completed, failed, waiting-children; `unknown` when it is gone."""
        [job] = await self._home().storage.get(self.job.queue, [self.id])
        if job is None:
            return "unknown"
        self.job = job
        return job.state.value

    async def finished(self, ttl: float | None = None) -> object:
        """Wait for the end (`ttl` ms at most) and give the result; `returnvalue` has it too then.

        Raises:
            JobFailedError, JobNotFoundError, JobTimeoutError: as `JobHandle.result`.
        """
        wait = None if ttl is None else seconds(ttl, "ttl")
        value = await self._home().result(self.id, timeout=wait)
        self.job = replace(self.job, state=JobState.COMPLETED, result=msgspec.json.encode(value).decode())
        return value

    async def wait_until_finished(self, events: object = None, ttl: float | None = None) -> object:
        """BullMQ's name for `finished`. Its QueueEvents are not needed here: `events` is not looked at."""
        return await self.finished(ttl)

    async def remove(self) -> None:
        """Delete the job; one that runs is cancelled. Raises: JobNotFoundError."""
        queue = self._home()
        if not await queue.remove(self.id) and not await queue.cancel(self.id, reason="removed"):
            raise JobNotFoundError(self.job.queue, self.id)

    async def retry(self) -> None:
        """Run a failed or completed job again. Raises: JobNotFoundError, when it is neither."""
        if not await self._home().retry(self.id):
            raise JobNotFoundError(self.job.queue, self.id)

    async def promote(self) -> None:
        """Let a delayed job run now. Raises: JobNotFoundError, when it is not delayed."""
        if not await self._home().promote(self.id):
            raise JobNotFoundError(self.job.queue, self.id)

    async def update_data(self, data: object) -> None:
        """Replace the payload. Raises: JobNotFoundError."""
        await self._home().update(self.id, data=data)
        self.job = replace(self.job, data=to_json(data, "payload"))

    async def change_priority(self, priority: int) -> None:
        """Raises: JobNotFoundError."""
        await self._home().update(self.id, priority=priority)

    async def change_delay(self, delay: float) -> None:
        """Of a delayed job: from now on, in ms. Raises: JobNotFoundError."""
        await self._home().update(self.id, delay=seconds(delay, "delay"))

    async def is_completed(self) -> bool:
        """Whether it has completed."""
        return await self.get_state() == "completed"

    async def is_failed(self) -> bool:
        """Whether it has failed for good."""
        return await self.get_state() == "failed"

    async def is_active(self) -> bool:
        """Whether it runs."""
        return await self.get_state() == "active"

    async def is_waiting(self) -> bool:
        """Whether it waits."""
        return await self.get_state() == "waiting"

    async def is_delayed(self) -> bool:
        """Whether it is due later."""
        return await self.get_state() == "delayed"

    def to_json(self) -> dict[str, object]:
        """The job as Bull shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "data": self.data,
            "opts": self.opts,
            "progress": self._progress,
            "attemptsMade": self.attempts_made,
            "timestamp": self.timestamp,
            "processedOn": self.processed_on,
            "finishedOn": self.finished_on,
            "failedReason": self.failed_reason,
            "stacktrace": list(self.stacktrace),
            "returnvalue": self.returnvalue,
        }

    def _home(self) -> Queue:
        if self.queue is None:
            raise JobNotFoundError(self.job.queue, self.id)
        return self.queue

    # -- Bull's spellings ----------------------------------------------------------------------------------------------

    attemptsMade = attempts_made
    processedOn = processed_on
    finishedOn = finished_on
    failedReason = failed_reason
    updateProgress = update_progress
    getState = get_state
    waitUntilFinished = wait_until_finished
    update = updateData = update_data
    changePriority = change_priority
    changeDelay = change_delay
    isCompleted = is_completed
    isFailed = is_failed
    isActive = is_active
    isWaiting = is_waiting
    isDelayed = is_delayed
    toJSON = to_json
