"""The monitor's verbs about queues."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property

from corral.errors import ConfigError
from corral.job import Job, JobState
from corral.monitor.base import MonitorBase
from corral.monitor.gather import alive, limit_of
from corral.monitor.objects import (
    Autoscale,
    Finding,
    Groups,
    Limit,
    Overview,
    QueueDetail,
    QueueRow,
    Queues,
    Setting,
)
from corral.monitor.trends import Trends
from corral.monitor.workforce import autoscale
from corral.options import Keep, RateLimit, priority_rank
from corral.timing import Seconds, to_ms

#: Groups that are looked at, and priorities that are told apart.
GROUPS, PRIORITIES = 500, 20

#: What lists of queues may be sorted by: the most urgent first, then by name.
SORTS: Mapping[str, Callable[[QueueRow], float]] = {
    "attention": lambda row: -row.attention,
    "name": lambda row: 0,
    "waiting": lambda row: -row.waiting,
    "active": lambda row: -row.active,
    "failed": lambda row: -row.failed,
    "oldest": lambda row: -(row.oldest_waiting_ms or -1),
    "rate": lambda row: -row.rates.per_second,
}


class QueueVerbs(MonitorBase):
    """The whole store, its queues, one queue."""

    async def overview(self) -> Overview:
        """All there is, at most a second old: totals, rates, percentiles, queues, and what wants attention."""
        return (await self.snapshot())[1]

    async def attention(self, *, queue: str | None = None) -> tuple[Finding, ...]:
        """What wants attention, the worst first; of one queue, or of everything."""
        return tuple(one for one in (await self.overview()).attention if queue is None or one.queue == queue)

    async def queues(self, *match: str, sort: str = "attention", start: int = 0, limit: int = 100) -> Queues:
        """Queues whose name fits one of these patterns (`mail`, `mail*`); without a pattern, all.

        Raises:
            ConfigError: another order than `SORTS` has.
        """
        if sort not in SORTS:
            raise ConfigError(f"queues can be sorted by {', '.join(SORTS)}, not {sort!r}", key="sort")
        rows = [
            row
            for row in (await self.overview()).queues
            if not match or any(fnmatchcase(row.name, pattern) for pattern in match)
        ]
        rows.sort(key=lambda row: (SORTS[sort](row), row.name))
        return Queues(items=tuple(rows[max(0, start) : max(0, start) + max(0, limit)]), total=len(rows))

    async def trends(self, rows: Sequence[QueueRow]) -> Mapping[str, tuple[int, ...]]:
        """How many jobs of these queues ended in each of the last 24 hours, the hour that runs last.

        Only of queues whose workers record that. Many at once are learnt one after another, some with each answer.
        """
        return await self._trends.learn(rows, self.at())

    @cached_property
    def _trends(self) -> Trends:
        return Trends(self.storage)

    async def queue(self, name: str) -> QueueDetail:
        """One queue with its settings, groups and priorities. Raises: QueueNotFoundError."""
        row = await self.row(name)
        facts, _ = await self.snapshot()
        info = next(one for one in facts.infos if one.name == name)
        limits = info.group_limits
        priorities, complete = await self._priorities(name) if row.waiting else ({}, True)
        return QueueDetail(
            queue=row,
            limits=_limits(info.more_limits),
            add_limit=limit_of(info.add_limit),
            name_concurrency=info.name_concurrency,
            name_limits={job: _limits(some) for job, some in info.name_limits.items()},
            group_concurrency=None if limits is None else limits.concurrency,
            group_max_size=None if limits is None else limits.max_size,
            group_limits=() if limits is None else _limits(limits.rate_limits),
            groups=await self._groups(name),
            priorities=priorities,
            priorities_complete=complete,
            keep_completed=_setting(info.keep_completed),
            keep_failed=_setting(info.keep_failed),
            schedules=(await self.storage.schedules(queue=name, limit=1)).total,
            workers=tuple(one.id for one in alive(facts.workers, facts.at) if name in one.queues),
        )

    async def autoscale(self, queue: str, *, target: Seconds = 30) -> Autoscale:
        """How many workers the queue wants, to be through with what waits in `target` seconds.

        Raises:
            QueueNotFoundError: no such queue. ConfigError: a target that is not above 0.
        """
        return autoscale(await self.row(queue), target_ms=to_ms(target, "target", minimum=0.001))

    async def _groups(self, name: str) -> Groups:
        page = await self.storage.groups(name, limit=GROUPS)
        at = self.at()
        return Groups(
            total=page.total,
            waiting=sum(one.waiting for one in page.items),
            paused=sum(one.paused for one in page.items),
            held=sum(one.held_until is not None and one.held_until > at for one in page.items),
            complete=len(page.items) >= page.total,
        )

    async def _priorities(self, name: str) -> tuple[dict[int, int], bool]:
        """Waiting jobs by priority, those of groups left out: they stand in order, so a few looks for each will do."""
        found: dict[int, int] = {}
        begin = 0
        while (first := await self._waiting(name, begin)) is not None and first.group is None:
            if len(found) >= PRIORITIES:
                return found, False
            low, high = begin, begin + 1
            while await self._ranks(name, high, first.priority):
                low, high = high, begin + 2 * (high - begin)
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (middle, high) if await self._ranks(name, middle, first.priority) else (low, middle)
            found[first.priority] = found.get(first.priority, 0) + high - begin
            begin = high
        return found, True

    async def _waiting(self, name: str, place: int) -> Job | None:
        page = await self.storage.page(name, [JobState.WAITING], start=place, limit=1, lean=True)
        return page.items[0] if page.items else None

    async def _ranks(self, name: str, place: int, priority: int) -> bool:
        job = await self._waiting(name, place)
        return job is not None and job.group is None and priority_rank(job.priority) <= priority_rank(priority)


def _limits(limits: Sequence[RateLimit]) -> tuple[Limit, ...]:
    return tuple(Limit(one.count, one.per_ms) for one in limits)


def _setting(keep: Keep | None) -> Setting | None:
    return None if keep is None else Setting(count=keep.count, age_ms=keep.age_ms)
