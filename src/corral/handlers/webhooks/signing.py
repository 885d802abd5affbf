"""Signatures of the Standard Webhooks kind, and the HMAC that every other kind is made of."""

import base64
import binascii
import hashlib
import hmac

from corral.errors import ConfigError

#: What a secret of this kind begins with; the rest is base64.
PREFIX = "whsec_"


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature` for one secret. `timestamp` is in seconds. Raises: ConfigError."""
    signed = b".".join((id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()


def key_of(secret: str) -> bytes:
    """The bytes behind `whsec_…`. Raises: ConfigError, which does not show it."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("a Standard Webhooks secret is base64 after whsec_", key="secret") from None
    if not key:
        raise ConfigError("a Standard Webhooks secret must not be empty", key="secret")
    return key


def derived(master: str, endpoint: str, generation: int) -> str:
    """The secret of an endpoint: made of the master key whenever it is needed, so it is stored nowhere."""
    told = f"corral-webhook-secret\n{endpoint}\n{generation}".encode()
    return PREFIX + base64.b64encode(hmac.digest(master.encode(), told, "sha256")).decode()


def digest(key: bytes, signed: bytes, algorithm: str) -> bytes:
    """An HMAC. `algorithm` is one of hashlib's names."""
    return hmac.digest(key, signed, algorithm)


def fingerprint(*parts: bytes) -> str:
    """A short name for some bytes: the same bytes, the same name. No part can pass for another one's end."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:40]
