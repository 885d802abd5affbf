"""The HTTP API, as callers know it: paths, verbs, bodies, statuses and roles."""

import httpx
import jwt
import pytest

from corral import ConfigError, Corral
from examples.bizinsights.api import OLD, make_api
from examples.bizinsights.build import Platform, make_platform
from examples.bizinsights.payloads import QueueName
from examples.bizinsights.seed import seed
from examples.bizinsights.settings import Settings

from .conftest import SECRET, Maker, token, until

EMPTY = {"waiting": 0, "active": 0, "completed": 0, "failed": 0, "delayed": 0, "paused": 0}
MAIL = {"to": "user@example.com", "subject": "Hello", "template": "welcome", "data": {"name": "John"}}
SYNC = {"integrationId": "123", "organizationId": "456", "platform": "shopify", "syncType": "incremental"}


async def some_failed(platform: Platform, count: int = 3) -> list[str]:
    """Jobs of `data-sync` that failed for good: nobody has keys for that shop."""
    service = platform.queue_service
    handles = [await service.add_job(QueueName.DATA_SYNC, SYNC) for _ in range(count)]

    async def failed() -> bool:
        return (await service.get_queue_stats(QueueName.DATA_SYNC))["failed"] == count

    async with await platform.app.worker(queues={QueueName.DATA_SYNC: 1}):
        await until(failed)
    return [handle.id for handle in handles]


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-06", "M-BI-25")
async def test_the_figures_of_all_queues_and_their_sums(platform: Platform, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await platform.queue_service.add_job(QueueName.EMAIL_SENDING, MAIL)
    await platform.queue_service.add_job(QueueName.EMAIL_SENDING, MAIL, {"delay": 60_000})
    await platform.queue_service.add_job(QueueName.DATA_SYNC, SYNC)

    answer = await client.get("/api/jobs/monitoring")

    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "data": {
            "queues": {
                "data-sync": {**EMPTY, "waiting": 1},
                "insights-generation": EMPTY,
                "webhook-processing": EMPTY,
                "report-generation": EMPTY,
                "email-sending": {**EMPTY, "waiting": 3, "delayed": 1},
                "alerts": EMPTY,
            },
            "totals": {**EMPTY, "waiting": 4, "delayed": 1},
        },
    }


@pytest.mark.mission("M-BI-06", "M-BI-26")
async def test_one_queue_with_its_failed_jobs(platform: Platform, client: httpx.AsyncClient) -> None:
    (job_id,) = await some_failed(platform, 1)

    answer = await client.get("/api/jobs/data-sync")

    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "data": {
            "queueName": "data-sync",
            "stats": {**EMPTY, "failed": 1},
            "failedJobs": [
                {
                    "id": job_id,
                    "data": {**SYNC, "startDate": None, "endDate": None},
                    "failedReason": "shopify needs SHOPIFY_SHOP and SHOPIFY_ACCESS_TOKEN",
                    "attemptsMade": 1,
                }
            ],
        },
    }


@pytest.mark.mission("M-BI-06", "M-BI-26", "M-BI-28")
@pytest.mark.parametrize("path", ["/api/jobs/nothing", "/api/jobs/__default__", "/api/jobs/data-sync%2F.."])
async def test_an_unknown_queue_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    for answer in (await client.get(path), await client.post(path, params={"action": "pause"})):
        assert (answer.status_code, answer.json()["success"]) == (404, False)


# -- retries -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-27", "M-BI-29")
async def test_one_failed_job_is_run_again(platform: Platform, client: httpx.AsyncClient) -> None:
    first, _, _ = await some_failed(platform)

    answer = await client.post("/api/jobs/monitoring/retry", json={"queueName": "data-sync", "jobId": first})

    assert (answer.status_code, answer.json()) == (
        200, {"success": True, "data": {"queueName": "data-sync", "retried": 1}},
    )  # fmt: skip
    stats = await platform.queue_service.get_queue_stats(QueueName.DATA_SYNC)
    assert (stats["waiting"], stats["failed"]) == (1, 2)


@pytest.mark.mission("M-BI-27", "M-BI-29")
async def test_without_an_id_all_that_failed_are_run_again(platform: Platform, client: httpx.AsyncClient) -> None:
    await some_failed(platform)

    answer = await client.post("/api/jobs/monitoring/retry", json={"queueName": "data-sync"})

    assert answer.json()["data"]["retried"] == 3
    stats = await platform.queue_service.get_queue_stats(QueueName.DATA_SYNC)
    assert (stats["waiting"], stats["failed"]) == (3, 0)


