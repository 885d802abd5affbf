"""Counting without locks: plain numbers that one thread writes and any other one may read."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

#: Values of a series' labels, in the order of their names.
Labels = tuple[str, ...]


class Counter:
    """A number that only grows, for each set of labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, count: float = 1) -> None:
        """Count."""
        self._values[labels] = self._values.get(labels, 0) + count

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.copy().items():
            family.add_metric(labels, value)
        yield family


class Gauge(Counter):
    """A number that goes up and down."""

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it."""
        yield gauge(self._name, self._text, self._labels, self._values.copy())


class Histogram:
    """How often a value fell into which bucket, for each set of labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = tuple(buckets)
        #: counts by bucket, the last one of those beyond all, and the sum of the values
        self._values: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value."""
        found = self._values.get(labels)
        if found is None:
            found = self._values[labels] = [0] * (len(self._bounds) + 1), [0.0]
        counts, total = found
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def collect(self) -> Iterator[Metric]:
        """As Prometheus reads it."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        names = [*(_bound(bound) for bound in self._bounds), "+Inf"]
        for labels, (counts, total) in self._values.copy().items():
            running, buckets = 0, []
            for name, count in zip(names, counts.copy(), strict=True):
                running += count
                buckets.append((name, float(running)))
            family.add_metric(labels, buckets, total[0])
        yield family


def _bound(value: float) -> str:
    return f"{value:g}" if value % 1 else f"{value:.1f}"


def gauge(name: str, text: str, labels: Sequence[str], values: dict[Labels, float]) -> Metric:
    """A gauge of these values."""
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def counter(name: str, text: str, labels: Sequence[str], values: dict[Labels, float]) -> Metric:
    """A counter of these values, as somebody else counted them."""
    family = CounterMetricFamily(name, text, labels=tuple(labels))
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def single(name: str, text: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(name, text, value=value)
