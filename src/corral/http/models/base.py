"""What all answers are made of: JSON passed through as text, instants, lists with their pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from corral.http.models.documented import describe
from corral.timing import Millis, to_datetime

T = TypeVar("T")

#: A JSON value exactly as it is stored: 0.10 stays 0.10, and 12345678901234567890 does not become a float.
Json = Annotated[
    msgspec.Raw,
    GetPydanticSchema(lambda _source, _handler: core_schema.any_schema()),
    WithJsonSchema({"description": "Any JSON value, exactly as it is stored.", "title": "JSON"}),
]
#: An instant as text, with milliseconds, in UTC.
Time = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T05:13:25.000Z"]})
]

NULL = msgspec.Raw(b"null")
#: The last instant that RFC 3339 can write.
LAST_MS: Millis = 253_402_300_799_999


def config(example: object = None) -> ConfigDict:
    """How a dataclass is documented: by the texts below its fields, and by an example."""

    def complete(schema: dict[str, object], kind: type) -> None:
        describe(schema, kind)
        if example is not None:
            schema["examples"] = [example]

    return ConfigDict(json_schema_extra=complete)  # type: ignore[typeddict-item]  # it may have two parameters


class Body(BaseModel):
    """What a request brings. A field that nobody knows is refused, so that a typo does not pass for a choice."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=describe)  # type: ignore[typeddict-item]  # as above


def when(at: Millis | None) -> Time | None:
    """An instant as RFC 3339 in UTC with milliseconds; None stays None."""
    if at is None:
        return None
    moment = to_datetime(min(max(at, 0), LAST_MS))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def moment(at: Millis) -> Time:
    """The same of an instant that is known."""
    return when(at) or ""


def seconds(ms: Millis | None) -> float | None:
    """Milliseconds as seconds."""
    return None if ms is None else ms / 1000


def raw(text: str | None) -> msgspec.Raw | None:
    """Stored JSON text, to be passed through; None when there is none."""
    return None if text is None else msgspec.Raw(text.encode("utf-8", "replace"))


def plain(value: object) -> msgspec.Raw:
    """A value of our own as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))


@dataclass(frozen=True, kw_only=True)
class PageInfo:
    """Where this stretch of a list stands."""

    __pydantic_config__ = config()
    limit: int
    """The most items of one answer."""
    next: str | None = None
    """The cursor of what follows; null: this is the end."""
    prev: str | None = None
    """The cursor of what comes before, where a list can be walked backwards."""


@dataclass(frozen=True, kw_only=True)
class Total:
    """How long the whole list is."""

    __pydantic_config__ = config()
    value: int | None
    relation: str
    """`eq`: exactly so many. `gte`: at least. `unknown`: nobody has counted."""


@dataclass(frozen=True, kw_only=True)
class ScanInfo:
    """How far a search has looked."""

    __pydantic_config__ = config()
    strategy: str
    """`id`, `list` or `scan`."""
    examined: int
    candidates: int
    complete: bool
    """False: go on with the cursor, there may be more."""
    unread: int = 0
    """Jobs whose payload was too large to be looked into: they are not among the found."""
    cursor: str | None = None
    took_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[T]):
    """A stretch of a list."""

    __pydantic_config__ = config()
    items: Sequence[T]
    page: PageInfo
    total: Total
    scan: ScanInfo | None = None
    """Of searches only."""
