"""Adding jobs through the API."""

import asyncio

import httpx
import pytest

from corral.event import EventType
from corral.outcome import Completed
from tests.web.routes.conftest import QUEUE, Store, code_of, ids_of

JOBS = f"/queues/{QUEUE}/jobs"


async def test_a_job_is_added(operator: httpx.AsyncClient) -> None:
    answer = await operator.post(JOBS, json={"name": "welcome", "data": {"to": "ana"}})
    job = answer.json()
    assert (answer.status_code, job["state"], job["data"]) == (201, "waiting", {"to": "ana"})
    assert answer.headers["location"] == f"/api/v1{JOBS}/{job['id']}"
    assert (await operator.get(f"{JOBS}/{job['id']}")).headers["etag"] == answer.headers["etag"]


async def test_payloads_are_stored_as_they_are_sent(admin: httpx.AsyncClient) -> None:
    text = '{"a": 1.10, "b": 12345678901234567890123, "c": [0.1000000000000000055, 1E400], "d": "ü\\u20ac"}'
    answer = await admin.post(
        JOBS, content=f'{{"name": "x", "data": {text}}}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (201, 422), answer.text
    exact = '{"a":1.10,"b":12345678901234567890123,"c":[0.1000000000000000055]}'
    answer = await admin.post(
        JOBS, content=f'{{"name":"x","data":{exact}}}', headers={"Content-Type": "application/json"}
    )
    assert (await admin.get(f"{JOBS}/{answer.json()['id']}/payload")).text == exact


async def test_options_are_taken_over(operator: httpx.AsyncClient) -> None:
    opts = {
        "id": "order-7", "delay_ms": 60_000, "priority": 5, "attempts": 4, "timeout_ms": 1_500, "tags": ["tenant-42"],
        "backoff": {"type": "exponential", "delay_ms": 2_000}, "keep_completed": {"count": 5, "age_ms": 60_000},
        "dedup": {"id": "order-7", "ttl_ms": 5_000}, "group": "acme",
    }  # fmt: skip
    job = (await operator.post(JOBS, json={"name": "x", "opts": opts})).json()
    assert (job["id"], job["state"], job["priority"], job["attempts_max"]) == ("order-7", "delayed", 5, 4)
    assert (job["tags"], job["group"], job["dedup"], job["timeout_ms"]) == (["tenant-42"], "acme", "order-7", 1_500)
    assert (job["opts"]["backoff"]["type"], job["opts"]["backoff"]["delay"]) == ("exponential", 2.0)


async def test_what_cannot_be_meant_is_refused_with_a_pointer(operator: httpx.AsyncClient) -> None:
    for body, pointer in (
        ({"data": {}}, "/name"),
        ({"name": "x", "opts": {"attempts": 0}}, "/opts/attempts"),
        ({"name": "x", "opts": {"atempts": 1}}, "/opts/atempts"),
        ({"name": "x", "opts": {"id": "wait"}}, "/opts/id"),
        ({"name": "a:b"}, "/name"),
        ({"name": "x", "opts": {"delay_ms": 5, "run_at": "2030-01-01T00:00:00Z"}}, "/opts/delay_ms"),
        ({"name": "x", "opts": {"run_at": "2030-01-01T00:00:00"}}, "/opts/run_at"),
    ):
        answer = await operator.post(JOBS, json=body)
        assert code_of(answer) == (422, "validation-failed"), body
        assert pointer in [one["pointer"] for one in answer.json()["errors"]], answer.text


async def test_bodies_that_are_no_json_are_refused(operator: httpx.AsyncClient) -> None:
    for text in ("{", '{"name": "x", "data": NaN}', '{"name": "x", "data": Infinity}'):
        answer = await operator.post(JOBS, content=text, headers={"Content-Type": "application/json"})
        assert code_of(answer) == (400, "invalid-json"), text


async def test_half_a_character_is_refused(operator: httpx.AsyncClient) -> None:
    text = '{"name": "x", "data": {"a": "\\ud800"}}'
    answer = await operator.post(JOBS, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


async def test_an_id_that_is_there_already_is_answered_with_that_job(operator: httpx.AsyncClient) -> None:
    body = {"name": "x", "data": {"n": 1}, "opts": {"id": "order-7"}}
    assert (await operator.post(JOBS, json=body)).status_code == 201
    again = await operator.post(JOBS, json={**body, "data": {"n": 2}})
    assert (again.status_code, again.json()["deduplicated"], again.json()["data"]) == (200, True, {"n": 1})


async def test_an_array_is_added_in_one_step(operator: httpx.AsyncClient) -> None:
    answer = await operator.post(JOBS, json=[{"name": "a"}, {"name": "b", "opts": {"id": "b-1"}}])
    items = answer.json()["items"]
    assert (answer.status_code, [one["name"] for one in items], items[1]["id"]) == (201, ["a", "b"], "b-1")
    refused = await operator.post(JOBS, json=[{"name": "c"}, {"name": "d", "opts": {"priority": -1}}])
    assert refused.json()["errors"][0]["pointer"] == "/1/opts/priority"
    assert len(ids_of(await operator.get(JOBS))) == 2


async def test_arrays_have_bounds(operator: httpx.AsyncClient) -> None:
    assert code_of(await operator.post(JOBS, json=[])) == (422, "validation-failed")
    assert code_of(await operator.post(JOBS, json=[{"name": "x"}] * 1_001)) == (422, "validation-failed")


@pytest.mark.mission("M-TS-51")
async def test_a_producer_may_add_and_sees_only_their_own(producer: httpx.AsyncClient, store: Store) -> None:
    [other] = await store.add("x", id="somebody-elses")
    mine = (await producer.post(JOBS, json={"name": "mine"})).json()["id"]
    assert ids_of(await producer.get(JOBS)) == [mine]
    assert ids_of(await producer.get("/jobs")) == [mine]
    assert (await producer.get(f"{JOBS}/{mine}")).status_code == 200
    for path in ("", "/state", "/result", "/payload", "/logs", "/attempts", "/why", "/flow"):
        assert code_of(await producer.get(f"{JOBS}/{other}{path}")) == (404, "job-not-found"), path
    assert other not in (await producer.get("/jobs/export")).text
    assert code_of(await producer.get("/failures")) == (403, "forbidden")


async def test_whoever_prefers_waits_for_the_end(operator: httpx.AsyncClient, store: Store) -> None:
    body = {"name": "x", "opts": {"id": "wait-for-me"}}
    adding = asyncio.create_task(operator.post(JOBS, json=body, headers={"Prefer": "respond-async, wait=60"}))
    async with asyncio.timeout(30):
        await store.told(EventType.ADDED)
        await store.end(Completed(result='{"ok":true}'))
        answer = await adding
    assert (answer.status_code, answer.json()["state"], answer.json()["result"]) == (200, "completed", {"ok": True})
    assert answer.headers["preference-applied"] == "wait=60"


async def test_a_job_that_does_not_end_in_time_is_answered_all_the_same(operator: httpx.AsyncClient) -> None:
    answer = await operator.post(JOBS, json={"name": "x"}, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")


async def test_a_request_that_is_sent_twice_adds_one_job(operator: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "abc-1"}
    body = {"name": "x", "data": {"secret": "s3cret"}}
    first = await operator.post(JOBS, json=body, headers=headers)
    again = await operator.post(JOBS, json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert (again.headers["idempotency-replayed"], again.headers["location"]) == ("true", first.headers["location"])
    assert again.json()["data"] is None
    assert len(ids_of(await operator.get(JOBS))) == 1


async def test_a_key_belongs_to_one_request_and_one_caller(
    operator: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "abc-1"}
    await operator.post(JOBS, json={"name": "x"}, headers=headers)
    other = await operator.post(JOBS, json={"name": "y"}, headers=headers)
    assert code_of(other) == (422, "idempotency-mismatch")
    assert (await admin.post(JOBS, json={"name": "y"}, headers=headers)).status_code == 201
    in_body = await operator.post(JOBS, json={"name": "x", "idempotency": "abc-1"})
    assert code_of(in_body) == (422, "idempotency-mismatch")
    too_long = await operator.post(JOBS, json={"name": "x"}, headers={"Idempotency-Key": "k" * 129})
    assert code_of(too_long) == (400, "invalid-parameter")


async def test_a_refused_request_may_be_sent_again_with_its_key(operator: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "abc-1"}
    refused = await operator.post(JOBS, json={"name": "a:b"}, headers=headers)
    assert refused.status_code == 422
    again = await operator.post(JOBS, json={"name": "ab"}, headers=headers)
    assert again.status_code == 201


async def test_the_same_request_in_flight_is_told_so(operator: httpx.AsyncClient, store: Store) -> None:
    headers = {"Idempotency-Key": "abc-1", "Prefer": "wait=60"}
    body = {"name": "x", "opts": {"id": "slow"}}
    first = asyncio.create_task(operator.post(JOBS, json=body, headers=headers))
    async with asyncio.timeout(30):
        await store.told(EventType.ADDED)
        assert code_of(await operator.post(JOBS, json=body, headers=headers)) == (409, "idempotency-in-flight")
        await store.end(Completed(result="1"))
        assert (await first).status_code == 200
