"""Keys: which key a signed token must fit. By its algorithm and `kid` only; nothing else in its header is believed."""

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from corral.errors import ConfigError

logger = logging.getLogger("corral.api")

SYMMETRIC = ("HS256", "HS384", "HS512")
ASYMMETRIC = ("RS256", "PS256", "ES256", "EdDSA")
#: Keys of a server are good for 10 minutes; an unknown `kid` asks again at most every 30 s, so nobody can make us ask.
FRESH, PAUSE = 600.0, 30.0
#: Old keys serve on for a day while the server that gives them is away.
STALE = 86_400.0
TIMEOUT, LARGEST = 5.0, 1_000_000

Key: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | bytes
Fetch: TypeAlias = Callable[[str], bytes]


class KeysUnavailableError(Exception):
    """The keys cannot be had now."""


def fitting(key: object) -> tuple[str, ...]:
    """The algorithms that a public key fits; none for one that is too weak or of another kind."""
    if isinstance(key, RSAPublicKey):
        return ("RS256", "PS256") if key.key_size >= 2048 else ()
    if isinstance(key, EllipticCurvePublicKey):
        return ("ES256",) if isinstance(key.curve, SECP256R1) else ()
    return ("EdDSA",) if isinstance(key, Ed25519PublicKey) else ()


def check_keys_url(url: str) -> str:
    """A URL to fetch keys from: https, or http on this machine. Raises: ConfigError."""
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if (parts.scheme != "https" and not (parts.scheme == "http" and local)) or not parts.hostname:
        raise ConfigError(f"jwt_jwks_url must be an https URL, not {url!r}", key="jwt_jwks_url")
    return url


class _Straight(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: a redirect could lead into the network that this machine sees."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def fetch(url: str) -> bytes:
    """What a URL gives; blocks. Raises: KeysUnavailableError."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked to be http(s)
    try:
        with urllib.request.build_opener(_Straight).open(request, timeout=TIMEOUT) as answer:
            body: bytes = answer.read(LARGEST + 1)
    except urllib.error.HTTPError as error:  # it holds the connection
        error.close()
        raise KeysUnavailableError(f"status {error.code}") from None
    except (OSError, ValueError) as error:
        raise KeysUnavailableError(str(error)) from None
    if len(body) > LARGEST:
        raise KeysUnavailableError(f"more than {LARGEST:,} bytes")
    return body


class KeySet:
    """The keys that a URL publishes, kept for ten minutes."""

    def __init__(self, url: str, *, fetch: Fetch = fetch, seconds: Callable[[], float] = time.monotonic) -> None:
        self.url = check_keys_url(url)
        self.seconds = seconds
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._keys: Mapping[str, tuple[tuple[str, ...], Key]] = {}
        self._at: float | None = None
        self._asked: float | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of this name for this algorithm; without a name, the only one there is.

        Raises:
            KeysUnavailableError: none are known, and none can be had.
        """
        if self._at is None or self.seconds() - self._at > FRESH:
            await self._refresh()
        found = self._pick(kid, algorithm)
        if found is None and kid is not None and kid not in self._keys:  # keys were changed at the other end
            await self._refresh()
            found = self._pick(kid, algorithm)
        return found

    def _pick(self, kid: str | None, algorithm: str) -> Key | None:
        if kid is not None:
            names, key = self._keys.get(kid, ((), None))
            return key if algorithm in names else None
        found = [key for names, key in self._keys.values() if algorithm in names]
        return found[0] if len(found) == 1 else None

    async def _refresh(self) -> None:
        before = self._asked
        async with self._lock:
            if self._asked != before or (self._asked is not None and self.seconds() - self._asked < PAUSE):
                self._usable()  # somebody else has asked just now
                return
            self._asked = self.seconds()
            try:
                self._keys = _read(await asyncio.to_thread(self._fetch, self.url))
                self._at = self.seconds()
            except KeysUnavailableError as error:
                logger.warning("keys cannot be fetched: %s", error, extra={"event": "api.keys"})
                self._usable()

    def _usable(self) -> None:
        if self._at is None or self.seconds() - self._at > STALE:
            raise KeysUnavailableError("no keys are known")


def _read(body: bytes) -> dict[str, tuple[tuple[str, ...], Key]]:
    try:
        listed = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeysUnavailableError("what came is no set of keys") from None
    if not isinstance(listed, list):
        raise KeysUnavailableError("what came is no set of keys")
    keys: dict[str, tuple[tuple[str, ...], Key]] = {}
    for number, one in enumerate(listed[:100]):
        if not isinstance(one, dict) or one.get("kty") not in ("RSA", "EC", "OKP") or one.get("use", "sig") != "sig":
            continue  # not for signing; or a secret, which is none once it is published
        try:
            key = jwt.PyJWK(one).key
        except jwt.PyJWTError:
            continue  # of a kind that is not known here; others may be
        names = tuple(name for name in fitting(key) if one.get("alg") in (None, name))
        if names:
            keys[str(one.get("kid", f"#{number}"))] = (names, key)
    return keys
