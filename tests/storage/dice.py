"""Throws of one die: hypothesis' own choices lean to numbers it finds in whatever modules are loaded.

So the same seed gave another history in another order of tests, and after every change to the package.
"""

from random import Random

from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, PrimitiveProvider
from hypothesis.internal.intervalsets import IntervalSet

BACKEND = "corral-dice"


class Dice(PrimitiveProvider):
    """What hypothesis draws, evenly, and by the seed alone. One is made for each test function that is run."""

    seed = 1  #: of the next one

    def __init__(self, conjecturedata: object, /) -> None:
        self.random = Random(self.seed)

    def draw_boolean(self, p: float = 0.5) -> bool:
        return self.random.random() < p

    def draw_integer(
        self,
        min_value: int | None = None,
        max_value: int | None = None,
        *,
        weights: dict[int, float] | None = None,
        shrink_towards: int = 0,
    ) -> int:
        if weights is not None:
            return self.random.choices(list(weights), list(weights.values()))[0]
        return self.random.randint(min_value or 0, 1_000 if max_value is None else max_value)

    def draw_float(
        self,
        *,
        min_value: float = 0.0,
        max_value: float = 1.0,
        allow_nan: bool = True,
        smallest_nonzero_magnitude: float,
    ) -> float:
        return self.random.uniform(max(min_value, 0.0), min(max_value, 1.0))

    def draw_string(self, intervals: IntervalSet, *, min_size: int = 0, max_size: int = 8) -> str:
        size = self.random.randint(min_size, max(min_size, min(max_size, 8)))
        return "".join(chr(intervals[self.random.randrange(len(intervals))]) for _ in range(size))

    def draw_bytes(self, min_size: int = 0, max_size: int = 8) -> bytes:
        return self.random.randbytes(self.random.randint(min_size, max(min_size, min(max_size, 8))))


AVAILABLE_PROVIDERS[BACKEND] = Dice
