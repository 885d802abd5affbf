"""What a running handler holds: the facts of its job and the few things it may do with it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from corral.effects import note_key
from corral.errors import JobCancelledError, LeaseLostError
from corral.intake import OPEN, Intake
from corral.job import Job, JobId, JobState, NewJob
from corral.payload import to_json
from corral.storage.port import Added, Children, JobPatch, Lease, Storage, Token
from corral.timing import Millis, Seconds, to_datetime, to_ms
from corral.worker.adding import Adds, BlockingAdds, Errands
from corral.worker.durable import BlockingDurable, Durable
from corral.worker.steps import Steps
from corral.worker.threads import Threads

T = TypeVar("T")
MAX_LOG_LINE = 8_000
_MAKING = threading.Lock()


class Facts:
    """The read-only side, the same in every kind of handler."""

    __slots__ = ("_steps", "_threads", "attempts", "errands", "job")

    def __init__(self, job: Job, attempts: int) -> None:
        self._steps: Steps | None = None  #: once a step or an effect is asked for
        self.errands: Errands | None = None  #: once a job is added
        self._threads: Threads | None = None  #: where steps that are plain functions run
        self.job = job
        self.attempts = attempts  #: how many attempts the job may take in all

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.queue}/{self.id} {self.name} attempt {self.attempt}/{self.attempts}>"

    @property
    def id(self) -> str:
        """The job's id: the same in every attempt, so it can key whatever must happen once."""
        return self.job.id

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def queue(self) -> str:
        return self.job.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.job.attempts_made + 1

    @property
    def is_last_attempt(self) -> bool:
        """Whether an error now is final."""
        return self.attempt >= self.attempts

    @property
    def fence(self) -> int:
        """A number that grows with every run of this job: a system that remembers it can refuse an older run."""
        return self.job.fence

    @property
    def scheduled_for(self) -> datetime | None:
        """The slot of the schedule that made the job (UTC), however late it runs; None for ordinary jobs."""
        return None if self.job.scheduled_for is None else to_datetime(self.job.scheduled_for)


class JobContext(Facts, Durable, Adds):
    """The context of an `async def` handler."""

    __slots__ = ("_intake", "_keep_logs", "_storage", "_token")

    def __init__(
        self, job: Job, attempts: int, storage: Storage, token: Token, keep_logs: int = 1000,
        threads: Threads | None = None, intake: Intake = OPEN,
    ) -> None:  # fmt: skip
        super().__init__(job, attempts)
        self._threads = threads
        self._intake = intake
        self._storage = storage
        self._token = token
        self._keep_logs = keep_logs

    @property
    def durable(self) -> Steps:
        """What the run knows of its steps and effects."""
        if self._steps is None:
            self._steps = Steps(self.job, self)
        return self._steps

    async def progress(self, value: object) -> None:
        """Report how far the work is: a percentage, or any JSON value. Visible to everyone at once.

        Raises:
            PayloadError: not JSON. LeaseLostError: another run owns the job now; stop.
        """
        await self.progress_json(to_json(value, "progress"))

    async def progress_json(self, text: str) -> None:
        """`progress` for a value that is JSON text already: what child processes send."""
        patch = JobPatch(job_id=self.job.id, token=self._token, progress=text)
        if not await self._storage.update(self.job.queue, [patch]):
            raise LeaseLostError(self.job.queue, self.job.id)

    async def log(self, line: str) -> None:
        """Append a line to the job's own log (cut at 8,000 characters)."""
        # Half a surrogate pair cannot be stored; it is written out rather than failing the job.
        text = str(line)[:MAX_LOG_LINE].encode("utf-8", "backslashreplace").decode()
        await self._storage.log(self.job.queue, self.job.id, [text], keep=self._keep_logs)

    async def children(self) -> Children:
        """How the job's children stand, with the results of those that completed."""
        return await self._storage.children(self.job.queue, self.job.id)

    def start_errands(self) -> Errands:
        """What this run has added so far."""
        if self.errands is None:
            self.errands = Errands()
        return self.errands

    async def add_jobs(self, jobs: Sequence[NewJob], patience: float = 0.0) -> list[Added]:
        """What `add` and `add_child` end in: the door that every producer's jobs go through."""
        from corral.queue.adding import add_all  # child processes ask their worker, and start 12 ms sooner without it

        return await add_all(self._storage, jobs, self._intake, patience=patience)

    async def collect(self, jobs: Sequence[NewJob]) -> None:
        """What `add_on_complete` ends in."""
        self.start_errands().later += await self._intake.admit(jobs)

    async def names_of(self, queue: str, ids: Sequence[JobId]) -> Mapping[JobId, str]:
        """`queue/name` of those of these jobs that are still there."""
        found = await self._storage.get(queue, ids)
        return {job.id: f"{job.queue}/{job.name}" for job in found if job is not None}

    async def recall(self, key: str) -> str | None:
        """What an earlier attempt of this job noted under `key`; None when nothing."""
        return await self._storage.remember(self.job.queue, self._note(key))

    async def note(self, key: str, value: str, *, keep: Seconds = 7 * 86_400) -> None:
        """Leave a note to later attempts of this job: durable when this returns, gone after `keep` seconds."""
        ttl_ms = to_ms(keep, "keep")
        await self._storage.remember(self.job.queue, self._note(key), value, replace=True, ttl_ms=ttl_ms)

    def _note(self, key: str) -> str:
        return note_key(self.job, key)

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None
    ) -> str | None:
        """What `step` and `once` are made of: look into a ledger, or write as long as this run has its lease."""
        lease = Lease(queue=self.job.queue, job_id=self.job.id, token=self._token)
        return await self._storage.remember(ledger, key, value, replace=replace, ttl_ms=ttl_ms, lease=lease)

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool:
        """Whether this run of a job still goes on: until its end, or until its lease was found to have run out."""
        job = (await self._storage.get(queue, [job_id]))[0]
        return job is not None and job.state is JobState.ACTIVE and job.attempts_started == run


