"""The span of a request to the HTTP API: begun before anybody looks at it, ended with its answer."""

from collections.abc import Iterable
from contextvars import Token
from typing import NamedTuple

from opentelemetry import context as otel
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from corral._version import __version__
from corral.observe.meters import Meters
from corral.observe.run_spans import RunSpans
from corral.observe.spans import Names, Tracing
from corral.observe.traced_store import TracedStorage
from corral.storage.passing import Passing
from corral.storage.port import Storage

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Place(NamedTuple):
    """Where a store is."""

    url: str


class RequestSpan:
    """One request. It is the current span until `end`."""

    def __init__(self, span: Span, token: Token[Context], method: str) -> None:
        self._span = span
        self._token = token
        self._method = method

    def end(self, route: str, status: int, *, told: bool = True) -> None:
        """It has been answered. A span that is not told of never ends, and hence is none."""
        otel.detach(self._token)
        if not told:
            return
        span = self._span
        if route:
            span.update_name(f"{self._method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:  # below it is the client's error, and no failure of the server
            span.set_attribute("error.type", str(status))
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class ServerSpans:
    """Makes a span of each request, with the trace that its sender goes on with as the parent.

    Args:
        tracer_provider, meter_provider: others than the global ones.
    """

    def __init__(
        self, *, tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:  # fmt: skip
        self._tracer = trace.get_tracer("corral", __version__, tracer_provider)
        self._meters = meter_provider
        self._given = tracer_provider is not None

    def begin(self, method: str, path: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestSpan | None:
        """Begin a span and make it the current one.

        None when whoever serves the application has begun one already, and when nobody has set up where spans go.
        """
        if trace.get_current_span().is_recording() or not self._wanted():
            return None
        sent = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        known = method in _METHODS  # anybody may make up others, and names of spans are to be few
        name, context = method if known else "HTTP", propagate.extract(sent)
        span = self._tracer.start_span(
            name, context, SpanKind.SERVER,
            attributes={
                "http.request.method": method if known else "_OTHER", "url.path": path, "url.scheme": scheme
            },
        )  # fmt: skip
        return RequestSpan(span, otel.attach(trace.set_span_in_context(span, context)), name)

    def _wanted(self) -> bool:
        return self._given or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)

    def dress(self, storage: Storage, url: str) -> Storage:
        """A store through which jobs carry the trace of the request that adds them; an instrumented one is one."""
        inner = storage
        while isinstance(inner, Passing):
            if isinstance(inner, TracedStorage):
                return storage
            inner = inner.inner
        tracing = Tracing(
            tracer=self._tracer, meters=Meters(metrics.get_meter("corral", __version__, self._meters)),
            names=Names(Place(url)),
        )  # fmt: skip
        return TracedStorage(storage, tracing, RunSpans(tracing, parent="auto", outcomes=False))
