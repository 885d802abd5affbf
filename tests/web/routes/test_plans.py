"""Schedules and flows through the API."""

import httpx

from corral.job import ParentRef
from corral.outcome import Completed, Failed
from corral.schedule import Every, Schedule
from tests.web.routes.conftest import QUEUE, Store, code_of, ids_of
from tests.web.routes.test_bulk import finished

PLANS = f"/queues/{QUEUE}/schedules"
WEEKLY = {
    "pattern": "0 9 * * 1", "tz": "Europe/Oslo", "limit": 10,
    "job": {"name": "report", "data": {"amount": 1}, "opts": {"attempts": 3, "priority": 4}},
}  # fmt: skip


async def test_a_schedule_is_made_and_read(admin: httpx.AsyncClient, viewer: httpx.AsyncClient) -> None:
    answer = await admin.put(f"{PLANS}/weekly", json=WEEKLY)
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1{PLANS}/weekly")
    assert (made["pattern"], made["tz"], made["text"], made["state"]) == (
        "0 9 * * 1",
        "Europe/Oslo",
        "At 09:00 on Monday",
        "active",
    )
    assert (made["job"]["name"], made["job"]["priority"], made["job"]["opts"]) == ("report", 4, {"attempts": 3})
    read = await viewer.get(f"{PLANS}/weekly")
    assert (read.json(), read.headers["etag"]) == (made, answer.headers["etag"])
    assert (await viewer.get(f"{PLANS}/weekly", headers={"If-None-Match": read.headers["etag"]})).status_code == 304
    assert ids_of(await viewer.get("/schedules")) == ids_of(await viewer.get(PLANS)) == ["weekly"]


async def test_numbers_in_the_payload_of_a_schedule_stay_as_they_are(admin: httpx.AsyncClient) -> None:
    text = '{"every_ms":60000,"job":{"name":"x","data":{"amount":1.10}}}'
    answer = await admin.put(f"{PLANS}/exact", content=text, headers={"Content-Type": "application/json"})
    assert '"data":{"amount":1.10}' in answer.text


async def test_a_schedule_is_changed_only_over_the_version_that_was_seen(admin: httpx.AsyncClient) -> None:
    old = (await admin.put(f"{PLANS}/weekly", json=WEEKLY)).headers["etag"]
    assert code_of(await admin.put(f"{PLANS}/weekly", json=WEEKLY)) == (428, "precondition-required")
    assert code_of(await admin.patch(f"{PLANS}/weekly", json={"limit": 3})) == (428, "precondition-required")
    changed = await admin.patch(f"{PLANS}/weekly", json={"limit": None, "tz": "UTC"}, headers={"If-Match": old})
    assert (changed.json()["limit"], changed.json()["tz"], changed.json()["pattern"]) == (None, "UTC", "0 9 * * 1")
    late = await admin.put(f"{PLANS}/weekly", json=WEEKLY, headers={"If-Match": old})
    assert code_of(late) == (412, "precondition-failed")
    assert code_of(await admin.delete(f"{PLANS}/weekly")) == (428, "precondition-required")
    gone = await admin.delete(f"{PLANS}/weekly", headers={"If-Match": changed.headers["etag"]})
    assert gone.status_code == 204
    assert code_of(await admin.get(f"{PLANS}/weekly")) == (404, "schedule-not-found")


async def test_a_change_of_the_job_keeps_the_payload_that_is_not_sent(admin: httpx.AsyncClient) -> None:
    await admin.put(f"{PLANS}/weekly", json=WEEKLY)
    changed = await admin.patch(
        f"{PLANS}/weekly", json={"job": {"name": "digest", "opts": {"attempts": 5}}}, headers={"If-Match": "*"}
    )
    job = changed.json()["job"]
    assert (job["name"], job["data"], job["opts"]["attempts"]) == ("digest", {"amount": 1}, 5)


