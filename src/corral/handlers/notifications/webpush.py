"""Web push: messages encrypted for one browser (RFC 8291), from a sender who signs (RFC 8292)."""

import base64
import binascii
import os
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from pydantic import SecretStr

from corral.errors import ConfigError, PayloadError
from corral.handlers.notifications.payload import Subscription
from corral.timing import Millis

#: One record has 4,096 bytes: 86 of head, and 17 of tag and end mark. Push services take no second one.
RECORD = 4_096
MAX_PLAIN = RECORD - 86 - 17
#: A day is what push services allow; half of it leaves room for clocks that differ.
_TOKEN_SECONDS = 12 * 3_600


def unbase64(text: str) -> bytes:
    """Bytes from base64url, with or without its padding. Raises: ValueError."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None


def base64url(data: bytes) -> str:
    """Bytes as base64url, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Browser(NamedTuple):
    """The keys of the browser that is to read it."""

    point: bytes
    key: ec.EllipticCurvePublicKey
    auth: bytes

    @classmethod
    def of(cls, subscription: Subscription) -> Self:
        """A subscription's keys. Raises: PayloadError when they are none."""
        try:
            point, auth = unbase64(subscription.keys.p256dh), unbase64(subscription.keys.auth)
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError:
            raise PayloadError("the keys of the push subscription are not those of a browser") from None
        if len(auth) != 16 or len(point) != 65:
            raise PayloadError("the keys of the push subscription are not those of a browser")
        return cls(point, key, auth)


def encrypt(
    plain: bytes, browser: Browser, *, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """A message that only this browser can read. `key` and `salt` are for checking: each message needs its own.

    Raises:
        PayloadError: longer than a push may be.
    """
    if len(plain) > MAX_PLAIN:
        raise PayloadError(f"a push has {MAX_PLAIN:,} bytes at most, not {len(plain):,}")
    key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
    salt = os.urandom(16) if salt is None else salt
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = key.exchange(ec.ECDH(), browser.key)
    secret = _derive(shared, browser.auth, b"WebPush: info\0" + browser.point + point, 32)
    content_key = _derive(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(secret, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + RECORD.to_bytes(4, "big") + bytes([len(point)]) + point
    return head + AESGCM(content_key).encrypt(nonce, plain + b"\x02", None)  # \x02 ends the last record


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


class Vapid:
    """The sender's key pair, by which push services know one sender from another.

    Raises:
        ConfigError: a key that is none.
    """

    def __init__(self, private_key: SecretStr, subject: str) -> None:
        self._key = _load(private_key.get_secret_value())
        self._subject = subject
        #: What a browser is given as `applicationServerKey` when it subscribes.
        self.public_key = base64url(self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    def __repr__(self) -> str:
        return f"<Vapid {self.public_key}>"

    def authorization(self, endpoint: str, now: Millis) -> str:
        """The header for an endpoint, good for half a day."""
        parts = urlsplit(endpoint)
        claims = {
            "aud": f"{parts.scheme}://{parts.netloc}", "exp": now // 1000 + _TOKEN_SECONDS, "sub": self._subject
        }  # fmt: skip
        token = jwt.encode(claims, self._key, algorithm="ES256")
        return f"vapid t={token}, k={self.public_key}"


def new_vapid_key() -> str:
    """A new private key for `VAPID_PRIVATE_KEY`. Browsers that subscribed with another one have to subscribe again."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return base64url(number.to_bytes(32, "big"))


def _load(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        if "-----BEGIN" in text:
            key = load_pem_private_key(text.encode(), None)
        else:
            data = unbase64(text.strip())
            if len(data) != 32:
                raise ValueError("not 32 bytes")
            key = ec.derive_private_key(int.from_bytes(data, "big"), ec.SECP256R1())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(
            "VAPID_PRIVATE_KEY must be a P-256 key: 32 bytes in base64url, or PEM; new_vapid_key() makes one",
            key="notify",
        )
    return key
