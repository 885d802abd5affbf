"""The doctor's look at keys: weak ones are found, strong ones are not, and none is shown."""

import secrets

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from corral.checks.objects import Verdict
from corral.errors import ConfigError
from corral.http import ApiSettings, hash_password
from corral.http.auth.strength import GOOD, judge_keys, strength, unreadable

STRONG = "V1StGXR8-Z5jdHi6B_myT0PbcLqkWmNu3zYx7AoKeF2h"


def found(**settings: object) -> list[tuple[str, str]]:
    """Verdict and message of each check."""
    return [(str(one.verdict), one.message) for one in judge_keys(ApiSettings(**settings))]


def pem(key: PublicKeyTypes) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_strong_keys_and_none_at_all_are_well() -> None:
    assert found() == [("ok", "no keys are configured: this machine only")]
    token = secrets.token_urlsafe(32)
    assert found(jwt_secret=STRONG, tokens=f"ci:producer:{token}") == [("ok", "keys and tokens are strong")]


@pytest.mark.parametrize(
    ("secret", "verdict", "why"),
    [
        ("a" * 64, "failed", "is good for less than 80 bits"),
        ("abcd" * 16, "failed", "is good for less than 80 bits"),
        ("0918273645" * 4, "failed", "is good for less than 80 bits"),
        ("your-super-secret-jwt-key-of-32-characters", "failed", "looks made up"),
        ("correct-horse-changeme-battery-staple", "failed", "looks made up"),
        ("qwertyuiopasdfghjklzxcvbnm012345", "failed", "looks made up"),
    ],
)
def test_a_weak_secret_is_found_and_not_shown(secret: str, verdict: str, why: str) -> None:
    assert found(jwt_secret=secret) == [(verdict, f"jwt_secret {why}: it can be guessed")]


def test_each_secret_is_looked_at() -> None:
    weak = "ab" * 20
    named = {message.partition(" is good")[0] for _, message in found(tokens=f"ci:viewer:{weak}")}
    assert named == {"the token of 'ci'"}
    assert found(session_secret=weak)[0][1].startswith("session_secret is good")
    assert found(metrics_password=weak)[0][1].startswith("metrics_password is good")
    proxied = found(proxy_secret=weak, trusted_proxies=["10.0.0.0/8"])
    assert proxied[0][1].startswith("proxy_secret is good")


def test_a_secret_that_is_used_twice_is_found() -> None:
    assert found(jwt_secret=STRONG, session_secret=STRONG) == [("warning", "session_secret is the same as jwt_secret")]


def test_a_token_that_is_only_fair_is_a_warning() -> None:
    [(verdict, message)] = found(tokens="ci:viewer:Zk3vQp8LxT2mWn7RbYcH9")
    assert (verdict, message) == ("warning", f"the token of 'ci' is good for less than {GOOD} bits: it can be guessed")


def test_a_public_key_that_is_too_short_of_another_kind_or_none_is_found() -> None:
    short = rsa.generate_private_key(65_537, 1_024).public_key()  # what is tested
    assert found(jwt_public_key=pem(short)) == [("failed", "jwt_public_key is RSA with 1,024 bits")]
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert found(jwt_public_key=pem(other)) == [("failed", "jwt_public_key is of a kind that is not known")]
    assert found(jwt_public_key="no key") == [("failed", "jwt_public_key is no public key")]
    good = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert found(jwt_public_key=pem(good)) == [("ok", "keys and tokens are strong")]


def test_a_password_that_is_hashed_too_cheaply_is_found() -> None:
    cheap = hash_password("correct horse battery", cost=4, passes=1)
    assert [one for one, _ in found(users=f"dan:operator:{cheap}")] == ["warning"]
    assert "'dan'" in found(users=f"dan:operator:{cheap}")[0][1]


def test_settings_that_cannot_be_meant_fail() -> None:
    check = unreadable(ConfigError("jwt_secret must have at least 32 bytes"))
    assert (check.code, check.verdict) == ("D22", Verdict.FAILED)


@pytest.mark.parametrize(("secret", "bits"), [("", 0), ("a", 0), ("ab" * 50, 2), ("abcd", 8), ("abcdabc", 14)])
def test_strength_counts_what_repeats_itself_once(secret: str, bits: float) -> None:
    assert strength(secret) == pytest.approx(bits)


async def test_the_api_s_doctor_looks_at_its_own_keys(admin: httpx.AsyncClient) -> None:
    items = (await admin.get("/system/doctor?only=D22")).json()["items"]
    assert {one["check"] for one in items} == {"keys"}
    assert {one["verdict"] for one in items} == {"failed"}, "the tests' own tokens say what they are"
    assert "token-of-the-tests" not in str(items)
