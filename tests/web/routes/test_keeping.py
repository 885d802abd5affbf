"""Operations, the audit log, tokens, the system."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx

from tests.web.conftest import BASE, make_client
from tests.web.routes.conftest import QUEUE, Store, code_of, ids_of
from tests.web.routes.test_bulk import finished

LATER = (datetime.now(UTC) + timedelta(days=7)).isoformat()


async def test_operations_are_listed_and_looked_at(operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    made = [(await operator.post(f"/queues/{QUEUE}/retry")).json()["id"] for _ in range(3)]
    for one in made:
        await finished(operator, one)
    assert ids_of(await operator.get("/operations", params={"limit": 2})) == made[:0:-1]
    assert ids_of(await operator.get("/operations", params={"state": "done"})) == made[::-1]
    assert code_of(await operator.get("/operations/nope")) == (404, "operation-not-found")
    assert code_of(await operator.get("/operations?state=bored")) == (400, "invalid-parameter")


async def test_an_operation_is_aborted(viewer: httpx.AsyncClient, operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    made = (await operator.post(f"/queues/{QUEUE}/retry")).json()["id"]
    assert code_of(await viewer.post(f"/operations/{made}/abort")) == (403, "forbidden")
    answer = await operator.post(f"/operations/{made}/abort", json={"reason": "never mind"})
    assert answer.status_code == 200
    assert (await finished(operator, made))["state"] in ("aborted", "done")
    assert code_of(await operator.post("/operations/nope/abort")) == (404, "operation-not-found")


async def test_an_operation_that_is_sent_twice_with_one_key_is_one(operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    headers = {"Idempotency-Key": "op-1"}
    first, again = [await operator.post(f"/queues/{QUEUE}/retry", headers=headers) for _ in range(2)]
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_the_audit_log_is_read_page_by_page(
    operator: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    await store.add("x")
    for verb in ("pause", "resume", "pause"):
        await operator.post(f"/queues/{QUEUE}/{verb}", json={"reason": f"to {verb}"})
    first = await admin.get("/audit", params={"action": "queue.*", "limit": 2})
    assert [one["action"] for one in first.json()["items"]] == ["queue.pause", "queue.resume"]
    cursor = first.json()["page"]["next"]
    rest = await admin.get("/audit", params={"action": "queue.*", "limit": 2, "cursor": cursor})
    assert [(one["action"], one["reason"]) for one in rest.json()["items"]] == [("queue.pause", "to pause")]
    other = await admin.get("/audit", params={"action": "job.*", "limit": 2, "cursor": cursor})
    assert code_of(other) == (400, "invalid-cursor")
    for query in ("actor=nobody", "queue=other", "to=1h", "job=7", "from=2099-01-01T00:00:00Z"):
        assert (await admin.get(f"/audit?{query}")).json()["items"] == [], query
    assert (await admin.get("/audit?actor=operator&from=1h&format=csv")).text.count("queue.pause") == 2
    assert code_of(await operator.get("/audit")) == (403, "forbidden")


async def test_a_token_is_made_used_and_revoked(
    app: object, admin: httpx.AsyncClient, operator: httpx.AsyncClient, store: Store
) -> None:
    await store.add("x")
    body = {"name": "ci", "role": "operator", "queues": ["mail*"], "expires_at": LATER}
    made = await admin.post("/tokens", json=body)
    assert (made.status_code, made.json()["queues"], made.headers["cache-control"]) == (201, ["mail*"], "no-store")
    token = made.json()["token"]
    [listed] = (await admin.get("/tokens")).json()["items"]
    assert (listed["name"], token in str(listed)) == ("ci", False)
    async with make_client(app, token) as client:  # type: ignore[arg-type]  # the application under test
        assert (await client.get("/me")).json()["roles"] == ["operator"]
        assert (await admin.delete(f"/tokens/{listed['id']}")).status_code == 204
        assert code_of(await client.get("/me"))[0] == 401
    assert code_of(await admin.delete(f"/tokens/{listed['id']}")) == (404, "token-not-found")
    assert code_of(await operator.post("/tokens", json=body)) == (403, "forbidden")


async def test_tokens_that_cannot_be_meant_are_refused(admin: httpx.AsyncClient) -> None:
    wrong: list[dict[str, object]] = [
        {"role": "king"},
        {"queues": []},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"name": ""},
    ]
    for more in wrong:
        answer = await admin.post("/tokens", json={"name": "ci", "role": "viewer", **more})
        assert code_of(answer) == (422, "validation-failed"), more


async def test_the_system_is_for_admins(admin: httpx.AsyncClient, operator: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    for path in ("/system", "/system/doctor", "/system/storage", "/config"):
        assert (await admin.get(path)).status_code == 200, path
        assert code_of(await operator.get(path)) == (403, "forbidden")
    system = (await admin.get("/system")).json()
    assert (system["queues"], system["jobs"], system["engine"]["kind"] in ("sqlite", "redis")) == (1, 1, True)
    assert (await admin.get("/system/storage")).json()["queues"][0]["name"] == QUEUE


async def test_the_doctor_names_what_is_wrong(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    found = (await admin.get("/system/doctor")).json()
    assert "worker" in [one["check"] for one in found["items"] if one["verdict"] == "failed"]
    only = (await admin.get("/system/doctor?only=D17,schedules")).json()
    assert {one["code"] for one in only["items"]} <= {"D17", "D18"}
    assert code_of(await admin.get("/system/doctor?only=D99")) == (400, "invalid-parameter")
    assert (await admin.post("/system/doctor/fix", json={"only": ["schedules"]})).json() == {"items": []}
    assert code_of(await admin.post("/system/doctor/fix", json={"only": ["D99"]})) == (422, "validation-failed")


async def test_settings_are_shown_without_secrets(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/config")
    assert answer.json()["items"]["tokens"] == "••••"
    assert "token-of-the-tests" not in answer.text


async def test_many_requests_at_once_disagree_about_nothing(operator: httpx.AsyncClient, store: Store) -> None:
    await store.add(*["x"] * 20)
    answers = await asyncio.gather(*(operator.get(f"/queues/{QUEUE}/jobs", params={"limit": 20}) for _ in range(10)))
    assert {len(answer.json()["items"]) for answer in answers} == {20}
    assert BASE == "/api/v1"
