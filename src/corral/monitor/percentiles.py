"""How long attempts took lately, queue by queue: read a few queues at a time, and remembered."""

import asyncio
import time
from collections.abc import Mapping

from msgspec import Struct

from corral.histogram import merged
from corral.monitor.numbers import histograms, spread
from corral.monitor.objects import Rates, Spread
from corral.storage.insight import Tier
from corral.storage.port import Storage
from corral.timing import Millis

WINDOW_MS: Millis = 900_000
MINUTE: Millis = 60_000
#: Queues asked together, and for how long one round asks (seconds). The histograms of 200 busy queues are 450,000
#: numbers, which take an engine half a second: so each round asks some queues, and past minutes are asked for once.
TOGETHER = 10
BUDGET_S = 0.04
#: What nobody has asked again for so long is not shown.
OLD_MS: Millis = 120_000

Histogram = dict[int, int]


class Learned(Struct):
    """What is known of one queue."""

    at: Millis
    minutes: dict[Millis, tuple[Histogram, Histogram]]
    wait: Histogram
    run: Histogram
    spreads: tuple[Spread, Spread]


class Percentiles:
    """Spreads of waiting and running times over the last fifteen minutes."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, Learned] = {}

    async def learn(self, rates: Mapping[str, Rates], at: Millis) -> dict[str, tuple[Spread, Spread]]:
        """Ask some more queues, those that are not known or were not asked for longest first; answer what is known."""
        asked = [name for name, one in rates.items() if one.source == "metrics"]
        self._known = {name: self._known[name] for name in asked if name in self._known}
        never = at - 2 * OLD_MS
        ages = {name: self._known[name].at if name in self._known else never for name in asked}
        asked.sort(key=lambda name: (ages[name], -rates[name].per_second, name))
        deadline = time.perf_counter() + BUDGET_S
        for begin in range(0, len(asked), TOGETHER):
            await asyncio.gather(*(self._ask(name, at) for name in asked[begin : begin + TOGETHER]))
            if time.perf_counter() > deadline:
                break
        return {name: one.spreads for name, one in self._known.items() if at - one.at <= OLD_MS}

    def all_together(self) -> tuple[Spread, Spread]:
        """The spreads of all known queues as one."""
        known = tuple(self._known.values())
        return spread(merged(one.wait for one in known)), spread(merged(one.run for one in known))

    async def _ask(self, name: str, at: Millis) -> None:
        known = self._known.get(name)
        if known is not None and at < known.at:  # the clock was set back
            known = None
        begin = at - WINDOW_MS
        # Workers write every ten seconds, and late ones a little later: the last two minutes may still grow.
        since = begin if known is None else max(begin, known.at - 2 * MINUTE)
        samples = await self._storage.series(name, Tier.MINUTE, since=since - since % MINUTE, until=at + 1)
        minutes = {} if known is None else {one: both for one, both in known.minutes.items() if one > begin - MINUTE}
        for minute in {one.at for one in samples}:
            minutes[minute] = histograms(one for one in samples if one.at == minute)
        wait, run = merged(one for one, _ in minutes.values()), merged(one for _, one in minutes.values())
        self._known[name] = Learned(at, minutes, wait, run, (spread(wait), spread(run)))
