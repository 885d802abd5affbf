"""The HTTP API, exactly as the platform's guide prints it, and closed to everybody who is no admin."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from pydantic import SecretStr

from corral import ConfigError
from corral.testing import FakeClock, drain
from examples.golive.api import make_api
from examples.golive.build import Platform
from examples.golive.payloads import EmailJobType
from examples.golive.queues import QueueName
from examples.golive.settings import Settings

from .conftest import NOON, explode, fail_some, make

SECRET = "a-secret-of-this-test-with-more-than-32-bytes"  # of this test alone
WELCOME = {"to": "user@example.com", "context": {"username": "John Doe"}}
SIX = {"waiting", "active", "completed", "failed", "delayed", "paused"}
ENDPOINTS = [
    ("GET", "/api/v1/jobs/queues"),
    ("GET", "/api/v1/jobs/queues/email/stats"),
    ("GET", "/api/v1/jobs/queues/email/failed?start=0&end=10"),
    ("POST", "/api/v1/jobs/queues/email/job/12345/retry"),
    ("POST", "/api/v1/jobs/queues/email/pause"),
    ("POST", "/api/v1/jobs/queues/email/resume"),
    ("POST", "/api/v1/jobs/queues/email/clean"),
]


def token(key: str = SECRET, /, **claims: object) -> str:
    """A signed token; an admin's unless the claims say otherwise."""
    return jwt.encode({"sub": "ann", "role": "ADMIN", "exp": time.time() + 300, **claims}, key, algorithm="HS256")


def client_of(platform: Platform, authorization: str | None) -> httpx.AsyncClient:
    api = make_api(platform.app, Settings(jwt_secret=SecretStr(SECRET)), platform=platform)
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://golive", headers=headers)


@pytest.fixture
async def admin(golive: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(golive, f"Bearer {token()}") as client:
        yield client


def data_of(answer: httpx.Response) -> object:
    body = answer.json()
    assert (answer.status_code, body["success"], set(body)) == (200, True, {"success", "data"})
    data: object = body["data"]
    return data


def error_of(answer: httpx.Response, status: int) -> str:
    body = answer.json()
    assert (answer.status_code, body["success"], set(body)) == (status, False, {"success", "error"})
    return str(body["error"])


@pytest.mark.mission("M-GL-47", "M-GL-48", "M-GL-83")
async def test_the_figures_of_all_queues(golive: Platform, admin: httpx.AsyncClient) -> None:
    manager = golive.service.manager
    await fail_some(manager, 2)
    for _ in range(5):
        await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)
    await manager.add_delayed_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME, 60_000)

    data = data_of(await admin.get("/api/v1/jobs/queues"))

    assert isinstance(data, dict)
    assert list(data) == list(QueueName)
    assert {name: data["email"][name] for name in SIX} == {
        "waiting": 5, "active": 0, "completed": 0, "failed": 2, "delayed": 1, "paused": 0,
    }  # fmt: skip
    assert {name: data["email"][name] for name in set(data["email"]) - SIX} == {
        "completedTotal": 0, "failedTotal": 2, "isPaused": False,
    }  # fmt: skip


@pytest.mark.mission("M-GL-49")
async def test_the_figures_of_one_queue(golive: Platform, admin: httpx.AsyncClient) -> None:
    await golive.service.manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)

    data = data_of(await admin.get("/api/v1/jobs/queues/email/stats"))

    assert isinstance(data, dict)
    assert set(data) >= SIX
    assert data["waiting"] == 1


@pytest.mark.mission("M-GL-49")
@pytest.mark.parametrize(
    ("verb", "path"), [(verb, path.replace("/email/", "/emails/")) for verb, path in ENDPOINTS if "/email/" in path]
)
async def test_a_queue_that_does_not_exist_is_404(admin: httpx.AsyncClient, verb: str, path: str) -> None:
    answer = await admin.request(verb, path, json={"grace": 0} if path.endswith("clean") else None)

    assert error_of(answer, 404) == "queue 'emails' does not exist"


@pytest.mark.mission("M-GL-50", "M-GL-51")
async def test_failed_jobs_from_start_to_end_both_included(golive: Platform, admin: httpx.AsyncClient) -> None:
    await fail_some(golive.service.manager, 15)

    data = data_of(await admin.get("/api/v1/jobs/queues/email/failed?start=0&end=10"))

    assert isinstance(data, list)
    assert len(data) == 11
    first = data[0]
    assert set(first) == {"id", "name", "data", "failedReason", "attemptsMade", "timestamp"}
    assert (first["name"], first["attemptsMade"]) == ("explodes", 1)
    assert first["failedReason"] == "ConnectionError: SMTP connection timeout for explodes"
    assert isinstance(first["id"], str)
    assert isinstance(first["timestamp"], int)
    further = data_of(await admin.get("/api/v1/jobs/queues/email/failed?start=11&end=20"))
    assert isinstance(further, list)
    assert len({one["id"] for one in (*data, *further)}) == 15


