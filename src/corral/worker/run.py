"""One run of one job: who runs it, and how it is told to stop."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

from corral.errors import CorralError, JobCancelledError
from corral.job import Job
from corral.storage.port import Token
from corral.worker.context import JobContext, SyncJobContext

#: The job whose handler is running in this context: log formatters read it, so that an application's own lines name it.
current_job: ContextVar[Job | None] = ContextVar("corral_current_job", default=None)


class WorkerStoppingError(CorralError):
    """The worker is stopping. Never leaves the worker."""


class Run:
    """A claimed job on its way through the worker. Lives on the worker's event loop."""

    __slots__ = (
        "abandoned", "begun", "context", "job", "on_stop", "queue", "started", "stopped", "sync_context", "task",
        "timer", "token",
    )  # fmt: skip

    def __init__(self, queue: str, job: Job, token: Token, started: float, on_stop: "Callable[[Run], None]") -> None:
        self.on_stop = on_stop  #: told when the run is told to stop: whoever runs it gives it some grace and then up
        self.queue = queue
        self.job = job
        self.token = token
        self.started = started  #: monotonic seconds of the claim
        self.task: asyncio.Task[None] | None = None  #: the slot that runs it, once it has one
        self.timer: asyncio.TimerHandle | None = None
        self.begun = False  #: its handler was called
        self.context: JobContext | None = None
        self.sync_context: SyncJobContext | None = None
        self.stopped: CorralError | None = None  #: why it was told to stop
        self.abandoned = False  #: its slot was given up; whatever still comes of it is ignored

    def stop(self, why: CorralError) -> None:
        """Tell the run to stop. The first reason counts: it decides what becomes of the job."""
        if self.stopped is not None:
            return
        self.stopped = why
        if self.sync_context is not None:
            self.sync_context.tell_to_stop(why.reason if isinstance(why, JobCancelledError) else str(why))
        if self.task is not None:
            self.task.cancel()
        self.on_stop(self)

    def clear(self) -> None:
        """The handler has ended: no timer, and no late cancellation for the next job of the slot."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.stopped is not None and self.task is not None:
            while self.task.cancelling():
                self.task.uncancel()
        self.task = None
