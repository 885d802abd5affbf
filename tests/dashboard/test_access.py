"""Who comes in: by a token, by a proxy, by nobody's word; and that a session may do what its token may, and no more."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request

from corral import Corral
from corral.admin.objects import Actor
from corral.admin.rights import Principal
from corral.dashboard.app import create_dashboard
from corral.http import hash_password
from corral.http.app import Application
from corral.http.home import Api
from tests.web.conftest import TOKENS, make_settings

from .opening import coming, opened
from .surfing import Page, Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
HASH = hash_password("correct horse battery", cost=4, passes=1)
HERE = {"Sec-Fetch-Site": "same-origin"}


def home_of(site: Application) -> Api:
    home: Api = site.state.corral
    return home


async def make_token(site: Application, role: str, *queues: str, name: str = "ci") -> tuple[str, str]:
    """A token of the store, and its id."""
    desk = home_of(site).admin.by(Actor(sub="test"))
    clear, token = await desk.create_token(name, role, queues or ("*",))
    return clear, token.id


async def log_in(surfer: Surfer, token: str, path: str = "/") -> Page:
    return await surfer.press(await surfer.get(path), "Log in", token=token)


@pytest.fixture
async def browser(site: Application) -> AsyncIterator[tuple[Surfer, httpx.AsyncClient]]:
    """Somebody with a browser and without a token in its headers."""
    async with coming(site) as found:
        yield found


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_a_token_of_the_settings_logs_in_and_leads_where_one_wanted_to_go(
    browser: tuple[Surfer, httpx.AsyncClient], ids: dict[str, str]
) -> None:
    surfer, client = browser
    page = await log_in(surfer, TOKENS["operator"], "/queues/mail")
    assert page.answer.url.path == "/queues/mail"
    me = (await client.get("/api/v1/me")).json()
    assert (me["sub"], me["roles"], me["method"]) == ("operator", ["operator"], "session")
    assert page.has_button("Log out")


async def test_the_session_has_the_rights_of_its_token_and_not_one_more(
    browser: tuple[Surfer, httpx.AsyncClient], site: Application, ids: dict[str, str]
) -> None:
    surfer, client = browser
    clear, _ = await make_token(site, "viewer", "mail*")
    await log_in(surfer, clear)
    async with coming(site, token=clear) as (_, bearer):
        shown, session = (await bearer.get("/api/v1/me")).json(), (await client.get("/api/v1/me")).json()
    assert {**session, "method": "", "expires_at": ""} == {**shown, "method": "", "expires_at": ""}
    assert (await client.get("/queues/mail")).status_code == 200
    assert (await client.get("/queues/report")).status_code == 404
    answer = await client.post("/api/v1/queues/mail/pause", headers=HERE)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    for path in ("/api/v1/tokens", "/api/v1/audit", "/api/v1/system"):
        assert (await client.get(path)).status_code == 403


async def test_a_token_that_a_session_makes_ends_with_the_token_it_began_with(
    browser: tuple[Surfer, httpx.AsyncClient], site: Application, ids: dict[str, str]
) -> None:
    surfer, client = browser
    clear, id = await make_token(site, "admin", "mail*")
    await log_in(surfer, clear)
    wider = {"name": "all", "role": "viewer", "queues": ["*"]}
    assert (await client.post("/api/v1/tokens", json=wider, headers=HERE)).status_code == 403
    made = await client.post("/api/v1/tokens", json={**wider, "queues": ["mail*"]}, headers=HERE)
    assert made.status_code == 201
    await home_of(site).admin.by(Actor(sub="test")).revoke_token(id)
    async with coming(site, token=made.json()["token"]) as (_, child):
        assert (await child.get("/api/v1/me")).status_code == 401


async def test_a_revoked_token_takes_its_sessions_along(
    browser: tuple[Surfer, httpx.AsyncClient], site: Application, ids: dict[str, str]
) -> None:
    surfer, client = browser
    clear, id = await make_token(site, "admin")
    assert (await log_in(surfer, clear)).status == 200
    await home_of(site).admin.by(Actor(sub="test")).revoke_token(id)
    assert (await client.get("/api/v1/me")).status_code == 401
    assert (await surfer.get("/queues")).answer.url.path == "/login"


async def test_an_expired_token_takes_its_sessions_along(
    browser: tuple[Surfer, httpx.AsyncClient], site: Application, ids: dict[str, str]
) -> None:
    surfer, client = browser
    home = home_of(site)
    ends = home.monitor.at() + 3_600_000
    clear, token = await home.admin.by(Actor(sub="test")).create_token("ci", "viewer", ("*",), ends)
    await log_in(surfer, clear)
    [cookie] = [one for one in client.cookies.jar if one.name.startswith("corral-8")]
    assert cookie.expires is not None
    assert cookie.expires * 1_000 <= ends + 1_000
    session = home.recogniser.sessions.read(cookie.value or "")
    assert session is not None
    assert (session.shown, session.expires_at <= ends) == (f"id:{token.id}", True)


async def test_a_token_that_is_replaced_in_the_settings_ends_its_sessions(shop: Corral, ids: dict[str, str]) -> None:
    secret = "a secret for sessions, of more than 32 bytes"
    old, new = "ci:admin:the-first-token-of-ci", "ci:admin:the-second-token-of-ci"
    async with opened(shop, tokens=old, session_secret=secret) as site, coming(site) as (surfer, client):
        await log_in(surfer, "the-first-token-of-ci")
        assert (await client.get("/api/v1/me")).status_code == 200
        kept = dict(client.cookies)
    for tokens, status in ((old, 200), (new, 401), ("other:admin:a-token-of-somebody-else", 401)):
        async with opened(shop, tokens=tokens, session_secret=secret) as site, coming(site) as (_, client):
            client.cookies.update(kept)
            assert (await client.get("/api/v1/me")).status_code == status


async def test_the_cookie_of_a_session_does_not_hold_its_token(
    browser: tuple[Surfer, httpx.AsyncClient], ids: dict[str, str]
) -> None:
    _, client = browser
    answer = await client.post("/login", data={"token": TOKENS["admin"]}, headers=HERE)
    cookie = answer.headers["set-cookie"]
    assert TOKENS["admin"] not in cookie
    assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}


async def test_logging_out_ends_the_session_also_for_copies_of_it(
    browser: tuple[Surfer, httpx.AsyncClient], site: Application, ids: dict[str, str]
) -> None:
    surfer, client = browser
    page = await log_in(surfer, TOKENS["admin"])
    copy = dict(client.cookies)
    await surfer.press(page, "Log out")
    async with coming(site) as (_, other):
        other.cookies.update(copy)
        assert (await other.get("/api/v1/me")).status_code == 401


async def test_a_session_by_token_is_refused_what_another_site_asks_for(
    browser: tuple[Surfer, httpx.AsyncClient], ids: dict[str, str]
) -> None:
    surfer, client = browser
    await log_in(surfer, TOKENS["admin"])
    forged: tuple[dict[str, str], ...] = ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}, {})
    for headers in forged:
        answer = await client.post("/do/queues/mail/pause", data={"_next": "/"}, headers=headers)
        assert answer.status_code == 403
        assert (await client.post("/tokens/new", data={"name": "x"}, headers=headers)).status_code == 403
    assert (await client.get("/api/v1/queues/mail")).json()["paused"]["value"] is False


async def test_another_site_cannot_log_somebody_in_with_its_own_token(
    browser: tuple[Surfer, httpx.AsyncClient], ids: dict[str, str]
) -> None:
    _, client = browser
    answer = await client.post("/login", data={"token": TOKENS["viewer"]}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "set-cookie" not in answer.headers
    assert (await client.get("/api/v1/me")).status_code == 401


async def test_whoever_guesses_at_tokens_has_to_wait(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, login_rate="1000/min") as site, coming(site) as (_, client):
        clock = home_of(site).login.lockout
        clock.seconds = lambda: 1_000.0
        for _ in range(4):
            answer = await client.post("/login", data={"token": "a-guess-of-20-characters"}, headers=HERE)
            assert answer.status_code == 401
            assert "There is no such token" in answer.text
        answer = await client.post("/login", data={"token": TOKENS["admin"]}, headers=HERE)
        assert answer.status_code == 429


async def test_guessing_at_one_token_keeps_nobody_with_another_out(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, login_rate="1000/min") as site, coming(site) as (_, client):
        home_of(site).login.lockout.seconds = lambda: 1_000.0
        clear, _ = await make_token(site, "viewer")
        for _ in range(5):
            await client.post("/login", data={"token": f"crl_{'x' * 10}_{'y' * 43}"}, headers=HERE)
        assert (await client.post("/login", data={"token": clear}, headers=HERE)).status_code == 303


async def test_where_tokens_are_not_taken_none_logs_in(shop: Corral, ids: dict[str, str]) -> None:
    settings = {"auth": "users", "users": f"dan:viewer:{HASH}"}
    async with opened(shop, **settings) as site, coming(site) as (surfer, client):
        clear, _ = await make_token(site, "admin")
        for token in (clear, TOKENS["admin"]):
            assert (await client.post("/login", data={"token": token}, headers=HERE)).status_code == 401
        assert "API token" not in (await surfer.get("/login")).words


async def test_a_token_and_a_user_of_one_name_are_two(shop: Corral, ids: dict[str, str]) -> None:
    settings = {"users": f"ci:viewer:{HASH}", "tokens": "ci:admin:the-token-of-the-ci-system"}
    async with opened(shop, **settings) as site, coming(site) as (_, robot), coming(site) as (_, person):
        assert (
            await robot.post("/login", data={"token": "the-token-of-the-ci-system"}, headers=HERE)
        ).status_code == 303
        given = {"name": "ci", "password": "correct horse battery"}
        assert (await person.post("/login", data=given, headers=HERE)).status_code == 303
        assert (await robot.get("/api/v1/me")).json()["roles"] == ["admin"]
        assert (await person.get("/api/v1/me")).json()["roles"] == ["viewer"]
        seen = [
            await home_of(site).recogniser.whose(session)
            for client in (robot, person)
            for session in [home_of(site).recogniser.sessions.read(next(iter(client.cookies.values())))]
            if session is not None
        ]
    assert len({one.identity for one in seen if one is not None}) == 2


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said", "unsaid"),
    [
        ({"tokens": "a:admin:a-token-of-20-characters"}, ["API token"], ["Password", "no login"]),
        ({"tokens": "", "users": f"dan:admin:{HASH}"}, ["Name", "Password"], ["API token", "no login"]),
        ({"users": f"dan:admin:{HASH}"}, ["Name", "Password", "API token"], ["no login"]),
        ({"tokens": "", "jwt_secret": "x" * 40}, ["There is no login here.", "Signed tokens"], ["Password"]),
        ({"tokens": "", "proxy_secret": "x" * 40, "trusted_proxies": "10.0.0.0/8"},
         ["There is no login here: the proxy"], ["Password", "API token"]),
    ],
)  # fmt: skip
async def test_the_login_offers_what_there_is(
    shop: Corral, ids: dict[str, str], settings: dict[str, str], said: list[str], unsaid: list[str]
) -> None:
    async with opened(shop, **settings) as site, coming(site) as (surfer, _):
        words = (await surfer.get("/login")).words
    assert [one for one in said if one not in words] == []
    assert [one for one in unsaid if one in words] == []


# -- a proxy, a host application ---------------------------------------------------------------------------------------

PROXY = {"tokens": "", "proxy_secret": "the secret of the proxy in front", "trusted_proxies": "10.0.0.0/8"}
SAYS = {"X-Corral-Proxy-Secret": PROXY["proxy_secret"], "X-Forwarded-User": "dan", "X-Forwarded-Groups": "operator"}


async def test_whom_a_trusted_proxy_names_sees_pages_and_acts(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, **PROXY) as site, coming(site, peer="10.1.2.3", **SAYS) as (surfer, client):
        page = await surfer.get(f"/queues/mail/jobs/{ids['failed']}")
        assert "dan" in page.words
        assert "Retried." in (await surfer.press(page, "Retry")).words
        forged = await client.post("/do/queues/mail/pause", data={}, headers={"Sec-Fetch-Site": "cross-site"})
        assert forged.status_code == 403


@pytest.mark.parametrize(
    ("peer", "change"),
    [("192.0.2.1", {}), ("10.1.2.3", {"X-Corral-Proxy-Secret": "a guess"}), ("10.1.2.3", {"X-Forwarded-User": ""})],
)
async def test_who_only_says_to_be_the_proxy_is_led_to_the_login(
    shop: Corral, ids: dict[str, str], peer: str, change: dict[str, str]
) -> None:
    async with opened(shop, **PROXY) as site, coming(site, peer=peer, **{**SAYS, **change}) as (surfer, _):
        assert (await surfer.get("/queues")).answer.url.path == "/login"


async def test_a_host_application_may_read_any_header_of_a_page_s_request(shop: Corral, ids: dict[str, str]) -> None:
    def authenticate(request: Request) -> Principal | None:
        name = request.headers.get("x-our-own-user")
        return Principal(sub=name, roles=("viewer",), method="host") if name else None

    site = create_dashboard(shop, settings=make_settings(tokens=""), authenticate=authenticate)
    async with coming(site, **{"X-Our-Own-User": "eve"}) as (surfer, _), coming(site) as (nobody, _):
        assert "eve" in (await surfer.get("/queues")).words
        assert "the application it is part of" in (await nobody.get("/queues")).words
    await site.state.corral.close()


async def test_where_nobody_is_configured_pages_are_for_this_machine_only_too(
    shop: Corral, ids: dict[str, str]
) -> None:
    base = "http://localhost"
    async with opened(shop, tokens="") as site, coming(site, base=base) as (surfer, client):
        once = home_of(site).recogniser.once()
        assert once is not None
        await log_in(surfer, once)
        assert (await surfer.get("/queues")).headings == ["Queues"]
        refused = await client.get("/queues", headers={"X-Forwarded-For": "192.0.2.1"})
        assert refused.status_code == 403
        assert "Store:" not in refused.text


# -- what is written down, framing, what is refused --------------------------------------------------------------------


async def test_what_is_done_on_pages_is_written_down_as_done_there(admin: Surfer, ids: dict[str, str]) -> None:
    await admin.press(await admin.get(f"/queues/mail/jobs/{ids['delayed']}"), "Run now")
    entries = (await admin.get("/api/v1/audit?action=job.promote")).answer.json()["items"]
    assert [one["via"] for one in entries] == ["ui"]


async def test_nobody_frames_the_pages_unless_the_settings_name_them(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop) as site, coming(site) as (_, client):
        answer = await client.get("/login")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
    named = "self, https://intranet.example.com"
    async with opened(shop, frame_ancestors=named) as site, coming(site) as (_, client):
        answer = await client.get("/login")
        policy = answer.headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://intranet.example.com")
        assert "x-frame-options" not in answer.headers
        api = await client.get("/api/v1/me")
        assert "frame-ancestors 'none'" in api.headers["content-security-policy"]
        assert api.headers["x-frame-options"] == "DENY"


async def test_a_refusal_names_the_roles_that_may(viewer: Surfer, ids: dict[str, str]) -> None:
    page = await viewer.get("/audit")
    assert page.status == 403
    assert "audit:read, which the role admin has." in page.words


async def test_colours_go_back_to_what_the_system_has(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get("/queues"), "dark")
    assert 'data-theme="dark"' in page.answer.text
    page = await admin.press(page, "system")
    assert 'data-theme="system"' in page.answer.text
