"""The overview, attention, failures, workers, figures, marks."""

from datetime import UTC, datetime, timedelta
from functools import partial

import httpx

from corral.gauges import Gauges
from corral.histogram import bucket_of
from corral.storage.insight import Sample
from corral.timing import now_ms
from tests.web.routes.conftest import QUEUE, TIMEOUT, Store, code_of
from tests.web.routes.test_bulk import finished

KIND = TIMEOUT.fingerprint
LATER = (datetime.now(UTC) + timedelta(days=7)).isoformat()


async def test_the_root_says_what_this_is(viewer: httpx.AsyncClient) -> None:
    found = (await viewer.get("/")).json()
    assert (found["name"], found["engine"] in ("sqlite", "redis")) == ("corral", True)
    assert found["links"]["queues"] == "/api/v1/queues"


async def test_the_stats_add_everything_up(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    await store.failed(queue="report")
    await store.worker()
    found = (await viewer.get("/stats")).json()
    assert (found["totals"]["waiting"], found["totals"]["failed"], found["queues"]) == (1, 1, 2)
    assert (found["workers"], found["slots"], found["oldest_waiting_queue"]) == (1, 5, QUEUE)


async def test_what_wants_attention_comes_with_a_remedy(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    [found] = (await viewer.get("/attention")).json()["items"]
    assert (found["id"], found["severity"], found["queue"]) == ("no-worker/mail", "critical", QUEUE)
    assert found["remedy"]["href"] == f"/api/v1/queues/{QUEUE}"


async def test_what_is_muted_is_not_spoken_of(operator: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    path = "/attention/no-worker%2Fmail"
    assert (await operator.post(f"{path}/mute", json={"until": LATER, "reason": "known"})).status_code == 204
    assert (await operator.get("/attention")).json()["items"] == []
    [found] = (await operator.get("/attention?muted=true")).json()["items"]
    assert found["muted_until"][:10] == LATER[:10]
    assert (await operator.post(f"{path}/unmute")).status_code == 204
    assert code_of(await operator.post(f"{path}/unmute")) == (404, "finding-not-found")
    assert len((await operator.get("/attention")).json()["items"]) == 1


async def test_a_mute_needs_an_end_that_is_to_come(operator: httpx.AsyncClient) -> None:
    for until in ("2001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"):
        answer = await operator.post("/attention/held%2Fmail/mute", json={"until": until})
        assert code_of(answer) == (422, "validation-failed"), answer.text


async def test_failures_come_by_kind_over_all_queues(viewer: httpx.AsyncClient, store: Store) -> None:
    for queue in ("mail", "mail", "report"):
        await store.failed(queue=queue)
    [group] = (await viewer.get("/failures")).json()["items"]
    assert (group["fingerprint"], group["count"], group["queues"]) == (KIND, 3, {"mail": 2, "report": 1})
    assert (group["type"], group["state"], sum(group["buckets"])) == ("SMTPTimeout", "open", 3)
    one = (await viewer.get(f"/failures/{KIND}", params={"newest": 2})).json()
    assert (one["count"], len(one["newest"])) == (3, 2)
    assert (await viewer.get(f"/failures/{KIND}?queue=report")).json()["count"] == 1
    assert (await viewer.get("/failures?queue=report&window=90m&sort=count")).json()["items"][0]["count"] == 1


async def test_only_kinds_that_came_up_after_the_newest_mark_are_listed_when_wanted(
    operator: httpx.AsyncClient, store: Store
) -> None:
    await store.failed()
    assert (await operator.get("/failures?new=true")).json()["items"] == []
    before = datetime.now(UTC) - timedelta(hours=1)
    await operator.post("/marks", json={"label": "v2", "at": before.isoformat()})
    assert [one["new_since_mark"] for one in (await operator.get("/failures?new=true")).json()["items"]] == ["v2"]


async def test_a_kind_that_nobody_has_is_a_problem(viewer: httpx.AsyncClient, store: Store) -> None:
    assert code_of(await viewer.get("/failures/nope")) == (404, "failure-not-found")
    assert code_of(await viewer.get("/failures?window=soon")) == (400, "invalid-parameter")


async def test_all_failures_of_a_kind_are_run_again(operator: httpx.AsyncClient, store: Store) -> None:
    for queue in ("mail", "report"):
        await store.failed(queue=queue)
    answer = await operator.post(f"/failures/{KIND}/retry", json={"queue": "report", "reason": "back"})
    assert answer.status_code == 202
    ended = await finished(operator, answer.json()["id"])
    assert (ended["done"], ended["reason"]) == (1, "back")
    answer = await operator.post(f"/failures/{KIND}/retry")
    assert (await finished(operator, answer.json()["id"]))["done"] == 1


async def test_all_failures_of_a_kind_are_removed_by_an_admin(
    operator: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store
) -> None:
    await store.failed()
    assert code_of(await operator.post(f"/failures/{KIND}/remove")) == (403, "forbidden")
    answer = await admin.post(f"/failures/{KIND}/remove")
    assert (await finished(admin, answer.json()["id"]))["done"] == 1


async def test_a_kind_is_muted_for_a_while(operator: httpx.AsyncClient, store: Store) -> None:
    await store.failed()
    assert (await operator.post(f"/failures/{KIND}/mute", json={"until": LATER})).json()["state"] == "muted"
    assert (await operator.get("/failures?state=open")).json()["items"] == []
    assert (await operator.get("/failures?state=muted")).json()["items"][0]["fingerprint"] == KIND
    assert (await operator.post(f"/failures/{KIND}/unmute")).json()["state"] == "open"
    assert code_of(await operator.post(f"/failures/{KIND}/unmute")) == (404, "failure-not-found")


async def test_failures_that_are_new_since_a_mark_say_so(operator: httpx.AsyncClient, store: Store) -> None:
    await operator.post("/marks", json={"label": "v2.3.1", "at": (datetime.now(UTC) - timedelta(days=1)).isoformat()})
    await store.failed()
    [group] = (await operator.get("/failures")).json()["items"]
    assert group["new_since_mark"] == "v2.3.1"


async def test_marks_are_put_listed_and_taken_away(operator: httpx.AsyncClient) -> None:
    made = await operator.post("/marks", json={"label": "v1", "url": "https://example.com/v1", "color": "green"})
    assert (made.status_code, made.json()["by"]) == (201, "operator")
    assert [one["label"] for one in (await operator.get("/marks")).json()["items"]] == ["v1"]
    assert (await operator.delete(f"/marks/{made.json()['id']}")).status_code == 204
    assert code_of(await operator.delete(f"/marks/{made.json()['id']}")) == (404, "mark-not-found")
    bad = await operator.post("/marks", json={"label": "x", "url": "javascript:alert(1)"})
    assert code_of(bad) == (422, "validation-failed")


async def test_workers_come_with_what_they_run(viewer: httpx.AsyncClient, store: Store) -> None:
    worker = await store.worker()
    await store.add("x")
    [job, _] = await store.start()
    found = (await viewer.get("/workers")).json()
    assert [(one["id"], one["name"], list(one["queues"])) for one in found["items"]] == [(worker, "mailer-1", [QUEUE])]
    assert [one["id"] for one in (*found["items"][0]["jobs"], *found["elsewhere"])] == [job]
    assert (await viewer.get(f"/workers/{worker}")).json()["pid"] == 7
    assert (await viewer.get(f"/queues/{QUEUE}/workers")).json()["items"][0]["id"] == worker
    assert (await viewer.get("/workers?host=elsewhere")).json()["items"] == []
    assert code_of(await viewer.get("/workers/nope")) == (404, "worker-not-found")


async def test_workers_are_given_orders(operator: httpx.AsyncClient, admin: httpx.AsyncClient, store: Store) -> None:
    worker = await store.worker()
    assert code_of(await operator.post(f"/workers/{worker}/quiet")) == (403, "forbidden")
    for verb, body in (("quiet", {}), ("resume", {}), ("stop", {"timeout_seconds": 5}), ("concurrency", {"value": 3}),
                       ("dump", {})):  # fmt: skip
        answer = await admin.post(f"/workers/{worker}/{verb}", json=body)
        assert answer.status_code == 202, answer.text
        told = await admin.get(answer.headers["location"].removeprefix("/api/v1"))
        assert told.json() == {"command_id": answer.json()["command_id"], "answer": None}
    assert code_of(await admin.post(f"/workers/{worker}/concurrency", json={"value": 0})) == (422, "validation-failed")
    assert code_of(await admin.post("/workers/nope/quiet")) == (404, "worker-not-found")


async def test_figures_over_time_are_told(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.completed()
    at = now_ms()
    await store.storage.record(QUEUE, [Sample(at=at, name="welcome", completed=8, failed=2, run={100: 10})])
    chart = (await viewer.get("/metrics/series", params={"metric": "throughput", "step": "10m"})).json()
    assert (chart["step_ms"], chart["unit"]) == (600_000, "jobs")
    done = next(one for one in chart["series"] if one["labels"]["state"] == "completed")
    assert [point[1] for point in done["points"]] == [8]
    runs = (await viewer.get(f"/queues/{QUEUE}/metrics", params={"metric": "run_ms", "agg": "p95,mean"})).json()
    assert [one["labels"]["agg"] for one in runs["series"]] == ["p95", "mean"]
    assert runs["series"][0]["points"][0][2] == 10
    ratio = (await viewer.get("/metrics/series", params={"metric": "failure_ratio", "from": "2h"})).json()
    assert ratio["series"][0]["points"][0][1] == 0.2
    top = (await viewer.get("/metrics/top", params={"by": "failures", "window": "1h"})).json()
    assert [(one["queue"], one["name"], one["failed"]) for one in top["items"]] == [(QUEUE, "welcome", 2)]


async def test_how_queues_stood_is_told_by_minute(viewer: httpx.AsyncClient, store: Store) -> None:
    at = now_ms() - 120_000
    for minute in range(3):
        await store.add("x", "y")
        await Gauges(store.storage, (QUEUE,), clock=partial(int, at + minute * 60_000))()
    charts = {}
    for metric in ("added", "waiting", "oldest_waiting", "busy"):
        chart = (await viewer.get("/metrics/series", params={"metric": metric, "queue": QUEUE})).json()
        assert (chart["source"], chart["complete"], chart["series"][0]["labels"]) == ("series", True, {"queue": QUEUE})
        charts[metric] = [point[1] for point in chart["series"][0]["points"]]
    assert charts["added"] == [None, 2, 2]
    assert charts["waiting"] == [2, 4, 6]
    assert charts["busy"] == [0, 0, 0]
    assert len(charts["oldest_waiting"]) == 3
    whole = (await viewer.get(f"/queues/{QUEUE}/metrics", params={"metric": "added", "step": "1h"})).json()
    assert (whole["unit"], whole["step_ms"]) == ("jobs", 3_600_000)
    answer = await viewer.get("/metrics/series?metric=busy&name=x")
    assert code_of(answer) == (400, "invalid-parameter")


async def test_charts_that_cannot_be_drawn_are_refused(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    for query in ("metric=colour", "step=1y", "agg=p42&metric=run_ms", "from=soon", "from=1h&to=2h"):
        assert code_of(await viewer.get(f"/metrics/series?{query}")) == (400, "invalid-parameter"), query
    assert code_of(await viewer.get("/metrics/series?queue=nope")) == (404, "queue-not-found")
    assert code_of(await viewer.get("/queues/nope/metrics")) == (404, "queue-not-found")
    assert code_of(await viewer.get("/metrics/top?by=colour")) == (400, "invalid-parameter")


async def test_what_could_be_typed_next_is_told(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.add("x")
    found = (await viewer.get("/complete", params={"q": "queue:ma"})).json()
    assert [one["text"] for one in found] == ["mail"]


async def test_the_stats_may_be_over_a_longer_time(viewer: httpx.AsyncClient, store: Store) -> None:
    await store.completed()
    hour_ago = now_ms() - 50 * 60_000
    sample = Sample(at=hour_ago, name="welcome", completed=40, failed=10, run={bucket_of(10): 50})
    await store.storage.record(QUEUE, [sample], now=hour_ago)
    usual = (await viewer.get("/stats")).json()
    assert (usual["window_ms"], usual["complete"]) == (900_000, None)
    for window in ("1h", "3600", "60m", "24h", "86400"):
        found = (await viewer.get("/stats", params={"window": window})).json()
        assert (found["rates"]["completed"], found["rates"]["failed"], found["complete"]) == (40, 10, True)
        assert (found["failure_ratio"], found["run_ms"]["count"], found["totals"]["completed"]) == (0.2, 50, 1)
        assert found["window_ms"] == found["rates"]["window_ms"] == (86_400_000 if window[0] in "28" else 3_600_000)
    for window in ("2h", "0", "-1h", "soon", "", "1e400", "999d"):
        assert code_of(await viewer.get("/stats", params={"window": window})) == (400, "invalid-parameter")
