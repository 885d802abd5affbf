"""Gathering what `corral.why` judges by: a handful of reads, each as of its own moment."""

from msgspec import Struct

from corral.errors import JobNotFoundError
from corral.job import Job, JobId, JobState
from corral.options import QueueSettings
from corral.queue.base import QueueBase
from corral.queue.groups import find_group
from corral.storage.insight import GroupInfo
from corral.storage.port import Children, Claim, Claimed, Storage, Token
from corral.timing import Millis, now_ms
from corral.why import Facts, Why, why

#: Figures of so many minutes tell the pace.
MINUTES = 15


class ExplainVerbs(QueueBase):
    """Why a job is not running."""

    async def why(self, job_id: JobId, *, now: Millis | None = None) -> Why:
        """Why the job is not running, with remedies, and when it may start. Raises: JobNotFoundError.

        Args:
            now: epoch milliseconds, for tests; without it the machine's clock.
        """
        job = (await self.storage.get(self.name, [job_id]))[0]
        if job is None:
            raise JobNotFoundError(self.name, job_id)
        return why(job, await gather(self.storage, job, now))


class _Ended(Struct, frozen=True):
    attempts: int
    over_ms: Millis


async def gather(storage: Storage, job: Job, now: Millis | None = None) -> Facts:
    """The facts about a job that stands in `storage`."""
    at = now_ms() if now is None else now
    info = await storage.configure(job.queue, QueueSettings())
    [counts] = await storage.counts([job.queue])
    if job.state.finished or job.state is JobState.ACTIVE:
        return Facts(now=at, info=info, counts=counts)
    waiting = job.state is JobState.WAITING
    told = await storage.claim(job.queue, _NOTHING, now=now) if waiting and not info.paused else Claimed()
    ended = await _ended(storage, job.queue, at)
    return Facts(
        now=at,
        info=info,
        counts=counts,
        place=await storage.place(job.queue, job.id),
        group=await _group(storage, job),
        held_until=told.held_until,
        name_active=await _running(storage, job) if job.name in info.name_concurrency else 0,
        children=await _children(storage, job),
        workers=tuple(one for one in await storage.workers(now=now) if job.queue in one.queues),
        ended=ended.attempts,
        over_ms=ended.over_ms,
        expires_at=_expires_at(job, at),
    )


def _expires_at(job: Job, now: Millis) -> Millis | None:
    """When its lifespan is over: it counts from when the job was due until its first start."""
    if job.options.lifespan_ms is None or job.attempts_started:
        return None
    at = (job.run_at or job.created_at) + job.options.lifespan_ms
    # One that was delayed and is due now does not say since when; it is due later than it was added.
    return at if at > now else None


#: A claim of nothing takes nothing, and answers what a worker would be told.
_NOTHING = Claim(count=0, token=Token("why"), lease_ms=1)


async def _group(storage: Storage, job: Job) -> GroupInfo | None:
    return None if job.group is None else await find_group(storage, job.queue, job.group)


async def _children(storage: Storage, job: Job) -> Children | None:
    return await storage.children(job.queue, job.id) if job.state is JobState.WAITING_CHILDREN else None


async def _running(storage: Storage, job: Job) -> int:
    return (await storage.page(job.queue, [JobState.ACTIVE], limit=1, name=job.name)).total


async def _ended(storage: Storage, queue: str, now: Millis) -> _Ended:
    """Attempts that ended lately: since the first minute in which any did, at most `MINUTES` ago."""
    buckets = await storage.metrics(queue, since=now - MINUTES * 60_000, until=now + 1)
    attempts = sum(one.completed + one.failed + one.retried for one in buckets)
    return _Ended(attempts, max(1, now - buckets[0].at) if buckets else 0)
