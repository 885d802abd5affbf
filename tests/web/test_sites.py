"""Cross-site requests: whoever is recognised by what a browser sends by itself must come from this site."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request

from corral.admin.rights import Principal
from corral.http import ApiSettings, create_app, hash_password
from corral.storage.connect import connect
from tests.web.conftest import TOKENS, make_client, make_settings

PASSWORD = "correct horse battery"
USER = f"dan:admin:{hash_password(PASSWORD, cost=4, passes=1)}"
FRIEND = "https://admin.example.com"
OWN = "http://api.test"


@pytest.fixture
async def app() -> AsyncIterator[FastAPI]:
    """An API with a user, and one other site that may call."""
    async with connect("sqlite:///:memory:") as storage:
        made = create_app(storage, settings=make_settings(users=USER, allowed_origins=FRIEND))
        await made.state.corral.open()
        yield made
        await made.state.corral.close()


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is logged in."""
    async with make_client(app) as client:
        assert (await client.post("/login", json={"name": "dan", "password": PASSWORD})).status_code == 200
        yield client


#: What a browser says about where a request comes from, and whether it may change something.
MATRIX: list[tuple[dict[str, str], bool]] = [
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-origin", "Origin": OWN}, True),
    ({"Origin": OWN}, True),
    ({"Origin": FRIEND}, True),
    ({"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}, True),
    ({"Origin": FRIEND.upper()}, True),
    ({}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Sec-Fetch-Site": ""}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": OWN}, False),
    ({"Sec-Fetch-Site": "Same-Origin "}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "https://evil.test"}, False),
    ({"Origin": "http://api.test.evil.test"}, False),
    ({"Origin": "http://evil.test/http://api.test"}, False),
    ({"Origin": "http://api.test:8080"}, False),
    ({"Origin": f"{FRIEND}.evil.test"}, False),
    ({"Origin": FRIEND.replace("https", "http")}, False),
    ({"Referer": OWN}, False),
]


@pytest.mark.parametrize(("headers", "fits"), MATRIX, ids=[str(headers) for headers, _ in MATRIX])
async def test_a_session_changes_something_only_from_its_own_site(
    browser: httpx.AsyncClient, headers: dict[str, str], fits: bool
) -> None:
    answer = await browser.post("/queues/mail/pause", headers=headers)
    assert (answer.json()["code"] != "csrf-rejected") == fits
    assert (answer.status_code == 404) == fits  # there is no such queue; but it got as far as that
    assert (await browser.get("/queues", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", [headers for headers, _ in MATRIX], ids=[str(headers) for headers, _ in MATRIX])
async def test_a_token_that_was_put_there_on_purpose_may_come_from_anywhere(
    app: FastAPI, headers: dict[str, str]
) -> None:
    async with make_client(app, TOKENS["admin"]) as client:
        assert (await client.post("/queues/mail/pause", headers=headers)).json()["code"] == "queue-not-found"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200), ({"Origin": OWN}, 200), ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.test"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "null"}, 403),
    ],
)  # fmt: skip
async def test_nobody_is_logged_in_by_another_site(app: FastAPI, headers: dict[str, str], status: int) -> None:
    async with make_client(app) as client:
        answer = await client.post("/login", json={"name": "dan", "password": PASSWORD}, headers=headers)
    assert answer.status_code == status


async def test_a_form_of_another_site_is_no_json(browser: httpx.AsyncClient) -> None:
    headers = {"Sec-Fetch-Site": "same-origin"}
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", ""):
        answer = await browser.post("/queues/mail/pause", content=b"{}", headers={**headers, "Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


async def test_where_tls_ends_here_the_scheme_of_the_origin_counts(app: FastAPI) -> None:
    async with make_client(app) as client:
        client.base_url = httpx.URL("https://api.test/api/v1")
        assert (await client.post("/login", json={"name": "dan", "password": PASSWORD})).status_code == 200
        codes = [
            (await client.post("/queues/mail/pause", headers={"Origin": origin})).json()["code"]
            for origin in ("https://api.test", "http://api.test")
        ]
    assert codes == ["queue-not-found", "csrf-rejected"]


def by_cookie(request: Request) -> Principal | None:
    name = request.cookies.get("app-session") or request.headers.get("x-api-key")
    return None if name is None else Principal(sub=name, roles=("admin",), method="host")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Cookie": "app-session=ann"}, "csrf-rejected"),
        ({"Cookie": "app-session=ann", "Sec-Fetch-Site": "same-origin"}, "queue-not-found"),
        ({"Cookie": "app-session=ann", "Origin": "https://evil.test"}, "csrf-rejected"),
        ({"X-Api-Key": "ann"}, "queue-not-found"),
        ({"X-Api-Key": "ann", "Origin": "https://evil.test"}, "csrf-rejected"),
    ],
)
async def test_the_host_application_s_cookies_are_held_to_the_same(headers: dict[str, str], code: str) -> None:
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings(), authenticate=by_cookie)
        async with make_client(app, **headers) as client:
            assert (await client.post("/queues/mail/pause")).json()["code"] == code
        await app.state.corral.close()


@pytest.mark.parametrize(("origin", "code"), [(None, "queue-not-found"), ("https://evil.test", "csrf-rejected")])
async def test_without_authentication_other_sites_still_change_nothing(origin: str | None, code: str) -> None:
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=ApiSettings(insecure_no_auth=True, rate_limits=False, read_timeout=60))
        async with make_client(app, Host="localhost") as client:
            answer = await client.post("/queues/mail/pause", headers={} if origin is None else {"Origin": origin})
        await app.state.corral.close()
    assert answer.json()["code"] == code


# -- other sites that may call -----------------------------------------------------------------------------------------

ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def test_a_browser_that_asks_for_a_friend_is_told_yes(app: FastAPI) -> None:
    async with make_client(app) as client:
        answer = await client.options("/queues/mail/pause", headers={**ASKS, "Origin": FRIEND})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == FRIEND
        assert "authorization" in answer.headers["access-control-allow-headers"]
        answer = await client.get("/me", headers={"Origin": FRIEND})
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "", "*", f"{FRIEND}.evil.test", f"{FRIEND}:8443"])
async def test_a_browser_that_asks_for_another_is_told_nothing(app: FastAPI, origin: str) -> None:
    async with make_client(app) as client:
        asked = await client.options("/queues/mail/pause", headers={**ASKS, "Origin": origin})
        got = await client.get("/me", headers={"Origin": origin})
    for answer in (asked, got):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert asked.status_code == 405


async def test_by_default_no_other_site_may_call() -> None:
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings())
        async with make_client(app, TOKENS["viewer"], Origin=FRIEND) as client:
            answer = await client.get("/me")
        await app.state.corral.close()
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]
