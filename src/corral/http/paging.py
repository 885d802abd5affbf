"""Paging: what lists are asked with, cursors, and the answer with its `Link` header.

A cursor holds the position of the last item by what the list is sorted by, so items that come or go before it neither
hide nor repeat others. It fits only the list and the filters it came from.
"""

import base64
import binascii
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, Query, Request
from msgspec import Struct
from starlette.responses import Response

from corral.http.models.base import PageInfo, ScanInfo, Total
from corral.http.problems import problem
from corral.http.rendering import MEDIA, Form, answer, columns, form_of, lines, sheet, trimmed

T = TypeVar("T")
#: Where an item stands in its list.
Key: TypeAlias = tuple[str | int | float, ...]
MOST = 500


class Spot(Struct, frozen=True, array_like=True):
    """A place between two items."""

    mark: str  #: of the list it belongs to
    key: list[str | int | float]
    back: bool = False


@dataclass(frozen=True)
class Ask:
    """What a list was asked with."""

    request: Request
    limit: int
    cursor: str | None
    fields: tuple[str, ...]
    form: Form


def ask(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MOST, description="The most items of one answer.")] = 50,
    cursor: Annotated[str | None, Query(max_length=4_096, description="`page.next` of the answer before.")] = None,
    fields: Annotated[str | None, Query(max_length=1_000, description="Only these: `id,name`.")] = None,
    format: Annotated[  # noqa: A002  # the name of the parameter
        Literal["json", "ndjson", "csv"] | None, Query(description="Instead of the header `Accept`.")
    ] = None,
) -> Ask:
    """What every list takes."""
    chosen = tuple(name.strip() for name in (fields or "").split(",") if name.strip())
    return Ask(request, limit, cursor, chosen, form_of(request, format))


Asked: TypeAlias = Annotated[Ask, Depends(ask)]


@dataclass(frozen=True)
class Cut(Generic[T]):
    """A stretch of a list, with the cursors around it."""

    items: Sequence[T]
    next: str | None = None
    prev: str | None = None


def mark_of(*about: object) -> str:
    """What a list and its filters are known by."""
    return sha256(msgspec.json.encode([str(one) for one in about])).hexdigest()[:12]


def spot_of(cursor: str, *about: object) -> Spot:
    """The place that a cursor names.

    Raises:
        Problem: 400, it is none, or belongs to another list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        spot = msgspec.json.decode(base64.b64decode(padded.encode("ascii"), b"-_", validate=True), type=Spot)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        problem("invalid-cursor", "The cursor is none that this API has given.")
    if spot.mark != mark_of(*about):
        problem("invalid-cursor", "The cursor belongs to another list, or to other filters.")
    return spot


def cursor_of(key: Key, *about: object, back: bool = False) -> str:
    """The cursor of a place."""
    packed = msgspec.json.encode(Spot(mark_of(*about), list(key), back))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def cut(rows: Sequence[T], key: Callable[[T], Key], asked: Ask, *about: object) -> Cut[T]:
    """The stretch of a sorted list that was asked for. `about`: the list's name and its filters.

    Raises:
        Problem: 400, a cursor of another list.
    """
    begin, end = 0, len(rows)
    if asked.cursor is not None:
        spot = spot_of(asked.cursor, *about)
        place = tuple(spot.key)
        try:
            if spot.back:
                end = bisect_left(rows, place, key=key)
                begin = max(0, end - asked.limit)
            else:
                begin = bisect_right(rows, place, key=key)
        except TypeError:  # a cursor that somebody wrote by hand
            problem("invalid-cursor", "The cursor is none that this API has given.")
    shown = rows[begin : min(end, begin + asked.limit)]
    last = begin + len(shown)
    return Cut(
        shown,
        cursor_of(key(shown[-1]), *about) if shown and last < len(rows) else None,
        cursor_of(key(shown[0]), *about, back=True) if shown and begin else None,
    )


def listing(
    asked: Ask, kind: type, items: Sequence[object], *, next: str | None = None,  # noqa: A002  # as it is called there
    prev: str | None = None, total: int | None = None, relation: str = "eq", scan: ScanInfo | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:  # fmt: skip
    """A stretch of a list in the form that was asked for, with its `Link` header.

    Args:
        kind: the items' dataclass: its fields are the columns.
        total: how long the whole list is; None: nobody has counted.
        more: members beside the items, in JSON.
    """
    names = columns(kind, asked.fields)
    headers = links(asked, next, prev)
    if asked.form is not Form.JSON:
        rows = trimmed(items, names) if asked.fields else items
        body = sheet(items, names) if asked.form is Form.CSV else lines(rows)
        headers["Content-Disposition"] = f'inline; filename="{kind.__name__.lower()}.{asked.form}"'
        return Response(body, headers=headers, media_type=MEDIA[asked.form])
    made: dict[str, object] = {
        "items": trimmed(items, names) if asked.fields else items,
        "page": PageInfo(limit=asked.limit, next=next, prev=prev),
        "total": Total(value=total, relation="unknown" if total is None else relation),
        **({} if scan is None else {"scan": scan}),
        **(more or {}),
    }
    return answer(made, headers=headers)


def links(asked: Ask, following: str | None, before: str | None) -> dict[str, str]:
    """The `Link` header. Its addresses are relative: only the query differs."""
    given = [(name, value) for name, value in asked.request.query_params.multi_items() if name != "cursor"]
    made = [
        f'<?{urlencode([*given, ("cursor", cursor)])}>; rel="{word}"'
        for word, cursor in (("next", following), ("prev", before))
        if cursor is not None
    ]
    return {"Link": ", ".join(made)} if made else {}
