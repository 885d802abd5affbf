"""Bodies as they come in: unpacked, counted, cut into lines. Nothing here holds more than its limit."""

import zlib
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from corral.handlers.kit.answers import TooLargeError, WebError

_GZIP = 47  #: zlib's word for "gzip or zlib, whichever it is"


class Limit(NamedTuple):
    """How much may come, and what is asked for (for the error)."""

    max_bytes: int
    what: str


async def unpacked(
    parts: AsyncIterator[bytes], headers: Mapping[str, str], limit: Limit
) -> AsyncIterator[bytes]:  # fmt: skip
    """The parts of a body as they were before they were packed.

    Raises:
        TooLargeError: more than the limit, known from the header or found while unpacking: a small packet can hold
            a thousand times its size. WebError: packed in a way nobody asked for, or broken.
    """
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit.max_bytes:
        raise TooLargeError(f"{limit.what} answers with {int(announced):,} bytes, the most is {limit.max_bytes:,}")
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise WebError(f"{limit.what} answers in {encoding[:40]!r}, which was not asked for")
    unzip = zlib.decompressobj(_GZIP) if encoding not in ("", "identity") else None
    left, began = limit.max_bytes, False
    async for part in parts:
        began = began or bool(part)
        piece = part if unzip is None else _unzipped(unzip, part, left + 1, limit.what)
        left -= len(piece)
        if left < 0:
            raise TooLargeError(f"{limit.what} answers with more than {limit.max_bytes:,} bytes")
        yield piece
    if unzip is not None and began and not unzip.eof:
        raise WebError(f"{limit.what} broke off inside a packed body")


def _unzipped(unzip: "zlib._Decompress", part: bytes, most: int, what: str) -> bytes:
    try:
        return unzip.decompress(part, most)
    except zlib.error:
        raise WebError(f"{what} answers with a packed body that is broken") from None


async def lines_of(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a body, as soon as each is there, without their ends. The last one may have no end."""
    rest = b""
    async for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")
