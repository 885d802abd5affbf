"""Callers who may see only some queues: the others are as if they were not there, everywhere."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from corral.job import ParentRef
from tests.web.conftest import make_client
from tests.web.routes.conftest import TIMEOUT, Store, code_of
from tests.web.routes.test_bulk import finished, picked


@pytest.fixture
async def scoped(app: FastAPI, admin: httpx.AsyncClient, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the queues `mail*` alone; `secret` has the same things in it."""
    for queue in ("mail", "secret"):
        await store.failed(queue=queue)
        await store.add("x", queue=queue)
    made = await admin.post("/tokens", json={"name": "mail", "role": "admin", "queues": ["mail*"]})
    async with make_client(app, made.json()["token"]) as client:
        yield client


async def test_other_queues_are_in_no_list(scoped: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await admin.put("/queues/secret/schedules/s", json={"every_ms": 60_000, "job": {"name": "x"}})
    await admin.post("/flows", json={"queue": "secret", "name": "t", "children": [{"queue": "secret", "name": "k"}]})
    await admin.post("/queues/secret/pause", json={"reason": "hush"})
    for path in ("/queues", "/jobs", "/jobs/export", "/schedules", "/flows", "/failures", "/workers", "/attention",
                 "/audit", "/operations", "/metrics/top", "/complete?q=queue:", "/jobs?q=queue:secret",
                 "/jobs?q=state:failed", "/tokens"):  # fmt: skip
        answer = await scoped.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert "secret" not in answer.text, path


async def test_figures_leave_other_queues_out(scoped: httpx.AsyncClient) -> None:
    found = (await scoped.get("/stats")).json()
    assert (found["queues"], found["totals"]["failed"], found["totals"]["waiting"]) == (1, 1, 1)
    assert found["oldest_waiting_queue"] == "mail"
    assert (await scoped.get("/failures")).json()["items"][0]["queues"] == {"mail": 1}


async def test_other_queues_are_not_found(scoped: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    job = (await admin.get("/queues/secret/jobs")).json()["items"][0]["id"]
    for path in ("", "/jobs", f"/jobs/{job}", f"/jobs/{job}/payload", f"/jobs/{job}/why", "/autoscale", "/priorities",
                 "/schema", "/workers", "/schedules", "/schedules/s", "/metrics", "/dedup/k"):  # fmt: skip
        assert code_of(await scoped.get(f"/queues/secret{path}")) == (404, "queue-not-found"), path
    for path in ("/metrics/series?queue=secret", "/metrics/top?queue=secret"):
        assert code_of(await scoped.get(path)) == (404, "queue-not-found"), path
    assert code_of(await scoped.get(f"/flows/secret/{job}")) == (404, "queue-not-found")
    assert (await scoped.get("/failures?queue=secret")).json()["items"] == []
    assert code_of(await scoped.get(f"/failures/{TIMEOUT.fingerprint}?queue=secret")) == (404, "failure-not-found")


async def test_other_queues_are_not_acted_on(scoped: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store) -> None:
    jobs = (await admin.get("/queues/secret/jobs?state=failed")).json()["items"]
    job = jobs[0]["id"]
    for path, body in (
        ("/queues/secret/pause", {}),
        ("/queues/secret/drain", {"confirm": "secret"}),
        ("/queues/secret/jobs", {"name": "x"}),
        (f"/queues/secret/jobs/{job}/retry", {}),
        ("/flows", {"queue": "mail", "name": "t", "children": [{"queue": "secret", "name": "k"}]}),
        ("/jobs/bulk", {"action": "retry", "select": picked(job, queue="secret")}),
        (f"/failures/{TIMEOUT.fingerprint}/retry", {"queue": "secret"}),
    ):
        assert code_of(await scoped.post(path, json=body)) == (404, "queue-not-found"), path
    own = (await scoped.get("/queues/mail/jobs?state=failed")).json()["items"][0]["id"]
    rerun = await scoped.post(f"/queues/mail/jobs/{own}/rerun", json={"queue": "secret"})
    assert code_of(rerun) == (404, "queue-not-found")
    assert (await scoped.post("/queues/pause", json={"match": ["*"]})).json() == {"changed": ["mail"]}
    done = await scoped.post("/jobs/bulk", json={"action": "retry", "select": {"q": ""}})
    assert [one["queue"] for one in done.json()["done"]] == ["mail"]
    [still] = (await admin.get("/queues/secret/jobs?state=failed")).json()["items"]
    assert still["id"] == job


async def test_operations_of_others_are_not_shown(scoped: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    theirs = (await admin.post("/queues/secret/retry")).json()["id"]
    mine = (await scoped.post(f"/failures/{TIMEOUT.fingerprint}/retry")).json()["id"]
    assert (await finished(scoped, mine))["done"] == 1
    assert [one["id"] for one in (await scoped.get("/operations")).json()["items"]] == [mine]
    assert code_of(await scoped.get(f"/operations/{theirs}")) == (404, "operation-not-found")
    assert code_of(await scoped.post(f"/operations/{theirs}/abort")) == (404, "operation-not-found")


async def test_jobs_of_a_flow_in_other_queues_are_left_out(scoped: httpx.AsyncClient, store: Store) -> None:
    [top] = await store.add("top", id="top", children=2)
    await store.add("k", queue="secret", id="k1", parent=ParentRef("mail", top))
    await store.add("k", queue="mail", id="k2", parent=ParentRef("mail", top))
    tree = (await scoped.get("/flows/mail/top")).json()
    assert ([one["id"] for one in tree["children"]], tree["left_out"]) == (["k2"], 1)
    [top] = await store.add("top", queue="secret", id="upper", children=1)
    await store.add("k", queue="mail", id="below", parent=ParentRef("secret", top))
    assert (await scoped.get("/queues/mail/jobs/below")).json()["parent"] is None
    raw = await scoped.get("/queues/mail/jobs/below?include=raw")
    assert (raw.json()["raw"]["id"], raw.json()["raw"]["parent"]) == ("below", None)
    assert "secret" not in raw.text
    why = (await scoped.get("/queues/mail/jobs/top/why")).text
    assert "secret" not in why
    removed = await scoped.delete("/queues/mail/jobs/top?children=true", headers={"If-Match": "*"})
    assert code_of(removed) == (403, "forbidden")
    assert code_of(await scoped.post("/flows/mail/top/retry")) == (403, "forbidden")


async def test_nobody_gives_away_more_than_they_have(scoped: httpx.AsyncClient) -> None:
    for queues in (["*"], ["mail*", "secret"], ["m*"]):
        answer = await scoped.post("/tokens", json={"name": "x", "role": "viewer", "queues": queues})
        assert code_of(answer) == (403, "forbidden"), queues
    made = await scoped.post("/tokens", json={"name": "x", "role": "viewer", "queues": ["mail-bulk*", "mail"]})
    assert made.status_code == 201


async def test_what_is_about_all_queues_is_for_who_sees_all(scoped: httpx.AsyncClient, store: Store) -> None:
    for path in ("/system", "/system/doctor", "/system/storage", "/config"):
        assert code_of(await scoped.get(path)) == (403, "forbidden"), path
    shared = await store.worker("both", queues=("mail", "secret"))
    found = (await scoped.get(f"/workers/{shared}")).json()
    assert list(found["queues"]) == ["mail"]
    assert code_of(await scoped.post(f"/workers/{shared}/stop")) == (403, "forbidden")
    other = await store.worker("other", queues=("secret",))
    assert code_of(await scoped.get(f"/workers/{other}")) == (404, "worker-not-found")
    mute = {"until": "2027-01-01T00:00:00Z"}
    assert code_of(await scoped.post("/attention/no-worker%2Fsecret/mute", json=mute)) == (404, "finding-not-found")
