"""How strong what is secret is (the doctor's D22). Nothing of a secret is shown, not even its length."""

import math
from collections.abc import Iterator

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import SecretStr

from corral.checks.objects import Check, Verdict
from corral.errors import ConfigError
from corral.http.auth.keys import fitting
from corral.http.auth.known import read_users, secrets_of
from corral.http.auth.passwords import BLOCK, COST, PASSES
from corral.http.settings import ApiSettings

#: Bits that keep a secret from being guessed by trying: for good, and for now.
GOOD, POOR = 128, 80
#: What people put into examples, and into settings they meant to come back to.
WORDS = (
    "secret", "passw", "changeme", "change-me", "change_me", "example", "default", "qwerty", "12345", "abcdef", "your-",
    "your_", "development", "insecure", "letmein", "jwt-key", "token-of",
)  # fmt: skip
_MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(48))' makes one"


def judge_keys(settings: ApiSettings) -> list[Check]:
    """One check for each secret that is weak, or one that says that none is."""
    found = [*_secrets(settings), *_public_key(settings), *_users(settings)]
    if found:
        return found
    what = "keys and tokens are strong" if settings.configured else "no keys are configured: this machine only"
    return [Check(name="keys", verdict=Verdict.OK, message=what)]


def unreadable(error: ConfigError) -> Check:
    """The check that fails when the API's settings cannot be meant at all."""
    return Check(
        name="keys", verdict=Verdict.FAILED, message=f"the API's settings: {error}", fix="mend them: corral config show"
    )


def _secrets(settings: ApiSettings) -> Iterator[Check]:
    named: dict[str, SecretStr | None] = {
        "jwt_secret": settings.jwt_secret, "session_secret": settings.session_secret,
        "metrics_password": settings.metrics_password, "proxy_secret": settings.proxy_secret,
    }  # fmt: skip
    given = {name: secret.get_secret_value() for name, secret in named.items() if secret is not None}
    given |= {f"the token of {name!r}": text for name, text in secrets_of(settings.tokens.get_secret_value(), "tokens")}
    seen: dict[str, str] = {}
    for name, secret in given.items():
        if secret in seen:
            yield Check(
                name="keys", verdict=Verdict.WARNING, message=f"{name} is the same as {seen[secret]}",
                fix=f"give each a secret of its own; {_MAKE}",
            )  # fmt: skip
            continue
        seen[secret] = name
        word = next((one for one in WORDS if one in secret.lower()), None)
        bits = strength(secret)
        if word is not None and bits < 2 * GOOD:
            yield _weak(name, Verdict.FAILED, "looks made up")
        elif bits < POOR:
            yield _weak(name, Verdict.FAILED, f"is good for less than {POOR} bits")
        elif bits < GOOD:
            yield _weak(name, Verdict.WARNING, f"is good for less than {GOOD} bits")


def _weak(name: str, verdict: Verdict, why: str) -> Check:
    return Check(name="keys", verdict=verdict, message=f"{name} {why}: it can be guessed", fix=f"replace it; {_MAKE}")


def strength(secret: str) -> float:
    """Bits at most: as if each character were any of those that it has. What repeats itself counts once."""
    unit = next(
        (secret[:size] for size in range(1, len(secret) // 2 + 1) if (secret[:size] * len(secret)).startswith(secret)),
        secret,
    )
    return len(unit) * math.log2(len(set(unit))) if unit else 0.0


def _public_key(settings: ApiSettings) -> Iterator[Check]:
    if settings.jwt_public_key is None:
        return
    try:
        key = load_pem_public_key(settings.jwt_public_key.encode())
    except (ValueError, UnsupportedAlgorithm):
        yield Check(
            name="keys", verdict=Verdict.FAILED, message="jwt_public_key is no public key",
            fix="give a PEM text that begins with BEGIN PUBLIC KEY",
        )  # fmt: skip
        return
    if not fitting(key):
        size = f"RSA with {key.key_size:,} bits" if isinstance(key, RSAPublicKey) else "of a kind that is not known"
        yield Check(
            name="keys", verdict=Verdict.FAILED, message=f"jwt_public_key is {size}",
            fix="use RSA with 2,048 bits or more, P-256 or Ed25519",
        )  # fmt: skip


def _users(settings: ApiSettings) -> Iterator[Check]:
    for user in read_users(settings.users.get_secret_value()):
        password = user.password
        cost = 2**password.cost * password.block * password.passes
        if cost < 2**COST * BLOCK * PASSES:
            yield Check(
                name="keys", verdict=Verdict.WARNING,
                message=f"the password of user {user.name!r} is hashed too cheaply: whoever has the hash can guess it",
                fix="hash it anew: corral api --hash-password",
            )  # fmt: skip