@pytest.mark.mission("M-BI-27")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"queueName": "nothing"}, 404),
        ({"queueName": "data-sync", "jobId": "999"}, 404),
        ({"jobId": "1"}, 400),
        ({"queueName": "data-sync", "everything": True}, 400),
        ([], 400),
    ],
)
async def test_a_retry_that_cannot_be_meant_is_refused(client: httpx.AsyncClient, body: object, status: int) -> None:
    answer = await client.post("/api/jobs/monitoring/retry", json=body)

    assert (answer.status_code, answer.json()["success"]) == (status, False)


# -- managing ----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-28", "M-BI-35")
async def test_a_queue_is_paused_and_resumed(platform: Platform, client: httpx.AsyncClient) -> None:
    await platform.queue_service.add_job(QueueName.DATA_SYNC, SYNC)
    paused = await client.post("/api/jobs/data-sync?action=pause")
    stats = (await client.get("/api/jobs/data-sync")).json()["data"]["stats"]
    resumed = await client.post("/api/jobs/data-sync?action=resume")

    assert paused.json() == {"success": True, "data": {"queueName": "data-sync", "action": "pause", "removed": 0}}
    assert stats["paused"] == 1
    assert resumed.json()["success"] is True
    assert (await client.get("/api/jobs/data-sync")).json()["data"]["stats"]["paused"] == 0


@pytest.mark.mission("M-BI-28", "M-BI-36")
async def test_emptying_removes_what_waits_and_what_is_due_later(platform: Platform, client: httpx.AsyncClient) -> None:
    await some_failed(platform, 1)
    await platform.queue_service.add_job(QueueName.DATA_SYNC, SYNC)
    await platform.queue_service.add_job(QueueName.DATA_SYNC, SYNC, {"delay": 60_000})

    answer = await client.post("/api/jobs/data-sync?action=empty")

    assert answer.json()["data"]["removed"] == 2
    stats = await platform.queue_service.get_queue_stats(QueueName.DATA_SYNC)
    assert stats == {**EMPTY, "failed": 1}


@pytest.mark.mission("M-BI-28", "M-BI-39")
async def test_cleaning_removes_only_what_is_old(
    platform: Platform, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_failed(platform, 2)

    answer = await client.post("/api/jobs/data-sync?action=clean")
    assert answer.json()["data"] == {"queueName": "data-sync", "action": "clean", "removed": 0}

    monkeypatch.setattr("examples.bizinsights.api.OLD", tuple((state, 0) for state, _ in OLD))
    answer = await client.post("/api/jobs/data-sync?action=clean")
    assert answer.json()["data"] == {"queueName": "data-sync", "action": "clean", "removed": 2}
    assert await platform.queue_service.get_queue_stats(QueueName.DATA_SYNC) == EMPTY


@pytest.mark.mission("M-BI-36")
async def test_obliterating_removes_everything(platform: Platform) -> None:
    service, queue = platform.queue_service, QueueName.DATA_SYNC
    await some_failed(platform, 2)
    await service.add_job(queue, SYNC)
    await service.add_job(queue, SYNC, {"delay": 60_000})
    assert await service.get_queue_stats(queue) == {**EMPTY, "waiting": 1, "delayed": 1, "failed": 2}

    await service.obliterate_queue(queue)

    assert await service.get_queue_stats(queue) == EMPTY
    assert await service.get_failed_jobs(queue) == []


@pytest.mark.mission("M-BI-28")
@pytest.mark.parametrize("action", ["explode", "", "PAUSE", "obliterate"])
async def test_another_action_is_refused(client: httpx.AsyncClient, action: str) -> None:
    answer = await client.post("/api/jobs/data-sync", params={"action": action})

    assert answer.status_code == 400
    assert "action must be pause, resume, empty or clean" in answer.json()["error"]


@pytest.mark.mission("M-BI-28")
async def test_monitoring_is_no_queue(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/jobs/monitoring?action=pause")).status_code == 404
    assert (await client.get("/api/jobs/monitoring")).json()["data"]["totals"] == EMPTY


@pytest.mark.mission("M-BI-06")
async def test_who_changed_what_stands_in_the_audit_log(client: httpx.AsyncClient) -> None:
    await client.post("/api/jobs/data-sync?action=pause", headers=token("OPERATOR", sub="olga"))

    entries = (await client.get("/corral/api/v1/audit")).json()["items"]
    assert [(one["action"], one["actor"]["sub"]) for one in entries] == [("queue.pause", "olga")]


# -- who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-06")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic YW5hOmFuYQ==",
        "Bearer ",
        "Bearer not-a-token",
        "Bearer " + jwt.encode({"sub": "a", "roles": ["ADMIN"], "exp": 1}, SECRET, algorithm="HS256"),
        "Bearer " + jwt.encode({"sub": "a", "roles": ["ADMIN"]}, SECRET, algorithm="HS256"),
        "Bearer " + jwt.encode({"sub": "a", "roles": ["ADMIN"], "exp": 9e9}, "another" * 8, algorithm="HS256"),
        "Bearer " + jwt.encode({"sub": "a", "roles": ["ADMIN"], "exp": 9e9}, "", algorithm="none"),
    ],
)
async def test_whoever_is_not_recognised_sees_nothing(client: httpx.AsyncClient, header: str) -> None:
    for path in ("/api/jobs/monitoring", "/api/jobs/data-sync", "/api/integrations"):
        answer = await client.get(path, headers={"Authorization": header})
        assert (answer.status_code, answer.json()["success"]) == (401, False)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.mission("M-BI-06")