#: Runs a coroutine on the worker's loop and waits for it, from another thread.
Caller = Callable[[Coroutine[Any, Any, T]], T]


class SyncJobContext(Facts, BlockingDurable, BlockingAdds):
    """The context of a `def` handler, which runs in a thread: the same verbs, blocking."""

    __slots__ = ("_context", "_loop", "_stop", "stop_reason")
    _context: JobContext

    def __init__(self, context: JobContext, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(context.job, context.attempts)
        self._context = context
        self._loop = loop
        self._stop = threading.Event()
        self.stop_reason = ""

    @property
    def durable(self) -> Steps:
        """What the run knows of its steps and effects."""
        with _MAKING:  # threads of the handler's own may be the first to ask, all at once
            return self._context.durable

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    @property
    def stopping(self) -> bool:
        """Whether the run was told to stop (cancelled, timed out, lease lost). A thread cannot be killed: look here."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise JobCancelledError when the run was told to stop: call it inside long loops."""
        if self._stop.is_set():
            raise JobCancelledError(self.stop_reason)

    def wait(self, seconds: float) -> None:
        """Sleep, but wake and raise JobCancelledError as soon as the run is told to stop."""
        if self._stop.wait(seconds):
            raise JobCancelledError(self.stop_reason)

    def tell_to_stop(self, reason: str) -> None:
        """The worker's side of `stopping`."""
        self.stop_reason = reason
        self._stop.set()

    def progress(self, value: object) -> None:
        """As `JobContext.progress`."""
        self._run(self._context.progress(value))

    def log(self, line: str) -> None:
        """As `JobContext.log`."""
        self._run(self._context.log(line))

    def children(self) -> Children:
        """As `JobContext.children`."""
        return self._run(self._context.children())

    def recall(self, key: str) -> str | None:
        """As `JobContext.recall`."""
        return self._run(self._context.recall(key))

    def note(self, key: str, value: str, *, keep: Seconds = 7 * 86_400) -> None:
        """As `JobContext.note`."""
        self._run(self._context.note(key, value, keep=keep))
