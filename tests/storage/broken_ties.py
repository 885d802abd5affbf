"""Stores with one thing wrong each about jobs that know of each other. The tied model test must notice every one."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from corral.job import JobId, NewJob
from corral.options import Dedup, JobOptions, ParentPolicy
from corral.outcome import Completed, Failed, Outcome, Retried
from corral.storage.port import Added, Claim, Selection, Settled, Settlement
from corral.timing import Millis

from .broken import Broken


class AddsOtherwise(Broken):
    """Changes jobs on their way in."""

    @abstractmethod
    def job(self, job: NewJob) -> NewJob: ...

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self.inner.add([self.job(job) for job in jobs], now=now)


class LetsDuplicatesIn(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, dedup=None)


class NeverReplaces(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, dedup=_dedup(job, replace=False))


class ForgetsWhatItKept(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, dedup=_dedup(job, keep_last=False))


class NeverExtends(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, dedup=_dedup(job, extend=False))


class NeverReschedules(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, dedup=_dedup(job, reschedule=False))


class StartsTooEarly(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, after=job.after[1:])


class TakesFailuresLightly(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, after=tuple(replace(one, policy=ParentPolicy.IGNORE) for one in job.after))


class DelaysFromTheAdd(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, delay_ms=0) if job.after or job.children else job


class HasOneNumberOfCrashesForAll(AddsOtherwise):
    def job(self, job: NewJob) -> NewJob:
        return replace(job, options=JobOptions(lifespan_ms=job.options.lifespan_ms))


class NeverReattaches(Broken):
    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        there = [bool(job.id and (await self.inner.get(job.queue, [job.id]))[0]) for job in jobs]
        plain = [replace(job, parent=None) if known else job for job, known in zip(jobs, there, strict=True)]
        return await self.inner.add(plain, now=now)


class SettlesOtherwise(Broken):
    """Changes verdicts on their way in."""

    change: Callable[[Outcome], Outcome]

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        changed = [replace(one, outcome=type(self).change(one.outcome)) for one in settlements]
        return await self.inner.settle(queue, changed, then=then, now=now)


class LosesWhatVerdictsAdd(SettlesOtherwise):
    change = staticmethod(lambda one: replace(one, adds=()) if isinstance(one, Completed | Failed) else one)


class CountsOnlyTheLastFailure(SettlesOtherwise):
    change = staticmethod(lambda one: replace(one, failure=None) if isinstance(one, Retried) else one)


class AddsForRefusedVerdicts(Broken):
    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled = await self.inner.settle(queue, settlements, then=then, now=now)
        for one in settlements:
            if one.job_id in settled.refused and isinstance(one.outcome, Completed | Failed):
                await self.inner.add(one.outcome.adds, now=now)
        return settled


class RetriesAllAtOnce(Broken):
    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        return await self.inner.retry(queue, which, reset_attempts=reset_attempts, after_ms=after_ms, now=now)


def _dedup(job: NewJob, **changes: bool) -> Dedup | None:
    return None if job.dedup is None else replace(job.dedup, **changes)


BUGS: tuple[type[Broken], ...] = (
    LetsDuplicatesIn,
    NeverReplaces,
    ForgetsWhatItKept,
    NeverExtends,
    NeverReschedules,
    StartsTooEarly,
    TakesFailuresLightly,
    DelaysFromTheAdd,
    HasOneNumberOfCrashesForAll,
    NeverReattaches,
    LosesWhatVerdictsAdd,
    CountsOnlyTheLastFailure,
    AddsForRefusedVerdicts,
    RetriesAllAtOnce,
)
