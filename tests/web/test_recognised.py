"""The ways to be recognised, beside signed tokens, and their order."""

import base64
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from corral.admin.objects import Actor
from corral.admin.rights import Permission, Principal
from corral.errors import ConfigError
from corral.http import ApiSettings, create_app
from corral.http.home import Api
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_client, make_settings
from tests.web.forgery import SECRET, signed

CI = "the-token-of-the-ci-system"


async def me(app: FastAPI, **headers: str) -> httpx.Response:
    async with make_client(app, **headers) as client:
        return await client.get("/me")


def over(storage: Storage, **more: object) -> FastAPI:
    return create_app(storage, settings=make_settings(**more))


# -- tokens ----------------------------------------------------------------------------------------------------------


async def test_a_token_of_the_store_comes_in_until_it_is_revoked(home: Api, app: FastAPI) -> None:
    desk = home.admin.by(Actor(sub="test"))
    clear, token = await desk.create_token("ci", "operator", ["mail*"])
    answer = await me(app, Authorization=f"Bearer {clear}")
    assert answer.json()["sub"] == "ci"
    assert (answer.json()["roles"], answer.json()["queues"]) == (["operator"], ["mail*"])
    await desk.revoke_token(token.id)
    answer = await me(app, Authorization=f"Bearer {clear}")
    assert (answer.status_code, answer.json()["code"]) == (401, "token-invalid")


async def test_a_token_that_is_nearly_right_is_wrong(home: Api, app: FastAPI) -> None:
    clear, token = await home.admin.by(Actor(sub="test")).create_token("ci", "operator")
    for wrong in (
        clear[:-1],
        clear + "x",
        clear[:-1] + "~",
        f"crl_{token.id}_",
        clear.upper(),
        clear.replace("crl_", ""),
    ):
        assert (await me(app, Authorization=f"Bearer {wrong}")).status_code == 401


async def test_no_token_stands_in_the_store_as_it_is_shown(home: Api) -> None:
    clear, _ = await home.admin.by(Actor(sub="test")).create_token("ci", "operator")
    kinds = [await home.storage.entries(kind) for kind in ("token", "audit")]
    texts = [entry.id + entry.text for entries in kinds for entry in entries]
    assert len(texts) == 2
    assert not any(clear.rpartition("_")[2] in text for text in texts)


