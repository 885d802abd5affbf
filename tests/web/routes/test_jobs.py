"""Jobs through the API: lists, searches, one job, its texts, its end."""

import asyncio

import httpx
import pytest

from corral.http.home import Api
from corral.monitor import search
from corral.options import JobOptions
from corral.outcome import Completed, Retried
from corral.storage.port import JobPatch
from tests.web.routes.conftest import QUEUE, TIMEOUT, Store, code_of, ids_of


async def test_jobs_are_listed_page_by_page(viewer: httpx.AsyncClient, store: Store) -> None:
    ids = await store.add(*["x"] * 5)
    first = await viewer.get(f"/queues/{QUEUE}/jobs", params={"state": "waiting", "limit": 2})
    cursor = first.json()["page"]["next"]
    assert first.headers["link"] == f'<?state=waiting&limit=2&cursor={cursor.replace("=", "%3D")}>; rel="next"'
    assert first.json()["total"] == {"value": 5, "relation": "eq"}
    seen = ids_of(first)
    while cursor is not None:
        page = await viewer.get(f"/queues/{QUEUE}/jobs", params={"state": "waiting", "limit": 2, "cursor": cursor})
        seen += ids_of(page)
        cursor = page.json()["page"]["next"]
    assert sorted(seen) == sorted(ids)


async def test_jobs_that_are_added_meanwhile_hide_no_others(viewer: httpx.AsyncClient, store: Store) -> None:
    done = [await store.completed() for _ in range(4)]
    first = await viewer.get(f"/queues/{QUEUE}/jobs", params={"state": "completed", "limit": 2})
    await store.completed()
    cursor = first.json()["page"]["next"]
    second = await viewer.get(f"/queues/{QUEUE}/jobs", params={"state": "completed", "limit": 2, "cursor": cursor})
    assert ids_of(first) + ids_of(second) == done[::-1]


