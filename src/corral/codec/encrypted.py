"""Encrypted: AES-256 in Galois/counter mode, with keys that can be changed."""

from collections.abc import Mapping
from secrets import token_bytes

from corral.codec.chain import Codec
from corral.codec.keys import Keys
from corral.errors import ConfigError, PayloadError

#: Bytes of a random nonce. With 96 bits a key is good for four thousand million payloads (NIST SP 800-38D, 8.3).
NONCE = 12


class Encrypted(Codec):
    """Encrypts with the current key and decrypts with any of `keys`.

    Args:
        keys: id -> key of 32 bytes, as bytes or base64 text; or a single key.
        current: the id of the key for what is stored from now on; may be left out with a single key.
        strict: refuse what is stored unencrypted. False only while old plain jobs run out.

    Raises:
        ConfigError: a key that is none, or the library `cryptography` is not installed.
    """

    algorithm = "A256GCM"
    secret = True

    def __init__(
        self, keys: Mapping[str, str | bytes] | str | bytes, *, current: str | None = None, strict: bool = True
    ) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # 30 ms to import: only for who encrypts
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ModuleNotFoundError:
            raise ConfigError("Encrypted needs cryptography: pip install 'corral[crypto]'", key="codecs") from None
        self._keys = Keys("Encrypted", keys, current)
        self._cipher = AESGCM
        self._invalid = InvalidTag
        self.strict = strict

    def __repr__(self) -> str:
        return f"Encrypted({self._keys!r})"

    def key_for(self, body: bytes) -> str | None:
        """See `Codec`."""
        return self._keys.current

    def seal(self, body: bytes, key: str, bound: bytes) -> bytes:
        """See `Codec`."""
        nonce = token_bytes(NONCE)
        return nonce + self._cipher(self._keys.get(key)).encrypt(nonce, body, bound)

    def open(self, body: bytes, key: str, bound: bytes) -> bytes:
        """See `Codec`. Raises: PayloadError."""
        cipher = self._cipher(self._keys.get(key))
        try:
            return cipher.decrypt(body[:NONCE], body[NONCE:], bound)
        except (self._invalid, ValueError):  # a nonce that is too short is a ValueError
            raise PayloadError(
                f"it does not decrypt with key {key!r}: forged, damaged, or taken from another job"
            ) from None
