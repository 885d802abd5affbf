"""The circuit breaker: when so many attempts fail that going on makes it worse, stop for a while, then try one. Pure.

The state that all workers share is the hold in the store: its reason begins with `breaker[n]`, n being how often in a
row it was opened. After the hold's end the store lets one job run at once, the probe. Any worker may open it, and the
one whose probe went well closes it. A hold with another reason is a person's, and no breaker touches it.
"""

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import force_setattr

from corral.errors import ConfigError
from corral.options import Hold
from corral.timing import Millis, Seconds, to_ms, to_seconds

#: The window is counted in so many slices; the oldest is dropped as a whole.
SLICES = 10
_OURS = re.compile(r"breaker\[(\d{1,6})\]: ")


class Breaker(Struct, frozen=True):
    """Opens when `share` of at least `minimum` attempts within `window` seconds failed, for `cooldown` seconds.

    Then one job at a time is tried: a success closes it, a failure opens it for twice as long as before, `maximum`
    seconds at most. With `by="group"` each group has its own, and jobs without a group have none. Only errors count:
    not `Retry`, `Snooze` and `Discard`, not payloads that were refused, and not what a person cancelled.

    Raises:
        ConfigError: a value out of its range.
    """

    share: float = 0.5
    minimum: int = 20
    window: Seconds = 60.0
    cooldown: Seconds = 30.0
    by: Literal["queue", "group"] = "queue"
    maximum: Seconds = 3_600.0

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0 < self.share <= 1:
            raise ConfigError(f"breaker share must be above 0 and at most 1, not {self.share!r}", key="share")
        if isinstance(self.minimum, bool) or not isinstance(self.minimum, int) or self.minimum < 1:
            raise ConfigError(f"breaker minimum must be 1 attempt or more, not {self.minimum!r}", key="minimum")
        if self.by not in ("queue", "group"):
            raise ConfigError(f"breaker by must be 'queue' or 'group', not {self.by!r}", key="by")
        for key in ("window", "cooldown", "maximum"):
            force_setattr(self, key, to_seconds(getattr(self, key), f"breaker {key}", minimum=0.001))

    def cooldown_ms(self, streak: int) -> Millis:
        """How long the `streak`-th hold in a row lasts."""
        seconds = to_seconds(self.cooldown, "breaker cooldown") * 2.0 ** min(streak - 1, 32)
        longest = max(to_seconds(self.maximum, "breaker maximum"), to_seconds(self.cooldown, "breaker cooldown"))
        return to_ms(min(seconds, longest), "breaker cooldown")


class Gauge:
    """Counts attempts of the last `window`, in slices."""

    __slots__ = ("_breaker", "_slice_ms", "_slices")

    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker
        self._slice_ms = max(1, to_ms(breaker.window, "breaker window") // SLICES)
        self._slices: dict[int, tuple[int, int]] = {}  #: number of the slice -> (attempts, failed ones)

    def note(self, at: Millis, *, failed: bool) -> None:
        """An attempt has ended."""
        number = at // self._slice_ms
        attempts, failures = self._slices.get(number, (0, 0))
        self._slices[number] = (attempts + 1, failures + failed)
        if len(self._slices) > SLICES:
            self._slices = {key: value for key, value in self._slices.items() if key > number - SLICES}

    def tripped(self, at: Millis) -> str | None:
        """Why the breaker should open now; None when it should not."""
        first = at // self._slice_ms - SLICES
        recent = [counts for number, counts in self._slices.items() if number > first]
        attempts = sum(count for count, _ in recent)
        failures = sum(count for _, count in recent)
        if attempts < self._breaker.minimum or failures < self._breaker.share * attempts:
            return None
        return f"{failures} of {attempts} attempts failed within {to_seconds(self._breaker.window, 'window'):g} s"

    def clear(self) -> None:
        """Begin anew."""
        self._slices.clear()

    @property
    def idle_since(self) -> Millis:
        """About when the last attempt ended."""
        return max(self._slices, default=0) * self._slice_ms


class Standing(Struct, frozen=True):
    """How the store holds the queue or group."""

    held_until: Millis | None = None
    reason: str = ""
    probing: bool = False

    @property
    def streak(self) -> int:
        """How often in a row a breaker has opened; 0 when the hold is none of a breaker's."""
        found = _OURS.match(self.reason) if self.probing else None
        return int(found[1]) if found else 0


class Attempt(Struct, frozen=True):
    """How a run ended, by the store's clock."""

    started_at: Millis
    ended_at: Millis
    failed: bool


def opened(breaker: Breaker, streak: int, why: str) -> Hold:
    """The hold of a breaker that opens the `streak`-th time in a row."""
    return Hold(for_ms=breaker.cooldown_ms(streak), reason=f"breaker[{streak}]: {why}", probe=True)


def judge(breaker: Breaker, standing: Standing, attempt: Attempt, why: str | None) -> Hold | None | Literal["as it is"]:
    """What to do with the hold: set this one, lift it (None), or leave it "as it is".

    `attempt` is the latest one, `why` what the gauge says.
    """
    streak = standing.streak
    if streak and standing.held_until is not None:
        if attempt.started_at < standing.held_until:
            return "as it is"  # a straggler, begun before the breaker opened
        return opened(breaker, streak + 1, "the probe failed") if attempt.failed else None
    if why is None or standing.probing or (standing.held_until or 0) > attempt.ended_at:
        return "as it is"  # nothing is wrong, or somebody else has stopped it already
    return opened(breaker, 1, why)
