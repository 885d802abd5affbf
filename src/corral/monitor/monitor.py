"""`Monitor`: everything that is shown anywhere about a store, read from it in one place."""

import asyncio
from collections.abc import Sequence
from functools import cached_property

from msgspec.structs import replace

from corral.errors import ConfigError
from corral.gauges import DAY, HOUR, HOURS, KEPT, MINUTE
from corral.job import Job, JobState
from corral.monitor.base import FRESH_MS, seen
from corral.monitor.failures import FailureVerbs
from corral.monitor.figures import FigureVerbs
from corral.monitor.history import MOST, marks_of, points, points_of
from corral.monitor.jobs import JobVerbs
from corral.monitor.levels import gauges_of, levels
from corral.monitor.objects import Levels, Mark, Series, Workers
from corral.monitor.plans import PlanVerbs
from corral.monitor.queues import QueueVerbs
from corral.monitor.texts import TextVerbs
from corral.monitor.tops import TopVerbs
from corral.monitor.workforce import staffed
from corral.naming import id_bound
from corral.storage.insight import TIERS, Sample, Tier
from corral.timing import Millis

#: Running jobs that are looked at, of one queue and of all.
ACTIVE, ALL_ACTIVE = 200, 1_000
#: Queues whose figures are added up for one chart of everything, and jobs of which a queue of Node's gets one.
CHARTED, SAMPLED = 200, 1_000
TOGETHER = 20
#: Records with gauges that are read for one chart of everything: the busiest queues of a long time, all of a short one.
RECORDS = 2_000
#: Marks on one chart.
MARKS = 200
#: For how long a chart of everything asks (seconds).
CHART_S = 0.5


