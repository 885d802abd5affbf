"""The metrics of several worker processes as those of one."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from corral.observe.checks import Answer
from corral.observe.crowd import Sockets, UnreachableError, fetch
from corral.observe.listener import Ask
from corral.observe.pages import page

#: Gauges that are no sum: the worst of all counts.
_WORST: dict[str, Callable[[float, float], float]] = {
    "corral_worker_info": max,
    "corral_worker_state": max,
    "corral_worker_last_fetch_timestamp_seconds": min,
    "corral_worker_loop_lag_seconds": max,
}
#: Name of the sample and its labels.
_Key = tuple[str, tuple[tuple[str, str], ...]]


class CrowdMetrics:
    """One page for all children. What a child counted that has ended stays counted: sums must not go down."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._latest: dict[str, list[Metric]] = {}  #: by socket
        self._ended: list[Metric] = []

    def answer(self, ask: Ask) -> Answer | None:
        """The answer to `/metrics`."""
        if ask.path.rstrip("/") != "/metrics":
            return None
        text, content_type = page(self.collect(), ask.accept)
        return Answer(200, content_type, text)

    def collect(self) -> list[Metric]:
        """Every series of every child, taken together."""
        running = set(self._sockets().values())
        for path in running:
            try:
                _, text = fetch(path, "/metrics")
            except (UnreachableError, TimeoutError):  # what it told last still counts
                continue
            self._latest[path] = list(text_string_to_metric_families(text))
        for path in [one for one in self._latest if one not in running]:
            gone = [metric for metric in self._latest.pop(path) if metric.type != "gauge"]
            self._ended = together([*self._ended, *gone])
        alive = [metric for metrics in self._latest.copy().values() for metric in metrics]
        return together([*self._ended, *alive])


def together(metrics: Iterable[Metric]) -> list[Metric]:
    """Metrics of the same name as one: counters and histograms are added up, gauges by what they mean."""
    found: dict[str, list[Metric]] = {}
    for metric in metrics:
        found.setdefault(metric.name, []).append(metric)
    return [_one(some) for some in found.values()]


def _one(metrics: Sequence[Metric]) -> Metric:
    first = metrics[0]
    combine = _WORST.get(first.name, _plus)
    values: dict[_Key, float] = {}
    for metric in metrics:
        for sample in metric.samples:
            key = sample.name, tuple(sample.labels.items())
            values[key] = combine(values[key], sample.value) if key in values else sample.value
    whole = Metric(first.name, first.documentation, first.type)
    whole.samples = [Sample(name, dict(labels), value) for (name, labels), value in values.items()]
    return whole


def _plus(one: float, other: float) -> float:
    return one + other
