"""A queue's figures over time: what workers have recorded, as numbers for people."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from corral.errors import ConfigError
from corral.histogram import Spread, merged
from corral.storage.insight import TIERS, Sample, Tier
from corral.storage.port import Storage
from corral.timing import Millis, instant_ms, now_ms


class Figures(Struct, frozen=True, kw_only=True):
    """Attempts of one stretch of time, or of one job name, or of both. Durations are seconds."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait: Spread = Spread()  #: from ready to claimed
    run: Spread = Spread()  #: from claimed to settled

    @property
    def attempts(self) -> int:
        """How many attempts ended."""
        return self.completed + self.failed + self.retried

    @property
    def failure_share(self) -> float:
        """Which share of the attempts failed, for good or to be tried again."""
        return (self.failed + self.retried) / self.attempts if self.attempts else 0.0

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Figures":
        """Samples taken together."""
        samples = tuple(samples)
        return cls(
            completed=sum(one.completed for one in samples),
            failed=sum(one.failed for one in samples),
            retried=sum(one.retried for one in samples),
            wait=Spread.of(merged(one.wait for one in samples)),
            run=Spread.of(merged(one.run for one in samples)),
        )

    @classmethod
    def by_name(cls, samples: Iterable[Sample]) -> dict[str, "Figures"]:
        """Samples taken together for each job name."""
        found: dict[str, list[Sample]] = {}
        for sample in samples:
            found.setdefault(sample.name, []).append(sample)
        return {name: cls.of(found[name]) for name in sorted(found)}

    @classmethod
    def by_time(cls, samples: Iterable[Sample]) -> dict[Millis, "Figures"]:
        """Samples taken together for each stretch of time, oldest first; keys are its start."""
        found: dict[Millis, list[Sample]] = {}
        for sample in samples:
            found.setdefault(sample.at, []).append(sample)
        return {at: cls.of(found[at]) for at in sorted(found)}


class FigureVerbs:
    """A queue's verb about figures."""

    name: str
    storage: Storage

    async def series(
        self, tier: Tier | str = Tier.MINUTE, *, since: datetime | float | None = None,
        until: datetime | float | None = None, names: Sequence[str] = (),
    ) -> list[Sample]:  # fmt: skip
        """What workers recorded by "minute" (kept for 2 days), "hour" (62 days) or "day" (2 years), by time and name.

        From `since` on (without it, as long as the tier is kept) and before `until` (now); give the answer to `Figures`
        for counts and percentiles. Workers write every 10 seconds. In one stretch at most 200 names are told apart; the
        rest is under "*".

        Raises:
            ConfigError: another tier, or a time that cannot be meant.
        """
        try:
            wanted = Tier(tier)
        except ValueError:
            raise ConfigError(f"tier must be 'minute', 'hour' or 'day', not {tier!r}", key="tier") from None
        end = now_ms() + 1 if until is None else instant_ms(until, "until")
        length, kept = TIERS[wanted]
        begin = end - kept if since is None else instant_ms(since, "since")
        samples = await self.storage.series(self.name, wanted, since=begin - begin % length, until=end)
        return [one for one in samples if not names or one.name in names]
