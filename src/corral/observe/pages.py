"""Metrics as a page that Prometheus reads."""

from collections.abc import Iterable

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class _Page(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def page(metrics: Iterable[Metric], accept: str = "") -> tuple[str, str]:
    """The page and its content type: OpenMetrics for who asks for it, else the text format."""
    encode, content_type = choose_encoder(accept)
    return encode(_Page(metrics)).decode(), content_type
