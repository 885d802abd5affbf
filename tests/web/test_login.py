"""Logging in by name and password, guessing, and logging out."""

import time
from collections.abc import AsyncIterator
from statistics import median

import httpx
import pytest
from fastapi import FastAPI

from corral.errors import ConfigError
from corral.http import create_app, hash_password
from corral.http.auth.lockout import FORGET, LONGEST, Lockout
from corral.http.auth.passwords import Checker, read_hash
from corral.http.home import Api
from corral.storage.port import Storage
from tests.web.conftest import make_client, make_settings

PASSWORD = "correct horse battery"
#: As cheap as can be: what is tested is not how long scrypt takes.
HASH = hash_password(PASSWORD, cost=4, passes=1)
HERE = {"Sec-Fetch-Site": "same-origin"}


class Time:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    """The time of the limits."""
    return Time()


@pytest.fixture
async def app(storage: Storage, clock: Time) -> AsyncIterator[FastAPI]:
    """An API with two users."""
    settings = make_settings(users=[f"dan:operator:{HASH}", f"ann:admin:{HASH}"], tokens="", login_rate="1000/min")
    made = create_app(storage, settings=settings)
    home: Api = made.state.corral
    home.limiter.seconds = clock
    home.login.lockout.seconds = clock
    await home.open()
    yield made
    await home.close()


async def guess(app: FastAPI, name: str, password: str, peer: str = "127.0.0.1") -> httpx.Response:
    transport = httpx.ASGITransport(app=app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test/api/v1", timeout=60) as client:
        return await client.post("/login", json={"name": name, "password": password})


async def test_a_user_logs_in_and_out(app: FastAPI) -> None:
    async with make_client(app) as client:
        answer = await client.post("/login", json={"name": "dan", "password": PASSWORD})
        assert answer.status_code == 200
        assert answer.json() | {"expires_at": ""} == {
            "sub": "dan", "roles": ["operator"], "expires_at": "", "token": None
        }  # fmt: skip
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("corral-80=")
        assert {part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]} == {
            "httponly", "max-age", "path", "samesite"
        }  # fmt: skip
        me = (await client.get("/me")).json()
        assert (me["sub"], me["roles"], me["method"]) == ("dan", ["operator"], "session")
        copy = dict(client.cookies)
        assert (await client.post("/logout", headers=HERE)).status_code == 204
        assert dict(client.cookies) == {}
        assert (await client.get("/me")).status_code == 401
    async with make_client(app) as client:
        client.cookies.update(copy)
        assert (await client.get("/me")).status_code == 401


