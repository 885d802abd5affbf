"""TeamSpark's HTTP API, as its guide prints it: who may look, and what they see, on each engine."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import jwt
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from corral import ConfigError, Corral, Discard, JobContext
from corral.testing import drain
from examples.teamspark import api as module
from examples.teamspark.api import make_api
from examples.teamspark.build import add_job, make_app
from examples.teamspark.payloads import JobType
from examples.teamspark.settings import Settings

SECRET = "-".join(["made", "of", "thirty-two", "bytes", "or", "more", "of", "them"])
MAIL = {"to": "user@example.com", "subject": "Hello", "template": "notification", "data": {"message": "Hello."}}
#: All six counts, and nothing else.
NOTHING = {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0, "paused": 0}


def token(secret: str = SECRET, **claims: object) -> str:
    said = {"sub": "ann", "roles": ["viewer"], "exp": int(time.time()) + 3_600, **claims}
    return jwt.encode({key: value for key, value in said.items() if value is not None}, secret, algorithm="HS256")


@pytest.fixture
def settings(platform_url: str, tmp_path: Path) -> Settings:
    """The platform on each engine, with a secret."""
    return Settings(url=platform_url, teamspark_home=tmp_path, jwt_secret=SecretStr(SECRET))


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Corral]:
    """The platform, open."""
    async with make_app(settings) as app:
        yield app


@pytest.fixture
async def api(app: Corral, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Its API."""
    transport = httpx.ASGITransport(app=make_api(app, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        yield client


async def jobs(api: httpx.AsyncClient, **claims: object) -> httpx.Response:
    return await api.get("/api/jobs", headers={"Authorization": f"Bearer {token(**claims)}"})  # type: ignore[arg-type]


# -- who may look ------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-28")
@pytest.mark.parametrize("roles", [["admin"], ["OPERATOR"], "viewer", ["member", "viewer"]])
async def test_whoever_has_a_right_to_look_may(api: httpx.AsyncClient, roles: object) -> None:
    assert (await jobs(api, roles=roles)).status_code == 200


@pytest.mark.mission("M-TS-31")
@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Basic {token()}"},
        {"Authorization": f"Bearer {token('another secret of thirty-two bytes')}"},
        {"Authorization": f"Bearer {token(exp=1)}"},
        {"Authorization": f"Bearer {token(exp=None)}"},
        {"Authorization": f"Bearer {token(sub=None)}"},
        {"Authorization": f"Bearer {jwt.encode({'sub': 'a', 'roles': ['admin'], 'exp': 9**10}, '', algorithm='none')}"},
    ],
)  # fmt: skip
async def test_without_a_token_that_holds_nobody_is_known(api: httpx.AsyncClient, shown: dict[str, str]) -> None:
    answer = await api.get("/api/jobs", headers=shown)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "metrics" not in answer.text


@pytest.mark.mission("M-TS-31")
@pytest.mark.parametrize("roles", [[], ["member"], "member", None, [7], {"admin": True}])
async def test_a_token_without_the_right_is_refused(api: httpx.AsyncClient, roles: object) -> None:
    answer = await jobs(api, roles=roles)
    assert (answer.status_code, "metrics" in answer.text) == (403, False)


@pytest.mark.mission("M-TS-31")
async def test_while_there_is_no_secret_the_api_is_closed(app: Corral, settings: Settings) -> None:
    closed = make_api(app, settings.model_copy(update={"jwt_secret": None}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=closed), base_url="http://api") as client:
        assert (await jobs(client)).status_code == 401
        assert (await client.get("/corral/api/v1/queues")).status_code == 404


def test_a_secret_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    settings = Settings(teamspark_home=tmp_path, jwt_secret=SecretStr("short"))
    with pytest.raises(ConfigError, match="at least 32 bytes"):
        make_api(make_app(settings), settings)


# -- what they see -----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-28", "M-TS-29")
async def test_the_answer_has_every_queue_with_six_counts(api: httpx.AsyncClient) -> None:
    answer = (await jobs(api)).json()
    assert list(answer) == ["metrics"]
    assert [one["name"] for one in answer["metrics"]] == list(JobType)
    assert [one["counts"] for one in answer["metrics"]] == [NOTHING] * 7


@pytest.mark.mission("M-TS-29")
async def test_jobs_are_counted_where_they_are(api: httpx.AsyncClient, app: Corral) -> None:
    queue = app.queues[JobType.SEND_EMAIL]
    all_busy, go_on = asyncio.Semaphore(0), asyncio.Event()

    @app.middleware
    async def trouble(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        if ctx.name == "team-update":
            raise Discard("550 no such mailbox")
        if ctx.name == "welcome-email":
            all_busy.release()
            await go_on.wait()
        return await call_next()

    for name in ("send-email", "send-email", "send-email", "team-update"):
        await add_job(queue, name, MAIL)
    await drain(app)
    await add_job(queue, "reminder", MAIL, delay=3_600)
    for _ in range(7):
        await add_job(queue, "welcome-email", MAIL)
    async with await app.worker():
        async with asyncio.timeout(60):
            for _ in range(5):  # its slots
                await all_busy.acquire()
        found = {one["name"]: one["counts"] for one in (await jobs(api)).json()["metrics"]}
        go_on.set()
    assert found["send-email"] == {
        "waiting": 2, "active": 5, "completed": 3, "failed": 1, "delayed": 1, "paused": 0,
    }  # fmt: skip
    assert found["sync-slack"] == NOTHING


@pytest.mark.mission("M-TS-30")
async def test_what_a_paused_queue_holds_is_paused_and_waits_still(api: httpx.AsyncClient, app: Corral) -> None:
    queue = app.queues[JobType.SEND_EMAIL]
    await (await queue.open()).pause()
    for _ in range(2):
        await add_job(queue, "send-email", MAIL)
    [counts] = [one["counts"] for one in (await jobs(api)).json()["metrics"] if one["name"] == "send-email"]
    assert counts == {**NOTHING, "waiting": 2, "paused": 2}


async def test_corral_s_dashboard_and_api_are_there_for_the_same_tokens(api: httpx.AsyncClient) -> None:
    shown = {"Authorization": f"Bearer {token(roles=['admin'])}"}
    assert (await api.get("/corral/api/v1/queues", headers=shown)).status_code == 200
    assert (await api.get("/corral/api/v1/queues")).status_code == 401
    assert (await api.get("/corral/queues", headers=shown)).status_code == 200


async def test_other_verbs_and_paths_are_not_there(api: httpx.AsyncClient) -> None:
    assert (await api.post("/api/jobs")).status_code == 405
    assert (await api.get("/docs")).status_code == 404


async def test_a_store_that_does_not_answer_is_said_without_where_it_is(tmp_path: Path) -> None:
    settings = Settings(url="redis://:hush@127.0.0.1:1/0", teamspark_home=tmp_path, jwt_secret=SecretStr(SECRET))
    api = make_api(make_app(settings), settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://api") as client:
        answer = await jobs(client)
    assert (answer.status_code, answer.json()) == (503, {"detail": "the store does not answer"})


# -- how it is served --------------------------------------------------------------------------------------------------


async def test_it_opens_the_store_and_closes_it(settings: Settings) -> None:
    app = make_app(settings)
    api = make_api(app, settings)
    async with api.router.lifespan_context(api):
        assert app.is_open
    assert not app.is_open


def test_a_server_finds_it_by_its_name() -> None:
    assert isinstance(module.api, FastAPI)
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018  # looking is the test