async def test_a_cursor_of_another_search_is_refused(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add(*["x"] * 3)
    cursor = (await viewer.get("/jobs", params={"q": "state:waiting", "limit": 1})).json()["page"]["next"]
    assert code_of(await viewer.get("/jobs", params={"q": "state:failed", "cursor": cursor})) == (400, "invalid-cursor")
    assert code_of(await viewer.get("/jobs", params={"cursor": "made up"})) == (400, "invalid-cursor")
    assert code_of(await viewer.get("/jobs", params={"q": "colour:red", "cursor": cursor})) == (400, "invalid-query")


async def test_limits_have_bounds(viewer: httpx.AsyncClient, store: Store) -> None:
    for limit in ("0", "501", "many"):
        answer = await viewer.get("/jobs", params={"limit": limit})
        assert code_of(answer) == (400, "invalid-parameter")
        assert answer.json()["errors"][0]["pointer"] == "/query/limit"


async def test_a_search_that_cannot_be_read_says_where(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.get("/jobs", params={"q": "state:failed colur:red"})
    assert code_of(answer) == (400, "invalid-query")
    assert answer.json()["position"] == 13


async def test_searches_go_over_all_queues_and_say_how_far_they_looked(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.failed(queue="mail")
    await store.failed(queue="report")
    await store.add("x")
    found = (await viewer.get("/jobs", params={"q": 'state:failed error:~"timed out"'})).json()
    assert {one["queue"] for one in found["items"]} == {"mail", "report"}
    assert found["scan"]["complete"] is True
    by_body = await viewer.post("/jobs/search", json={"q": "state:failed queue:report"})
    assert [one["queue"] for one in by_body.json()["items"]] == ["report"]


async def test_items_are_trimmed_to_the_fields_that_are_asked_for(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    found = (await viewer.get("/jobs", params={"fields": "id,state"})).json()
    assert found["items"] == [{"id": job, "state": "waiting"}]
    assert code_of(await viewer.get("/jobs?fields=id,colour")) == (400, "invalid-parameter")


async def test_states_and_orders_that_cannot_be_had_are_refused(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    path = f"/queues/{QUEUE}/jobs"
    assert code_of(await viewer.get(path, params={"state": "sleeping"})) == (400, "invalid-parameter")
    assert code_of(await viewer.get(path, params={"sort": "duration", "state": "failed"})) == (400, "invalid-parameter")
    assert (await viewer.get(path, params={"sort": "-finished", "state": "failed"})).status_code == 200


async def test_counting_can_be_left_out(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    found = (await viewer.get("/jobs", params={"count": "none"})).json()
    assert found["total"] == {"value": None, "relation": "unknown"}


async def test_a_search_that_was_complete_knows_its_total(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await store.add("y")
    found = (await viewer.get("/jobs", params={"q": "name:x", "limit": "10"})).json()
    assert (len(found["items"]), found["total"]) == (1, {"value": 1, "relation": "eq"})


async def test_a_job_comes_with_what_may_be_done_with_it(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    job = await store.failed()
    path = f"/queues/{QUEUE}/jobs/{job}"
    assert (await viewer.get(path)).json()["actions"] == []
    assert (await operator.get(path)).json()["actions"] == ["retry", "rerun", "log"]
    assert (await admin.get(path)).json()["actions"] == ["retry", "remove", "rerun", "log"]


async def test_numbers_in_payloads_and_results_stay_as_they_are(viewer: httpx.AsyncClient, store: Store) -> None:
    text = '{"a":1.10,"b":12345678901234567890123,"c":0.1000000000000000055511151231257827}'
    await store.add("x", data=text)
    job = await store.end(Completed(result='{"total":3.10}'))
    answer = await viewer.get(f"/queues/{QUEUE}/jobs/{job}")
    assert f'"data":{text}' in answer.text
    assert '"result":{"total":3.10}' in answer.text


async def test_what_is_sensitive_is_hidden_unless_it_may_be_seen(
    viewer: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    [job] = await store.add("x", data='{"to":"ana","card":{"number":"4111"},"token":"abc"}',
                            options=JobOptions(sensitive=("card.number",)))  # fmt: skip
    path = f"/queues/{QUEUE}/jobs/{job}"
    hidden = (await viewer.get(path)).json()
    assert hidden["data"] == {"to": "ana", "card": {"number": "••••"}, "token": "••••"}
    assert hidden["redacted"] == ["$.card.number", "$.token"]
    assert "4111" not in hidden["payload_preview"]
    assert "abc" not in (await viewer.get(f"{path}/payload")).text
    shown = (await admin.get(path)).json()
    assert (shown["data"]["token"], shown["redacted"]) == ("abc", [])
    assert (await admin.get(f"{path}/payload")).json()["token"] == "abc"


async def test_a_look_at_what_is_sensitive_is_noted(admin: httpx.AsyncClient, store: Store) -> None:
    [plain, secret] = await store.add("x", "x", data='{"to":"ana"}')
    await store.storage.update(QUEUE, [JobPatch(job_id=secret, data='{"token":"abc"}')])
    await admin.get(f"/queues/{QUEUE}/jobs/{plain}/payload")
    await admin.get(f"/queues/{QUEUE}/jobs/{secret}/payload")
    noted = (await admin.get("/audit", params={"action": "job.reveal"})).json()["items"]
    assert [one["target"]["job"] for one in noted] == [secret]


async def test_whoever_does_not_want_to_look_sees_nothing_sensitive_and_is_not_noted(
    admin: httpx.AsyncClient, store: Store
) -> None:
    [job] = await store.add("x", data='{"to":"ana","token":"abc"}')
    path = f"/queues/{QUEUE}/jobs/{job}"
    for part in ("?include=raw&reveal=false", "/payload?reveal=false", "/payload?reveal=false&max=5"):
        assert "abc" not in (await admin.get(f"{path}{part}")).text
    assert (await admin.get(f"{path}?reveal=false")).json()["redacted"] == ["$.token"]
    assert (await admin.get("/audit", params={"action": "job.reveal"})).json()["items"] == []


async def test_a_job_is_shown_as_the_store_has_it(
    viewer: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    [job] = await store.add("x", data='{"to":"ana","token":"abc","amount":1.10}', priority=3)
    path = f"/queues/{QUEUE}/jobs/{job}"
    assert (await viewer.get(path)).json()["raw"] is None
    for client, token in ((viewer, "••••"), (admin, "abc")):
        raw = (await client.get(path, params={"include": "raw"})).json()["raw"]
        assert raw["data"] == f'{{"to":"ana","token":"{token}","amount":1.10}}'
        assert (raw["id"], raw["queue"], raw["state"], raw["priority"]) == (job, QUEUE, "waiting", 3)
        assert (raw["attempts_started"], raw["parent"], raw["result"]) == (0, None, None)
        assert isinstance(raw["created_at"], int)
    [plain] = await store.add("x", data='{"to":"ana"}')
    await admin.get(f"/queues/{QUEUE}/jobs/{plain}?include=raw")
    noted = (await admin.get("/audit", params={"action": "job.reveal"})).json()["items"]
    assert [one["target"]["job"] for one in noted] == [job]


async def test_nobody_searches_by_what_they_may_not_see(
    viewer: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    await store.add("x", data='{"token":"abc"}')
    assert code_of(await viewer.get("/jobs", params={"q": "data.token:abc"})) == (403, "redacted-field")
    assert len(ids_of(await admin.get("/jobs", params={"q": "data.token:abc"}))) == 1


async def test_a_failed_job_says_what_failed(viewer: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed(reason="SMTPTimeout: connection timed out")
    found = (await viewer.get(f"/queues/{QUEUE}/jobs/{job}")).json()
    assert (found["error"]["type"], found["error"]["message"]) == ("SMTPTimeout", "connection timed out")
    assert found["fingerprint"] == TIMEOUT.fingerprint


async def test_attempts_are_told_oldest_first(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await store.end(Retried(after_ms=0, reason="ValueError: one", trace="Traceback\nValueError: one", failure=TIMEOUT))
    job = await store.end(Completed(result="1"))
    found = (await viewer.get(f"/queues/{QUEUE}/jobs/{job}/attempts")).json()
    assert [(one["n"], one["outcome"]) for one in found] == [(1, "failed"), (2, "completed")]
    assert found[0]["error"]["stack"] == "Traceback\nValueError: one"
    assert found[0]["started_at"] <= found[0]["finished_at"] <= found[1]["started_at"]
    assert (found[0]["retry_delay_ms"], found[1]["retry_delay_ms"]) == (0, None)
    assert found[0]["worker"] == found[1]["worker"] is not None
    assert (await viewer.get(f"/queues/{QUEUE}/jobs/{job}?include=attempts")).json()["attempts"] == found


async def test_why_a_job_waits_is_told_with_a_remedy(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    found = (await viewer.get(f"/queues/{QUEUE}/jobs/{job}/why")).json()
    reason = found["reasons"][0]
    assert (reason["code"], reason["remedy"]) == ("no-worker", "start a worker for it")
    assert "no worker" in reason["message"]


async def test_the_state_is_told_cheaply(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    await store.storage.update(QUEUE, [JobPatch(job_id=job, progress="40")])
    found = (await viewer.get(f"/queues/{QUEUE}/jobs/{job}/state")).json()
    assert found == {"queue": QUEUE, "id": job, "state": "waiting", "progress": 40, "attempts_made": 0,
                     "finished_at": None}  # fmt: skip


async def test_a_result_that_is_not_there_yet_is_no_error(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    answer = await viewer.get(f"/queues/{QUEUE}/jobs/{job}/result")
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert answer.headers["retry-after"] == "1"
    assert code_of(await viewer.get(f"/queues/{QUEUE}/jobs/{job}/result/raw")) == (404, "not-found")


async def test_waiting_for_a_result_ends_with_the_job(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    waiting = asyncio.create_task(viewer.get(f"/queues/{QUEUE}/jobs/{job}/result", params={"wait": 60}))
    await store.end(Completed(result='{"sent":1.10}'))
    async with asyncio.timeout(30):
        answer = await waiting
    assert answer.status_code == 200
    assert '"result":{"sent":1.10}' in answer.text
    assert (await viewer.get(f"/queues/{QUEUE}/jobs/{job}/result/raw")).text == '{"sent":1.10}'


async def test_waiting_ends_when_the_time_is_up(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    assert (await viewer.get(f"/queues/{QUEUE}/jobs/{job}/result", params={"wait": 0.05})).status_code == 202
    assert code_of(await viewer.get(f"/queues/{QUEUE}/jobs/{job}/result?wait=61")) == (400, "invalid-parameter")


async def test_a_failed_job_has_its_reason_as_result(viewer: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    found = (await viewer.get(f"/queues/{QUEUE}/jobs/{job}/result")).json()
    assert (found["state"], found["error"]["message"]) == ("failed", "connection timed out")


async def test_a_part_of_a_payload_is_no_json(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x", data='{"to":"ana"}')
    answer = await viewer.get(f"/queues/{QUEUE}/jobs/{job}/payload", params={"max": 5})
    assert (answer.text, answer.headers["x-total-bytes"]) == ('{"to"', "12")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_logs_are_read_in_both_directions(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    await store.storage.log(QUEUE, job, ["one", "two", "three"])
    path = f"/queues/{QUEUE}/jobs/{job}/logs"
    found = (await operator.get(path, params={"start": 1, "limit": 1})).json()
    assert found == {"items": [{"n": 1, "message": "two", "ts": None, "level": None}], "total": 3}
    backwards = (await operator.get(path, params={"order": "desc", "limit": 2})).json()
    assert [(one["n"], one["message"]) for one in backwards["items"]] == [(2, "three"), (1, "two")]
    assert (await operator.get(path, headers={"Accept": "text/plain"})).text == "one\ntwo\nthree\n"
    lines = (await operator.get(path, headers={"Accept": "application/x-ndjson"})).text.splitlines()
    assert len(lines) == 3


async def test_an_operator_writes_a_note_into_the_log(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    path = f"/queues/{QUEUE}/jobs/{job}/logs"
    answer = await operator.post(path, json={"message": "looked at it"})
    assert (answer.status_code, answer.json()) == (201, {"total": 1})
    assert (await operator.get(path)).json()["items"][0]["message"] == "[operator] looked at it"
    assert code_of(await operator.post(path, json={"message": " "})) == (422, "validation-failed")


async def test_a_job_that_is_not_there_is_a_problem_everywhere(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    for path in ("", "/state", "/result", "/payload", "/result/raw", "/logs", "/attempts", "/why", "/flow"):
        answer = await viewer.get(f"/queues/{QUEUE}/jobs/nope{path}")
        assert code_of(answer) == (404, "job-not-found"), path


async def test_ids_may_have_any_characters(viewer: httpx.AsyncClient, store: Store) -> None:
    for job_id, escaped in (("a/b", "a%2Fb"), ("50%", "50%25"), ("..", "%25.."), ("ä&b=c#d", "%C3%A4%26b%3Dc%23d")):
        await store.add("x", id=job_id)
        found = (await viewer.get(f"/queues/{QUEUE}/jobs/{escaped}")).json()
        assert (found["id"], found["links"]["self"]) == (job_id, f"/api/v1/queues/{QUEUE}/jobs/{escaped}")
        assert (await viewer.get(found["links"]["payload"].removeprefix("/api/v1"))).status_code == 200


async def test_a_payload_that_another_program_broke_is_shown_as_text(admin: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x", data="{not json")
    answer = await admin.get(f"/queues/{QUEUE}/jobs/{job}")
    assert answer.json()["data"] == "{not json"


async def test_a_job_has_an_etag_that_changes_with_it(viewer: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x")
    path = f"/queues/{QUEUE}/jobs/{job}"
    etag = (await viewer.get(path)).headers["etag"]
    assert (await viewer.get(path, headers={"If-None-Match": etag})).status_code == 304
    await store.storage.update(QUEUE, [JobPatch(job_id=job, priority=4)])
    assert (await viewer.get(path, headers={"If-None-Match": etag})).status_code == 200


async def test_an_exact_count_goes_beyond_the_page(viewer: httpx.AsyncClient, store: Store, home: Api) -> None:
    home.monitor.seconds = lambda: 0.0  # searches never run out of time
    await store.add(*["welcome"] * 7, "other")

    async def total(count: str, **more: str) -> object:
        found = await viewer.get("/jobs", params={"q": "name:welcome", "limit": 2, "count": count, **more})
        return found.json()["total"]

    assert await total("exact") == {"value": 7, "relation": "eq"}
    assert await total("estimate") == {"value": 2, "relation": "gte"}
    assert await total("none") == {"value": None, "relation": "unknown"}
    first = (await viewer.get("/jobs", params={"q": "name:welcome", "limit": 2})).json()
    assert await total("exact", cursor=first["page"]["next"]) == {"value": 7, "relation": "eq"}


async def test_a_count_that_was_cut_short_says_so(
    viewer: httpx.AsyncClient, store: Store, home: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.monitor.seconds = lambda: 0.0
    await store.add(*["welcome"] * 7)
    monkeypatch.setattr(search, "EXAMINED", 5)
    found = await viewer.get(f"/queues/{QUEUE}/jobs", params={"q": "name:welcome", "limit": 2, "count": "exact"})
    assert found.json()["total"] == {"value": 5, "relation": "gte"}
