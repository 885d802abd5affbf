"""Plain statistics that a few bad days do not upset. Lists here are daily values, oldest first, without gaps."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, median
from typing import NamedTuple

#: Makes the median absolute deviation of normal values their standard deviation, and the mean one likewise.
_MAD = 1.4826
_MEAN_AD = 1.2533
#: A week: the rhythm of nearly every business.
WEEK = 7
_STANDARD = NormalDist()


class Trend(NamedTuple):
    """A direction over the whole of a series."""

    slope: float  #: per day
    p: float  #: how likely chance alone would do as much


class Shift(NamedTuple):
    """A place in a series after which its level is another."""

    start: int  #: the first value of the new level
    before: float
    after: float
    score: float  #: in 30 days chance alone exceeds 1.4 once in ten times, 1.9 once in seventy


def spread(values: Sequence[float]) -> float:
    """How far values usually are from their middle: like a standard deviation, but one wild value changes nothing."""
    middle = median(values)
    away = [abs(value - middle) for value in values]
    mad = median(away)
    # More than half of the values the same (a shop with few orders): the median deviation is 0 and says nothing.
    return mad * _MAD if mad > 0 else fmean(away) * _MEAN_AD


def robust_z(value: float, others: Sequence[float]) -> float:
    """How many spreads a value is away from the middle of the others; infinite when they never vary and it does."""
    away = value - median(others)
    width = spread(others)
    if width == 0:
        return 0.0 if away == 0 else math.copysign(math.inf, away)
    return away / width


def ewma(values: Sequence[float], *, half_life: float = WEEK) -> list[float]:
    """The series smoothed: each day counts half as much as the one `half_life` days later."""
    weight = 1 - 0.5 ** (1 / half_life)
    smooth: list[float] = []
    for value in values:
        smooth.append(value if not smooth else smooth[-1] + weight * (value - smooth[-1]))
    return smooth


def weekday_factors(values: Sequence[float]) -> list[float]:
    """By how much each weekday (of the first value: 0) is above the week around it; all 1 below four weeks.

    A day is measured by its own week, so that neither a trend nor a new level passes for a rhythm.
    """
    ratios: list[list[float]] = [[] for _ in range(WEEK)]
    for index in range(3, len(values) - 3):
        around = fmean(values[index - 3 : index + 4])
        if around > 0:
            ratios[index % WEEK].append(values[index] / around)
    if len(values) < 4 * WEEK or min(map(len, ratios)) < 3:
        return [1.0] * WEEK
    factors = [median(several) for several in ratios]
    # A day on which the shop is closed would divide by nothing.
    return [factor if factor > 0.05 else 1.0 for factor in factors]


def without_weekdays(values: Sequence[float]) -> list[float]:
    """The series without the rhythm of the week."""
    factors = weekday_factors(values)
    return [value / factors[index % WEEK] for index, value in enumerate(values)]


def same_weekday(values: Sequence[float], index: int, *, weeks: int = 8) -> list[float]:
    """The values of the same weekday in the weeks before, the latest first."""
    return [values[at] for at in range(index - WEEK, -1, -WEEK)][:weeks]


def theil_sen(values: Sequence[float]) -> float:
    """The slope per day: the median of the slopes between all pairs of days."""
    slopes = [
        (values[later] - values[earlier]) / (later - earlier)
        for earlier in range(len(values))
        for later in range(earlier + 1, len(values))
    ]
    return median(slopes) if slopes else 0.0


def mann_kendall(values: Sequence[float]) -> float:
    """How likely it is that a series without a trend rises or falls as steadily as this one: 0 to 1."""
    count = len(values)
    if count < 4:
        return 1.0
    score = sum(
        (values[later] > values[earlier]) - (values[later] < values[earlier])
        for earlier in range(count)
        for later in range(earlier + 1, count)
    )
    ties: dict[float, int] = {}
    for value in values:
        ties[value] = ties.get(value, 0) + 1
    variance = count * (count - 1) * (2 * count + 5)
    variance -= sum(times * (times - 1) * (2 * times + 5) for times in ties.values())
    if variance <= 0 or score == 0:
        return 1.0
    z = (score - math.copysign(1, score)) / math.sqrt(variance / 18)
    return 2 * (1 - _STANDARD.cdf(abs(z)))


def trend(values: Sequence[float]) -> Trend:
    """The direction of a series that has no rhythm."""
    return Trend(theil_sen(values), mann_kendall(values))


def shift(values: Sequence[float], *, least: int = 5) -> Shift | None:
    """The likeliest place where the level changed: where the sum of what is above the mean turns round.

    For a series without a rhythm. None when there is no such place, or it is nearer to an end than `least` days.
    """
    count = len(values)
    if count < 2 * least:
        return None
    mean, total, best, at = fmean(values), 0.0, 0.0, 0
    for index in range(count - 1):
        total += values[index] - mean
        if abs(total) > abs(best):
            best, at = total, index + 1
    if not least <= at <= count - least:
        return None
    before, after = median(values[:at]), median(values[at:])
    # Around their own levels: around a common one, the shift itself would make them look wild.
    width = spread([value - before for value in values[:at]] + [value - after for value in values[at:]])
    score = math.inf if width == 0 else abs(best) / (width * math.sqrt(count))
    return Shift(at, before, after, score) if before != after else None
