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
    unzip = None if encoding in ("", "identity") else _Unzip(limit.what)
    left = limit.max_bytes
    async for part in parts:
        piece = part if unzip is None else unzip.feed(part, left + 1)
        left -= len(piece)
        if left < 0:
            raise TooLargeError(f"{limit.what} answers with more than {limit.max_bytes:,} bytes")
        yield piece
    if unzip is not None:
        unzip.end()


class _Unzip:
    """Unpacks what may be several packed pieces in a row, as gzip allows."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = False
        self._piece = zlib.decompressobj(_GZIP)

    def feed(self, data: bytes, most: int) -> bytes:
        """What it unpacks to, `most` bytes of it: whoever gets that many has more than enough. Raises: WebError."""
        made = b""
        try:
            while data and len(made) < most:
                if self._piece.eof:
                    self._piece = zlib.decompressobj(_GZIP)
                self._began = True
                made += self._piece.decompress(data, most - len(made))
                data = self._piece.unused_data
        except zlib.error:
            raise WebError(f"{self._what} answers with a packed body that is broken") from None
        return made

    def end(self) -> None:
        """Raise WebError when it stopped in the middle."""
        if self._began and not self._piece.eof:
            raise WebError(f"{self._what} broke off inside a packed body")


async def lines_of(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a body, as soon as each is there, without their ends. The last one may have no end."""
    rest = b""
    async for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")
