"""Metrics as a page that Prometheus reads."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric


class _Page(CollectorRegistry):
    """A registry with exactly these metrics."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        super().__init__(auto_describe=False)
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def page(metrics: Iterable[Metric], accept: str = "") -> tuple[str, str]:
    """The page and its content type: OpenMetrics for who asks for it, else the text format."""
    encode, content_type = choose_encoder(accept)
    return encode(_Page(metrics)).decode(), content_type
