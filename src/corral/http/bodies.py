"""Bodies: what of a request is stored as it was sent. Numbers in payloads never become floats on the way."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.requests import Request

from corral.errors import ConfigError, PayloadError
from corral.http.problems import problem
from corral.payload import MAX_BYTES, from_json
from corral.sensitive import HIDDEN


class Part(Struct):
    """A body, or a part of one, of which only the payload matters here; the rest is checked by its model."""

    data: Raw | UnsetType = UNSET
    children: "list[Part] | UnsetType" = UNSET
    job: "Part | UnsetType" = UNSET


_one = msgspec.json.Decoder(Part).decode
_many = msgspec.json.Decoder(list[Part]).decode


async def part_of(request: Request) -> Part:
    """The body, with its payload as text. Raises: Problem (400)."""
    try:
        return _one(await request.body() or b"{}")
    except (msgspec.MsgspecError, RecursionError):
        problem("invalid-json", "The body is not JSON.")


async def parts_of(request: Request) -> Sequence[Part]:
    """The bodies of an array, with their payloads as text. Raises: Problem (400)."""
    try:
        return _many(await request.body())
    except (msgspec.MsgspecError, RecursionError):
        problem("invalid-json", "The body is not JSON.")


def text_of(part: Part, pointer: str = "/data", limit: int = MAX_BYTES) -> str | None:
    """The payload of a body as compact JSON text; None where it has none.

    Raises:
        Problem: 413 longer than `limit` bytes, 422 nested deeper than any payload may be, or half a character.
    """
    if isinstance(part.data, UnsetType):
        return None
    try:
        packed = msgspec.json.format(bytes(part.data), indent=-1)  # takes the spaces out, and leaves numbers alone
        if len(packed) > limit:
            problem(
                "payload-too-large",
                f"The payload has {len(packed):,} bytes, more than the limit of {limit:,}: "
                "store it elsewhere and pass its key.",
            )
        text = packed.decode()
        from_json(text)
    except (PayloadError, UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
        refused(pointer, str(error) if isinstance(error, PayloadError) else "it cannot be stored")
    return text


def refused(pointer: str, detail: str, code: str = "invalid") -> NoReturn:
    """Raises: Problem: 422, one complaint about one place of the body."""
    problem("validation-failed", f"{detail[:1].upper()}{detail[1:]}.", errors=[
        {"pointer": pointer, "detail": detail, "code": code}
    ])  # fmt: skip


@contextmanager
def refusing(**places: str) -> Iterator[None]:
    """Around what is done with a body: a value that cannot be meant is the body's, not a parameter's.

    Args:
        places: what the error calls it -> where it stands in the body.

    Raises:
        Problem: 422.
    """
    try:
        yield
    except ConfigError as error:
        refused(places.get(error.key, f"/{error.key}" if error.key else ""), str(error))


def check_hidden(text: str | None, *, reveal: bool) -> None:
    """Refuse a payload that somebody has read with dots in it and sends back: the dots would be stored.

    Raises:
        Problem: 403.
    """
    if text is not None and not reveal and (HIDDEN in text or "\\u2022" in text):
        problem(
            "redacted-field",
            f"The payload holds {HIDDEN}, which stands for values that are hidden from you; "
            "they would be lost. Leave the payload out.",
        )


def complaints(error: PayloadError, at: str = "/data") -> list[dict[str, str]]:
    """What a payload's type says, each with a JSON pointer to the field."""
    found = []
    for said in error.errors:
        place, colon, words = said.partition(": ")
        if not colon or " " in place:
            place, words = "", said
        pointer = "".join(f"/{one.replace('~', '~0').replace('/', '~1')}" for one in place.split(".") if one)
        found.append({"pointer": f"{at}{pointer}", "detail": words, "code": "invalid"})
    return found or [{"pointer": at, "detail": str(error), "code": "invalid"}]
