"""Where a report's contents come from."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from msgspec import Struct

from corral.handlers.reports.document import Document
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.period import Period

P = TypeVar("P", bound=ReportPayload)


class Request(Struct, Generic[P], frozen=True, kw_only=True):
    """What is asked for: which report, about whom, over which days."""

    report_id: str
    kind: str  #: the job's name
    about: str  #: the id of the organization, project or pipeline; may be empty
    period: Period
    previous: Period  #: what the period is compared with
    payload: P
    now: datetime  #: in the settings' time zone


@runtime_checkable
class Source(Protocol):
    """Something that has the contents of a report. It only reads, so it may be asked twice."""

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Make the document.

        Raises:
            Discard: there is nothing that such a report could be about, and never will be.
        """
        ...


#: A source, or the one method of it as a function.
AnySource: TypeAlias = Source | Callable[[Request[ReportPayload]], Awaitable[Document]]


class FunctionSource:
    """A source that is a function."""

    def __init__(self, function: Callable[[Request[ReportPayload]], Awaitable[Document]]) -> None:
        self._function = function

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Call the function."""
        return await self._function(request)


def source_of(source: AnySource) -> Source:
    """A source, whichever way it was given."""
    return source if isinstance(source, Source) else FunctionSource(source)
