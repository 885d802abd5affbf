"""One verb for many jobs, and exports."""

import csv
import io
import json

import httpx

from tests.web.routes.conftest import QUEUE, Store, code_of


def picked(*ids: str, queue: str = QUEUE) -> dict[str, object]:
    """A selection of single jobs."""
    return {"ids": [{"queue": queue, "id": one} for one in ids]}


async def finished(client: httpx.AsyncClient, operation: str) -> dict[str, object]:
    """The operation, once it has ended."""
    while True:
        found: dict[str, object] = (await client.get(f"/operations/{operation}")).json()
        if found["state"] in ("done", "aborted", "failed"):
            return found


async def test_a_dry_run_counts_and_names_some(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    await store.add("x")
    found = await operator.post("/jobs/bulk", json={"action": "retry", "select": {"q": "queue:mail"}, "dry_run": True})
    assert found.json() == {"count": 1, "exact": True, "sample": [{"queue": QUEUE, "id": job}]}


async def test_a_few_jobs_are_done_at_once_and_each_is_told_of(operator: httpx.AsyncClient, store: Store) -> None:
    failed = [await store.failed(), await store.failed()]
    [waiting] = await store.add("x")
    select = picked(*failed, waiting, "nope")
    answer = await operator.post("/jobs/bulk", json={"action": "retry", "select": select, "reason": "back"})
    assert answer.status_code == 200
    assert {one["id"] for one in answer.json()["done"]} == set(failed)
    problems = {one["id"]: one["problem"]["code"] for one in answer.json()["failed"]}
    assert problems == {waiting: "job-not-retryable", "nope": "job-not-found"}


async def test_each_verb_is_there_for_many(admin: httpx.AsyncClient, store: Store) -> None:
    [a, b] = await store.add("x", "y", delay_ms=600_000)
    for action, more in (("edit_priority", {"value": 4}), ("promote", {}), ("cancel", {}), ("remove", {})):
        answer = await admin.post("/jobs/bulk", json={"action": action, "select": picked(a, b), **more})
        assert (answer.status_code, len(answer.json()["done"])) == (200, 2), answer.text


async def test_what_a_search_finds_is_done(operator: httpx.AsyncClient, store: Store) -> None:
    for queue in ("mail", "mail", "other"):
        await store.failed(queue=queue)
    answer = await operator.post("/jobs/bulk", json={"action": "retry", "select": {"q": "queue:mail"}, "expect": 2})
    assert (answer.status_code, len(answer.json()["done"])) == (200, 2)


async def test_another_number_than_expected_stops_it(operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    answer = await operator.post("/jobs/bulk", json={"action": "retry", "select": {"q": "queue:mail"}, "expect": 7})
    assert code_of(answer) == (409, "selection-changed")
    assert (answer.json()["expected"], answer.json()["found"]) == (7, 1)
    assert (await operator.get("/jobs", params={"q": "state:failed"})).json()["items"] != []


async def test_more_than_a_hundred_become_an_operation(operator: httpx.AsyncClient, store: Store) -> None:
    ids = await store.add(*["x"] * 101, delay_ms=600_000)
    answer = await operator.post("/jobs/bulk", json={"action": "promote", "select": picked(*ids)})
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["links"]["self"]
    ended = await finished(operator, answer.json()["id"])
    assert (ended["state"], ended["done"], ended["by"]) == ("done", 101, "operator")


async def test_a_whole_queue_is_retried_by_an_operation(operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    answer = await operator.post(f"/queues/{QUEUE}/retry", json={"state": "failed"})
    assert answer.status_code == 202
    assert (await finished(operator, answer.json()["id"]))["done"] == 1
    await store.add("x", delay_ms=600_000)
    answer = await operator.post(f"/queues/{QUEUE}/promote")
    assert (await finished(operator, answer.json()["id"]))["done"] == 1


async def test_selections_that_cannot_be_meant_are_refused(operator: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    for body, status, code in (
        ({"action": "retry", "select": {}}, 422, "validation-failed"),
        ({"action": "retry", "select": {"ids": []}}, 422, "validation-failed"),
        ({"action": "retry", "select": {"q": "", "ids": [{"queue": "a", "id": "b"}]}}, 422, "validation-failed"),
        ({"action": "explode", "select": {"q": ""}}, 422, "validation-failed"),
        ({"action": "edit_priority", "select": {"q": ""}}, 422, "validation-failed"),
        ({"action": "retry", "select": {"q": "colour:red"}}, 400, "invalid-query"),
        ({"action": "retry", "select": {"q": "data.token:abc"}, "dry_run": True}, 403, "redacted-field"),
        ({"action": "retry", "select": {"q": "", "max": 0}}, 422, "validation-failed"),
    ):
        assert code_of(await operator.post("/jobs/bulk", json=body)) == (status, code), body


async def test_the_verb_decides_who_may(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient, producer: httpx.AsyncClient, store: Store
) -> None:
    job = await store.failed()
    remove = {"action": "remove", "select": picked(job)}
    assert code_of(await viewer.post("/jobs/bulk", json={**remove, "action": "retry"})) == (403, "forbidden")
    assert code_of(await operator.post("/jobs/bulk", json=remove)) == (403, "forbidden")
    assert code_of(await producer.post("/jobs/bulk", json={**remove, "action": "cancel"})) == (403, "forbidden")


async def test_a_bulk_that_is_sent_twice_with_one_key_happens_once(operator: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    body, headers = {"action": "retry", "select": picked(job)}, {"Idempotency-Key": "bulk-1"}
    first = await operator.post("/jobs/bulk", json=body, headers=headers)
    again = await operator.post("/jobs/bulk", json=body, headers=headers)
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")


async def test_an_export_has_every_job(viewer: httpx.AsyncClient, store: Store) -> None:
    ids = await store.add(*["x"] * 230, data='{"n":1.10,"token":"abc"}')
    text = (await viewer.get("/jobs/export", params={"include": "data", "fields": "id"})).text
    rows = [json.loads(line) for line in text.splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert text.splitlines()[0].endswith('"data":{"n":1.10,"token":"••••"}}')
    document = (await viewer.get("/jobs/export", params={"format": "json", "fields": "id"})).json()
    assert len(document) == 230


async def test_an_export_is_noted(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await admin.get("/jobs/export", params={"q": "state:waiting data.token:abc"})
    [noted] = (await admin.get("/audit", params={"action": "job.export"})).json()["items"]
    assert noted["query"] == "state:waiting data.token:••••"


async def test_an_export_that_cannot_be_is_refused_before_anything_is_sent(viewer: httpx.AsyncClient) -> None:
    assert code_of(await viewer.get("/jobs/export", params={"q": "colour:red"})) == (400, "invalid-query")
    assert code_of(await viewer.get("/jobs/export", params={"include": "secrets"})) == (400, "invalid-parameter")
    assert code_of(await viewer.get("/jobs/export", params={"fields": "colour"})) == (400, "invalid-parameter")
    assert code_of(await viewer.get("/jobs/export", params={"format": "xlsx"})) == (400, "invalid-parameter")


async def test_no_cell_of_a_sheet_is_a_formula(viewer: httpx.AsyncClient, store: Store) -> None:
    for name in ("=1+1", "+1", "-1", "@SUM(A1)"):
        await store.add(name, data='"=cmd|calc"')
    answer = await viewer.get("/jobs/export", params={"format": "csv", "fields": "name,priority", "include": "data"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["name", "priority", "data"]
    assert {row[0] for row in rows[1:]} == {"'=1+1", "'+1", "'-1", "'@SUM(A1)"}
    assert {(row[1], row[2]) for row in rows[1:]} == {("0", "'=cmd|calc")}


async def test_any_list_is_given_as_lines_or_as_a_sheet(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("=x")
    as_lines = await viewer.get("/jobs", headers={"Accept": "application/x-ndjson"}, params={"fields": "name"})
    assert (as_lines.text, as_lines.headers["content-type"]) == ('{"name":"=x"}\n', "application/x-ndjson")
    sheet = await viewer.get("/jobs", headers={"Accept": "text/csv;q=0.9, image/png"}, params={"fields": "name"})
    assert sheet.text == "name\r\n'=x\r\n"
    assert (await viewer.get("/jobs?format=csv&fields=name")).text == sheet.text
    assert code_of(await viewer.get("/jobs", headers={"Accept": "image/png"})) == (406, "not-acceptable")
    for path in ("/queues", "/schedules", "/workers", "/failures", "/flows", "/operations", "/attention", "/marks"):
        answer = await viewer.get(path, headers={"Accept": "text/csv"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8"), path