async def test_over_https_the_cookie_is_bound_to_this_host(app: FastAPI) -> None:
    async with make_client(app) as client:
        client.base_url = httpx.URL("https://api.test/api/v1")
        answer = await client.post("/login", json={"name": "dan", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("__Host-corral=")
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert (await client.get("/me")).json()["sub"] == "dan"


async def test_another_site_cannot_log_somebody_out(app: FastAPI) -> None:
    async with make_client(app) as client:
        await client.post("/login", json={"name": "dan", "password": PASSWORD})
        assert (await client.post("/logout", headers={"Origin": "https://evil.test"})).status_code == 403
        assert (await client.get("/me")).status_code == 200


async def test_a_session_that_somebody_made_up_opens_nothing(app: FastAPI) -> None:
    async with make_client(app) as client:
        await client.post("/login", json={"name": "dan", "password": PASSWORD})
        [(name, text)] = client.cookies.items()
    head, body, signature = text.split(".")
    for wrong in (f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", "x", "", f"{head}.{body[::-1]}.{signature}"):
        async with make_client(app, Cookie=f"{name}={wrong}") as client:
            assert (await client.get("/me")).status_code == 401


async def test_whoever_is_taken_out_of_the_settings_is_out(app: FastAPI, storage: Storage) -> None:
    secret = "what sessions are signed with, in both"
    first = create_app(storage, settings=make_settings(users=f"dan:admin:{HASH}", session_secret=secret))
    async with make_client(first) as client:
        await client.post("/login", json={"name": "dan", "password": PASSWORD})
        cookies = dict(client.cookies)
    seen = []
    for users in (f"dan:viewer:{HASH}", f"ann:admin:{HASH}"):
        later = create_app(storage, settings=make_settings(users=users, session_secret=secret))
        async with make_client(later) as client:
            client.cookies.update(cookies)
            seen.append((await client.get("/me")).json().get("roles"))
        await later.state.corral.close()
    await first.state.corral.close()
    assert seen == [["viewer"], None]


@pytest.mark.parametrize(
    ("name", "password"), [("dan", "wrong"), ("nobody", PASSWORD), ("", ""), ("dan", ""), ("DAN", PASSWORD)]
)
async def test_a_wrong_guess_does_not_say_what_was_wrong(app: FastAPI, name: str, password: str) -> None:
    answer = await guess(app, name, password)
    members = {key: value for key, value in answer.json().items() if key != "request_id"}
    assert answer.status_code == 401
    assert members == {
        "type": "urn:corral:problem:login-failed", "title": "Name and password do not fit", "status": 401,
        "detail": "Name and password do not fit.", "code": "login-failed", "instance": "/api/v1/login",
        "help": "/api/v1/problems/login-failed",
    }  # fmt: skip
    assert "set-cookie" not in answer.headers


async def test_a_password_of_nobody_costs_what_a_wrong_one_costs() -> None:
    stored = read_hash(hash_password(PASSWORD, cost=12, passes=1))
    checker = Checker()
    took: dict[str, list[float]] = {"known": [], "unknown": [], "near": []}
    for _ in range(30):
        for kind, password, target in (
            ("known", "x", stored), ("unknown", PASSWORD, None), ("near", PASSWORD[:-1], stored)
        ):  # fmt: skip
            began = time.process_time()
            assert not await checker.fits(password, target, stored)
            took[kind].append(time.process_time() - began)
    middle = {kind: median(times) for kind, times in took.items()}
    # Processor time, of which others take none: twice is far beyond its noise, and without a hash it is nothing.
    assert max(middle.values()) < 2 * min(middle.values())


async def test_after_three_wrong_guesses_each_has_to_wait_longer_even_the_right_one(app: FastAPI, clock: Time) -> None:
    assert [(await guess(app, "dan", "wrong")).status_code for _ in range(3)] == [401, 401, 401]
    waits = []
    for _ in range(17):
        assert (await guess(app, "dan", "wrong")).status_code == 401
        refused = await guess(app, "dan", PASSWORD)
        assert (refused.status_code, refused.json()["policy"]) == (429, "login")
        waits.append(int(refused.headers["retry-after"]))
        clock.now += waits[-1]
    assert waits == [2**number for number in range(10)] + [LONGEST] * 7
    assert (await guess(app, "dan", PASSWORD)).status_code == 200


async def test_a_right_guess_cleans_the_slate(app: FastAPI) -> None:
    for _ in range(3):
        for _ in range(3):
            assert (await guess(app, "dan", "wrong")).status_code == 401
        assert (await guess(app, "dan", PASSWORD)).status_code == 200


async def test_nobody_is_locked_out_from_elsewhere(app: FastAPI) -> None:
    for _ in range(10):
        await guess(app, "dan", "wrong", peer="192.0.2.7")
    assert (await guess(app, "dan", "wrong", peer="192.0.2.7")).status_code == 429
    assert (await guess(app, "dan", PASSWORD)).status_code == 200
    assert (await guess(app, "ann", PASSWORD, peer="192.0.2.7")).status_code == 200


async def test_so_many_guesses_are_let_in_and_no_more(storage: Storage, clock: Time) -> None:
    app = create_app(storage, settings=make_settings(users=f"dan:operator:{HASH}", rate_limits=True))
    home: Api = app.state.corral
    home.limiter.seconds = clock
    found = [(await guess(app, "dan", PASSWORD)).status_code for _ in range(11)]
    assert found == [200] * 10 + [429]
    clock.now += 90
    assert (await guess(app, "dan", PASSWORD)).status_code == 200
    await home.close()


async def test_names_that_are_tried_from_one_address_are_counted_together(storage: Storage, clock: Time) -> None:
    app = create_app(storage, settings=make_settings(users=f"dan:operator:{HASH}"))
    app.state.corral.limiter.seconds = clock
    found = [(await guess(app, f"name {number}", "password")).status_code for number in range(41)]
    assert found == [401] * 40 + [429]
    await app.state.corral.close()


def test_a_lock_out_forgets_after_a_quiet_while_and_keeps_a_bounded_number() -> None:
    clock = Time()
    lockout = Lockout(seconds=clock, keys=100)
    for _ in range(5):
        lockout.failed(("dan", "here"))
    assert lockout.wait(("dan", "here")) == 2.0
    clock.now += LONGEST + FORGET + 3
    lockout.failed(("dan", "here"))
    assert lockout.wait(("dan", "here")) == 0.0
    for number in range(1_000):
        lockout.failed((str(number), "here"))
    assert len(lockout) == 100


def test_a_hash_is_another_each_time_and_shows_nothing() -> None:
    one, other = hash_password(PASSWORD, cost=4, passes=1), hash_password(PASSWORD, cost=4, passes=1)
    assert one != other
    assert PASSWORD not in one
    assert "salt" not in repr(read_hash(one))
    assert repr(read_hash(one)) == "<password>"


@pytest.mark.parametrize(
    "text",
    ["", "plain", "scrypt$4$8$1$x", "scrypt$99$8$1$c2FsdHNhbHQ$a2V5", HASH[:-4], "bcrypt" + HASH[6:]],
    ids=["nothing", "plain", "too few parts", "too dear", "cut", "another kind"],
)
def test_a_hash_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="hash-password"):
        read_hash(text)


@pytest.mark.parametrize("password", ["short", "x" * 1_025])
def test_a_password_too_short_or_too_long_is_refused(password: str) -> None:
    with pytest.raises(ConfigError, match="8 to 1,024"):
        hash_password(password)


@pytest.mark.parametrize(
    "body", [{}, {"name": "dan"}, {"password": "x"}, {"name": "dan", "password": "x", "token": "y"}, [], "x", None,
             {"name": "x" * 201, "password": "y"}, {"name": "dan", "password": "x", "role": "admin"}],
)  # fmt: skip
async def test_what_is_no_login_is_refused_without_being_repeated(app: FastAPI, body: object) -> None:
    async with make_client(app) as client:
        answer = await client.post("/login", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert '"input"' not in answer.text
