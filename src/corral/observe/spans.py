"""What spans of corral have in common: names, attributes, and how a job is given its carrier."""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace
from opentelemetry.trace import Span, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from corral.job import NewJob
from corral.observe.meters import Meters

Attributes = dict[str, AttributeValue]


class Located(Protocol):
    """What says where its store is."""

    @property
    def url(self) -> str: ...


class Names:
    """How an application's store is called in spans. Looked up late: the command line may choose another one."""

    def __init__(self, app: Located) -> None:
        self._app = app
        self._url = ""
        self._found: Mapping[str, AttributeValue] = {}

    def store(self) -> Attributes:
        """Attributes about the store."""
        url = self._app.url
        if url != self._url:
            self._url, self._found = url, _about(url)
        return dict(self._found)

    @property
    def system(self) -> str:
        """`bullmq` on Redis, which Node may share; else `corral`."""
        return "corral" if self._app.url.startswith("sqlite:") else "bullmq"


def _about(url: str) -> Mapping[str, AttributeValue]:
    if url.startswith("sqlite:"):
        return {"messaging.system": "corral"}
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 6379
    except ValueError:  # several hosts, of a cluster or of sentinels: no single address
        return {"messaging.system": "bullmq"}
    return {"messaging.system": "bullmq", **({"server.address": host, "server.port": port} if host else {})}


class Tracing(Struct, frozen=True, kw_only=True):
    """What everything that makes spans needs."""

    tracer: Tracer
    meters: Meters
    names: Names
    baggage: frozenset[str] = frozenset()
    sizes: bool = False

    def about(self, queue: str, operation: str, kind: str = "") -> Attributes:
        """The attributes of any span about a queue. `kind` is the convention's type of operation, where it has one."""
        found = self.names.store()
        found["messaging.destination.name"] = found["bullmq.queue.name"] = queue
        found["messaging.operation.name"] = found["bullmq.queue.operation"] = operation
        if kind:
            found["messaging.operation.type"] = kind
        return found


def carrying(job: NewJob, text: str | None) -> NewJob:
    """A job with this carrier, unless it has one of its caller's, or is to have none."""
    if text is None or job.options.trace is not None or job.options.omit_trace:
        return job
    return replace(job, options=replace(job.options, trace=text))


def failed(span: Span, error: BaseException) -> None:
    """Mark a span as failed by an error."""
    span.record_exception(error)
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, str(error)[:500]))
