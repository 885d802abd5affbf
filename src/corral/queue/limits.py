"""The verbs for the queue itself: pause, limits at run time, holds, retention."""

from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from corral.errors import ConfigError
from corral.keywords import check_rates
from corral.naming import check_name
from corral.options import GroupLimits, Hold, Keep, QueueSettings, RateLimit
from corral.queue.base import QueueBase
from corral.storage.port import Claim, QueueInfo, Token
from corral.timing import Seconds, now_ms, to_ms


class LimitVerbs(QueueBase):
    """What holds a queue back, changed at run time: every worker obeys from its next claim on."""

    async def pause(self, reason: str = "") -> None:
        """Stop handing out jobs, on every worker. Running ones finish; adding goes on."""
        await self.storage.configure(self.name, QueueSettings(paused=True, pause_reason=reason))

    async def resume(self) -> None:
        """Hand out jobs again."""
        await self.storage.configure(self.name, QueueSettings(paused=False, pause_reason=""))

    async def info(self) -> QueueInfo:
        """The queue's settings."""
        return await self.storage.configure(self.name, QueueSettings())

    async def limit(
        self, rate: RateLimit | Sequence[RateLimit] | None | UnsetType = UNSET, *,
        concurrency: int | None | UnsetType = UNSET, adds: RateLimit | None | UnsetType = UNSET,
    ) -> QueueInfo:  # fmt: skip
        """Change the rate limit (of several windows every one must have room), the concurrency over all workers, or
        how many jobs producers may add. None lifts a limit; what is left out stays."""
        if concurrency is not None and not isinstance(concurrency, UnsetType):
            _check_concurrency(concurrency)
        first: RateLimit | None | UnsetType
        more: tuple[RateLimit, ...] | UnsetType
        if rate is None:
            first, more = None, ()
        elif isinstance(rate, UnsetType):
            first = more = UNSET
        else:
            first, *others = check_rates(rate, "rate")
            more = tuple(others)
        settings = QueueSettings(rate_limit=first, more_limits=more, concurrency=concurrency, add_limit=adds)
        return await self.storage.configure(self.name, settings)

    async def limit_name(
        self, job_name: str, rate: RateLimit | Sequence[RateLimit] | None | UnsetType = UNSET, *,
        concurrency: int | None | UnsetType = UNSET,
    ) -> QueueInfo:  # fmt: skip
        """Change the limits of the jobs with one name, over all workers. None lifts a limit; left out it stays.

        The whole table is read and written: of two changes in the same instant one may be lost.
        """
        check_name(job_name, "job name")
        info = await self.info()
        limits: dict[str, tuple[RateLimit, ...]] = dict(info.name_limits)
        caps = dict(info.name_concurrency)
        if rate is None:
            limits.pop(job_name, None)
        elif not isinstance(rate, UnsetType):
            limits[job_name] = check_rates(rate, "rate")
        if concurrency is None:
            caps.pop(job_name, None)
        elif not isinstance(concurrency, UnsetType):
            caps[job_name] = _check_concurrency(concurrency)
        settings = QueueSettings(
            name_limits=UNSET if rate is UNSET else limits, name_concurrency=UNSET if concurrency is UNSET else caps
        )
        return await self.storage.configure(self.name, settings)

    async def limit_groups(self, limits: GroupLimits | None) -> QueueInfo:
        """Change what every group may do that has no limits of its own; None lifts them."""
        return await self.storage.configure(self.name, QueueSettings(group_limits=limits))

    async def hold(self, seconds: Seconds, reason: str = "", *, probe: bool = False) -> QueueInfo:
        """Start nothing for so long, whatever else would let it; running jobs go on. A later hold replaces this one.

        With `probe`, afterwards one job at a time runs until the hold is lifted.
        """
        hold = Hold(for_ms=to_ms(seconds, "hold"), reason=reason, probe=probe)
        return await self.storage.configure(self.name, QueueSettings(hold=hold))

    async def lift(self) -> QueueInfo:
        """End a hold, its probing included."""
        return await self.storage.configure(self.name, QueueSettings(hold=None))

    async def limited_for(self) -> float:
        """Seconds until a rate limit or a hold lets the next job start; 0 when none stands in the way now."""
        # A claim of nothing answers what a worker would be told.
        wish = Claim(count=0, token=Token("look"), lease_ms=1)
        until = (await self.storage.claim(self.name, wish)).held_until
        return 0.0 if until is None else max(0, until - now_ms()) / 1000

    async def full(self) -> bool:
        """Whether as many jobs run as the concurrency over all workers allows."""
        info, [counts] = await self.info(), await self.storage.counts([self.name])
        return info.concurrency is not None and counts.active >= info.concurrency

    async def retain(self, *, completed: Keep | None = None, failed: Keep | None = None) -> QueueInfo:
        """Set how long finished jobs stay; a sweeper enforces it on an idle queue too."""
        settings = QueueSettings(keep_completed=completed or UNSET, keep_failed=failed or UNSET)
        return await self.storage.configure(self.name, settings)


def _check_concurrency(count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(
            f"concurrency must be a whole number of 1 or more, not {count!r}: to start nothing, pause the queue",
            key="concurrency",
        )
    return count
