"""Stores with one thing wrong each. The model test must notice every one of them."""

from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from corral.job import JobId, JobState, NewJob
from corral.options import JobOptions, Keep, QueueSettings
from corral.outcome import Completed, Failed, Released
from corral.storage.port import (
    Added,
    Claim,
    Claimed,
    JobPatch,
    Lease,
    Pulse,
    QueueInfo,
    Recovered,
    Selection,
    Settled,
    Settlement,
    Storage,
    Token,
    WorkerInfo,
)
from corral.timing import Millis


class Broken:
    """Does everything as the store it wraps, until a subclass says otherwise."""

    def __init__(self, inner: Storage) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    @classmethod
    def wrap(cls, inner: Storage) -> Storage:
        return cast(Storage, cls(inner))


class SettlesWithoutLookingAtTheToken(Broken):
    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.tokens: dict[JobId, Token] = {}

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        claimed = await self.inner.claim(queue, claim, now=now)
        self.tokens.update({job.id: claim.token for job in claimed.jobs})
        return claimed

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        forged = [replace(one, token=self.tokens.get(one.job_id, one.token)) for one in settlements]
        settled = await self.inner.settle(queue, forged, then=then, now=now)
        self.tokens.update({job.id: then.token for job in settled.claimed.jobs if then})
        return settled


class ServesTheLastFirst(Broken):
    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self.inner.add([replace(job, lifo=True) for job in jobs], now=now)


class ForgetsToPromote(Broken):
    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        jobs = await self.inner.get(queue, which.ids)
        return [job.id for job in jobs if job and job.state is JobState.DELAYED]


class PutsReleasedJobsAtTheEnd(Broken):
    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled = await self.inner.settle(queue, settlements, then=then, now=now)
        for one in settlements:
            [job] = await self.inner.get(queue, [one.job_id])
            if isinstance(one.outcome, Released) and job and job.state is JobState.WAITING:
                await self.inner.update(queue, [JobPatch(job_id=job.id, priority=job.priority)], now=now)
        return settled


class OverwritesDuplicates(Broken):
    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        answers = await self.inner.add(jobs, now=now)
        for job, answer in zip(jobs, answers, strict=True):
            if not answer.fresh:
                patch = JobPatch(job_id=answer.id, data=job.data, priority=job.priority)
                await self.inner.update(job.queue, [patch], now=now)
        return answers


class LetsOneTooManyStart(Broken):
    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        limit = settings.rate_limit
        looser = replace(settings, rate_limit=replace(limit, count=limit.count + 1)) if limit else settings
        info = await self.inner.configure(queue, looser, now=now)
        return replace(info, rate_limit=limit) if limit else info


class ForgivesOneCrash(Broken):
    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        return await self.inner.recover(queue, max_crashes=max_crashes + 1, limit=limit, now=now)


class RunsExpiredJobs(Broken):
    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self.inner.add([replace(job, options=JobOptions()) for job in jobs], now=now)


class KeepsWhatIsNotToBeKept(Broken):
    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        kept = [
            replace(one, outcome=replace(one.outcome, keep=Keep()))
            if isinstance(one.outcome, Completed | Failed)
            else one
            for one in settlements
        ]
        return await self.inner.settle(queue, kept, then=then, now=now)


class CountsARetryAsASnooze(Broken):
    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, now: Millis | None = None
    ) -> list[JobId]:
        return await self.inner.retry(queue, which, reset_attempts=True, now=now)


class NeverTellsOfCancelling(Broken):
    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        return replace(await self.inner.heartbeat(worker, leases, lease_ms=lease_ms, now=now), cancelled=())


class RenewsNothing(Broken):
    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        return Pulse(lost=(await self.inner.heartbeat(worker, leases, lease_ms=2, now=now)).lost)


BUGS: tuple[type[Broken], ...] = (
    SettlesWithoutLookingAtTheToken,
    ServesTheLastFirst,
    ForgetsToPromote,
    PutsReleasedJobsAtTheEnd,
    OverwritesDuplicates,
    LetsOneTooManyStart,
    ForgivesOneCrash,
    RunsExpiredJobs,
    KeepsWhatIsNotToBeKept,
    CountsARetryAsASnooze,
    NeverTellsOfCancelling,
    RenewsNothing,
)
