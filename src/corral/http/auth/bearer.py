"""Signed tokens (JWT): checked by RFC 8725. The algorithm must be one of ours, and it decides which key is taken."""

from collections.abc import Mapping
from typing import NoReturn, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from corral.admin.rights import Principal
from corral.errors import ConfigError
from corral.http.auth.claims import queues_in, roles_in
from corral.http.auth.keys import ASYMMETRIC, SYMMETRIC, Key, KeySet, KeysUnavailableError, fitting
from corral.http.auth.sessions import TYPE
from corral.http.problems import problem
from corral.http.settings import ApiSettings

#: No token of a sane issuer is longer, and a longer one costs time before it is refused.
LONGEST = 8_192


def looks_signed(token: str) -> bool:
    """Whether a bearer token has the three parts of a JWT."""
    return token.count(".") == 2


class Bearer:
    """Recognises whoever shows a token that was signed for this API.

    Raises:
        ConfigError: keys that cannot be read, or algorithms that do not fit them.
    """

    def __init__(self, settings: ApiSettings, *, keys: KeySet | None = None) -> None:
        self._settings = settings
        secret = settings.jwt_secret
        self._secret = None if secret is None else secret.get_secret_value().encode()
        self._public = None if settings.jwt_public_key is None else _public(settings.jwt_public_key)
        self._keys = keys or (None if settings.jwt_jwks_url is None else KeySet(settings.jwt_jwks_url))
        self.algorithms = self._allowed(settings.jwt_algorithms)

    def _allowed(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        possible: tuple[str, ...] = ()
        if self._secret is not None:  # a key is at least as long as what it makes (RFC 7518, 3.2)
            possible = tuple(name for name in SYMMETRIC if len(self._secret) * 8 >= int(name[2:]))
        if self._keys is not None:
            possible += ASYMMETRIC
        elif self._public is not None:
            possible += self._public[0]
        for one in wanted:
            if one not in SYMMETRIC + ASYMMETRIC:
                known = ", ".join(SYMMETRIC + ASYMMETRIC)
                raise ConfigError(f"jwt_algorithms may have {known}, not {one!r}", key="jwt_algorithms")
            if one not in possible:
                raise ConfigError(
                    f"jwt_algorithms has {one}, for which there is no key, or too short a one", key="jwt_algorithms"
                )
        return tuple(wanted) or possible

    async def recognise(self, token: str) -> Principal:
        """Who the token was given to. Raises: Problem (401; 503 when the keys cannot be had)."""
        header = self._header(token)
        algorithm = str(header.get("alg"))
        key = await self._key(algorithm, header.get("kid"))
        claims = self._claims(token, key, algorithm)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= 200:
            _invalid("it does not say whose it is (sub)")
        settings = self._settings
        try:
            queues = queues_in(claims, settings.jwt_queues_claim)
        except ConfigError:
            _invalid("its queues cannot be read")
        expires = claims["exp"]
        if isinstance(expires, bool) or not isinstance(expires, int | float):
            _invalid("its end cannot be read (exp)")
        return Principal(
            sub=str(subject),
            roles=roles_in(claims, settings.jwt_role_claim, settings.role_map, settings.default_role),
            queues=queues,
            method="jwt",
            expires_at=int(expires * 1000),
        )

    def _header(self, token: str) -> Mapping[str, object]:
        if len(token) > LONGEST:
            _invalid("it is too long")
        try:
            header: Mapping[str, object] = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            _invalid("it cannot be read")
        if header.get("alg") not in self.algorithms:
            _invalid("its algorithm is not accepted here")
        if "crit" in header or header.get("b64") is False or header.get("typ") == TYPE:
            _invalid("it asks for what is not understood here")
        return header

    async def _key(self, algorithm: str, kid: object) -> Key:
        if algorithm in SYMMETRIC:
            assert self._secret is not None, "else the algorithm would not be allowed"
            return self._secret
        if kid is not None and (not isinstance(kid, str) or len(kid) > 200):
            _invalid("its key cannot be named like that")
        if self._public is not None and algorithm in self._public[0]:
            return self._public[1]
        assert self._keys is not None, "else the algorithm would not be allowed"
        try:
            found = await self._keys.find(kid if isinstance(kid, str) else None, algorithm)
        except KeysUnavailableError:
            problem("auth-unavailable", headers={"Retry-After": "30"})
        if found is None:
            _invalid("its key is not known here")
        return found

    def _claims(self, token: str, key: Key, algorithm: str) -> Mapping[str, object]:
        settings = self._settings
        required = ["exp", *(["iss"] if settings.jwt_issuer else []), *(["aud"] if settings.jwt_audience else [])]
        try:
            claims: Mapping[str, object] = jwt.decode(
                token, key, algorithms=[algorithm], issuer=settings.jwt_issuer, audience=settings.jwt_audience,
                leeway=settings.jwt_leeway, options={"require": required, "strict_aud": False},
            )  # fmt: skip
        except jwt.ExpiredSignatureError:
            problem("token-expired", "The token has expired; get a new one.", headers=challenge("expired"))
        except jwt.ImmatureSignatureError:
            _invalid("it is not valid yet")
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            _invalid("it was made for somebody else")
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError):  # an `exp` of Infinity overflows
            _invalid("its signature or its claims do not hold")
        return claims


def challenge(reason: str = "") -> dict[str, str]:
    """The header that says how to be recognised."""
    more = f', error="invalid_token", error_description="{reason}"' if reason else ""
    return {"WWW-Authenticate": f'Bearer realm="corral"{more}'}


def _invalid(why: str) -> NoReturn:
    problem("token-invalid", f"The token is not valid: {why}.", headers=challenge("invalid"))


def _public(text: str) -> tuple[tuple[str, ...], Key]:
    """A public key in PEM, and the algorithms it fits."""
    try:
        key = load_pem_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            "jwt_public_key cannot be read: it must be the PEM text of a public key", key="jwt_public_key"
        ) from None
    names = fitting(key)
    if not names:
        raise ConfigError(
            "jwt_public_key must be an RSA key of 2,048 bits or more, a P-256 or an Ed25519 key", key="jwt_public_key"
        )
    return names, cast(Key, key)
