"""Compressed: payloads above a size are deflated. It protects nothing; put it before what encrypts."""

import zlib

from corral.codec.chain import Codec
from corral.errors import ConfigError, PayloadError

#: What a compressed payload may grow to. A megabyte of zeros deflates to a kilobyte.
MAX_INFLATED = 16_000_000


class Compressed(Codec):
    """Deflates texts of more than `above` bytes, and refuses what would inflate to more than `limit`."""

    algorithm = "zlib"
    strict = False
    secret = False

    def __init__(self, *, above: int = 8_192, level: int = 6, limit: int = MAX_INFLATED) -> None:
        for key, value, lowest in (("above", above, 0), ("limit", limit, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise ConfigError(f"{key} must be a number of bytes, {lowest} or more, not {value!r}", key=key)
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= 9:
            raise ConfigError(f"level must be a whole number from 1 to 9, not {level!r}", key="level")
        self.above = above
        self.level = level
        self.limit = limit

    def __repr__(self) -> str:
        return f"Compressed(above={self.above})"

    def key_for(self, body: bytes) -> str | None:
        """See `Codec`."""
        return "" if len(body) > self.above else None

    def seal(self, body: bytes, key: str, bound: bytes) -> bytes:
        """See `Codec`."""
        return zlib.compress(body, self.level)

    def open(self, body: bytes, key: str, bound: bytes) -> bytes:
        """See `Codec`. Raises: PayloadError."""
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(body, self.limit)
        except zlib.error:
            raise PayloadError("its envelope is damaged: it does not inflate") from None
        if inflater.unconsumed_tail or not inflater.eof:
            if len(text) >= self.limit:
                raise PayloadError(f"it inflates to more than {self.limit:,} bytes")
            raise PayloadError("its envelope is damaged: it is cut short")
        return text
