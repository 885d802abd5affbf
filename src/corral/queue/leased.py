"""Jobs taken by hand: for programs that are no workers (a shell, another scheduler), with the worker's guarantees.

    for job in await queue.claim(10, lease=60):
        async with job:
            job.result = await do(job.data)

Whoever claims is the job's worker until `lease` has passed: it must settle the job by then, or `extend` the lease.
Otherwise any worker of the queue gives the job to somebody else, and what comes too late is refused.
"""

import os
import secrets
import socket
from types import TracebackType
from typing import Self

from corral._version import __version__
from corral.error_text import trace_of
from corral.errors import ConfigError, CorralError, JobCancelledError, JobNotFoundError, LeaseLostError
from corral.job import Job, JobId
from corral.options import KEEP_COMPLETED, KEEP_FAILED
from corral.outcome import Outcome, Parked, Released
from corral.payload import from_json, result_json, to_json
from corral.queue.base import QueueBase
from corral.retry import MAX_CRASHES, Ending, Raised, RetryPolicy, Returned, decide
from corral.signals import Retry, Snooze
from corral.storage.port import BATCH, Claim, JobPatch, Lease, Refusal, Settlement, Storage, Token, WorkerInfo
from corral.timing import Seconds, now_ms, to_ms


class LeasedJob:
    """A job that is yours until you settle it or its lease runs out. As a context manager it settles itself.

    Every verb raises LeaseLostError when the job is no longer yours, JobNotFoundError when it was removed.
    """

    def __init__(self, storage: Storage, job: Job, token: Token, worker: str) -> None:
        self.job = job
        self.result: object = None  #: what a block that ends well completes the job with
        self.settled = False
        self._storage = storage
        self._token = token
        self._worker = worker

    def __repr__(self) -> str:
        return f"<LeasedJob {self.job.queue}/{self.id} {self.job.name}>"

    @property
    def id(self) -> JobId:
        return self.job.id

    @property
    def name(self) -> str:
        return self.job.name

    @property
    def data(self) -> object:
        """The payload, as plain JSON."""
        return from_json(self.job.data)

    async def complete(self, result: object = None) -> None:
        """The work is done. Raises: ResultError when `result` is not JSON."""
        await self._end(Returned(result_json(result)))

    async def fail(self, error: BaseException | str) -> None:
        """This attempt failed; whether another one follows is for the job's own options to say."""
        made = CorralError(error) if isinstance(error, str) else error
        await self._end(Raised(made, trace_of(made)))

    async def retry(self, reason: str = "retry requested", *, after: Seconds | None = None) -> None:
        """Try again after so many seconds. It uses up an attempt; after the last one the job fails."""
        await self._end(Raised(Retry(reason, after=after)))

    async def snooze(self, seconds: Seconds) -> None:
        """Put it off, without using up an attempt."""
        await self._end(Raised(Snooze(seconds)))

    async def release(self) -> None:
        """Give it back: to the front of the queue, without using up an attempt."""
        await self._settle(Released())

    async def wait_for_children(self) -> None:
        """Put it aside until its children have ended."""
        await self._settle(Parked())

    async def extend(self, seconds: Seconds) -> None:
        """Keep it for at least so many seconds from now on.

        Raises:
            JobCancelledError: somebody wants it stopped; settle it, and it fails as cancelled.
        """
        lease = Lease(queue=self.job.queue, job_id=self.id, token=self._token)
        info = WorkerInfo(
            id=self._worker, name=self._worker, host=socket.gethostname(), pid=os.getpid(), version=__version__,
            queues=(), slots=0, started_at=now_ms(),
        )  # fmt: skip
        # A beat renews what is half gone: with twice the time at least so much is left afterwards.
        pulse = await self._storage.heartbeat(info, [lease], lease_ms=2 * to_ms(seconds, "seconds", minimum=0.001))
        if pulse.lost:
            raise LeaseLostError(self.job.queue, self.id)
        for _, reason in pulse.cancelled:
            raise JobCancelledError(reason)

    async def progress(self, value: object) -> None:
        """Report how far the work is. Raises: PayloadError when it is not JSON."""
        patch = JobPatch(job_id=self.id, token=self._token, progress=to_json(value, "progress"))
        if not await self._storage.update(self.job.queue, [patch]):
            raise LeaseLostError(self.job.queue, self.id)

    async def log(self, line: str) -> None:
        """Append a line to the job's own log."""
        await self._storage.log(self.job.queue, self.id, [line])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Complete it with `result`, or let it fail with an error, which goes no further. Other exits release it."""
        if self.settled:
            return False
        if error is None:
            await self.complete(self.result)
        elif isinstance(error, Exception):
            await self.fail(error)
        else:  # the program is being stopped: somebody else shall have the job at once
            await self.release()
        return isinstance(error, Exception)

    async def _end(self, ending: Ending) -> None:
        await self._settle(decide(self.job, ending, _policy(self.job)))

    async def _settle(self, outcome: Outcome) -> None:
        settlement = Settlement(job_id=self.id, token=self._token, outcome=outcome)
        settled = await self._storage.settle(self.job.queue, [settlement])
        refusal = settled.refused.get(self.id)
        self.settled = True
        if refusal is Refusal.JOB_MISSING:
            raise JobNotFoundError(self.job.queue, self.id)
        if refusal is not None:
            raise LeaseLostError(self.job.queue, self.id)


def _policy(job: Job) -> RetryPolicy:
    """What the job was added with; there is no handler here to ask."""
    options = job.options
    return RetryPolicy(
        attempts=options.attempts or 1, backoff=options.backoff, dead_letter=options.dead_letter,
        keep_completed=options.keep_completed or KEEP_COMPLETED, keep_failed=options.keep_failed or KEEP_FAILED,
        max_crashes=options.max_crashes or MAX_CRASHES,
    )  # fmt: skip


class ClaimVerbs(QueueBase):
    """Taking jobs without being a worker."""

    async def claim(self, count: int = 1, *, lease: Seconds = 30, worker: str | None = None) -> list[LeasedJob]:
        """Take at most `count` jobs that may run now, best first; none when nothing may.

        Limits, groups and pauses hold as for workers. A queue served by hand alone should call `recover` now and then,
        which puts back what others took and never settled.

        Args:
            lease: seconds in which each must be settled or extended.
            worker: recorded on the jobs, for people to read; host and process id when it is left out.

        Raises:
            ConfigError: a count that is not from 1 to 256.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= BATCH:
            raise ConfigError(f"count must be a whole number from 1 to {BATCH}, not {count!r}", key="count")
        name = worker or f"{socket.gethostname()}-{os.getpid()}-by-hand"
        token = Token(f"{name}:{secrets.token_hex(8)}")
        wish = Claim(count=count, token=token, lease_ms=to_ms(lease, "lease", minimum=0.2), worker=name)
        claimed = await self.storage.claim(self.name, wish)
        return [LeasedJob(self.storage, job, token, name) for job in claimed.jobs]

    async def recover(self, *, max_crashes: int = 2) -> list[JobId]:
        """Put back jobs whose lease ran out, as every worker does by itself; answers them."""
        found: list[JobId] = []
        more = True
        while more:
            recovered = await self.storage.recover(self.name, max_crashes=max_crashes)
            found += (*recovered.requeued, *recovered.quarantined)
            more = recovered.more
        return found