@pytest.mark.mission("M-GL-50")
async def test_a_failed_job_is_shown_with_its_data_its_attempts_and_when_it_was_added(
    golive: Platform, admin: httpx.AsyncClient
) -> None:
    manager = golive.service.manager
    manager.process_jobs(QueueName.EMAIL, "explodes", explode)
    await manager.add_job(QueueName.EMAIL, "explodes", {"number": 7}, {"attempts": 3})
    await drain(golive.app)

    data = data_of(await admin.get("/api/v1/jobs/queues/email/failed"))

    assert isinstance(data, list)
    [job] = data
    assert (job["data"], job["attemptsMade"], job["timestamp"]) == ({"number": 7}, 3, NOON.timestamp() * 1000)


@pytest.mark.mission("M-GL-51")
@pytest.mark.parametrize(("query", "count"), [("", 11), ("?limit=5", 5), ("?start=12&limit=5", 3), ("?end=-1", 15)])
async def test_a_limit_says_how_many(golive: Platform, admin: httpx.AsyncClient, query: str, count: int) -> None:
    await fail_some(golive.service.manager, 15)

    data = data_of(await admin.get(f"/api/v1/jobs/queues/email/failed{query}"))

    assert isinstance(data, list)
    assert len(data) == count


@pytest.mark.parametrize("query", ["start=-1", "end=-2", "start=x", "limit=0", "limit=1001"])
async def test_a_range_that_is_none_is_400(admin: httpx.AsyncClient, query: str) -> None:
    said = error_of(await admin.get(f"/api/v1/jobs/queues/email/failed?{query}"), 400)

    assert said.startswith(query.partition("=")[0])


@pytest.mark.mission("M-GL-52")
async def test_a_failed_job_is_retried(golive: Platform, admin: httpx.AsyncClient) -> None:
    manager = golive.service.manager
    await fail_some(manager, 1)
    [failed] = await manager.get_failed_jobs(QueueName.EMAIL)

    data = data_of(await admin.post(f"/api/v1/jobs/queues/email/job/{failed.id}/retry"))

    assert data == {"id": failed.id, "queue": "email"}
    assert await failed.get_state() == "waiting"
    assert "waiting" in error_of(await admin.post(f"/api/v1/jobs/queues/email/job/{failed.id}/retry"), 409)
    assert "12345" in error_of(await admin.post("/api/v1/jobs/queues/email/job/12345/retry"), 404)


@pytest.mark.mission("M-GL-53", "M-GL-54", "M-GL-83")
async def test_a_queue_is_paused_and_resumed(golive: Platform, admin: httpx.AsyncClient) -> None:
    await golive.service.manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)

    assert data_of(await admin.post("/api/v1/jobs/queues/email/pause")) == {"queue": "email", "isPaused": True}
    paused = data_of(await admin.get("/api/v1/jobs/queues/email/stats"))
    assert data_of(await admin.post("/api/v1/jobs/queues/email/resume")) == {"queue": "email", "isPaused": False}
    resumed = data_of(await admin.get("/api/v1/jobs/queues/email/stats"))

    assert isinstance(paused, dict)
    assert isinstance(resumed, dict)
    assert [(one["paused"], one["isPaused"]) for one in (paused, resumed)] == [(1, True), (0, False)]


@pytest.mark.mission("M-GL-55", "M-GL-76")
async def test_old_jobs_are_cleaned(golive: Platform, admin: httpx.AsyncClient, clock: FakeClock) -> None:
    await fail_some(golive.service.manager, 3)
    await golive.service.manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)
    await drain(golive.app)
    week = {"grace": 604_800_000, "status": "completed"}

    young = data_of(await admin.post("/api/v1/jobs/queues/email/clean", json=week))
    clock.advance(timedelta(days=7))
    old = data_of(await admin.post("/api/v1/jobs/queues/email/clean", json=week))
    failed = data_of(await admin.post("/api/v1/jobs/queues/email/clean", json={"grace": 0, "status": "failed"}))

    assert young == {"queue": "email", "status": "completed", "removed": 0}
    assert old == {"queue": "email", "status": "completed", "removed": 1}
    assert failed == {"queue": "email", "status": "failed", "removed": 3}


@pytest.mark.mission("M-GL-55")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"grace": 604800000, "status": "done"}', "status"),
        (b'{"grace": 604800000, "status": "active"}', "status"),
        (b'{"grace": -1, "status": "completed"}', "grace"),
        (b'{"grace": "soon", "status": "completed"}', "grace"),
        (b'{"status": "completed"}', "grace"),
        (b'{"grace": 1, "status": "completed", "limit": 5}', "limit"),
        (b'{\n  "grace": 604800000,  // 7 days in ms\n  "status": "completed"\n}', "JSON decode error"),
        (b"", "body"),
    ],
)
async def test_what_cannot_be_cleaned_is_400(admin: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await admin.post(
        "/api/v1/jobs/queues/email/clean", content=body, headers={"Content-Type": "application/json"}
    )

    assert field in error_of(answer, 400)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Platform]:
    """The platform on a file: who may come in is the same on every engine."""
    platform = make(f"sqlite:///{tmp_path / 'platform.db'}", tmp_path)
    async with platform.app:
        yield platform


