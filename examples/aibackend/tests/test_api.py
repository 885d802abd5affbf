"""The HTTP endpoints, to the letter; and who may come in."""

import asyncio
import json
import time
from pathlib import Path

import httpx2
import jwt
import pytest

from corral import Exponential, JobFailedError, Keep, NewJob
from corral.handlers.ai import ModelError
from corral.handlers.health import StoreCheck, examine
from examples.aibackend.api import COOKIE, make_api
from examples.aibackend.payloads import QueueName
from tests.redis_server import RedisServer

from .conftest import ASKED, SECRET, Place, Visitors, build, token

MESSAGE = {"conversationId": "c-1", "message": "Hello"}


async def queued(client: httpx2.AsyncClient, **changes: str) -> str:
    answer = await client.post("/ai/queue", json={**MESSAGE, **changes})
    assert answer.status_code == 201
    return str(answer.json()["jobId"])


# -- POST ai/queue -----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-04", "M-AI-08", "M-AI-47")
async def test_a_message_is_queued_for_whoever_asks(live: Place, visit: Visitors) -> None:
    answer = await visit("user-1").post("/ai/queue", json=MESSAGE)
    assert (answer.status_code, answer.json()) == (201, {"jobId": "1", "status": "queued"})
    job = await (await live.tasks.open()).get("1")
    assert (job.name, job.options.attempts) == ("generate-completion", 3)
    for said in ('"userId":"user-1"', '"model":"gpt-4"', '"maxTokens":4096', '"temperature":0.7'):
        assert said in job.data
    options = job.options
    assert (options.backoff, options.keep_completed, options.keep_failed) == (
        Exponential(5), Keep(count=100), Keep(count=500)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["conversationId", "message"]),
        ({"conversationId": "c 1", "message": " "}, ["conversationId", "message"]),
        ({**MESSAGE, "userId": "somebody else"}, ["userId"]),
        ({**MESSAGE, "model": "gpt-5"}, ["model"]),
    ],
)
async def test_a_body_that_cannot_be_meant_is_a_400_with_every_complaint(
    visit: Visitors, body: dict[str, str], wrong: list[str]
) -> None:
    answer = await visit("user-1").post("/ai/queue", json=body)
    said = answer.json()
    assert (answer.status_code, said["statusCode"], said["error"]) == (400, 400, "Bad Request")
    assert [line.partition(":")[0] for line in said["message"]] == wrong


async def test_somebody_else_s_conversation_is_not_there(live: Place, visit: Visitors) -> None:
    async with await live.worker():
        id = await queued(visit("user-1"))
        await (await live.tasks.open()).result(id, timeout=30)
    answer = await visit("user-2").post("/ai/queue", json=MESSAGE)
    assert (answer.status_code, answer.json()["message"]) == (404, "Conversation not found")


# -- GET ai/jobs/:id ---------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-10", "M-AI-11", "M-AI-15", "M-AI-48")
async def test_a_job_says_how_it_stands_from_waiting_to_completed(live: Place, visit: Visitors) -> None:
    client = visit("user-1")
    id = await queued(client)
    assert (await client.get(f"/ai/jobs/{id}")).json() == {
        "id": id, "state": "waiting", "progress": 0, "result": None, "failedReason": None, "attempts": 0
    }  # fmt: skip
    async with await live.worker():
        await (await live.tasks.open()).result(id, timeout=30)
    assert (await client.get(f"/ai/jobs/{id}")).json() == {
        "id": id, "state": "completed", "progress": 100, "failedReason": None, "attempts": 1,
        "result": {"conversationId": "c-1", "content": "You said: Hello", "tokens": 6},
    }  # fmt: skip


@pytest.mark.mission("M-AI-11")
async def test_a_job_that_failed_three_times_says_why_and_how_often(live: Place, visit: Visitors) -> None:
    client = visit("user-1")
    live.model.trouble = [ModelError(f"trouble {n}") for n in range(1, 4)]
    job = await live.tasks.definition("generate-completion").add(ASKED, backoff=0)
    async with await live.worker():
        with pytest.raises(JobFailedError):
            await job.result(timeout=60)
    assert (await client.get(f"/ai/jobs/{job.id}")).json() == {
        "id": job.id, "state": "failed", "progress": 30, "result": None, "failedReason": "ModelError: trouble 3",
        "attempts": 3,
    }  # fmt: skip


