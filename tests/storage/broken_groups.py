"""Stores with one thing wrong each about groups, windows and holds. The model test must notice every one of them."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from corral.job import JobState, NewJob
from corral.options import GroupChange, GroupLimits, QueueSettings
from corral.outcome import Limited
from corral.storage.insight import GroupInfo, Page
from corral.storage.port import (
    Added,
    Claim,
    Claimed,
    JobPatch,
    QueueInfo,
    Recovered,
    Settled,
    Settlement,
    Storage,
)
from corral.timing import Millis

from .broken import Broken


class PutsAllGroupsIntoOne(Broken):
    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        return await self.inner.add([replace(job, group="a" if job.group else None) for job in jobs], now=now)


class KeepsTheSlotsOfDeadWorkers(Broken):
    """Never frees what a recovered job took of its group's concurrency."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.lost: Counter[tuple[str, str]] = Counter()

    async def recover(
        self, queue: str, *, max_crashes: int = 2, limit: int = 500, now: Millis | None = None
    ) -> Recovered:
        recovered = await self.inner.recover(queue, max_crashes=max_crashes, limit=limit, now=now)
        for job in await self.inner.get(queue, recovered.requeued):
            if job is not None and job.group is not None:
                self.lost[queue, job.group] += 1
        return recovered

    async def groups(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        page = await self.inner.groups(queue, start=start, limit=limit)
        return Page(
            tuple(replace(info, active=info.active + self.lost[queue, info.id]) for info in page.items), page.total
        )


class AlwaysBeginsWithTheFirstGroup(Broken):
    """Forgets between two claims whose turn it was."""

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        groups = [info.id for info in (await self.inner.groups(queue)).items if not info.paused]
        for paused in (True, False):
            changes = {group: GroupChange(paused=paused) for group in groups}
            await self.inner.configure(queue, QueueSettings(groups=changes), now=now)
        return await self.inner.claim(queue, claim, now=now)


class _Loosens(Broken):
    """Obeys other limits than those it shows."""

    @abstractmethod
    def loosen(self, settings: QueueSettings) -> QueueSettings: ...

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        info = await self.inner.configure(queue, self.loosen(settings), now=now)
        said = {
            key: value
            for key in ("group_limits", "more_limits", "name_limits")
            if (value := getattr(settings, key)) is not UNSET
        }
        return replace(info, **said)


class GivesGroupsOneStartTooMany(_Loosens):
    def loosen(self, settings: QueueSettings) -> QueueSettings:
        limits = settings.group_limits
        if not isinstance(limits, GroupLimits):
            return settings
        looser = tuple(replace(limit, count=limit.count + 1) for limit in limits.rate_limits)
        return replace(settings, group_limits=replace(limits, rate_limits=looser))


class RunsOneJobTooManyOfAGroup(_Loosens):
    def loosen(self, settings: QueueSettings) -> QueueSettings:
        limits = settings.group_limits
        if not isinstance(limits, GroupLimits) or limits.concurrency is None:
            return settings
        return replace(settings, group_limits=replace(limits, concurrency=limits.concurrency + 1))


class LetsGroupsOverflow(_Loosens):
    def loosen(self, settings: QueueSettings) -> QueueSettings:
        limits = settings.group_limits
        if not isinstance(limits, GroupLimits):
            return settings
        return replace(settings, group_limits=replace(limits, max_size=None))


class LooksAtTheFirstWindowOnly(_Loosens):
    def loosen(self, settings: QueueSettings) -> QueueSettings:
        return replace(settings, more_limits=UNSET if settings.more_limits is UNSET else settings.more_limits[:1])


class ForgetsTheLimitsOfNames(_Loosens):
    def loosen(self, settings: QueueSettings) -> QueueSettings:
        return replace(settings, name_limits=UNSET if settings.name_limits is UNSET else {})


class ProbesWithEverything(Broken):
    """Shows that a group is probing, and lets all of it run after its hold."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.probing: dict[tuple[str, str], bool] = {}

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        if isinstance(settings.groups, Mapping):
            changes = {group: self._forget(queue, group, change) for group, change in settings.groups.items()}
            settings = replace(settings, groups=changes)
        return await self.inner.configure(queue, settings, now=now)

    def _forget(self, queue: str, group: str, change: GroupChange) -> GroupChange:
        if change.hold is UNSET:
            return change
        self.probing[queue, group] = change.hold is not None and change.hold.probe
        return change if change.hold is None else replace(change, hold=replace(change.hold, probe=False))

    async def groups(self, queue: str, *, start: int = 0, limit: int = 100) -> Page[GroupInfo]:
        page = await self.inner.groups(queue, start=start, limit=limit)
        shown = tuple(replace(info, probing=self.probing.get((queue, info.id), False)) for info in page.items)
        return Page(shown, page.total)


class _SettlesOtherwise(Broken):
    @abstractmethod
    def instead(self, outcome: Limited) -> Limited: ...

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        other = [
            replace(one, outcome=self.instead(one.outcome)) if isinstance(one.outcome, Limited) else one
            for one in settlements
        ]
        return await self.inner.settle(queue, other, then=then, now=now)


class HoldsTheQueueInPlaceOfTheGroup(_SettlesOtherwise):
    def instead(self, outcome: Limited) -> Limited:
        return replace(outcome, group=False)


class HoldsForAMomentLess(_SettlesOtherwise):
    def instead(self, outcome: Limited) -> Limited:
        return replace(outcome, after_ms=outcome.after_ms - 1)


class PutsLimitedJobsAtTheEnd(Broken):
    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled = await self.inner.settle(queue, settlements, then=then, now=now)
        for one in settlements:
            [job] = await self.inner.get(queue, [one.job_id])
            if isinstance(one.outcome, Limited) and job and job.state is JobState.WAITING:
                await self.inner.update(queue, [JobPatch(job_id=job.id, priority=job.priority)], now=now)
        return settled


GROUP_BUGS: tuple[type[Broken], ...] = (
    PutsAllGroupsIntoOne,
    KeepsTheSlotsOfDeadWorkers,
    AlwaysBeginsWithTheFirstGroup,
    GivesGroupsOneStartTooMany,
    RunsOneJobTooManyOfAGroup,
    LetsGroupsOverflow,
    LooksAtTheFirstWindowOnly,
    ForgetsTheLimitsOfNames,
    ProbesWithEverything,
    HoldsTheQueueInPlaceOfTheGroup,
    HoldsForAMomentLess,
    PutsLimitedJobsAtTheEnd,
)
