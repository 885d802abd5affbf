"""The HTTP API over queues that only Node uses: looked at and operated, while a real worker of BullMQ works on them."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from corral.http import ApiSettings, create_app
from corral.storage.port import Storage

from .node import Bull

TOKEN = "of-the-interop-tests"


@pytest.fixture
async def api(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the API over the test's keys."""
    settings = ApiSettings(
        tokens=f"admin:admin:{TOKEN}", rate_limits=False, read_timeout=60.0, write_timeout=60.0, body_timeout=60.0
    )
    app = create_app(storage, settings=settings)
    await app.state.corral.open()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://api.test/api/v1", timeout=60,
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:  # fmt: skip
        yield client
    await app.state.corral.close()


async def test_jobs_of_node_are_listed_with_all_that_is_known_of_them(
    bull: Bull, api: httpx.AsyncClient, major: int
) -> None:
    queue = await bull.queue(major=major)
    added = await queue.add("welcome", {"to": "ana", "token": "hunter2", "amount": 1.5}, attempts=3, priority=4)
    hand = await bull.hand(major=major)
    await (await hand.take()).fail("connect to 10.0.0.1 failed", unrecoverable=True)
    [listed] = (await api.get("/queues")).json()["items"]
    assert (listed["name"], listed["counts"]["failed"], listed["workers"]) == ("mail", 1, 0)
    [job] = (await api.get("/jobs", params={"q": "state:failed error:~connect"})).json()["items"]
    assert (job["id"], job["name"], job["priority"], job["attempts_max"]) == (added["id"], "welcome", 4, 3)
    shown = (await api.get(f"/queues/mail/jobs/{added['id']}")).json()
    assert (shown["data"]["to"], shown["error"]["message"]) == ("ana", "connect to 10.0.0.1 failed")
    attempts = (await api.get(f"/queues/mail/jobs/{added['id']}/attempts")).json()
    assert [one["outcome"] for one in attempts] == ["failed"]
    [group] = (await api.get("/failures")).json()["items"]
    assert (group["count"], group["fingerprint"][0], group["queues"]) == (1, "~", {"mail": 1})


async def test_a_job_that_failed_in_node_is_retried_and_runs_there(
    bull: Bull, api: httpx.AsyncClient, major: int
) -> None:
    queue = await bull.queue(major=major)
    job_id = (await queue.add("welcome", {"to": "ana"}))["id"]
    hand = await bull.hand(major=major)
    await (await hand.take()).fail("no", unrecoverable=True)
    answer = await api.post(f"/queues/mail/jobs/{job_id}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "waiting")
    waiting = asyncio.create_task(api.get(f"/queues/mail/jobs/{job_id}/result", params={"wait": 60}))
    await (await hand.take()).complete({"sent": True})
    found = (await waiting).json()
    assert (found["state"], found["result"]) == ("completed", {"sent": True})


async def test_all_failures_of_a_kind_are_retried_where_nobody_recorded_it(bull: Bull, api: httpx.AsyncClient) -> None:
    queue = await bull.queue()
    hand = await bull.hand()
    for number in range(3):
        await queue.add("welcome", {"n": number})
        await (await hand.take()).fail(f"order {number} is odd", unrecoverable=True)
    [group] = (await api.get("/failures")).json()["items"]
    answer = await api.post(f"/failures/{group['fingerprint']}/retry", json={"reason": "mended"})
    assert answer.status_code == 202
    async with asyncio.timeout(60):
        while (found := (await api.get(f"/operations/{answer.json()['id']}")).json())["state"] != "done":
            continue
    assert (found["done"], sum((await queue.counts()).values())) == (3, 3)
    assert await queue.call("getFailedCount") == 0


async def test_a_queue_of_node_is_paused_and_resumed(bull: Bull, api: httpx.AsyncClient, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("welcome")
    answer = await api.post("/queues/mail/pause", json={"reason": "migration"})
    assert (answer.json()["state"], await queue.call("isPaused")) == ("paused", True)
    assert (await api.post("/queues/mail/resume")).json()["state"] == "active"
    assert await queue.call("isPaused") is False


async def test_a_delayed_job_of_node_is_promoted(bull: Bull, api: httpx.AsyncClient, major: int) -> None:
    queue = await bull.queue(major=major)
    job_id = (await queue.add("welcome", delay=600_000))["id"]
    assert (await api.post(f"/queues/mail/jobs/{job_id}/promote")).json()["state"] == "waiting"
    assert await queue.state(job_id) == "waiting"


async def test_finished_jobs_of_node_are_cleaned(bull: Bull, api: httpx.AsyncClient, major: int) -> None:
    queue = await bull.queue(major=major)
    hand = await bull.hand(major=major)
    job_id = (await queue.add("welcome"))["id"]
    await (await hand.take()).complete()
    dry = await api.post("/queues/mail/clean", json={"state": "completed", "dry_run": True})
    assert dry.json()["sample"] == [job_id]
    assert (await api.post("/queues/mail/clean", json={"state": "completed"})).json()["removed"] == 1
    assert await queue.get(job_id) is None


async def test_a_job_that_the_api_adds_is_run_by_node(bull: Bull, api: httpx.AsyncClient, major: int) -> None:
    await bull.worker(script={"*": {"echo": True}}, major=major)
    body = {"name": "welcome", "data": {"to": "ana"}, "opts": {"tags": ["tenant-42"], "attempts": 2}}
    answer = await api.post("/queues/mail/jobs", json=body, headers={"Prefer": "wait=60"})
    assert (answer.status_code, answer.json()["state"], answer.json()["result"]) == (200, "completed", {"to": "ana"})


async def test_a_flow_of_node_is_shown_as_a_tree(bull: Bull, api: httpx.AsyncClient, major: int) -> None:
    flow = await bull.flow(major=major)
    made = await flow.call(
        "add", {"name": "send", "queueName": "mail", "children": [{"name": "render", "queueName": "pdf", "data": {}}]}
    )
    tree = (await api.get(f"/flows/mail/{made['job']['id']}")).json()
    assert (tree["state"], [(one["queue"], one["name"]) for one in tree["children"]]) == (
        "waiting-children",
        [("pdf", "render")],
    )
