"""Queues through the API: lists, one with its settings, pausing, limits."""

import asyncio

import httpx
import pytest

from corral.http.routes import cleaning
from corral.job import NewJob
from corral.options import Dedup, Hold, QueueSettings, RateLimit
from corral.timing import now_ms
from tests.web.routes.conftest import QUEUE, Store, code_of


async def test_queues_come_with_their_counts(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("welcome", "welcome")
    await store.failed(queue="report")
    found = (await viewer.get("/queues", params={"sort": "name"})).json()
    assert [(one["name"], one["counts"]["waiting"], one["counts"]["failed"]) for one in found["items"]] == [
        ("mail", 2, 0),
        ("report", 0, 1),
    ]
    assert found["total"] == {"value": 2, "relation": "eq"}
    assert found["page"] == {"limit": 50, "next": None, "prev": None}


async def test_queues_are_chosen_by_patterns(viewer: httpx.AsyncClient, store: Store) -> None:
    for queue in ("mail", "mail-bulk", "report", "sync"):
        await store.add("x", queue=queue)
    found = await viewer.get("/queues", params=[("match", "mail*"), ("match", "sync"), ("sort", "name")])
    assert [one["name"] for one in found.json()["items"]] == ["mail", "mail-bulk", "sync"]


async def test_queues_are_narrowed_to_busy_ones_and_to_problems(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x", queue="busy")
    await store.add("x", queue="later", delay_ms=3_600_000)

    async def named(show: str) -> list[str]:
        found = (await viewer.get("/queues", params={"show": show, "sort": "name"})).json()
        return [one["name"] for one in found["items"]]

    assert await named("all") == ["busy", "later"]
    assert await named("busy") == ["busy"]
    assert await named("problems") == ["busy"]  # nobody works it
    assert code_of(await viewer.get("/queues", params={"show": "nice"})) == (400, "invalid-parameter")


async def test_an_order_that_nobody_knows_is_refused(viewer: httpx.AsyncClient) -> None:
    assert code_of(await viewer.get("/queues", params={"sort": "colour"})) == (400, "invalid-parameter")


async def test_one_queue_comes_with_settings_and_an_etag(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x", priority=7)
    answer = await viewer.get(f"/queues/{QUEUE}", params={"include": "priorities"})
    assert answer.headers["etag"].startswith('"')
    assert answer.json()["details"]["priorities"] == {"7": 1}
    again = await viewer.get(f"/queues/{QUEUE}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_queue_that_was_just_made_is_there(viewer: httpx.AsyncClient, store: Store) -> None:
    assert (await viewer.get("/queues")).json()["items"] == []
    await store.add("x", queue="brand-new")
    assert (await viewer.get("/queues/brand-new")).status_code == 200


async def test_a_queue_that_is_not_there_is_a_problem_with_a_hint(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    answer = await viewer.get("/queues/mial")
    assert code_of(answer) == (404, "queue-not-found")
    assert answer.json()["suggestion"] == QUEUE


async def test_what_cannot_be_included_is_refused(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    assert code_of(await viewer.get(f"/queues/{QUEUE}?include=secrets")) == (400, "invalid-parameter")


async def test_names_may_have_slashes_percent_signs_and_blanks(viewer: httpx.AsyncClient, store: Store) -> None:
    for queue in ("a/b", "50%", "über uns", "a?b"[:1] + "&b=c", ".."):
        await store.add("x", queue=queue)
        escaped = httpx.URL("http://x", params={"q": queue}).query.decode().removeprefix("q=").replace("+", "%20")
        answer = await viewer.get(f"/queues/{escaped.replace('.', '%2E')}")
        assert answer.json()["name"] == queue


async def test_a_pause_says_who_why_and_until_when(operator: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    answer = await operator.post(f"/queues/{QUEUE}/pause", json={"reason": "migration", "for_seconds": 3600})
    assert answer.status_code == 200
    pause = answer.json()["paused"]
    assert (pause["value"], pause["reason"], pause["by"]) == (True, "migration", "operator")
    assert pause["until"] > pause["since"]
    assert (await operator.get(f"/queues/{QUEUE}")).json()["counts"]["paused"] == 1
    resumed = await operator.post(f"/queues/{QUEUE}/resume")
    assert resumed.json()["paused"] == {"value": False, "reason": None, "by": None, "since": None, "until": None}


async def test_queues_are_paused_and_resumed_together(operator: httpx.AsyncClient, store: Store) -> None:
    for queue in ("a1", "a2", "b"):
        await store.add("x", queue=queue)
    assert (await operator.post("/queues/pause", json={"match": ["a*"]})).json() == {"changed": ["a1", "a2"]}
    assert (await operator.post("/queues/pause", json={"match": ["*"]})).json() == {"changed": ["b"]}
    assert (await operator.post("/queues/resume", json={"match": ["a1"]})).json() == {"changed": ["a1"]}


async def test_a_viewer_may_not_pause(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    answer = await viewer.post(f"/queues/{QUEUE}/pause")
    assert code_of(answer) == (403, "forbidden")
    assert answer.json()["permission"] == "queue:pause"


async def test_settings_are_changed_only_over_the_version_that_was_seen(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    change = {"global_concurrency": 3, "rate_limit": {"max": 10, "duration_ms": 1000}}
    assert code_of(await admin.patch(f"/queues/{QUEUE}", json=change)) == (428, "precondition-required")
    old = (await admin.get(f"/queues/{QUEUE}")).headers["etag"]
    answer = await admin.patch(f"/queues/{QUEUE}", json=change, headers={"If-Match": old})
    limit = {"max": 10, "duration_ms": 1000, "limited_for_ms": None}
    assert (answer.json()["global_concurrency"], answer.json()["rate_limit"]) == (3, limit)
    late = await admin.patch(f"/queues/{QUEUE}", json={"global_concurrency": 9}, headers={"If-Match": old})
    assert code_of(late) == (412, "precondition-failed")
    lifted = await admin.patch(
        f"/queues/{QUEUE}", json={"global_concurrency": None}, headers={"If-Match": answer.headers["etag"]}
    )
    assert (lifted.json()["global_concurrency"], lifted.json()["rate_limit"]) == (None, limit)


async def test_settings_that_cannot_be_meant_are_refused_with_a_pointer(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    answer = await admin.patch(f"/queues/{QUEUE}", json={"rate_limit": {"max": 0}}, headers={"If-Match": "*"})
    assert code_of(answer) == (422, "validation-failed")
    assert {one["pointer"] for one in answer.json()["errors"]} == {"/rate_limit/max", "/rate_limit/duration_ms"}
    typo = await admin.patch(f"/queues/{QUEUE}", json={"concurency": 1}, headers={"If-Match": "*"})
    assert typo.json()["errors"][0]["pointer"] == "/concurency"


async def test_a_drain_wants_to_be_confirmed(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x", "y")
    dry = await admin.post(f"/queues/{QUEUE}/drain", json={"dry_run": True})
    assert dry.json() == {"removed": 2, "dry_run": True}
    assert code_of(await admin.post(f"/queues/{QUEUE}/drain", json={})) == (422, "confirmation-required")
    assert (await admin.post(f"/queues/{QUEUE}/drain", json={"confirm": QUEUE})).json()["removed"] == 2


async def test_old_jobs_are_cleaned(admin: httpx.AsyncClient, store: Store) -> None:
    job = await store.failed()
    young = await admin.post(f"/queues/{QUEUE}/clean", json={"state": "failed", "grace_ms": 3_600_000})
    assert young.json()["removed"] == 0
    dry = await admin.post(f"/queues/{QUEUE}/clean", json={"state": "failed", "dry_run": True})
    assert (dry.json()["removed"], dry.json()["sample"]) == (1, [job])
    done = await admin.post(f"/queues/{QUEUE}/clean", json={"state": "failed"})
    assert (done.json()["removed"], done.json()["dry_run"]) == (1, False)
    assert code_of(await admin.post(f"/queues/{QUEUE}/clean", json={"state": "active"})) == (422, "validation-failed")


async def test_a_queue_with_running_jobs_is_not_obliterated(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await store.start()
    path = f"/queues/{QUEUE}/obliterate"
    assert code_of(await admin.post(path, json={"confirm": "other"})) == (422, "confirmation-required")
    assert code_of(await admin.post(path, json={"confirm": QUEUE})) == (409, "queue-has-active-jobs")
    assert (await admin.post(path, json={"confirm": QUEUE, "force": True})).status_code == 204
    assert code_of(await admin.get(f"/queues/{QUEUE}")) == (404, "queue-not-found")


async def ended(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, object]:
    """The operation that an answer tells of, at its end."""
    assert answer.status_code == 202, answer.text
    operation: dict[str, object] = answer.json()
    where = answer.headers["location"].removeprefix("/api/v1")
    while operation["state"] not in ("done", "aborted", "failed"):
        await asyncio.sleep(0)  # the API works on it in this very loop
        operation = (await client.get(where)).json()
    return operation


async def test_whoever_prefers_it_is_told_where_to_look_instead_of_waiting(
    admin: httpx.AsyncClient, store: Store
) -> None:
    later = {"Prefer": "return=minimal, respond-async"}
    await store.add("x", "y")
    await store.failed()
    drained = await admin.post(f"/queues/{QUEUE}/drain", json={"confirm": QUEUE}, headers=later)
    assert drained.headers["preference-applied"] == "respond-async"
    assert (await ended(admin, drained))["done"] == 2
    cleaned = await admin.post(f"/queues/{QUEUE}/clean", json={"state": "failed"}, headers=later)
    assert (await ended(admin, cleaned))["done"] == 1
    gone = await admin.post(f"/queues/{QUEUE}/obliterate", json={"confirm": QUEUE}, headers=later)
    assert (await ended(admin, gone))["state"] == "done"
    assert code_of(await admin.get(f"/queues/{QUEUE}")) == (404, "queue-not-found")


async def test_more_jobs_than_a_request_should_wait_for_are_an_operation(
    admin: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "INLINE", 2)
    await store.add("x", "y", "z")
    dry = await admin.post(f"/queues/{QUEUE}/drain", json={"dry_run": True})
    assert dry.json() == {"removed": 3, "dry_run": True}
    begun = await admin.post(f"/queues/{QUEUE}/drain", json={"confirm": QUEUE}, headers={"Idempotency-Key": "once"})
    again = await admin.post(f"/queues/{QUEUE}/drain", json={"confirm": QUEUE}, headers={"Idempotency-Key": "once"})
    assert "preference-applied" not in begun.headers
    assert again.json()["id"] == begun.json()["id"]
    assert (await ended(admin, begun))["done"] == 3
    await store.add("x", "y")
    late = await admin.post(f"/queues/{QUEUE}/drain", json={"confirm": QUEUE}, headers={"Idempotency-Key": "once"})
    assert (late.json()["id"], (await store.storage.counts([QUEUE]))[0].waiting) == (begun.json()["id"], 2)
    assert (await admin.post(f"/queues/{QUEUE}/drain", json={"confirm": QUEUE})).json()["removed"] == 2


async def test_a_queue_that_is_obliterated_twice_with_one_key_is_gone_once(
    admin: httpx.AsyncClient, store: Store
) -> None:
    await store.add("x")
    for number in range(2):
        gone = await admin.post(
            f"/queues/{QUEUE}/obliterate", json={"confirm": QUEUE}, headers={"Idempotency-Key": "gone"}
        )
        assert (gone.status_code, "idempotency-replayed" in gone.headers) == (204, number == 1)
        await store.add("new")
    assert (await admin.get(f"/queues/{QUEUE}")).json()["counts"]["waiting"] == 2


async def test_a_scaler_reads_how_many_workers_are_wanted(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x", "y")
    found = (await viewer.get(f"/queues/{QUEUE}/autoscale", params={"target_seconds": 10})).json()
    assert (found["backlog"], found["desired_workers"], found["target_seconds"]) == (2, 1, 10.0)
    assert code_of(await viewer.get(f"/queues/{QUEUE}/autoscale?target_seconds=0")) == (400, "invalid-parameter")


async def test_waiting_jobs_are_counted_by_priority(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x", "y", priority=3)
    await store.add("z")
    found = (await viewer.get(f"/queues/{QUEUE}/priorities")).json()
    assert found == {"items": [{"priority": 3, "count": 2}, {"priority": 0, "count": 1}], "complete": True}


async def test_a_key_that_keeps_jobs_out_is_shown_and_released(operator: httpx.AsyncClient, store: Store) -> None:
    [job] = await store.add("x", dedup=Dedup("report/7"))
    path = f"/queues/{QUEUE}/dedup/report%2F7"
    assert (await operator.get(path)).json() == {"key": "report/7", "job_id": job}
    assert (await operator.delete(path)).status_code == 204
    assert code_of(await operator.get(path)) == (404, "not-found")
    assert code_of(await operator.delete(path)) == (404, "not-found")


async def test_a_hold_is_lifted(operator: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await store.storage.configure(QUEUE, QueueSettings(hold=Hold(for_ms=600_000, reason="slow down")))
    assert (await operator.get(f"/queues/{QUEUE}")).json()["hold"]["reason"] == "slow down"
    assert (await operator.delete(f"/queues/{QUEUE}/rate-limit")).status_code == 204
    assert (await operator.get(f"/queues/{QUEUE}")).json()["hold"] is None


async def test_a_queue_is_described_and_has_an_slo(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, store: Store
) -> None:
    await store.add("x")
    before = await admin.get(f"/queues/{QUEUE}")
    assert (before.json()["description"], before.json()["slo_seconds"]) == (None, None)
    change = {"description": "letters to customers", "slo_seconds": 12.5}
    answer = await admin.patch(f"/queues/{QUEUE}", json=change, headers={"If-Match": before.headers["etag"]})
    assert {key: answer.json()[key] for key in change} == change
    [listed] = (await viewer.get("/queues")).json()["items"]
    assert {key: listed[key] for key in change} == change
    # What is left out stays, null removes, and the ETag tells of both.
    old = before.headers["etag"]
    stale = await admin.patch(f"/queues/{QUEUE}", json={"slo_seconds": 1}, headers={"If-Match": old})
    assert code_of(stale) == (412, "precondition-failed")
    etag = answer.headers["etag"]
    kept = await admin.patch(f"/queues/{QUEUE}", json={"slo_seconds": None}, headers={"If-Match": etag})
    assert (kept.json()["description"], kept.json()["slo_seconds"]) == ("letters to customers", None)
    assert code_of(await viewer.patch(f"/queues/{QUEUE}", json=change, headers={"If-Match": "*"}))[0] == 403


async def test_what_is_said_about_a_queue_is_in_the_audit_log(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    change = {"description": "letters", "slo_seconds": 30, "global_concurrency": 4}
    assert (await admin.patch(f"/queues/{QUEUE}", json=change, headers={"If-Match": "*"})).status_code == 200
    entries = (await admin.get("/audit", params={"queue": QUEUE})).json()["items"]
    assert [one["action"] for one in entries] == ["queue.settings", "queue.describe"]
    assert entries[1]["before"] == {"description": "", "slo_ms": None}
    assert entries[1]["after"] == {"description": "letters", "slo_ms": 30_000}


async def test_what_cannot_be_said_about_a_queue_changes_nothing(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    for change, pointer in (
        ({"description": "x" * 501}, "/description"),
        ({"description": "bell \a"}, "/description"),
        ({"slo_seconds": 0}, "/slo_seconds"),
    ):
        answer = await admin.patch(
            f"/queues/{QUEUE}", json={**change, "global_concurrency": 9}, headers={"If-Match": "*"}
        )
        assert code_of(answer) == (422, "validation-failed")
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await admin.get(f"/queues/{QUEUE}")).json()["global_concurrency"] is None


async def test_attention_goes_by_the_slo_of_a_queue(admin: httpx.AsyncClient, store: Store) -> None:
    old = now_ms() - 5_000
    await store.storage.add([NewJob(queue=one, name="x", data="1") for one in (QUEUE, "sync")], now=old)

    async def late() -> list[tuple[str, float]]:
        found = (await admin.get("/attention")).json()["items"]
        return [(one["queue"], one["threshold"]) for one in found if one["rule"] == "oldest-waiting"]

    assert await late() == []  # the threshold is a minute
    await admin.patch("/queues/sync", json={"slo_seconds": 2}, headers={"If-Match": "*"})
    assert await late() == [("sync", 2_000)]


async def test_an_obliterated_queue_is_forgotten_whole(admin: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await admin.patch(f"/queues/{QUEUE}", json={"description": "letters"}, headers={"If-Match": "*"})
    assert (await admin.post(f"/queues/{QUEUE}/obliterate", json={"confirm": QUEUE})).status_code == 204
    await store.add("x")
    assert (await admin.get(f"/queues/{QUEUE}")).json()["description"] is None


async def test_a_used_up_rate_limit_says_for_how_long(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x", "y")
    await store.storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(1, per=3_600)))
    limit = (await viewer.get(f"/queues/{QUEUE}")).json()["rate_limit"]
    assert limit == {"max": 1, "duration_ms": 3_600_000, "limited_for_ms": None}
    await store.start()
    await store.add("x", queue="other")  # looks anew: a queue that was not there is asked for
    await viewer.get("/queues/other")
    left = (await viewer.get(f"/queues/{QUEUE}")).json()["rate_limit"]["limited_for_ms"]
    assert 3_000_000 < left <= 3_600_000
