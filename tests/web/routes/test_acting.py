"""What is done to one job through the API."""

import httpx

from corral.job import ParentRef
from corral.storage.port import JobPatch
from tests.web.routes.conftest import QUEUE, Store, code_of

JOBS = f"/queues/{QUEUE}/jobs"


async def test_a_failed_job_is_retried(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    answer = await operator.post(f"{JOBS}/{job}/retry", json={"reason": "SMTP is back"})
    assert (answer.status_code, answer.json()["state"], answer.json()["attempts_made"]) == (200, "waiting", 0)


async def test_a_retry_may_keep_the_attempts_that_were_made(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    answer = await operator.post(f"{JOBS}/{job}/retry", json={"reset_attempts": False})
    assert answer.json()["attempts_made"] == 1


async def test_a_retry_may_bring_another_payload(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    answer = await operator.post(
        f"{JOBS}/{job}/retry", content='{"data":{"amount":1.10}}', headers={"Content-Type": "application/json"}
    )
    assert '"data":{"amount":1.10}' in answer.text


async def test_a_payload_with_hidden_values_is_not_sent_back(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    answer = await operator.post(f"{JOBS}/{job}/retry", json={"data": {"token": "••••"}})
    assert code_of(answer) == (403, "redacted-field")


async def test_a_waiting_job_cannot_be_retried(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    answer = await operator.post(f"{JOBS}/{job}/retry")
    assert code_of(answer) == (409, "job-not-retryable")
    assert answer.json()["state"] == "waiting"


async def test_a_retry_that_is_sent_twice_with_one_key_happens_once(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    headers = {"Idempotency-Key": "retry-1"}
    first = await operator.post(f"{JOBS}/{job}/retry", headers=headers)
    again = await operator.post(f"{JOBS}/{job}/retry", headers=headers)
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (200, 200, "true")


async def test_a_job_is_run_again_as_a_new_one(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.completed()
    answer = await operator.post(f"{JOBS}/{job}/rerun", json={"data": {"to": "bob"}, "opts": {"attempts": 7}})
    made = answer.json()
    assert (answer.status_code, made["rerun_of"], made["data"]) == (201, f"{QUEUE}/{job}", {"to": "bob"})
    assert (made["attempts_max"], made["state"]) == (7, "waiting")
    assert answer.headers["location"] == made["links"]["self"]


async def test_a_rerun_may_go_to_another_queue(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.completed()
    made = (await operator.post(f"{JOBS}/{job}/rerun", json={"queue": "other", "name": "again"})).json()
    assert (made["queue"], made["name"]) == ("other", "again")


async def test_a_rerun_takes_over_no_id(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.completed()
    answer = await operator.post(f"{JOBS}/{job}/rerun", json={"opts": {"id": "mine"}})
    assert code_of(answer) == (422, "validation-failed")


async def test_a_delayed_job_is_promoted(operator: httpx.AsyncClient, store: Store) -> None:
    [job, other] = [*await store.add("x", delay_ms=600_000), *await store.add("y")]
    assert (await operator.post(f"{JOBS}/{job}/promote")).json()["state"] == "waiting"
    assert code_of(await operator.post(f"{JOBS}/{other}/promote")) == (409, "job-not-delayed")


async def test_a_waiting_job_that_is_cancelled_fails(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    answer = await operator.post(f"{JOBS}/{job}/cancel", json={"reason": "not wanted"})
    assert (answer.status_code, answer.json()["state"]) == (200, "failed")
    assert "not wanted" in answer.json()["failed_reason"]
    assert code_of(await operator.post(f"{JOBS}/{job}/cancel")) == (409, "job-finished")


async def test_a_running_job_is_told_to_stop(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    await store.start()
    answer = await operator.post(f"{JOBS}/{job}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "active")
    assert code_of(await operator.post(f"{JOBS}/{job}/fail")) == (409, "job-active")


async def test_a_pending_job_is_failed_by_hand(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    assert (await operator.post(f"{JOBS}/{job}/fail", json={"reason": "by hand"})).json()["state"] == "failed"


async def test_a_job_is_edited_over_the_version_that_was_seen(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x", delay_ms=600_000)
    path = f"{JOBS}/{job}"
    assert code_of(await operator.patch(path, json={"priority": 3})) == (428, "precondition-required")
    etag = (await operator.get(path)).headers["etag"]
    await store.storage.update(QUEUE, [JobPatch(job_id=job, priority=9)])
    assert code_of(await operator.patch(path, json={"priority": 3}, headers={"If-Match": etag})) == (
        412,
        "precondition-failed",
    )
    etag = (await operator.get(path)).headers["etag"]
    answer = await operator.patch(
        path,
        content='{"priority":3,"data":{"amount":0.10},"delay_ms":60000}',
        headers={"If-Match": etag, "Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["priority"]) == (200, 3)
    assert '"data":{"amount":0.10}' in answer.text
    assert answer.headers["etag"] != etag


async def test_edits_that_cannot_be_meant_are_refused(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x", delay_ms=600_000)
    any_version = {"If-Match": "*"}
    for body in ({}, {"priority": -1}, {"delay_ms": 1, "run_at": "2030-01-01T00:00:00Z"}, {"colour": "red"}):
        answer = await operator.patch(f"{JOBS}/{job}", json=body, headers=any_version)
        assert code_of(answer) == (422, "validation-failed"), body


async def test_a_running_job_is_not_edited(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    await store.start()
    answer = await operator.patch(f"{JOBS}/{job}", json={"priority": 3}, headers={"If-Match": "*"})
    assert code_of(answer) == (409, "job-active")


async def test_only_an_admin_deletes(operator: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    any_version = {"If-Match": "*"}
    assert code_of(await operator.delete(f"{JOBS}/{job}", headers=any_version)) == (403, "forbidden")
    assert code_of(await admin.delete(f"{JOBS}/{job}")) == (428, "precondition-required")
    assert (await admin.delete(f"{JOBS}/{job}", headers=any_version)).status_code == 204
    assert code_of(await admin.get(f"{JOBS}/{job}")) == (404, "job-not-found")


async def test_a_running_job_is_not_deleted(admin: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    await store.start()
    assert code_of(await admin.delete(f"{JOBS}/{job}", headers={"If-Match": "*"})) == (409, "job-locked")


async def test_a_job_is_deleted_with_all_below_it(admin: httpx.AsyncClient, store: Store) -> None:
    [top] = await store.add("top", id="top", children=1)
    [kid] = await store.add("kid", queue="other", id="kid", parent=ParentRef(QUEUE, top))
    answer = await admin.delete(f"{JOBS}/{top}?children=true", headers={"If-Match": "*"})
    assert answer.status_code == 204, answer.text
    assert code_of(await admin.get(f"/queues/other/jobs/{kid}")) == (404, "job-not-found")


async def test_each_change_stands_in_the_audit_log(
    operator: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    job = await store.failed()
    await operator.post(f"{JOBS}/{job}/retry", headers={"Corral-Reason": "SMTP is back", "X-Request-Id": "r-1"})
    await operator.post(f"{JOBS}/{job}/retry")
    [refused, done] = (await admin.get("/audit", params={"job": job})).json()["items"]
    assert (done["action"], done["outcome"], done["reason"], done["actor"]["sub"]) == (
        "job.retry",
        "ok",
        "SMTP is back",
        "operator",
    )
    assert (refused["outcome"], refused["problem"], done["request_id"]) == ("refused", "job-not-retryable", "r-1")
