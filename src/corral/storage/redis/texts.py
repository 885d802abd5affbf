"""Text out of replies that may hold what is no UTF-8: other programs write too, and one byte must not hide a page."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

_decode_str = msgspec.msgpack.Decoder(str).decode
#: How long the header of a text is, by its first byte; shorter texts have one byte.
_HEADERS = {0xD9: 2, 0xDA: 3, 0xDB: 5}


def text(raw: Raw) -> str:
    """A text of a msgpack reply; bytes that are none of UTF-8 become U+FFFD."""
    try:
        return _decode_str(raw)
    except UnicodeDecodeError:
        packed = bytes(raw)
        return packed[_HEADERS.get(packed[0], 1) :].decode("utf-8", "replace")


def texts(raws: Sequence[Raw]) -> list[str]:
    """Several of them."""
    return [text(raw) for raw in raws]


def text_pairs(raws: Sequence[Raw]) -> dict[str, str]:
    """Names and values by turns."""
    return dict(zip(texts(raws[::2]), texts(raws[1::2]), strict=True))
