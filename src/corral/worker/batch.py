"""Batches as handlers see them: `batch=Batch(50)` has one call receive up to fifty jobs.

    @search.job("index", batch=Batch(50, minimum=10, wait=2))
    async def index(ctx: BatchContext, jobs: list[BatchJob[Document]]) -> None:
        answers = await engine.bulk([job.data for job in jobs])
        for job, answer in zip(jobs, answers, strict=True):
            if answer.refused:
                job.fail(answer.reason)

What the handler neither completes nor fails completes with its return value; when it raises, those fail with that.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar, cast

from msgspec import Struct
from msgspec.structs import force_setattr

from corral.errors import ConfigError, CorralError, JobCancelledError, JobStateError
from corral.job import Job
from corral.plurals import plural
from corral.signals import Discard, Retry, Snooze
from corral.timing import Seconds, to_seconds
from corral.worker.context import JobContext, SyncJobContext

D_co = TypeVar("D_co", covariant=True)

#: More jobs than this in one call would hold as many leases, and as many payloads in memory, per slot.
MAX_SIZE = 1_000


class Batch(Struct, frozen=True):
    """One call of the handler gets up to `size` jobs.

    It is made as soon as `minimum` of them are there, or `wait` seconds after the first one came. `by_group` keeps the
    jobs of different groups apart.
    """

    size: int
    minimum: int = 1
    wait: float = 1.0
    by_group: bool = False

    def __post_init__(self) -> None:
        for key, most in (("size", MAX_SIZE), ("minimum", self.size)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ConfigError(f"batch {key} must be a whole number from 1 to {most}, not {value!r}", key=key)
        force_setattr(self, "wait", to_seconds(self.wait, "batch wait"))


class Settled(Struct, frozen=True):
    """How a job of a batch ended: with a result, or with what was raised."""

    value: object = None
    error: BaseException | None = None
    trace: TracebackType | None = None  #: as it was raised; each job that raises it again would lengthen it


#: Takes the verdict on one job, from whatever thread.
Settle: TypeAlias = Callable[[Settled], None]


class BatchContext:
    """What a batch handler is told about the call. Progress, log lines and notes are each job's own: `job.ctx`."""

    __slots__ = ("_stop", "group", "name", "queue", "size")

    def __init__(self, queue: str, name: str, group: str | None, size: int) -> None:
        self.queue = queue
        self.name = name
        self.group = group  #: with `by_group`: whose jobs these are
        self.size = size
        self._stop = threading.Event()

    def __repr__(self) -> str:
        return f"<BatchContext {self.queue}/{self.name}: {plural(self.size, 'job')}>"

    @property
    def stopping(self) -> bool:
        """Whether every job of the batch was told to stop. A thread cannot be killed: look here in long loops."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise JobCancelledError when every job of the batch was told to stop."""
        if self._stop.is_set():
            raise JobCancelledError("every job of the batch was told to stop")

    def wait(self, seconds: float) -> None:
        """Sleep in a thread, but wake and raise JobCancelledError as soon as every job was told to stop."""
        if self._stop.wait(seconds):
            self.check()

    def tell_to_stop(self) -> None:
        """The worker's side of `stopping`."""
        self._stop.set()


class _BatchJob(Generic[D_co]):
    """A job of a batch: its payload, and the verdict on it."""

    __slots__ = ("_data", "_gone", "_lock", "_settle", "_verdict", "job")

    def __init__(self, job: Job, data: object, settle: Settle) -> None:
        self.job = job
        self._data = data
        self._settle = settle
        self._lock = threading.Lock()
        self._verdict = ""
        self._gone = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job.queue}/{self.job.id} {self._verdict or 'open'}>"

    @property
    def data(self) -> D_co:
        return cast(D_co, self._data)

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def gone(self) -> bool:
        """Whether it left the batch while the handler ran: cancelled, timed out, or another worker has it now."""
        return self._gone

    def leave(self) -> None:
        """The worker's side of `gone`."""
        self._gone = True

    def complete(self, result: object = None) -> bool:
        """The job is done; it need not wait for the others. False when it is `gone`: the verdict came too late.

        Raises:
            JobStateError: it has a verdict already.
        """
        return self._end("completed", Settled(result))

    def fail(self, error: BaseException | str) -> bool:
        """This attempt failed with `error`; whether another one follows is decided as if the handler had raised it."""
        return self._end("failed", Settled(error=CorralError(error) if isinstance(error, str) else error))

    def retry(self, reason: str = "retry requested", *, after: Seconds | None = None) -> bool:
        """As raising `Retry` for this job alone."""
        return self._end("retried", Settled(error=Retry(reason, after=after)))

    def snooze(self, seconds: Seconds, reason: str = "snoozed") -> bool:
        """As raising `Snooze` for this job alone: later, without using up an attempt."""
        return self._end("snoozed", Settled(error=Snooze(seconds, reason)))

    def discard(self, reason: str = "discarded") -> bool:
        """As raising `Discard` for this job alone: it fails for good."""
        return self._end("discarded", Settled(error=Discard(reason)))

    def _end(self, verdict: str, settled: Settled) -> bool:
        with self._lock:
            if self._verdict:
                raise JobStateError(self.job.queue, self.job.id, state=self._verdict, wanted="open")
            if self._gone:
                return False
            self._verdict = verdict
        self._settle(settled)
        return True


class BatchJob(_BatchJob[D_co]):
    """A job of a batch in an `async def` handler."""

    __slots__ = ("ctx",)

    def __init__(self, ctx: JobContext, data: object, settle: Settle) -> None:
        super().__init__(ctx.job, data, settle)
        self.ctx = ctx  #: as a handler of this job alone would have it

    async def progress(self, value: object) -> None:
        """As `JobContext.progress`."""
        await self.ctx.progress(value)

    async def log(self, line: str) -> None:
        """As `JobContext.log`."""
        await self.ctx.log(line)


class SyncBatchJob(_BatchJob[D_co]):
    """A job of a batch in a `def` handler, which runs in a thread."""

    __slots__ = ("ctx",)

    def __init__(self, ctx: SyncJobContext, data: object, settle: Settle) -> None:
        super().__init__(ctx.job, data, settle)
        self.ctx = ctx

    def progress(self, value: object) -> None:
        """As `JobContext.progress`."""
        self.ctx.progress(value)

    def log(self, line: str) -> None:
        """As `JobContext.log`."""
        self.ctx.log(line)
