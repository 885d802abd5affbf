"""Counting what a process adds: opt-in, for producers and for the process of the HTTP API."""

import time
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from corral.app.app import Corral
from corral.job import NewJob
from corral.observe.names import NAMES, QUEUES, SECONDS, Names
from corral.observe.series import Counter, Histogram
from corral.storage.passing import Passing
from corral.storage.port import Added, Storage
from corral.timing import Millis


class AddMetrics(Collector):
    """A collector: `prometheus_client.REGISTRY.register(metrics)`, and the process's own page has it.

    Args:
        names: job names that are told apart, 200 at most; without them the first 200 that come.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self._queues = Names(QUEUES)
        self._names = Names(NAMES, names)
        self._added = Counter("corral_jobs_added", "Jobs that were added here.", ("queue", "job", "result"))
        self._duration = Histogram("corral_add_duration_seconds", "How long adding took.", ("queue",), SECONDS)

    def count(self, jobs: Sequence[NewJob], added: Sequence[Added] | None, seconds: float) -> None:
        """Jobs were added, in one step; None: that failed."""
        for at, job in enumerate(jobs):
            fresh = added is None or at >= len(added) or added[at].fresh
            result = "error" if added is None else "added" if fresh else "deduplicated"
            self._added.add((self._queues.of(job.queue), self._names.of(job.name), result))
        for queue in {job.queue for job in jobs}:
            self._duration.observe((self._queues.of(queue),), seconds)

    def describe(self) -> Iterable[Metric]:
        """The series it will have."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Every series, as it stands."""
        yield from self._added.collect()
        yield from self._duration.collect()


class CountingStorage(Passing):
    """A store that counts what is added to it."""

    def __init__(self, inner: Storage, metrics: AddMetrics) -> None:
        super().__init__(inner)
        self._metrics = metrics

    def sibling(self) -> Storage:
        return CountingStorage(self.inner.sibling(), self._metrics)

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        began = time.perf_counter()
        added: list[Added] | None = None
        try:
            added = await self.inner.add(jobs, now=now)
        finally:
            self._metrics.count(jobs, added, time.perf_counter() - began)
        return added


def counted_in(storage: Storage) -> bool:
    """Whether what is added to this store is counted already."""
    while isinstance(storage, Passing):
        if isinstance(storage, CountingStorage):
            return True
        storage = storage.inner
    return False


def count_adds(app: Corral) -> AddMetrics:
    """Count what this application adds; call it before the store is opened. Register the answer where you scrape."""
    metrics = AddMetrics([name for queue in app.queues.values() for name in queue.definitions] or None)
    app.dress(lambda storage: CountingStorage(storage, metrics))
    return metrics
