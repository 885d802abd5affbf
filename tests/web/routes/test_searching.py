"""Searches in the background over HTTP: an operation with results, for whoever may see them."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from corral.http import create_app
from corral.storage.port import Storage
from tests.web.conftest import make_client, make_settings
from tests.web.routes.conftest import Store, code_of
from tests.web.routes.test_bulk import finished


async def search(client: httpx.AsyncClient, q: str, **more: object) -> dict[str, object]:
    """The operation, once it has ended."""
    answer = await client.post("/jobs/search", json={"q": q, "background": True, **more})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["links"]["self"]
    return await finished(client, answer.json()["id"])


async def results(client: httpx.AsyncClient, operation: object, query: str = "") -> httpx.Response:
    return await client.get(f"/operations/{operation}/results{query}")


async def test_a_search_in_the_background_is_an_operation_with_results(viewer: httpx.AsyncClient, store: Store) -> None:
    jobs = [await store.failed() for _ in range(3)]
    await store.add("other")
    ended = await search(viewer, "state:failed error:~timed")
    assert (ended["action"], ended["state"], ended["total"], ended["capped"]) == ("search", "done", 3, False)
    assert (ended["examined"], ended["candidates"]) == (3, 3)
    first = (await results(viewer, ended["id"], "?limit=2")).json()
    assert [one["id"] for one in first["items"]] == jobs[::-1][:2]
    assert (first["total"], first["expired"]) == ({"value": 3, "relation": "eq"}, False)
    second = await results(viewer, ended["id"], f"?limit=2&cursor={first['page']['next']}")
    assert [one["id"] for one in second.json()["items"]] == jobs[:1]
    assert second.json()["page"]["next"] is None


async def test_results_show_the_jobs_as_they_are_now(admin: httpx.AsyncClient, store: Store) -> None:
    kept, gone = await store.failed(), await store.failed()
    ended = await search(admin, "state:failed")
    await admin.delete(f"/queues/mail/jobs/{gone}", headers={"If-Match": "*"})
    await admin.post(f"/queues/mail/jobs/{kept}/retry")
    found = (await results(admin, ended["id"])).json()
    assert [(one["id"], one["state"]) for one in found["items"]] == [(kept, "waiting")]
    assert found["total"]["value"] == 2


async def test_results_also_come_as_a_sheet(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    ended = await search(viewer, "state:failed", max=1)
    sheet = await results(viewer, ended["id"], "?format=csv&fields=id,state")
    assert sheet.text.splitlines()[0] == "id,state"


async def test_an_operation_that_is_no_search_has_no_results(operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    made = (await operator.post("/queues/mail/retry", json={"state": "failed"})).json()
    assert code_of(await results(operator, made["id"])) == (404, "operation-not-found")
    assert code_of(await results(operator, "op_none")) == (404, "operation-not-found")
    assert "results" not in made["links"]


@pytest.mark.parametrize("cursor", ["x", "eyJtYXJrIjoiIn0"])
async def test_a_cursor_of_something_else_is_refused(viewer: httpx.AsyncClient, store: Store, cursor: str) -> None:
    await store.failed()
    ended = await search(viewer, "state:failed")
    assert code_of(await results(viewer, ended["id"], f"?cursor={cursor}")) == (400, "invalid-cursor")


async def test_what_cannot_be_searched_is_refused(viewer: httpx.AsyncClient, producer: httpx.AsyncClient) -> None:
    async def tried(client: httpx.AsyncClient, **body: object) -> tuple[int, str]:
        return code_of(await client.post("/jobs/search", json={"background": True, **body}))

    assert await tried(viewer, q="colour:red") == (400, "invalid-query")
    assert await tried(viewer, q="data.password:x") == (403, "redacted-field")
    assert await tried(viewer, q="", cursor="abc") == (422, "validation-failed")
    assert await tried(viewer, q="", max=20_001) == (422, "validation-failed")
    assert await tried(producer, q="") == (403, "forbidden")


async def test_what_somebody_found_who_may_see_what_is_hidden_tells_nobody_else(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, store: Store
) -> None:
    await store.add("x", data='{"password":"hunter2"}')
    ended = await search(admin, "data.password:hunter2")
    assert ended["total"] == 1
    assert code_of(await results(viewer, ended["id"])) == (403, "forbidden")
    assert (await results(admin, ended["id"])).json()["items"][0]["name"] == "x"


async def test_a_token_for_some_queues_finds_and_sees_only_those(
    storage: Storage, store: Store, client_of: Callable[[str | None], httpx.AsyncClient]
) -> None:
    await store.failed(queue="mail")
    await store.failed(queue="secret")
    admin = client_of("admin")
    token = (await admin.post("/tokens", json={"name": "m", "role": "viewer", "queues": ["mail*"]})).json()["token"]
    everything = await search(admin, "state:failed")
    app: FastAPI = create_app(storage, settings=make_settings())
    async with make_client(app, token) as some:
        await app.state.corral.open()
        ended = await search(some, "state:failed")
        assert [one["queue"] for one in (await results(some, ended["id"])).json()["items"]] == ["mail"]
        assert code_of(await results(some, everything["id"])) == (404, "operation-not-found")
    await app.state.corral.close()


async def test_searches_in_the_background_are_counted_as_dear_requests(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(rate_limits=True, bulk_rate="2/min"))
    await app.state.corral.open()
    async with make_client(app, "viewer-token-of-the-tests") as client:
        codes = [(await client.post("/jobs/search", json={"q": "", "background": True})).status_code for _ in range(3)]
        assert codes == [202, 202, 429]
        assert (await client.post("/jobs/search", json={"q": ""})).status_code == 200, "searches at once still pass"
    await app.state.corral.close()


# -- the index of tags and traces --------------------------------------------------------------------------------------


async def test_the_index_is_made_anew_by_an_operation(admin: httpx.AsyncClient, store: Store) -> None:
    await store.completed()
    answer = await admin.post("/system/index/rebuild", json={"reason": "a slow search"})
    assert answer.status_code == 202
    ended = await finished(admin, answer.json()["id"])
    assert (ended["action"], ended["state"], ended["done"], ended["total"]) == ("index", "done", 1, 1)
    assert (ended["examined"], ended["reason"]) == (1, "a slow search")
    found = (await admin.get("/jobs?q=tag:anything")).json()
    assert (found["items"], found["scan"]["strategy"], found["scan"]["complete"]) == ([], "index:tag", True)


async def test_who_may_see_some_queues_makes_the_index_of_those(
    storage: Storage, store: Store, admin: httpx.AsyncClient
) -> None:
    await store.completed(queue="mail")
    await store.completed(queue="secret")
    token = (await admin.post("/tokens", json={"name": "m", "role": "admin", "queues": ["mail*"]})).json()["token"]
    app = create_app(storage, settings=make_settings())
    await app.state.corral.open()
    async with make_client(app, token) as some:
        assert code_of(await some.post("/system/index/rebuild")) == (403, "forbidden")
        assert code_of(await some.post("/system/index/rebuild", json={"queue": "secret"})) == (404, "queue-not-found")
        made = await some.post("/system/index/rebuild", json={"queue": "mail"})
        assert (await finished(some, made.json()["id"]))["state"] == "done"
    await app.state.corral.close()


async def test_the_index_of_a_queue_that_is_none_cannot_be_made(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/system/index/rebuild", json={"queue": "nowhere"})
    assert code_of(answer) == (404, "queue-not-found")
