"""A browser with a push subscription, that can read what it is sent."""

import os
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from corral.handlers.notifications.webpush import base64url


class Receiver:
    """Keys of its own, and the reading side of RFC 8291, written from the other end."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = os.urandom(16)

    @property
    def subscription(self) -> Mapping[str, object]:
        """What `PushSubscription.toJSON()` gives in a browser."""
        keys = {"p256dh": base64url(self._point), "auth": base64url(self._auth)}
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": keys}

    def read(self, body: bytes) -> bytes:
        """The message in a push's body."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= size == 4_096
        shared = self._key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        secret = _hkdf(shared, self._auth, b"WebPush: info\x00" + self._point + sender, 32)
        opened = AESGCM(_hkdf(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)).decrypt(
            _hkdf(secret, salt, b"Content-Encoding: nonce\x00", 12), sealed, None
        )
        text, mark = opened.rstrip(b"\x00")[:-1], opened.rstrip(b"\x00")[-1]
        assert mark == 2
        return text


def _hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)
