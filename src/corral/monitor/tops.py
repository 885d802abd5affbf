"""The monitor's verb about job names: which of them take the most time, are the slowest, or fail the most."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from corral.errors import ConfigError
from corral.histogram import merged, middle_of
from corral.monitor.base import MonitorBase, seen
from corral.monitor.numbers import spread
from corral.monitor.objects import NameRow, Top
from corral.storage.insight import TIERS, Sample, Tier
from corral.timing import Millis, Seconds, to_ms

#: Queues that are asked, so many together, for at most so long (seconds).
QUEUES, TOGETHER, BUDGET_S = 200, 20, 0.5
#: Up to this length of time a tier is read: 2 hours of minutes, 4 days of hours.
REACH: Mapping[Tier, Millis] = {Tier.MINUTE: 7_200_000, Tier.HOUR: 4 * 86_400_000}

#: What names may be sorted by, the largest first.
ORDERS: Mapping[str, Callable[[NameRow], float]] = {
    "total_time": lambda row: row.total_ms,
    "p95": lambda row: row.run.p95 or 0.0,
    "failures": lambda row: row.failed,
    "count": lambda row: row.completed + row.failed + row.retried,
}


class TopVerbs(MonitorBase):
    """Job names by what they cost."""

    async def top(
        self, *, by: str = "total_time", window: Seconds = 3_600, queue: str | None = None, limit: int = 20,
        visible: Sequence[str] = ("*",),
    ) -> Top:  # fmt: skip
        """Job names by their total time, their 95th percentile, their failures or their count, in a window until now.

        Only what corral's workers recorded counts: of queues that Node works on nothing is known by name.

        Raises:
            ConfigError: another order, or a window that is not above 0.
        """
        if by not in ORDERS:
            raise ConfigError(f"by must be one of {', '.join(ORDERS)}, not {by!r}", key="by")
        length = to_ms(window, "window", minimum=0.001)
        tier = next((one for one, reach in REACH.items() if length <= reach), Tier.DAY)
        until = self.at() + 1
        since = until - length
        since -= since % TIERS[tier][0]
        found: list[NameRow] = []
        complete = True
        asked = await self._worked(queue, visible)
        deadline = self.seconds() + BUDGET_S
        for start in range(0, min(len(asked), QUEUES), TOGETHER):
            if self.seconds() > deadline:
                complete = False
                break
            some = asked[start : min(start + TOGETHER, QUEUES)]
            answers = await asyncio.gather(
                *(self.storage.series(name, tier, since=since, until=until) for name in some)
            )
            for name, samples in zip(some, answers, strict=True):
                found += _rows(name, samples)
        found.sort(key=lambda row: (-ORDERS[by](row), row.queue, row.name))
        return Top(
            items=tuple(found[: max(0, limit)]), total=len(found), since=since, until=until,
            complete=complete and len(asked) <= QUEUES,
        )  # fmt: skip

    async def _worked(self, queue: str | None, visible: Sequence[str]) -> list[str]:
        _, overview = await self.snapshot()
        rows = [
            row
            for row in overview.queues
            if row.completed_total + row.failed_total and queue in (None, row.name) and seen(row.name, visible)
        ]
        rows.sort(key=lambda row: (-row.rates.per_second, row.name))
        return [row.name for row in rows]


def _rows(queue: str, samples: Sequence[Sample]) -> list[NameRow]:
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    return [_row(queue, name, some) for name, some in by_name.items()]


def _row(queue: str, name: str, samples: Sequence[Sample]) -> NameRow:
    run = merged(one.run for one in samples)
    completed, failed = sum(one.completed for one in samples), sum(one.failed for one in samples)
    ended = completed + failed
    return NameRow(
        queue=queue,
        name=name,
        completed=completed,
        failed=failed,
        retried=sum(one.retried for one in samples),
        failure_share=failed / ended if ended else None,
        total_ms=round(sum(middle_of(bucket) * count for bucket, count in run.items()), 1),
        wait=spread(merged(one.wait for one in samples)),
        run=spread(run),
    )