class Monitor(QueueVerbs, JobVerbs, FailureVerbs, PlanVerbs, TextVerbs, TopVerbs, FigureVerbs):
    """One read model over the storage port. API, dashboard, command line and metrics render what it answers.

    It changes nothing. Every answer is bounded in size and time and says how much it covers.
    """

    _chart: tuple[tuple[object, ...], Series] | None = None

    @cached_property
    def _charting(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def workers(self, *, queue: str | None = None) -> Workers:
        """Workers seen within five minutes, with what they run; `stale` ones have not been seen for 30 s."""
        facts, _ = await self.snapshot()
        mine = [one for one in facts.workers if queue is None or queue in one.queues]
        active, complete = await self._active(queue)
        return staffed(mine, active, self.at(), complete=complete)

    async def _active(self, queue: str | None) -> tuple[list[Job], bool]:
        facts, _ = await self.snapshot()
        busy = [one for one in facts.counts.values() if one.active and queue in (None, one.queue)]
        busy.sort(key=lambda one: (-one.active, one.queue))
        found: list[Job] = []
        for one in busy:
            if len(found) >= ALL_ACTIVE:
                break
            found += (await self.storage.page(one.queue, [JobState.ACTIVE], limit=ACTIVE, lean=True)).items
        return found, len(found) >= sum(one.active for one in busy)

    async def series(
        self, queue: str | None = None, tier: Tier | str = Tier.MINUTE, *, since: Millis | None = None,
        until: Millis | None = None, name: str | None = None, visible: Sequence[str] = ("*",), step_ms: Millis = 0,
    ) -> Series:  # fmt: skip
        """Figures over time of one queue, or of all together, by "minute", "hour" or "day"; of one job name.

        From `since` (without it the last hour, two days or two months) until before `until` (now), at most 2,880
        points. A queue whose workers record nothing gets a chart of its newest 1,000 finished jobs.

        Args:
            visible: patterns of the queues that the reader may see: only these are added up.
            step_ms: wider stretches than the tier's: a multiple of them.

        Raises:
            ConfigError: another tier, or a step that is no multiple of it.
        """
        try:
            wanted = Tier(tier)
        except ValueError:
            raise ConfigError(f"tier must be 'minute', 'hour' or 'day', not {tier!r}", key="tier") from None
        step = max(step_ms, TIERS[wanted][0])
        if step % TIERS[wanted][0]:
            raise ConfigError(f"step_ms must be a multiple of {TIERS[wanted][0]}, not {step_ms}", key="step_ms")
        end = self.at() + 1 if until is None else until
        begin = max(end - _DEFAULT[wanted] if since is None else since, end - MOST * step)
        begin -= begin % step
        if (queue, until, name) != (None, None, None):
            return await self._series(queue, wanted, begin, end, name, visible, step)
        async with self._charting:  # a page has several charts of the same figures: they are read once
            asked = wanted, step, begin, tuple(visible)
            if self._chart is None or self._chart[0] != asked or not 0 <= end - self._chart[1].until < FRESH_MS:
                self._chart = asked, await self._series(queue, wanted, begin, end, name, visible, step)
            return self._chart[1]

    async def _series(
        self, queue: str | None, wanted: Tier, begin: Millis, end: Millis, name: str | None, visible: Sequence[str],
        step: Millis,
    ) -> Series:  # fmt: skip
        samples, complete = await self._samples(queue, wanted, begin, end, visible)
        found = [replace(one, at=one.at - one.at % step) for one in samples if name is None or one.name == name]
        source, made = "series", points(found)
        if not found and queue is not None:
            jobs, complete = await self._finished(queue, begin)
            made = points_of([job for job in jobs if name is None or job.name == name], step, begin, end)
            source = "sample"
        return Series(
            queue=queue or "", tier=str(wanted), step_ms=step, since=begin, until=end, points=made, source=source,
            names=tuple(sorted({one.name for one in samples})), complete=complete,
            marks=await self._marks(begin, end, queue, visible),
        )  # fmt: skip

    async def levels(
        self, queue: str | None = None, *, since: Millis | None = None, until: Millis | None = None,
        visible: Sequence[str] = ("*",), step_ms: Millis = 60_000,
    ) -> Levels:  # fmt: skip
        """How one queue, or all together, stood over time: what waited, for how long, what ran, what came.

        Minutes are kept for two days; stretches of an hour and more go back 62 days. At most 2,880 points. Workers and
        API processes record it, twice a minute at most.

        Args:
            visible: patterns of the queues that the reader may see.
            step_ms: the length of a stretch, a multiple of a minute.

        Raises:
            ConfigError: a step that is no multiple of a minute.
        """
        if step_ms < MINUTE or step_ms % MINUTE:
            raise ConfigError(f"step_ms must be a multiple of {MINUTE}, not {step_ms}", key="step_ms")
        end = self.at() + 1 if until is None else until
        begin = max(end - 60 * step_ms if since is None else since, end - MOST * step_ms, end - KEPT[HOURS])
        begin -= begin % step_ms
        names, complete = [queue] if queue is not None else [], True
        if queue is None:
            _, overview = await self.snapshot()
            rows = [row for row in overview.queues if seen(row.name, visible)]
            rows.sort(key=lambda row: (-row.completed_total - row.failed_total, row.name))
            span = DAY if step_ms >= HOUR else HOUR
            most = min(CHARTED, max(1, RECORDS * span // (end - begin + span)))
            names, complete = [row.name for row in rows[:most]], len(rows) <= most
        found = await gauges_of(self.storage, names, begin, end, step_ms=step_ms, now=self.store_now())
        return Levels(
            queue=queue or "", step_ms=step_ms, since=begin, until=end, points=levels(found, begin, step_ms),
            complete=complete,
        )  # fmt: skip

    async def _samples(
        self, queue: str | None, tier: Tier, begin: Millis, end: Millis, visible: Sequence[str]
    ) -> tuple[list[Sample], bool]:
        if queue is not None:
            return await self.storage.series(queue, tier, since=begin, until=end), True
        _, overview = await self.snapshot()
        rows = [row for row in overview.queues if row.completed_total + row.failed_total and seen(row.name, visible)]
        rows.sort(key=lambda row: (-row.rates.per_second, row.name))
        found: list[Sample] = []
        deadline = self.seconds() + CHART_S
        for start in range(0, min(len(rows), CHARTED), TOGETHER):
            if self.seconds() > deadline:
                return found, False
            some = rows[start : min(start + TOGETHER, CHARTED)]
            for answer in await asyncio.gather(
                *(self.storage.series(row.name, tier, since=begin, until=end) for row in some)
            ):
                found += answer
        return found, len(rows) <= CHARTED

    async def _marks(
        self, begin: Millis, end: Millis, queue: str | None, visible: Sequence[str]
    ) -> tuple[Mark, ...]:  # fmt: skip
        """Marks on a chart of this queue, or of all that the reader sees."""
        entries = await self.storage.entries(
            "mark", after=id_bound(begin), before=id_bound(end), limit=MARKS, now=self.store_now()
        )
        marks = marks_of(entries)
        if all("*" in one.queues for one in marks) or (queue is None and "*" in visible):
            return marks
        names = [queue] if queue is not None else await self._visible(visible)
        return tuple(one for one in marks if any(seen(name, one.queues) for name in names))

    async def _finished(self, queue: str, since: Millis) -> tuple[list[Job], bool]:
        page = await self.storage.page(queue, [JobState.COMPLETED, JobState.FAILED], limit=SAMPLED, lean=True)
        inside = [job for job in page.items if job.finished_at is not None and job.finished_at >= since]
        return inside, len(inside) < len(page.items) or len(page.items) >= page.total


#: What a chart shows when nobody says how much.
_DEFAULT = {Tier.MINUTE: 3_600_000, Tier.HOUR: 2 * 86_400_000, Tier.DAY: 62 * 86_400_000}
