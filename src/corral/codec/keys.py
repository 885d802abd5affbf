"""Keys: several by their ids, one of them the current one. They show in no repr, log line or error."""

import base64
import binascii
from collections.abc import Mapping
from secrets import token_bytes

from corral.errors import ConfigError, PayloadError

KEY_BYTES = 32


def new_key() -> str:
    """A fresh random key of 256 bits as base64 text, for an environment variable or a file of secrets."""
    return base64.b64encode(token_bytes(KEY_BYTES)).decode()


class Keys:
    """The keys of one codec."""

    __slots__ = ("_keys", "current", "what")

    def __init__(self, what: str, keys: Mapping[str, str | bytes] | str | bytes, current: str | None) -> None:
        several = keys if isinstance(keys, Mapping) else {"1": keys}
        if not several:
            raise ConfigError(f"{what} needs at least one key: corral.codec's new_key() makes one", key="keys")
        if current is None:
            if len(several) > 1:
                raise ConfigError(f"{what} has several keys: say which is the current one", key="current")
            current = next(iter(several))
        if current not in several:
            raise ConfigError(f"{what} has no key {current!r}, which shall be the current one", key="current")
        self.what = what
        self.current = current
        self._keys = {_id(what, key_id): _bytes(what, key_id, key) for key_id, key in several.items()}

    def __repr__(self) -> str:
        return f"keys={sorted(self._keys)}, current={self.current!r}"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"the keys of {self.what} are not pickled: make the codec where it is used")

    def get(self, key_id: str) -> bytes:
        """The key with this id. Raises: PayloadError, naming the id."""
        try:
            return self._keys[key_id]
        except KeyError:
            raise PayloadError(f"its key {key_id[:64]!r} is not here (any more)") from None


def _id(what: str, key_id: object) -> str:
    if not isinstance(key_id, str) or not 0 < len(key_id) <= 64 or not key_id.isprintable():
        raise ConfigError(f"a key id of {what} must be a text of 1 to 64 characters, not {key_id!r}", key="keys")
    return key_id


def _bytes(what: str, key_id: str, key: object) -> bytes:
    """The key itself. Its value must not stand in the error."""
    if isinstance(key, str):
        try:
            key = base64.b64decode(key.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"key {key_id!r} of {what} is not base64 text", key="keys") from None
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        found = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        raise ConfigError(f"key {key_id!r} of {what} must have {KEY_BYTES} bytes, not {found}", key="keys")
    return key