async def test_a_job_that_failed_says_why(live: Place, visit: Visitors) -> None:
    client = visit("user-1")
    id = await queued(client)
    assert await (await live.tasks.open()).cancel(id, reason="enough") == [id]
    status = (await client.get(f"/ai/jobs/{id}")).json()
    assert (status["state"], status["result"]) == ("failed", None)
    assert "enough" in status["failedReason"]


@pytest.mark.mission("M-AI-09")
async def test_a_job_that_is_not_there_is_a_404(visit: Visitors) -> None:
    client = visit("user-1")
    for answer in (await client.get("/ai/jobs/4711"), await client.delete("/ai/jobs/4711")):
        assert (answer.status_code, answer.json()) == (
            404, {"statusCode": 404, "message": "Job not found", "error": "Not Found"}
        )  # fmt: skip


# -- DELETE ai/jobs/:id ------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-49")
async def test_a_waiting_job_is_cancelled_and_never_runs(live: Place, visit: Visitors) -> None:
    client = visit("user-1")
    id = await queued(client)
    answer = await client.delete(f"/ai/jobs/{id}")
    assert (answer.status_code, answer.json()) == (200, {"message": "Job cancelled"})
    async with await live.worker():
        other = await queued(client, message="another")
        await (await live.tasks.open()).result(other, timeout=30)
    assert [question.messages[-1].content for question in live.model.asked] == ["another"]
    assert (await client.get(f"/ai/jobs/{id}")).json()["state"] == "failed"


@pytest.mark.mission("M-AI-49", "M-AI-52", "M-AI-53", "M-AI-54")
async def test_a_running_job_is_cancelled_and_stops(live: Place, visit: Visitors) -> None:
    client = visit("user-1")
    live.model.gate = asyncio.Event()  # never set: without the cancellation this job would not end
    id = await queued(client)
    async with await live.worker():
        await asyncio.wait_for(live.model.begun.wait(), 30)
        assert (await client.get(f"/ai/jobs/{id}")).json()["state"] == "active"
        assert (await client.delete(f"/ai/jobs/{id}")).json() == {"message": "Job cancelled"}
        events = (await live.tasks.open()).events(after="")
        async with asyncio.timeout(30):
            async for event in events:
                if event.type == "failed":
                    break
    status = (await client.get(f"/ai/jobs/{id}")).json()
    assert (status["state"], "cancelled by its user" in status["failedReason"]) == ("failed", True)
    # The worker has ended, and its hooks with it: what somebody wanted is told to nobody.
    assert (live.tracker.failures, await live.data.notes("user-1")) == ([], [])
    assert (await (await live.emails.open()).counts()).waiting == 0


async def test_a_job_that_has_ended_is_not_cancelled(live: Place, visit: Visitors) -> None:
    client = visit("user-1")
    id = await queued(client)
    async with await live.worker():
        await (await live.tasks.open()).result(id, timeout=30)
    answer = await client.delete(f"/ai/jobs/{id}")
    assert (answer.status_code, answer.json()["message"]) == (409, "Job has ended already")
    assert (await client.get(f"/ai/jobs/{id}")).json()["state"] == "completed"


@pytest.mark.mission("M-AI-50")
async def test_nobody_sees_or_cancels_a_job_of_somebody_else(visit: Visitors) -> None:
    id = await queued(visit("user-1"))
    for client in (visit("user-2"), visit("user-1x"), visit("USER-1")):
        for answer in (await client.get(f"/ai/jobs/{id}"), await client.delete(f"/ai/jobs/{id}")):
            assert (answer.status_code, answer.json()["message"]) == (404, "Job not found")
    assert (await visit("user-1").get(f"/ai/jobs/{id}")).json()["state"] == "waiting"
    assert (await visit("admin-1", "ADMIN").get(f"/ai/jobs/{id}")).json()["state"] == "waiting"
    assert (await visit("admin-1", "ADMIN").delete(f"/ai/jobs/{id}")).status_code == 200


async def test_a_job_without_an_owner_is_an_administrator_s(live: Place, visit: Visitors) -> None:
    job = await live.tasks.definition("generate-embeddings").add({"texts": ["x"]})
    assert (await visit("user-1").get(f"/ai/jobs/{job.id}")).status_code == 404
    assert (await visit("admin-1", "ADMIN").get(f"/ai/jobs/{job.id}")).status_code == 200


# -- who asks ----------------------------------------------------------------------------------------------------------