async def test_schedules_that_cannot_be_meant_are_refused(admin: httpx.AsyncClient) -> None:
    job = {"name": "x"}
    for body, code in (
        ({"job": job}, "invalid-schedule"),
        ({"job": job, "pattern": "0 9 * *"}, "invalid-schedule"),
        ({"job": job, "pattern": "0 9 * * 1", "every_ms": 1000}, "invalid-schedule"),
        ({"job": job, "pattern": "0 9 * * 1", "tz": "Mars/Base"}, "invalid-schedule"),
        ({"job": job, "pattern": "0 0 30 2 *"}, "invalid-schedule"),
        ({"job": job, "every_ms": 1}, "validation-failed"),
        ({"job": {"name": "x", "opts": {"delay_ms": 5}}, "every_ms": 1000}, "validation-failed"),
        ({"job": job, "every_ms": 1000, "overlap": "maybe"}, "validation-failed"),
        ({"every_ms": 1000}, "validation-failed"),
    ):
        assert code_of(await admin.put(f"{PLANS}/bad", json=body)) == (422, code), body


async def test_a_schedule_is_run_paused_and_resumed(operator: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await admin.put(f"{PLANS}/weekly", json=WEEKLY)
    ran = await operator.post(f"{PLANS}/weekly/run", headers={"Idempotency-Key": "run-1"})
    again = await operator.post(f"{PLANS}/weekly/run", headers={"Idempotency-Key": "run-1"})
    assert (ran.status_code, ran.json()["name"], ran.json()["schedule"]) == (201, "report", "weekly")
    assert again.json()["id"] == ran.json()["id"]
    assert (await operator.post(f"{PLANS}/weekly/pause")).json()["state"] == "paused"
    assert ids_of(await operator.get("/schedules", params={"state": "paused"})) == ["weekly"]
    assert (await operator.post(f"{PLANS}/weekly/resume")).json()["state"] == "active"
    assert (await operator.post(f"{PLANS}/weekly/repair")).json()["state"] == "active"
    for verb in ("run", "pause", "resume", "repair"):
        assert code_of(await operator.post(f"{PLANS}/nope/{verb}")) == (404, "schedule-not-found")


async def test_runs_to_come_are_told_in_two_zones(viewer: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await admin.put(f"{PLANS}/weekly", json=WEEKLY)
    found = (await viewer.get(f"{PLANS}/weekly/next", params={"n": 3, "here": "Asia/Tokyo"})).json()
    assert len(found["runs"]) == 3
    assert (found["runs"][0]["there"][11:16], found["runs"][0]["here"][19:]) == ("09:00", "+09:00")
    assert code_of(await viewer.get(f"{PLANS}/weekly/next?here=Mars")) == (400, "invalid-parameter")


async def test_a_timing_is_tried_before_it_is_anybodys(viewer: httpx.AsyncClient) -> None:
    found = (
        await viewer.post("/schedules/preview", json={"pattern": "30 2 * * *", "tz": "Europe/Oslo", "n": 2})
    ).json()
    assert (found["text"], len(found["runs"])) == ("At 02:30 every day", 2)
    assert len((await viewer.post("/schedules/preview", json={"every_ms": 60_000})).json()["runs"]) == 10
    bad = await viewer.post("/schedules/preview", json={"pattern": "61 * * * *"})
    assert code_of(bad) == (422, "invalid-schedule")
    assert bad.json()["errors"][0]["pointer"] == "/pattern"


async def test_keys_may_have_slashes(admin: httpx.AsyncClient) -> None:
    answer = await admin.put(f"{PLANS}/daily%2Freport", json={"every_ms": 60_000, "job": {"name": "x"}})
    assert answer.json()["id"] == "daily/report"
    assert (await admin.get(answer.headers["location"].removeprefix("/api/v1"))).status_code == 200


async def test_schedules_are_listed_page_by_page(viewer: httpx.AsyncClient, store: Store) -> None:
    plans = [Schedule(key=f"s{n}", queue=QUEUE, name="x", timing=Every(60)) for n in range(5)]
    await store.storage.put_schedules(plans)
    seen: list[str] = []
    params = {"limit": "2"}
    while True:
        page = await viewer.get("/schedules", params=params)
        seen += ids_of(page)
        if page.json()["page"]["next"] is None:
            break
        params["cursor"] = page.json()["page"]["next"]
    assert seen == ["s0", "s1", "s2", "s3", "s4"]
    back = await viewer.get("/schedules", params={"limit": "2", "cursor": page.json()["page"]["prev"]})
    assert ids_of(back) == ["s2", "s3"]
    other = await viewer.get("/schedules", params={"limit": "2", "cursor": params["cursor"], "match": "s*"})
    assert code_of(other) == (400, "invalid-cursor")


async def test_a_flow_is_added_as_a_tree(operator: httpx.AsyncClient, store: Store) -> None:
    text = (
        '{"queue":"mail","name":"send","data":{"amount":1.10},"children":['
        '{"queue":"pdf","name":"render","data":{"page":0.10},"opts":{"attempts":2}},'
        '{"queue":"pdf","name":"render","children":[{"queue":"sync","name":"fetch","on_failure":"continue"}]}]}'
    )
    answer = await operator.post("/flows", content=text, headers={"Content-Type": "application/json"})
    tree = answer.json()
    assert (answer.status_code, len(tree["children"]), tree["children"][1]["children"][0]["name"]) == (201, 2, "fetch")
    job = await operator.get(tree["links"]["self"].removeprefix("/api/v1"))
    assert job.json()["state"] == "waiting-children"
    assert '"data":{"amount":1.10}' in job.text
    found = (await operator.get(tree["links"]["flow"].removeprefix("/api/v1"))).json()
    assert sorted(one["name"] for one in found["children"]) == ["render", "render"]
    [row] = (await operator.get("/flows")).json()["items"]
    assert (row["id"], row["pending"], row["links"]["self"]) == (tree["id"], 4, tree["links"]["flow"])


async def test_flows_that_cannot_be_meant_are_refused(operator: httpx.AsyncClient) -> None:
    for body, pointer in (
        ({"queue": "a", "name": "x", "children": [{"queue": "b"}]}, "/children/0/name"),
        ({"queue": "a", "name": "x", "children": [{"queue": "b", "name": "a:b"}]}, "/children/0/name"),
        ({"queue": "a", "name": "x", "on_failure": "panic"}, "/on_failure"),
    ):
        answer = await operator.post("/flows", json=body)
        assert code_of(answer) == (422, "validation-failed"), body
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_the_failed_jobs_of_a_flow_are_run_again(operator: httpx.AsyncClient, store: Store) -> None:
    tree = {"queue": "top", "name": "t", "children": [{"queue": QUEUE, "name": "k", "on_failure": "wait"}]}
    made = (await operator.post("/flows", json=tree)).json()
    path = f"/flows/top/{made['id']}/retry"
    assert code_of(await operator.post(path)) == (409, "job-not-retryable")
    failed = await store.end(Failed(reason="no"))
    answer = await operator.post(path, json={"only": "failed"})
    assert answer.status_code == 202
    assert (await finished(operator, answer.json()["id"]))["done"] == 1
    [job] = await store.storage.get(QUEUE, [failed])
    assert job is not None
    assert not job.state.finished
    assert code_of(await operator.post(path, json={"only": "some"})) == (422, "validation-failed")
    assert code_of(await operator.post("/flows/top/nope/retry")) == (404, "job-not-found")


async def test_a_job_shows_what_is_below_it(viewer: httpx.AsyncClient, store: Store) -> None:
    [top] = await store.add("top", children=1)
    [kid] = await store.add("kid", queue="other", parent=ParentRef(QUEUE, top))
    await store.end(Completed(result='{"pages":3}'), queue="other")
    found = (await viewer.get(f"/queues/{QUEUE}/jobs/{top}/flow")).json()
    assert [(one["queue"], one["id"], one["state"]) for one in found["children"]] == [("other", kid, "completed")]
    shown = (await viewer.get(f"/queues/other/jobs/{kid}")).json()
    assert (shown["parent"], shown["on_failure"]) == ({"queue": QUEUE, "id": top}, "wait")
