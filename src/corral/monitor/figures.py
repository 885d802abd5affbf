"""The monitor's verb about a longer time: rates and percentiles of several queues together, from what was recorded."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import cached_property

from msgspec import Struct

from corral.errors import ConfigError
from corral.job import JobState
from corral.monitor.base import MonitorBase, seen
from corral.monitor.numbers import SAMPLE, histograms, made_rates, sampled, spread, together
from corral.monitor.objects import QueueRow, Rates, Spread
from corral.storage.insight import TIERS, Sample, Tier
from corral.timing import Millis

#: Queues that are asked, so many together, for at most so long (seconds).
QUEUES, TOGETHER, BUDGET_S = 200, 20, 0.5
MINUTE, HOUR = TIERS[Tier.MINUTE][0], TIERS[Tier.HOUR][0]
#: Up to two hours by the minute; beyond, whole hours and the minutes before them. The minutes are kept for two days.
FINE_MS: Millis = 2 * HOUR
MOST_MS: Millis = 2 * 86_400_000
#: What was once does not change: so many answers about it are kept for a minute.
KEPT = 100


class Figures(Struct, frozen=True, kw_only=True):
    """How fast queues worked in a window until now. Percentiles are of what corral's workers recorded."""

    rates: Rates
    wait: Spread = Spread()
    run: Spread = Spread()
    complete: bool = True  #: every queue was asked


class FigureVerbs(MonitorBase):
    """Queues over a longer time."""

    async def figures(self, window_ms: Millis, *, visible: Sequence[str] = ("*",), ago_ms: Millis = 0) -> Figures:
        """Rates and percentiles of all queues that may be seen, in a window until now, or until `ago_ms` ago.

        The first minute of it may be missing, and of one that is over the last. Of a queue whose workers record nothing
        the rates are worked out from its newest 100 finished jobs, but not for a window that is over. At most 200
        queues are asked, the busiest first, for half a second.

        Raises:
            ConfigError: a window that is not a minute to two days long, or begins earlier than two days ago.
        """
        if not MINUTE <= window_ms <= MOST_MS:
            raise ConfigError(f"window must be a minute to two days long, not {window_ms:,} ms", key="window")
        if not 0 <= ago_ms <= MOST_MS - window_ms:
            raise ConfigError(f"a window of {window_ms:,} ms cannot end {ago_ms:,} ms ago", key="ago_ms")
        at = self.at() - ago_ms
        if not ago_ms:
            return await self._figures(window_ms, visible, at, at + 1)
        until, asked = at - at % MINUTE, (window_ms, ago_ms, tuple(visible))
        known = self._past.get(asked)
        if known is None or known[0] != until:
            found = await self._figures(window_ms, visible, at, until, over=True)
            if len(self._past) >= KEPT:
                self._past.clear()
            known = self._past[asked] = until, found
        return known[1]

    @cached_property
    def _past(self) -> dict[tuple[Millis, Millis, tuple[str, ...]], tuple[Millis, Figures]]:
        return {}

    async def _figures(
        self, window_ms: Millis, visible: Sequence[str], at: Millis, until: Millis, *, over: bool = False
    ) -> Figures:  # fmt: skip
        rows = await self._asked_first(visible)
        stretches = tuple(_stretches(at, window_ms, until))
        found: list[Sample] = []
        rates: list[Rates] = []
        asked, deadline = 0, self.seconds() + BUDGET_S
        while asked < min(len(rows), QUEUES) and self.seconds() <= deadline:
            some = rows[asked : min(asked + TOGETHER, QUEUES)]
            asking = (self._recorded(row, stretches, at, window_ms, over=over) for row in some)
            for samples, made in await asyncio.gather(*asking):
                found += samples
                rates.append(made)
            asked += len(some)
        wait, run = histograms(found)
        return Figures(
            rates=together(rates, window_ms), wait=spread(wait), run=spread(run), complete=asked >= len(rows)
        )  # fmt: skip

    async def _asked_first(self, visible: Sequence[str]) -> list[QueueRow]:
        _, overview = await self.snapshot()
        ended = [one for one in overview.queues if one.completed_total + one.failed_total + one.completed + one.failed]
        return sorted(
            (one for one in ended if seen(one.name, visible)), key=lambda one: (-one.rates.per_second, one.name)
        )

    async def _recorded(
        self, row: QueueRow, stretches: Sequence[tuple[Tier, Millis, Millis]], at: Millis, window_ms: Millis, *,
        over: bool,
    ) -> tuple[list[Sample], Rates]:  # fmt: skip
        samples = [
            sample
            for tier, since, until in stretches
            for sample in await self.storage.series(row.name, tier, since=since, until=until)
        ]
        if samples or over or not row.completed + row.failed:
            return samples, _rates(samples, window_ms, min(at, stretches[-1][2]) - stretches[0][1])
        states = [JobState.COMPLETED, JobState.FAILED]
        page = await self.storage.page(row.name, states, limit=SAMPLE, lean=True)
        return [], sampled(page.items, at, window_ms)[0]


def _stretches(at: Millis, window_ms: Millis, until: Millis) -> Iterator[tuple[Tier, Millis, Millis]]:
    """Which tiers to read: (tier, since, until), every moment once."""
    since = _up(at - window_ms, MINUTE)
    if window_ms <= FINE_MS:
        yield Tier.MINUTE, since, until
        return
    hour = _up(since, HOUR)
    if since < hour:
        yield Tier.MINUTE, since, hour
    whole = until if until > at else until - until % HOUR  # the hour that runs now ends now
    yield Tier.HOUR, hour, whole
    if whole < until:
        yield Tier.MINUTE, whole, until


def _up(moment: Millis, step: Millis) -> Millis:
    return -(-moment // step) * step


def _rates(samples: Sequence[Sample], window_ms: Millis, over_ms: Millis) -> Rates:
    """What was recorded in `over_ms` of the window: the rest is of minutes that are not in it as a whole."""
    completed, failed = sum(one.completed for one in samples), sum(one.failed for one in samples)
    return made_rates(completed, failed, sum(one.retried for one in samples), window_ms, "metrics",
                      over_ms=max(MINUTE, over_ms))  # fmt: skip