def forged() -> dict[str, str]:
    """Tokens that are none, by what is wrong with them."""
    claims = {"sub": "user-1", "roles": ["ADMIN"], "exp": time.time() + 300}
    other = "another secret, which nobody has told the API"
    whole = token("user-1")
    return {
        "nobody's": jwt.encode(claims, other, algorithm="HS256"),
        "unsigned": jwt.encode(claims, "", algorithm="none"),
        "longer": jwt.encode(claims, other * 2, algorithm="HS512"),
        "expired": token("user-1", exp=time.time() - 300),
        "for ever": jwt.encode({"sub": "user-1"}, other, algorithm="HS256"),
        "cut": whole[:-2],
        "changed": whole.replace(".", ".e30", 1),
        "nothing": "",
    }


@pytest.mark.parametrize("kind", sorted(forged()))
async def test_a_token_that_is_not_ours_is_a_401(visit: Visitors, kind: str) -> None:
    client = visit()
    client.headers["Authorization"] = f"Bearer {forged()[kind]}"
    for answer in (await client.post("/ai/queue", json=MESSAGE), await client.get("/ai/jobs/1")):
        assert (answer.status_code, answer.json()) == (401, {"statusCode": 401, "message": "Unauthorized"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("missing", ["exp", "sub"])
async def test_a_token_must_say_whose_it_is_and_until_when(visit: Visitors, missing: str) -> None:
    claims = {"sub": "user-1", "roles": ["ADMIN"], "exp": time.time() + 300}
    del claims[missing]
    client = visit()
    client.headers["Authorization"] = f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"
    assert (await client.get("/ai/jobs/1")).status_code == 401


async def test_without_a_secret_nobody_gets_in(platform_url: str, tmp_path: Path) -> None:
    place = build(tmp_path, platform_url)
    api = make_api(place.app, place.settings.model_copy(update={"jwt_secret": None}), database=place.database)
    async with api.router.lifespan_context(api), Opened(api) as client:
        assert (await client.get("/ai/jobs/1")).status_code == 401
        assert (await client.get("/admin/queues/api/v1/queues")).status_code == 401


class Opened(httpx2.AsyncClient):
    """A client of an API, with an administrator's token."""

    def __init__(self, api: object) -> None:
        headers = {"Authorization": f"Bearer {token('admin-1', 'ADMIN')}"}
        super().__init__(transport=httpx2.ASGITransport(app=api), base_url="http://localhost:8000", headers=headers)  # type: ignore[arg-type]


# -- /admin/queues -----------------------------------------------------------------------------------------------------

PAGES = ("/admin/queues/", "/admin/queues/queues/ai-tasks", "/admin/queues/api/v1/queues")


@pytest.mark.mission("M-AI-46")
@pytest.mark.parametrize("page", PAGES)
async def test_the_dashboard_is_for_administrators(visit: Visitors, page: str) -> None:
    await queued(visit("user-1"))
    assert (await visit().get(page)).status_code in (302, 303, 401)
    assert (await visit("user-1").get(page)).status_code == 403
    assert (await visit("admin-1", "ADMIN").get(page)).status_code == 200


@pytest.mark.mission("M-AI-44", "M-AI-45", "M-AI-68")
async def test_the_dashboard_shows_queues_and_jobs_under_the_application_s_path(live: Place, visit: Visitors) -> None:
    client = visit("admin-1", "ADMIN")
    id = await queued(visit("user-1"))
    await (await live.tasks.open()).cancel(id, reason="not wanted any more")
    await live.emails.definition("send-welcome").add({"userId": "user-1"})
    await live.house.definition("sync").add({})
    overview = (await client.get("/admin/queues/")).text
    for queue in QueueName:
        assert f'href="/admin/queues/queues/{queue}' in overview
    details = (await client.get(f"/admin/queues/queues/ai-tasks/jobs/{id}")).text
    assert "generate-completion" in details
    assert "not wanted any more" in details


@pytest.mark.mission("M-AI-45")
async def test_failed_jobs_are_retried_and_cleaned_from_there(live: Place, visit: Visitors) -> None:
    client, base = visit("admin-1", "ADMIN"), "/admin/queues/api/v1/queues/ai-tasks"
    first, second = await queued(visit("user-1")), await queued(visit("user-1"))
    await (await live.tasks.open()).cancel(first, second)
    retried = await client.post(f"{base}/jobs/{first}/retry", json={})
    assert retried.status_code in (200, 202)
    assert (await client.get(f"/ai/jobs/{first}")).json()["state"] == "waiting"
    cleaned = await client.post(f"{base}/clean", json={"state": "failed", "grace_ms": 0})
    assert (cleaned.status_code, cleaned.json()["removed"]) == (200, 1)


async def test_a_browser_shows_the_application_s_cookie_and_other_sites_cannot_use_it(visit: Visitors) -> None:
    client = visit()
    client.headers["Cookie"] = f"{COOKIE}={token('admin-1', 'ADMIN')}"
    assert (await client.get("/admin/queues/")).status_code == 200
    pause = "/admin/queues/api/v1/queues/ai-tasks/pause"
    own = {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    other = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert (await client.post(pause, json={}, headers=other)).json()["code"] == "csrf-rejected"
    assert (await client.post(pause, json={}, headers=own)).status_code == 200
    assert (await client.get("/ai/jobs/1")).status_code == 401  # the endpoints want the token itself


# -- figures and health ------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-62", "M-AI-70")
async def test_figures_tell_waiting_from_running_and_are_numbers_from_the_first_moment(
    live: Place, visit: Visitors
) -> None:
    admin, client = visit("admin-1", "ADMIN"), visit("user-1")
    assert (await admin.get("/ai/metrics")).json() == {
        "processed": 0, "failed": 0, "avgWaitTime": 0, "avgProcessingTime": 0, "avgTotalTime": 0
    }  # fmt: skip
    id = await queued(client)
    async with await live.worker():
        await (await live.tasks.open()).result(id, timeout=30)
    figures = (await admin.get("/ai/metrics")).json()
    assert (figures["processed"], figures["failed"]) == (1, 0)
    assert figures["avgTotalTime"] == pytest.approx(figures["avgWaitTime"] + figures["avgProcessingTime"], abs=0.2)
    assert figures["avgTotalTime"] > 0
    assert (await client.get("/ai/metrics")).status_code == 403
    live.model.trouble = [ModelError("no")]
    bad = await live.tasks.definition("generate-completion").add(ASKED, attempts=1)
    async with await live.worker():
        with pytest.raises(JobFailedError):
            await bad.result(timeout=60)
    figures = (await admin.get("/ai/metrics")).json()
    assert (figures["processed"], figures["failed"]) == (1, 1)


@pytest.mark.mission("M-AI-62")
async def test_what_waited_a_minute_for_a_worker_was_not_worked_on_for_a_minute(live: Place, visit: Visitors) -> None:
    storage, data = await live.app.open(), json.dumps(ASKED)
    late = NewJob(queue=QueueName.AI_TASKS, name="generate-completion", data=data)
    [added] = await storage.add([late], now=int(time.time() * 1000) - 60_000)
    async with await live.worker():
        await (await live.tasks.open()).result(added.id, timeout=60)
    figures = (await visit("admin-1", "ADMIN").get("/ai/metrics")).json()
    assert figures["avgWaitTime"] > 50_000  # the figures are kept in classes, a tenth apart
    assert figures["avgProcessingTime"] < 50_000


@pytest.mark.mission("M-AI-72")
async def test_health_is_a_word_for_everybody_and_details_for_administrators(live: Place, visit: Visitors) -> None:
    await live.tasks.definition("generate-embeddings").add({"texts": ["x"]})
    alone = await visit().get("/health")
    assert (alone.status_code, alone.json()) == (503, {"status": "unhealthy"})
    details = (await visit("admin-1", "ADMIN").get("/health")).json()
    found = {check["name"]: (check["status"], check["text"]) for check in details["checks"]}
    assert found["queue ai-tasks"] == ("fail", "no worker serves it")
    assert {"store", "database", "queue email"} < set(found)
    async with await live.worker(QueueName.AI_TASKS, QueueName.EMAIL):
        served = await visit().get("/health")
    assert served.status_code == 200


@pytest.mark.mission("M-AI-65")
async def test_a_store_that_is_away_is_seen(tmp_path: Path) -> None:
    with RedisServer() as server:
        place = build(tmp_path, server.url)
        async with place.app:
            [there] = await examine([StoreCheck(place.app, slow=30)], timeout=30)
            server.stop()
            [gone] = await examine([StoreCheck(place.app, slow=30)], timeout=30)
    assert (there.status, gone.status) == ("ok", "fail")
    assert "StorageUnavailableError" in gone.text
