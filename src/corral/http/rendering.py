"""Rendering: values as JSON, lists as JSON, NDJSON or CSV. Stored JSON text passes through as it is."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from enum import StrEnum

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from corral.http.problems import problem

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
#: What a spreadsheet takes for a formula when a cell begins with it.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Form(StrEnum):
    """How a list is written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


_TYPES = {JSON: Form.JSON, NDJSON: Form.NDJSON, "application/ndjson": Form.NDJSON, CSV: Form.CSV}
_WIDE = {"*/*": Form.JSON, "application/*": Form.JSON, "application/problem+json": Form.JSON, "text/*": Form.CSV}
MEDIA = {Form.JSON: JSON, Form.NDJSON: NDJSON, Form.CSV: f"{CSV}; charset=utf-8"}


def encoded(value: object) -> bytes:
    """A value as JSON. Text that is no text (half a surrogate pair, from another program) is mended."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended(value))


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _mended(getattr(value, field.name)) for field in fields_of(value)}
    if isinstance(value, Mapping):
        return {str(_mended(key)): _mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item) for item in value]
    return value


def answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as the JSON answer."""
    return Response(encoded(value), status_code=status, media_type=JSON, headers=dict(headers or {}))


def empty(headers: Mapping[str, str] | None = None) -> Response:
    """The answer that has nothing to say."""
    return Response(status_code=204, headers=dict(headers or {}))


def form_of(request: Request, said: str | None = None) -> Form:
    """How the caller wants a list: by `format`, else by the `Accept` header, the first that can be given.

    Raises:
        Problem: 406, none of them can.
    """
    if said is not None:
        return Form(said)
    accepted = request.headers.get("accept", "").strip()
    if not accepted:
        return Form.JSON
    for kind, quality in sorted(_kinds(accepted), key=lambda one: -one[1]):
        found = _TYPES.get(kind) or _WIDE.get(kind)
        if quality > 0 and found is not None:
            return found
    return problem("not-acceptable", f"This is given as {JSON}, {NDJSON} or {CSV}.")


def _kinds(accepted: str) -> Iterable[tuple[str, float]]:
    for part in accepted.split(","):
        kind, *settings = (one.strip().lower() for one in part.split(";"))
        quality = 1.0
        for setting in settings:
            name, _, value = setting.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        yield kind, quality


def columns(kind: type, chosen: Sequence[str]) -> tuple[str, ...]:
    """The fields of items of this kind that are wanted.

    Raises:
        Problem: 400, one that they do not have.
    """
    known = tuple(field.name for field in fields_of(kind))
    for name in chosen:
        if name not in known:
            there = ", ".join(known)
            problem("invalid-parameter", f"There is no field {name!r}; there are {there}.", parameter="fields")
    return tuple(dict.fromkeys(chosen)) or known


def trimmed(items: Iterable[object], names: Sequence[str]) -> list[dict[str, object]]:
    """Only these fields of each item."""
    return [{name: getattr(item, name) for name in names} for item in items]


def lines(items: Iterable[object]) -> bytes:
    """One JSON document a line."""
    return b"".join(encoded(item) + b"\n" for item in items)


def sheet(items: Iterable[object], names: Sequence[str], *, header: bool = True) -> bytes:
    """Comma separated values, a column for each field; what is not plain stands there as JSON."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if header:
        writer.writerow(names)
    for item in items:
        writer.writerow([cell(_value(item, name)) for name in names])
    return out.getvalue().encode("utf-8", "replace")


def _value(item: object, name: str) -> object:
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name)


def cell(value: object) -> str | int | float:
    """A value in a sheet. A text that a spreadsheet would run as a formula begins with an apostrophe there (S-35)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        text = encoded(value).decode()
        value = "" if text in ("null", "[]", "{}") else text
        if value.startswith('"'):
            value = str(msgspec.json.decode(value))
        elif _is_number(value):
            return value
    return f"'{value}" if value.startswith(FORMULA) else value


def _is_number(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), int | float)
    except msgspec.DecodeError:
        return False
