"""Spans and numbers that an application left, for tests to look at."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Seen:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.tracer = self.provider.get_tracer("test")

    def spans(self, start: str = "") -> list[ReadableSpan]:
        """The spans whose name begins so, in the order they ended."""
        return [span for span in self.exporter.get_finished_spans() if span.name.startswith(start)]

    def one(self, start: str) -> ReadableSpan:
        """The only span whose name begins so."""
        [span] = self.spans(start)
        return span

    def metrics(self) -> dict[str, float]:
        """Sums and counts by name."""
        data = self.reader.get_metrics_data()
        assert data is not None
        points = [
            (m.name, p)
            for r in data.resource_metrics
            for s in r.scope_metrics
            for m in s.metrics
            for p in m.data.data_points
        ]
        found: dict[str, float] = {}
        for name, point in points:
            found[name] = found.get(name, 0) + (point.count if hasattr(point, "count") else point.value)
        return found


def trace_of(span: ReadableSpan) -> int:
    return context_of(span).trace_id


def span_id(span: ReadableSpan | trace.Span) -> int:
    return context_of(span).span_id


def context_of(span: ReadableSpan | trace.Span) -> trace.SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def about(span: ReadableSpan) -> Mapping[str, object]:
    return span.attributes or {}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id
