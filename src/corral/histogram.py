"""Histograms of durations: few numbers that say, to within 7 %, how long most attempts took. Pure.

A bucket is the number's highest four bits: 0 to 15 ms stand for themselves, and from there on each doubling is cut
into eight. Ten years are bucket 302. Histograms of many workers, names and hours add up.
"""

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from corral.timing import Millis


def bucket_of(ms: Millis) -> int:
    """The bucket of a duration."""
    if ms < 16:
        return ms if ms > 0 else 0
    shift = ms.bit_length() - 4
    return (shift << 3) + (ms >> shift)


def middle_of(bucket: int) -> float:
    """The duration (milliseconds) that stands for a bucket: at most a sixteenth from any in it."""
    if bucket < 16:
        return float(bucket)
    shift = (bucket >> 3) - 1
    lowest = (bucket - (shift << 3)) << shift
    return lowest + ((1 << shift) - 1) / 2


def merged(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The histogram of everything that is in these."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """The duration (milliseconds) within which `share` (0 to 1) of the counted ones stay; None when there are none."""
    total = sum(histogram.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(share * total))
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return middle_of(bucket)
    return None


class Spread(Struct, frozen=True):
    """How long attempts took, in seconds. None: there were none."""

    count: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    mean: float | None = None

    @classmethod
    def of(cls, histogram: Mapping[int, int]) -> "Spread":
        """The spread of a histogram."""
        count = sum(histogram.values())
        if count == 0:
            return cls()
        p50, p95, p99 = (_seconds(percentile(histogram, share)) for share in (0.50, 0.95, 0.99))
        mean = sum(middle_of(bucket) * number for bucket, number in histogram.items()) / count
        return cls(count, p50, p95, p99, _seconds(mean))


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