@pytest.mark.parametrize(
    ("roles", "looks", "acts"),
    [
        (("VIEWER",), 200, 403),
        (("OPERATOR",), 200, 200),
        (("admin",), 200, 200),
        (("GUEST",), 403, 403),
        ((), 403, 403),
    ],
)
async def test_roles_say_who_may_look_and_who_may_act(
    client: httpx.AsyncClient, roles: tuple[str, ...], looks: int, acts: int
) -> None:
    headers = token(*roles)

    assert (await client.get("/api/jobs/monitoring", headers=headers)).status_code == looks
    assert (await client.post("/api/jobs/alerts?action=resume", headers=headers)).status_code == acts


async def test_without_a_secret_nobody_gets_in(platform_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = make_platform(Settings(url=platform_url, bizinsights_home=tmp_path_factory.mktemp("home")))
    async with made.opened():
        transport = httpx.ASGITransport(app=make_api(made.app, made.settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://biz.example", headers=token("ADMIN")) as one:
            assert (await one.get("/api/jobs/monitoring")).status_code == 401
            assert (await one.get("/corral/api/v1/queues")).status_code == 404


def test_a_secret_that_can_be_guessed_is_refused(platform_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = make_platform(
        Settings(url=platform_url, bizinsights_home=tmp_path_factory.mktemp("home"), jwt_secret="short")
    )
    with pytest.raises(ConfigError, match="at least 32 bytes"):
        make_api(made.app, made.settings)


# -- on demand ---------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-21", "M-BI-22", "M-BI-48")
async def test_syncs_and_insights_can_be_asked_for(platform: Platform, client: httpx.AsyncClient) -> None:
    await seed(platform)

    sync = await client.post("/api/integrations/acme-shopify/sync", json={"syncType": "full"})
    look = await client.post("/api/organizations/org-acme/insights", json={"period": "7d"})

    assert (sync.status_code, look.status_code) == (202, 202)
    assert sync.json()["data"]["queueName"] == "data-sync"
    job = await platform.queue_service.get_job(QueueName.DATA_SYNC, sync.json()["data"]["jobId"])
    assert job is not None
    assert isinstance(job.data, dict)
    assert job.data["syncType"] == "full"
    listed = (await client.get("/api/integrations")).json()["data"]
    assert (listed[0]["id"], listed[0]["status"], listed[0]["quota"]) == ("acme-ads", "active", None)
    assert (await client.post("/api/integrations/none/sync")).status_code == 404
    assert (await client.post("/api/organizations/none/insights")).status_code == 404
    assert (await client.get("/api/organizations/org-acme/insights")).status_code == 404  # none were made yet


@pytest.mark.mission("M-BI-22")
async def test_insights_can_be_read(platform: Platform, client: httpx.AsyncClient) -> None:
    await seed(platform)
    async with await platform.app.worker():
        await (await platform.job_scheduler.schedule_immediate_insights("org-acme")).result(timeout=60)

    data = (await client.get("/api/organizations/org-acme/insights?period=30d")).json()["data"]
    assert data["findings"][0]["text"] in data["summary"]


def test_the_application_is_made_without_opening_anything(maker: Maker) -> None:
    made = maker()

    assert isinstance(made.app, Corral)
    assert not made.app.is_open
    assert not made.home.exists()
