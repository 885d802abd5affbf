"""Signed: HMAC-SHA-256 over the payload and what it belongs to. Anybody can read it, only a key can make it."""

import hashlib
import hmac
from collections.abc import Mapping

from corral.codec.chain import Codec
from corral.codec.keys import Keys
from corral.errors import PayloadError

#: Bytes of the signature, which stands before the body.
SIZE = 32


class Signed(Codec):
    """Signs with the current key and accepts the signature of any of `keys`.

    Args:
        keys: id -> key of 32 bytes, as bytes or base64 text; or a single key.
        current: the id of the key to sign with; may be left out with a single key.
        strict: refuse what is stored unsigned. False only while old plain jobs run out.

    Raises:
        ConfigError: a key that is none.
    """

    algorithm = "HS256"
    secret = False

    def __init__(
        self, keys: Mapping[str, str | bytes] | str | bytes, *, current: str | None = None, strict: bool = True
    ) -> None:
        self._keys = Keys("Signed", keys, current)
        self.strict = strict

    def __repr__(self) -> str:
        return f"Signed({self._keys!r})"

    def key_for(self, body: bytes) -> str | None:
        """See `Codec`."""
        return self._keys.current

    def seal(self, body: bytes, key: str, bound: bytes) -> bytes:
        """See `Codec`."""
        return self._sign(body, key, bound) + body

    def open(self, body: bytes, key: str, bound: bytes) -> bytes:
        """See `Codec`. Raises: PayloadError."""
        content = body[SIZE:]
        if not hmac.compare_digest(body[:SIZE], self._sign(content, key, bound)):
            raise PayloadError(f"its signature with key {key!r} is wrong: forged, damaged, or taken from another job")
        return content

    def _sign(self, body: bytes, key: str, bound: bytes) -> bytes:
        # The length goes in between, so that no byte can change sides.
        return hmac.digest(self._keys.get(key), len(bound).to_bytes(8, "big") + bound + body, hashlib.sha256)