@pytest.mark.mission("M-GL-56")
@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"role": "DEVELOPER"}, 403),
        ({"role": "ADMINISTRATOR"}, 403),
        ({"role": None}, 403),
        ({"role": {"ADMIN": True}}, 403),
        ({"roles": ["VIEWER", "DEVELOPER"]}, 403),
        ({"exp": 1}, 401),
        ({"exp": None}, 401),
        ({"sub": None}, 401),
    ],
)
async def test_nobody_without_the_role_admin_gets_in_anywhere(
    guarded: Platform, claims: dict[str, object], status: int
) -> None:
    async with client_of(guarded, f"Bearer {token(**claims)}") as client:
        answers = [await client.request(verb, path, json={"grace": 0}) for verb, path in ENDPOINTS]

    for answer in answers:
        error_of(answer, status)


@pytest.mark.mission("M-GL-56")
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer",
        "Bearer x",
        "Basic YW5uOmFubg==",
        f"Bearer {token('another-secret-that-has-more-than-32-bytes')}",
        f"Bearer {jwt.encode({'sub': 'ann', 'role': 'ADMIN', 'exp': 9_999_999_999}, '', algorithm='none')}",
    ],
    ids=["nothing", "no token", "no jwt", "basic", "another key", "no signature"],
)
async def test_nobody_without_a_token_gets_in_anywhere(guarded: Platform, authorization: str | None) -> None:
    async with client_of(guarded, authorization) as client:
        answers = [await client.request(verb, path, json={"grace": 0}) for verb, path in ENDPOINTS]

    for answer in answers:
        error_of(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.mission("M-GL-56")
def test_no_endpoint_is_left_out_above(guarded: Platform) -> None:
    api = make_api(guarded.app, Settings(jwt_secret=SecretStr(SECRET)), platform=guarded)
    routes = {(verb.upper(), path) for path, verbs in api.openapi()["paths"].items() for verb in verbs}

    paths = [path.partition("?")[0].replace("email", "{queue}").replace("12345", "{job_id}") for _, path in ENDPOINTS]
    assert routes == set(zip([verb for verb, _ in ENDPOINTS], paths, strict=True))


@pytest.mark.mission("M-GL-56")
async def test_the_role_may_be_one_of_several(guarded: Platform) -> None:
    async with client_of(guarded, f"Bearer {token(role=None, roles=['DEVELOPER', 'ADMIN'])}") as client:
        data_of(await client.get("/api/v1/jobs/queues"))


async def test_without_a_secret_the_api_is_closed(guarded: Platform) -> None:
    api = make_api(guarded.app, Settings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://golive") as client:
        for verb, path in ENDPOINTS:
            headers = {"Authorization": f"Bearer {token()}"}
            assert "JWT_SECRET is not set" in error_of(await client.request(verb, path, headers=headers), 401)
        assert (await client.get("/corral/api/v1/queues")).status_code == 404


def test_a_secret_that_can_be_guessed_is_refused(guarded: Platform) -> None:
    with pytest.raises(ConfigError, match="at least 32 bytes"):
        make_api(guarded.app, Settings(jwt_secret=SecretStr("secret")))


@pytest.mark.parametrize("path", ["/", "/api/v1/jobs", "/api/v1/jobs/queues/email", "/docs", "/openapi.json"])
async def test_what_is_not_there_is_404_in_the_same_envelope(admin: httpx.AsyncClient, path: str) -> None:
    assert error_of(await admin.get(path), 404) == "Not Found"


async def test_the_wrong_verb_is_405_in_the_same_envelope(admin: httpx.AsyncClient) -> None:
    assert error_of(await admin.delete("/api/v1/jobs/queues"), 405) == "Method Not Allowed"


async def test_what_admins_do_stands_in_the_audit_log_of_corrals_own_api(
    golive: Platform, admin: httpx.AsyncClient
) -> None:
    await admin.post("/api/v1/jobs/queues/email/pause")

    audit = (await admin.get("/corral/api/v1/audit")).json()

    [entry] = audit["items"]
    assert (entry["action"], entry["actor"]["sub"]) == ("queue.pause", "ann")


async def test_the_store_opens_and_closes_with_the_api(platform_url: str, tmp_path: Path) -> None:
    platform = make(platform_url, tmp_path)
    api = make_api(platform.app, Settings(jwt_secret=SecretStr(SECRET)), platform=platform)

    async with api.router.lifespan_context(api):
        inside = platform.app.is_open
        headers = {"Authorization": f"Bearer {token()}"}
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://golive", headers=headers) as client:
            data_of(await client.get("/api/v1/jobs/queues"))

    assert (inside, platform.app.is_open) == (True, False)


async def test_reports_are_handed_out_by_signed_links_only(golive: Platform, admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/reports/0123456789abcdef0123456789abcdef01234567?expires=9999999999&signature=forged")

    assert answer.status_code == 403
