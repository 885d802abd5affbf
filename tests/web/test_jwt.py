"""Signed tokens: good ones come in with what they say, forged ones stay outside."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from corral.errors import ConfigError
from corral.http import ApiSettings, create_app
from corral.http.auth.bearer import Bearer
from corral.http.auth.keys import PAUSE, KeySet, KeysUnavailableError
from corral.http.problems import Problem
from corral.storage.connect import connect
from tests.web import forgery
from tests.web.conftest import make_client
from tests.web.forgery import AUDIENCE, ISSUER, SECRET, by_hand, claims, hs, jwk, pem, sealed, signed


def jwt_settings(**more: object) -> ApiSettings:
    return ApiSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, rate_limits=False, read_timeout=60, **more)


async def ask(settings: ApiSettings, token: str) -> httpx.Response:
    """What `/me` answers to this token."""
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=settings)
        async with make_client(app, token) as client:
            answer = await client.get("/me")
        await app.state.corral.close()
    return answer


def now() -> int:
    return int(time.time())


#: Shown to an API that knows a shared secret only.
FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: by_hand({"alg": "none"}, claims(), lambda _: b""),
    "alg None": lambda: by_hand({"alg": "None"}, claims(), lambda _: b""),
    "alg nOnE with a signature": lambda: by_hand({"alg": "nOnE"}, claims(), hs(SECRET)),
    "alg empty": lambda: by_hand({"alg": ""}, claims(), hs(SECRET)),
    "no alg": lambda: by_hand({"typ": "JWT"}, claims(), hs(SECRET)),
    "alg is a list": lambda: by_hand({"alg": ["HS256"]}, claims(), hs(SECRET)),
    "alg is null": lambda: by_hand({"alg": None}, claims(), hs(SECRET)),
    "alg hs256": lambda: by_hand({"alg": "hs256"}, claims(), hs(SECRET)),
    "alg HS1": lambda: by_hand({"alg": "HS1"}, claims(), hs(SECRET, "sha1")),
    "RS256 by a key of one's own": lambda: sealed(forgery.other_rsa(), "RS256"),
    "ES256 by a key of one's own": lambda: sealed(forgery.p256(), "ES256"),
    "EdDSA by a key of one's own": lambda: sealed(forgery.ed25519(), "EdDSA"),
    "another secret": lambda: signed("another secret of more than thirty-two bytes"),
    "an empty secret": lambda: signed(""),
    "the secret's hash": lambda: signed("0" * 64),
    "signature cut": lambda: signed()[:-4],
    "signature empty": lambda: f"{signed().rpartition('.')[0]}.",
    "signature of another token": lambda: f"{signed(sub='eve').rpartition('.')[0]}.{signed().rpartition('.')[2]}",
    "claims of another token": lambda: ".".join(
        [signed().split(".")[0], signed(role="admin").split(".")[1], signed().split(".")[2]]
    ),
    "HS512 said, HS256 done": lambda: by_hand({"alg": "HS512"}, claims(), hs(SECRET)),
    "expired": lambda: signed(exp=now() - 3_600),
    "expired beyond the leeway": lambda: signed(exp=now() - 31),
    "no exp": lambda: signed(exp=None),
    "exp is text": lambda: signed(exp="tomorrow"),
    "exp is digits in a text": lambda: signed(exp=str(now() + 3_600)),
    "exp is infinite": lambda: signed(exp=float("inf")),
    "exp is not a number": lambda: signed(exp=float("nan")),
    "exp is true": lambda: signed(exp=True),
    "not yet valid": lambda: signed(nbf=now() + 3_600),
    "made in the future": lambda: signed(iat=now() + 3_600),
    "nbf is text": lambda: signed(nbf="now"),
    "another issuer": lambda: signed(iss="https://evil.test"),
    "the issuer with more behind it": lambda: signed(iss=f"{ISSUER}.evil.test"),
    "no issuer": lambda: signed(iss=None),
    "another audience": lambda: signed(aud="another application"),
    "other audiences": lambda: signed(aud=["one", "two"]),
    "no audience": lambda: signed(aud=None),
    "no subject": lambda: signed(sub=None),
    "an empty subject": lambda: signed(sub=""),
    "a subject that forges a line": lambda: signed(sub="dan\nroot logged in"),
    "a subject that is a number": lambda: signed(sub=7),
    "a subject that is an object": lambda: signed(sub={"$ne": ""}),
    "queues that cannot be read": lambda: signed(queues={"*": True}),
    "queues with something else in them": lambda: signed(queues=["mail*", 7]),
    "no queues at all": lambda: signed(queues=[]),
    "crit": lambda: signed(header={"crit": ["exp"]}),
    "an unencoded payload": lambda: signed(header={"b64": False, "crit": ["b64"]}),
    "kid is a path": lambda: signed("", header={"kid": "../../../../dev/null"}),
    "kid is SQL": lambda: signed("x", header={"kid": "' UNION SELECT 'x'--"}),
    "kid is a URL": lambda: signed("x" * 40, header={"kid": "https://evil.test/key"}),
    "jku": lambda: sealed(forgery.other_rsa(), "RS256", header={"jku": "https://evil.test/keys", "kid": "1"}),
    "x5u": lambda: sealed(forgery.other_rsa(), "RS256", header={"x5u": "https://evil.test/cert"}),
    "a key of one's own in the header": lambda: sealed(
        forgery.other_rsa(), "RS256", header={"jwk": jwk(forgery.other_rsa(), "1")}
    ),
    "claims are a list": lambda: by_hand({"alg": "HS256"}, [claims()], hs(SECRET)),
    "claims are a text": lambda: by_hand({"alg": "HS256"}, "admin", hs(SECRET)),
    "not base 64": lambda: "a!.b!.c!",
    "three dots": lambda: "...",
    "nothing but dots": lambda: "..",
    "longer than any": lambda: signed(more="x" * 10_000),
    "a session of another server": lambda: signed(header={"typ": "corral-session"}, way="users", jti="x"),
}  # fmt: skip


def test_there_are_more_than_forty_forged_ones() -> None:
    assert len(FORGED) > 40


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token_is_refused(forge: Callable[[], str]) -> None:
    with pytest.raises(Problem) as caught:
        await Bearer(jwt_settings(jwt_secret=SECRET)).recognise(forge())
    assert caught.value.code in ("token-invalid", "token-expired")
    assert caught.value.status == 401


async def test_over_http_each_of_them_is_a_401() -> None:
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=jwt_settings(jwt_secret=SECRET))
        answers = {}
        for name, forge in FORGED.items():
            async with make_client(app, forge()) as client:
                answers[name] = await client.get("/me")
        await app.state.corral.close()
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 401} == {}
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in answers.values())
    assert {answer.json()["code"] for answer in answers.values()} == {"token-invalid", "token-expired"}


#: Shown to an API that knows a public RSA key.
CONFUSED: dict[str, Callable[[], str]] = {
    "HS256 by the public key": lambda: by_hand({"alg": "HS256"}, claims(), hs(pem(forgery.rsa()))),
    "HS256 by the public key without its last line feed": lambda: by_hand(
        {"alg": "HS256"}, claims(), hs(pem(forgery.rsa()).strip())
    ),
    "HS512 by the public key": lambda: by_hand({"alg": "HS512"}, claims(), hs(pem(forgery.rsa()), "sha512")),
    "RS256 by another key": lambda: sealed(forgery.other_rsa(), "RS256"),
    "RS512 by the right key": lambda: sealed(forgery.rsa(), "RS512"),
    "PS512 by the right key": lambda: sealed(forgery.rsa(), "PS512"),
    "ES256 with this key's id": lambda: sealed(forgery.p256(), "ES256"),
    "alg none": lambda: by_hand({"alg": "none"}, claims(), lambda _: b""),
}  # fmt: skip


@pytest.mark.parametrize("forge", CONFUSED.values(), ids=CONFUSED)
async def test_a_public_key_is_never_taken_for_a_secret(forge: Callable[[], str]) -> None:
    with pytest.raises(Problem) as caught:
        await Bearer(jwt_settings(jwt_public_key=pem(forgery.rsa()))).recognise(forge())
    assert caught.value.code == "token-invalid"


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ({"jwt_secret": SECRET}, lambda: signed()),
        ({"jwt_secret": SECRET}, lambda: signed(algorithm="HS384")),
        ({"jwt_secret": SECRET}, lambda: signed(algorithm="HS512")),
        ({"jwt_secret": SECRET}, lambda: signed(exp=now() - 20)),
        ({"jwt_secret": SECRET}, lambda: signed(aud=["other", AUDIENCE])),
        ({"jwt_public_key": pem(forgery.rsa())}, lambda: sealed(forgery.rsa(), "RS256")),
        ({"jwt_public_key": pem(forgery.rsa())}, lambda: sealed(forgery.rsa(), "PS256")),
        ({"jwt_public_key": pem(forgery.p256())}, lambda: sealed(forgery.p256(), "ES256")),
        ({"jwt_public_key": pem(forgery.ed25519())}, lambda: sealed(forgery.ed25519(), "EdDSA")),
    ],
    ids=["HS256", "HS384", "HS512", "just expired", "one of two audiences", "RS256", "PS256", "ES256", "EdDSA"],
)  # fmt: skip
async def test_a_good_token_says_who_it_is(settings: dict[str, object], token: Callable[[], str]) -> None:
    who = await Bearer(jwt_settings(**settings)).recognise(token())
    assert (who.sub, who.roles, who.queues, who.method) == ("dan", ("operator",), ("*",), "jwt")
    assert abs((who.expires_at or 0) - now() * 1000) < 86_400_000


@pytest.mark.parametrize(
    ("more", "said", "roles"),
    [
        ({}, {"role": "ADMIN"}, ["admin"]),
        ({}, {"role": None, "roles": ["viewer", "unknown"]}, ["viewer"]),
        ({}, {"role": None, "scope": "openid operator"}, ["operator"]),
        ({}, {"role": "root"}, []),
        ({}, {"role": None}, []),
        ({"default_role": "viewer"}, {"role": None}, ["viewer"]),
        (
            {"jwt_role_claim": "realm_access.roles"},
            {"role": "admin", "realm_access": {"roles": ["viewer"]}},
            ["viewer"],
        ),
        (
            {"jwt_role_claim": "https://x.test/roles"},
            {"role": None, "https://x.test/roles": ["Operator"]},
            ["operator"],
        ),
        ({"role_map": {"Queue-Admins": "admin"}}, {"role": None, "roles": ["queue-admins"]}, ["admin"]),
        ({}, {"role": {"admin": True}}, []),
        ({}, {"role": [["admin"]]}, []),
    ],
)
async def test_roles_come_from_where_settings_say(
    more: dict[str, object], said: dict[str, Any], roles: list[str]
) -> None:
    answer = await ask(jwt_settings(jwt_secret=SECRET, **more), signed(**said))
    assert answer.status_code == 200
    assert answer.json()["roles"] == roles


async def test_a_token_sees_the_queues_it_names() -> None:
    answer = await ask(jwt_settings(jwt_secret=SECRET), signed(queues=["mail*", "report"]))
    assert answer.json()["queues"] == ["mail*", "report"]


async def test_a_token_made_for_an_audience_is_not_ours_when_none_is_configured() -> None:
    settings = ApiSettings(jwt_secret=SECRET, rate_limits=False)
    assert (await ask(settings, signed(iss=None, aud=None))).status_code == 200
    assert (await ask(settings, signed(iss=None))).status_code == 401


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"jwt_secret": "short"}, "at least 32 bytes"),
        ({"jwt_public_key": "no key"}, "PEM text"),
        ({"jwt_public_key": pem(forgery.secp256k1())}, "P-256"),
        ({"jwt_secret": SECRET, "jwt_algorithms": ("RS256",)}, "no key"),
        ({"jwt_secret": SECRET, "jwt_algorithms": ("none",)}, "not 'none'"),
        ({"jwt_secret": "x" * 32, "jwt_algorithms": ("HS512",)}, "too short"),
        ({"jwt_jwks_url": "http://issuer.test/keys"}, "https"),
        ({"jwt_jwks_url": "file:///etc/passwd"}, "https"),
        ({"jwt_jwks_url": "https:///keys"}, "https"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused_at_the_start(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Bearer(jwt_settings(**settings))


def test_a_key_of_too_few_bits_is_refused() -> None:
    with pytest.raises(ConfigError, match="2,048 bits"):
        Bearer(jwt_settings(jwt_public_key=pem(forgery.small_rsa())))


# -- keys from a server ----------------------------------------------------------------------------------------------


@pytest.fixture
async def issuer(httpserver: HTTPServer) -> AsyncIterator[tuple[HTTPServer, FastAPI]]:
    """A server of keys, and an API that asks it."""
    settings = jwt_settings(jwt_jwks_url=httpserver.url_for("/keys"))
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=settings)
        yield httpserver, app
        await app.state.corral.close()


def publish(server: HTTPServer, *keys: Mapping[str, object]) -> None:
    server.clear()
    server.expect_request("/keys").respond_with_json({"keys": list(keys)})


async def me(app: FastAPI, token: str) -> httpx.Response:
    async with make_client(app, token) as client:
        return await client.get("/me")


async def test_keys_are_fetched_once_and_found_by_name(issuer: tuple[HTTPServer, FastAPI]) -> None:
    server, app = issuer
    publish(server, jwk(forgery.rsa(), "one"), jwk(forgery.p256(), "two"), jwk(forgery.ed25519(), "three"))
    assert (await me(app, sealed(forgery.rsa(), "RS256", header={"kid": "one"}))).status_code == 200
    assert (await me(app, sealed(forgery.p256(), "ES256", header={"kid": "two"}))).status_code == 200
    assert (await me(app, sealed(forgery.ed25519(), "EdDSA", header={"kid": "three"}))).status_code == 200
    assert len(server.log) == 1


async def test_the_wrong_key_of_a_set_opens_nothing(issuer: tuple[HTTPServer, FastAPI]) -> None:
    server, app = issuer
    oct_key = {"kty": "oct", "k": forgery.b64(SECRET.encode()), "kid": "shared"}
    publish(
        server, jwk(forgery.rsa(), "one"), jwk(forgery.other_rsa(), "two", alg="PS256"), oct_key,
        jwk(forgery.p256(), "three", use="enc"),
    )  # fmt: skip
    for token in (
        sealed(forgery.other_rsa(), "RS256", header={"kid": "one"}),  # another's key under this name
        sealed(forgery.other_rsa(), "RS256", header={"kid": "two"}),  # it is for PS256
        sealed(forgery.rsa(), "RS256", header={"kid": "none"}),
        sealed(forgery.p256(), "ES256", header={"kid": "three"}),  # it is for encryption
        signed(header={"kid": "shared"}),  # a secret that is published is none
        signed(forgery.pem(forgery.rsa()), header={"kid": "one"}),
    ):
        assert (await me(app, token)).status_code == 401
    assert (await me(app, sealed(forgery.other_rsa(), "PS256", header={"kid": "two"}))).status_code == 200
    assert (await me(app, sealed(forgery.rsa(), "RS256"))).status_code == 200  # without a name, the only one that fits


async def test_a_server_of_keys_that_is_away_is_not_the_caller_s_fault(issuer: tuple[HTTPServer, FastAPI]) -> None:
    server, app = issuer
    server.expect_request("/keys").respond_with_data("gone", status=500)
    answer = await me(app, sealed(forgery.rsa(), "RS256", header={"kid": "one"}))
    assert (answer.status_code, answer.json()["code"]) == (503, "auth-unavailable")


async def test_a_redirect_of_the_server_of_keys_is_not_followed(issuer: tuple[HTTPServer, FastAPI]) -> None:
    server, app = issuer
    server.expect_request("/keys").respond_with_data("", status=302, headers={"Location": server.url_for("/elsewhere")})
    server.expect_request("/elsewhere").respond_with_json({"keys": [jwk(forgery.rsa(), "one")]})
    assert (await me(app, sealed(forgery.rsa(), "RS256", header={"kid": "one"}))).status_code == 503
    assert [request.path for request, _ in server.log] == ["/keys"]


class Turn:
    """A server of keys that gives one set after another, and a clock."""

    def __init__(self, *bodies: bytes | None) -> None:
        self.bodies = list(bodies)
        self.asked = 0
        self.now = 1_000.0

    def fetch(self, url: str) -> bytes:
        body = self.bodies[min(self.asked, len(self.bodies) - 1)]
        self.asked += 1
        if body is None:
            raise KeysUnavailableError("away")
        return body

    def keys(self) -> KeySet:
        return KeySet("https://issuer.test/keys", fetch=self.fetch, seconds=lambda: self.now)


def set_of(**keys: object) -> bytes:
    return json.dumps({"keys": [jwk(key, kid) for kid, key in keys.items()]}).encode()  # type: ignore[arg-type]


async def test_an_unknown_name_asks_again_but_not_more_than_twice_a_minute() -> None:
    turn = Turn(set_of(old=forgery.rsa()), set_of(new=forgery.other_rsa()))
    keys = turn.keys()
    assert await keys.find("old", "RS256") is not None
    assert await keys.find("new", "RS256") is None  # asked just now
    assert turn.asked == 1
    turn.now += PAUSE
    assert await keys.find("new", "RS256") is not None
    assert turn.asked == 2
    for number in range(1_000):
        assert await keys.find(f"guess {number}", "RS256") is None
    assert turn.asked == 2


async def test_old_keys_serve_for_a_day_while_their_server_is_away() -> None:
    turn = Turn(set_of(old=forgery.rsa()), None)
    keys = turn.keys()
    assert await keys.find("old", "RS256") is not None
    turn.now += 3_600
    assert await keys.find("old", "RS256") is not None
    assert turn.asked == 2
    turn.now += 86_400
    with pytest.raises(KeysUnavailableError):
        await keys.find("old", "RS256")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"keys": 7}', b"[" * 100_000])
async def test_what_is_no_set_of_keys_brings_no_key(body: bytes) -> None:
    with pytest.raises(KeysUnavailableError):
        await Turn(body).keys().find("one", "RS256")


async def test_a_secret_is_not_shown_by_settings() -> None:
    settings = jwt_settings(
        jwt_secret=SECRET, tokens="ci:admin:a-token-of-twenty-letters", jwt_public_key=pem(forgery.rsa())
    )
    assert SECRET not in repr(settings)
    assert "a-token-of-twenty" not in repr(settings)
    assert "BEGIN PUBLIC" not in repr(settings)
    assert isinstance(settings.jwt_secret, SecretStr)
