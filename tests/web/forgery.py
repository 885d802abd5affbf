"""Makes tokens of every kind that somebody might try."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256K1,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

#: Long enough for HS512.
SECRET = "an application's secret, which has more than the sixty-four bytes it needs"
ISSUER, AUDIENCE = "https://issuer.test", "corral"
Claims = dict[str, object]
Private = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


@cache
def rsa() -> RSAPrivateKey:
    """The issuer's RSA key."""
    return generate_rsa(65_537, 2048)


@cache
def other_rsa() -> RSAPrivateKey:
    """Somebody else's."""
    return generate_rsa(65_537, 2048)


@cache
def p256() -> EllipticCurvePrivateKey:
    """The issuer's key on P-256."""
    return generate_private_key(SECP256R1())


@cache
def ed25519() -> Ed25519PrivateKey:
    """The issuer's Ed25519 key."""
    return Ed25519PrivateKey.generate()


def pem(key: Private) -> str:
    """The public half, as text."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(
    key: RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey, kid: str, **more: object
) -> dict[str, object]:
    """The public half, as a server of keys gives it."""
    algorithms = {RSAPrivateKey: "RS256", EllipticCurvePrivateKey: "ES256", Ed25519PrivateKey: "EdDSA"}
    name = next(name for kind, name in algorithms.items() if isinstance(key, kind))
    made = jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig", **more}


def claims(**more: object) -> Claims:
    """What a good token says; None takes a claim away."""
    now = int(time.time())
    good: Claims = {
        "sub": "dan", "role": "operator", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 3_600
    }  # fmt: skip
    return {name: value for name, value in {**good, **more}.items() if value is not None}


def b64(data: bytes) -> str:
    """Base 64 as tokens write it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def by_hand(header: Mapping[str, object], body: object, sign: Callable[[bytes], bytes]) -> str:
    """A token put together without a library, which would refuse some of them."""
    head = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(body).encode())}"
    return f"{head}.{b64(sign(head.encode()))}"


def hs(secret: str | bytes, size: str = "sha256") -> Callable[[bytes], bytes]:
    """Signs with a shared secret of any length."""
    key = secret.encode() if isinstance(secret, str) else secret
    return lambda text: hmac.new(key, text, getattr(hashlib, size)).digest()


def signed(
    secret: str = SECRET, *, algorithm: str = "HS256", header: Mapping[str, object] | None = None, **more: object
) -> str:
    """A token that was signed with a shared secret."""
    body = claims(**more)
    return by_hand({"alg": algorithm, "typ": "JWT", **(header or {})}, body, hs(secret, f"sha{algorithm[2:]}"))


def sealed(key: object, algorithm: str, *, header: dict[str, object] | None = None, **more: object) -> str:
    """A token that was signed with a private key."""
    return jwt.encode(claims(**more), key, algorithm=algorithm, headers=header)  # type: ignore[arg-type]  # any kind


def secp256k1() -> EllipticCurvePrivateKey:
    """A key on a curve that is not accepted."""
    return generate_private_key(SECP256K1())


def small_rsa() -> RSAPrivateKey:
    """A key that has been too short for ten years."""
    return generate_rsa(65_537, 1024)