@pytest.mark.parametrize("scheme", ["bearer", "Bearer", "BEARER"])
async def test_a_token_of_the_settings_comes_in(storage: Storage, scheme: str) -> None:
    app = over(storage, tokens=f"ci:operator:{CI}")
    answer = await me(app, Authorization=f"{scheme} {CI}")
    assert (answer.json()["sub"], answer.json()["roles"], answer.json()["method"]) == ("ci", ["operator"], "token")
    await app.state.corral.close()


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Basic {CI}", CI, f"Token {CI}", f"Bearer {CI} more", f"Bearer {CI}x",
               "Basic !!!", f"Basic {base64.b64encode(b'metrics:wrong').decode()}"],
)  # fmt: skip
async def test_a_header_that_does_not_fit_is_refused_and_nothing_else_is_tried(storage: Storage, header: str) -> None:
    app = over(storage, tokens=f"ci:operator:{CI}", metrics_password="a-scraper's password")
    answer = await me(app, Authorization=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "token-invalid")
    await app.state.corral.close()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [("ci:operator", "name:role:secret"), ("ci:boss:" + CI, "role must be one of"), ("ci:admin:short", "20 characters"),
     (f"ci:admin:{CI},ci:admin:{CI}", "twice"), (f":admin:{CI}", "name:role:secret")],
)  # fmt: skip
def test_tokens_that_cannot_be_meant_are_refused_and_not_shown(tokens: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        create_app("sqlite:///:memory:", settings=make_settings(tokens=tokens))
    assert CI not in str(caught.value)


# -- scrapers --------------------------------------------------------------------------------------------------------


async def test_a_scraper_sees_the_metrics_and_nothing_else(storage: Storage) -> None:
    app = over(storage, metrics_password="a-scraper's password")
    basic = base64.b64encode(b"metrics:a-scraper's password").decode()
    async with make_client(app, Authorization=f"Basic {basic}") as client:
        assert (await client.get("http://api.test/metrics")).status_code == 200
        assert (await client.get("/queues")).json()["code"] == "forbidden"
    async with make_client(app) as client:
        answer = await client.get("http://api.test/metrics")
    assert answer.headers["www-authenticate"] == 'Bearer realm="corral", Basic realm="corral metrics"'
    await app.state.corral.close()


# -- a proxy ---------------------------------------------------------------------------------------------------------

PROXY = {
    "trusted_proxies": "127.0.0.0/8", "proxy_secret": "between-proxy-and-api", "role_map": {"queue-admins": "admin"},
}  # fmt: skip
SHOWN = {
    "X-Corral-Proxy-Secret": "between-proxy-and-api", "X-Forwarded-User": "dan@example.com",
    "X-Forwarded-Groups": "staff, Queue-Admins",
}  # fmt: skip


async def test_a_trusted_proxy_says_who_it_is(storage: Storage) -> None:
    app = over(storage, **PROXY)
    answer = await me(app, **SHOWN)
    assert (answer.json()["sub"], answer.json()["roles"], answer.json()["method"]) == (
        "dan@example.com", ["admin"], "proxy"
    )  # fmt: skip
    await app.state.corral.close()


@pytest.mark.parametrize(
    "headers",
    [
        {**SHOWN, "X-Corral-Proxy-Secret": "wrong"},
        {key: value for key, value in SHOWN.items() if key != "X-Corral-Proxy-Secret"},
        {**SHOWN, "X-Forwarded-User": ""},
        {**SHOWN, "X-Forwarded-User": "x" * 201},
    ],
)
async def test_headers_of_a_proxy_without_its_secret_or_a_name_say_nothing(
    storage: Storage, headers: dict[str, str]
) -> None:
    app = over(storage, **PROXY)
    assert (await me(app, **headers)).json()["code"] == "unauthenticated"
    await app.state.corral.close()


async def test_a_second_name_that_was_smuggled_in_makes_it_nobody(storage: Storage) -> None:
    app = over(storage, **PROXY)
    async with make_client(app) as client:
        answer = await client.get("/me", headers=[*SHOWN.items(), ("X-Forwarded-User", "root")])
    assert answer.status_code == 401
    await app.state.corral.close()


async def test_headers_from_elsewhere_say_nothing(storage: Storage) -> None:
    app = over(storage, **{**PROXY, "trusted_proxies": "10.0.0.0/8, fd00::/8"})
    assert (await me(app, **SHOWN)).status_code == 401
    await app.state.corral.close()


# -- the host application --------------------------------------------------------------------------------------------


def by_cookie(request: Request) -> Principal | None:
    name = request.cookies.get("app-session")
    return None if name is None else Principal(sub=name, roles=("viewer",), method="host")


async def by_cookie_later(request: Request) -> Principal | None:
    return by_cookie(request)


@pytest.mark.parametrize("hook", [by_cookie, by_cookie_later])
async def test_the_host_application_s_own_word_comes_first(storage: Storage, hook: object) -> None:
    app = create_app(storage, settings=make_settings(), authenticate=hook)  # type: ignore[arg-type]  # both kinds
    answer = await me(app, Cookie="app-session=ann", Authorization=f"Bearer {TOKENS['admin']}")
    assert (answer.json()["sub"], answer.json()["roles"]) == ("ann", ["viewer"])
    answer = await me(app, Authorization=f"Bearer {TOKENS['admin']}")
    assert answer.json()["roles"] == ["admin"]
    assert (await me(app)).status_code == 401
    await app.state.corral.close()


async def test_the_host_application_may_decide_who_may_do_what(storage: Storage) -> None:
    asked = []

    async def authorize(who: Principal, permission: Permission, queue: str | None) -> bool:
        asked.append((who.sub, permission, queue))
        return permission is Permission.QUEUE_READ and queue != "secret"

    app = create_app(storage, settings=make_settings(), authorize=authorize)
    async with make_client(app, TOKENS["scraper"]) as client:
        assert (await client.get("/queues")).status_code == 200
        assert (await client.get("/queues/secret")).json()["code"] == "forbidden"
    async with make_client(app, TOKENS["admin"]) as client:
        assert (await client.get("/audit")).json()["code"] == "forbidden"
        assert (await client.get("/me")).json()["permissions"] == ["queue:read"]
    assert ("scraper", Permission.QUEUE_READ, "secret") in asked
    await app.state.corral.close()


# -- nobody said -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def closed(storage: Storage) -> AsyncIterator[FastAPI]:
    """An API about which nobody has said who may come in."""
    app = create_app(storage, settings=ApiSettings(rate_limits=False, read_timeout=60))
    yield app
    await app.state.corral.close()


def at(app: FastAPI, host: str = "localhost:8800", peer: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(peer, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}/api/v1", headers=headers, timeout=60)


@pytest.mark.mission("M-AI-46")
async def test_with_nothing_configured_the_printed_token_is_good_for_one_login(closed: FastAPI) -> None:
    token = closed.state.corral.recogniser.once()
    async with at(closed) as client:
        assert (await client.get("/me")).status_code == 401
        assert (await client.get("/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
        answer = await client.post("/login", json={"token": token})
        assert (answer.status_code, answer.json()["roles"]) == (200, ["admin"])
        assert answer.json()["token"] is None
        me = (await client.get("/me")).json()
        assert (me["sub"], me["method"]) == ("local", "session")
        assert (await client.post("/login", json={"token": token})).json()["code"] == "login-failed"
    assert closed.state.corral.recogniser.once() is None


async def test_a_program_may_ask_for_the_session_as_a_token(closed: FastAPI) -> None:
    async with at(closed) as client:
        answer = await client.post("/login", json={"token": closed.state.corral.recogniser.once(), "bearer": True})
    async with at(closed, Authorization=f"Bearer {answer.json()['token']}") as client:
        assert (await client.get("/me")).json()["roles"] == ["admin"]


async def test_a_token_of_the_store_comes_in_from_this_machine(closed: FastAPI) -> None:
    home = await closed.state.corral.open()
    clear, _ = await home.admin.by(Actor(sub="test")).create_token("ci", "viewer")
    async with at(closed, Authorization=f"Bearer {clear}") as client:
        assert (await client.get("/me")).json()["sub"] == "ci"


@pytest.mark.mission("M-AI-46")
@pytest.mark.parametrize(
    ("where", "status"),
    [
        ({"host": "localhost"}, 401), ({"host": "127.0.0.1:1234"}, 401), ({"host": "[::1]:8800"}, 401),
        ({"host": "LOCALHOST"}, 401), ({"peer": "::1"}, 401), ({"peer": "::ffff:127.0.0.1"}, 401),
        ({"host": "evil.test"}, 403), ({"host": "localhost.evil.test"}, 403), ({"host": "127.0.0.1.evil.test"}, 403),
        ({"host": "192.168.1.7"}, 403), ({"host": "0.0.0.0"}, 403),
        ({"peer": "192.168.1.7"}, 403), ({"peer": "2001:db8::1"}, 403),
        ({"X-Forwarded-For": "192.168.1.7"}, 403), ({"Forwarded": "for=192.168.1.7"}, 403),
    ],
)  # fmt: skip
async def test_with_nothing_configured_only_this_machine_gets_to_the_door(
    closed: FastAPI, where: dict[str, str], status: int
) -> None:
    async with at(closed, **where) as client:
        answer = await client.get("/me")
        assert answer.status_code == status
        again = await client.post("/login", json={"token": closed.state.corral.recogniser.once()})
    assert again.status_code == (200 if status == 401 else 403)


async def test_a_session_of_the_printed_token_ends_when_somebody_is_configured(
    storage: Storage, closed: FastAPI
) -> None:
    secret = "what sessions are signed with, in both"
    before = create_app(storage, settings=ApiSettings(session_secret=secret, rate_limits=False))
    async with at(before) as client:
        answer = await client.post("/login", json={"token": before.state.corral.recogniser.once(), "bearer": True})
        headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        assert (await client.get("/me", headers=headers)).status_code == 200
    after = create_app(storage, settings=make_settings(session_secret=secret))
    async with at(after) as client:
        assert (await client.get("/me", headers=headers)).status_code == 401
    await before.state.corral.close()
    await after.state.corral.close()


async def test_whoever_says_so_has_no_authentication(storage: Storage) -> None:
    app = create_app(storage, settings=ApiSettings(insecure_no_auth=True, rate_limits=False))
    async with at(app, host="anything.test", peer="192.168.1.7") as client:
        assert (await client.get("/me")).json()["roles"] == ["admin"]
    await app.state.corral.close()


# -- which ways ------------------------------------------------------------------------------------------------------


async def test_only_the_ways_that_are_named_lead_in(storage: Storage) -> None:
    app = over(storage, jwt_secret=SECRET, auth="jwt", tokens=f"ci:admin:{CI}")
    await app.state.corral.open()
    clear, _ = await app.state.corral.admin.by(Actor(sub="test")).create_token("ci", "viewer")
    assert (await me(app, Authorization=f"Bearer {signed(iss=None, aud=None)}")).status_code == 200
    assert (await me(app, Authorization=f"Bearer {CI}")).status_code == 401
    assert (await me(app, Authorization=f"Bearer {clear}")).status_code == 401
    await app.state.corral.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"auth": "jwt"}, "nothing is configured"), ({"auth": "jwd"}, "did you mean 'jwt'"),
        ({"insecure_no_auth": True}, "cannot go with"), ({"session_secret": "short"}, "32 bytes"),
        ({"proxy_secret": "x", "tokens": ""}, "trusted_proxies"), ({"allowed_origins": "*"}, "exact origin"),
        ({"allowed_origins": "https://*.test"}, "exact origin"),
        ({"allowed_origins": "https://a.test/"}, "exact origin"), ({"read_rate": "0/min"}, "zero"),
        ({"read_rate": "many"}, "cannot be read"), ({"trusted_proxies": "all"}, "not"),
        ({"users": "dan:admin:plain password"}, "hash"), ({"default_role": "boss"}, "role must be one of"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_app("sqlite:///:memory:", settings=make_settings(**settings))


def test_a_setting_that_nobody_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'read_only'"):
        ApiSettings(readonly=True)
