"""Attacks that once worked: what somebody tried to read, touch or stop that was not theirs."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from corral.admin.objects import Actor
from corral.admin.rights import Principal
from corral.http import ApiSettings, create_app
from corral.http.home import Api
from corral.http.live import feed
from corral.http.live.board import Board, Facts
from corral.http.live.stream import Stream
from corral.http.live.topics import topics_of
from corral.job import NewJob
from corral.options import JobOptions, Letter
from corral.schedule import Every, Schedule
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_client, make_settings

HIDDEN = "••••"
SECRET = "4711-secret"


async def token_of(home: Api, name: str, role: str, *queues: str) -> str:
    """A token of the store."""
    clear, _ = await home.admin.by(Actor(sub="root")).create_token(name, role, queues)
    return clear


@pytest.fixture
async def mail_admin(app: FastAPI, home: Api) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the queues `mail*` alone."""
    async with make_client(app, await token_of(home, "mail", "admin", "mail*")) as client:
        yield client


# -- what the application says is sensitive --------------------------------------------------------------------------


@pytest.fixture
async def hiding(storage: Storage) -> AsyncIterator[FastAPI]:
    """The API of an application that hides `note`, and `note` of each of the `items`."""
    made = create_app(storage, settings=make_settings(), sensitive=["note", "items.note"])
    await made.state.corral.open()
    yield made
    await made.state.corral.close()


async def test_what_the_application_hides_is_hidden_in_every_answer(hiding: FastAPI, storage: Storage) -> None:
    data = json.dumps({"note": SECRET, "to": "ana", "items": [{"note": SECRET}]})
    await storage.add([NewJob(queue="mail", name="n", id="j", data=data)])
    await storage.put_schedules([Schedule(key="s", queue="mail", name="n", timing=Every(3_600), data=data)])
    home: Api = hiding.state.corral
    [row] = (await home.monitor.jobs()).items
    assert SECRET not in row.preview
    async with make_client(hiding, TOKENS["viewer"]) as viewer:
        for path in (
            "/jobs", "/jobs?format=csv", "/queues/mail/jobs", "/queues/mail/jobs/j", "/jobs/export?include=data",
            "/queues/mail/jobs/j/payload", "/queues/mail/jobs/j/flow", "/flows/mail/j", "/schedules",
            "/queues/mail/schedules/s",
        ):  # fmt: skip
            answer = await viewer.get(path)
            assert answer.status_code == 200, path
            assert SECRET not in answer.text, path
            assert HIDDEN in answer.text, path


@pytest.mark.parametrize("query", [
    "data.note:4711*", "-data.note:4711*", "data.items.note:4711*", "data.items.0.note:4711*",
    "-data.items.0.note:x", "data.items.0.note:~secret", "data.items.0.note:>=1",
])  # fmt: skip
async def test_nobody_searches_by_what_the_application_hides(hiding: FastAPI, storage: Storage, query: str) -> None:
    data = json.dumps({"note": SECRET, "items": [{"note": SECRET}]})
    await storage.add([NewJob(queue="mail", name="n", data=data)])
    async with make_client(hiding, TOKENS["viewer"]) as viewer:
        answer = await viewer.get("/jobs", params={"q": query})
        assert (answer.status_code, answer.json().get("code")) == (403, "redacted-field"), answer.text


async def test_the_tag_of_a_schedule_does_not_tell_of_hidden_values(hiding: FastAPI, storage: Storage) -> None:
    tags = set()
    async with make_client(hiding, TOKENS["viewer"]) as viewer:
        for pin in ("1", "2"):
            plan = Schedule(
                key="s", queue="mail", name="n", timing=Every(3_600), anchor_at=0, data=json.dumps({"note": pin})
            )
            await storage.put_schedules([plan])
            tags.add((await viewer.get("/queues/mail/schedules/s")).headers["etag"])
    assert len(tags) == 1


async def test_a_rerun_does_not_uncover_what_the_old_job_hides(operator: httpx.AsyncClient, storage: Storage) -> None:
    options = JobOptions(sensitive=("salary",))
    await storage.add([NewJob(queue="mail", name="n", id="j", data='{"salary":4711}', options=options)])
    answer = await operator.post("/queues/mail/jobs/j/rerun", json={"opts": {"sensitive": ["other"]}})
    assert answer.status_code == 201
    assert answer.json()["data"] == {"salary": HIDDEN}
    assert set(answer.json()["opts"]["sensitive"]) == {"salary", "other"}


# -- other queues ----------------------------------------------------------------------------------------------------


async def test_metrics_of_all_queues_are_for_who_sees_all_queues(app: FastAPI, mail_admin: httpx.AsyncClient,
                                                                 storage: Storage) -> None:  # fmt: skip
    await storage.add([NewJob(queue="secret", name="n")])
    answer = await mail_admin.get("http://api.test/metrics")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    async with make_client(app, TOKENS["viewer"]) as viewer:
        assert 'queue="secret"' in (await viewer.get("http://api.test/metrics")).text


async def test_a_dead_letter_is_no_way_into_another_queue(mail_admin: httpx.AsyncClient, storage: Storage) -> None:
    opts = {"dead_letter": "secret"}
    await storage.add([NewJob(queue="mail", name="n", id="j")])
    for path, method, body in (
        ("/queues/mail/jobs", "POST", {"name": "n", "opts": opts}),
        ("/queues/mail/jobs", "POST", [{"name": "n"}, {"name": "n", "opts": opts}]),
        ("/flows", "POST", {"queue": "mail", "name": "n", "children": [{"queue": "mail", "name": "n", "opts": opts}]}),
        ("/queues/mail/jobs/j/rerun", "POST", {"opts": opts}),
        ("/queues/mail/schedules/s", "PUT", {"every_ms": 60_000, "job": {"name": "n", "opts": opts}}),
    ):
        answer = await mail_admin.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "queue-not-found"), (path, answer.text)
    opts["dead_letter"] = "mail-dead"
    assert (await mail_admin.post("/queues/mail/jobs", json={"name": "n", "opts": opts})).status_code == 201


async def test_nobody_waits_for_jobs_of_queues_that_are_not_theirs(mail_admin: httpx.AsyncClient,
                                                                   storage: Storage) -> None:  # fmt: skip
    await storage.add([NewJob(queue="secret", name="n", id="theirs"), NewJob(queue="mail", name="n", id="mine")])
    for job_id in ("theirs", "nothing"):
        body = {"name": "n", "opts": {"after": [{"queue": "secret", "id": job_id}]}}
        answer = await mail_admin.post("/queues/mail/jobs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "queue-not-found")
    body = {"name": "n", "opts": {"after": [{"queue": "mail", "id": "mine"}]}}
    assert (await mail_admin.post("/queues/mail/jobs", json=body)).status_code == 201


async def test_a_hint_names_no_queue_of_others(mail_admin: httpx.AsyncClient, admin: httpx.AsyncClient,
                                               storage: Storage) -> None:  # fmt: skip
    await storage.add([NewJob(queue="nailing-things", name="n")])
    assert "nailing" in (await admin.get("/queues/mailing-things")).text
    answer = await mail_admin.get("/queues/mailing-things")
    assert answer.status_code == 404
    assert "nailing" not in answer.text


async def test_a_namesake_is_not_shown_the_operations_of_another(app: FastAPI, home: Api, admin: httpx.AsyncClient,
                                                                 storage: Storage) -> None:  # fmt: skip
    await storage.add([NewJob(queue="secret", name="n", delay_ms=3_600_000)])
    made = await admin.post("/queues/secret/promote", json={})
    operation = made.json()["id"]
    async with make_client(app, await token_of(home, "admin", "admin", "mail*")) as namesake:
        assert (await namesake.get("/operations")).json()["items"] == []
        assert (await namesake.get(f"/operations/{operation}")).status_code == 404
        assert (await namesake.post(f"/operations/{operation}/abort")).status_code == 404
        await storage.add([NewJob(queue="mail", name="n", delay_ms=3_600_000)])
        own = (await namesake.post("/queues/mail/promote", json={})).json()["id"]
        assert (await namesake.get(f"/operations/{own}")).status_code == 200


async def test_streams_tell_of_what_is_about_all_queues_only_who_sees_all(
    home: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attention(_: Board) -> Facts:
        return {"all": ((), {"id": "all"}), "one": (("mail",), {"id": "one"}), "other": (("secret",), {"id": "other"})}

    monkeypatch.setattr(Board, "_attention", attention)
    board = Board(home.monitor, home.admin.by(Actor(sub="root")).operations)
    limited = Stream(topics_of("attention"), lambda queue: queue == "mail", sees_operations=False)
    whole = Stream(topics_of("attention"), lambda queue: True)
    await board.look({limited, whole})
    assert [message.data for message in await limited.take(0.0)] == [{"one": {"id": "one"}}]
    [message] = await whole.take(0.0)
    assert isinstance(message.data, dict)
    assert set(message.data) == {"all", "one", "other"}


async def test_options_name_no_job_of_other_queues(
    mail_admin: httpx.AsyncClient, admin: httpx.AsyncClient, storage: Storage
) -> None:
    letter = Letter("secret", "old", "boom", 3)
    options = JobOptions(rerun_of="secret/77", letter=letter)
    await storage.add([NewJob(queue="mail", name="n", id="j", options=options)])
    assert "secret" not in (await mail_admin.get("/queues/mail/jobs/j")).text
    assert "secret/77" in (await admin.get("/queues/mail/jobs/j")).text


# -- producers -------------------------------------------------------------------------------------------------------


def test_two_long_names_that_begin_alike_have_two_tags() -> None:
    one, two = (Principal(sub="spiffe://example.com/" + "a" * 120 + end, roles=("producer",)) for end in "xy")
    assert one.owner_tag != two.owner_tag
    assert max(len(one.owner_tag), len(two.owner_tag)) <= 100


async def test_a_producer_puts_no_job_into_the_list_of_another(producer: httpx.AsyncClient) -> None:
    body = {"name": "n", "opts": {"tags": ["owner:somebody else"]}}
    answer = await producer.post("/queues/mail/jobs", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/opts/tags")
    assert (await producer.post("/queues/mail/jobs", json={"name": "n", "opts": {"tags": ["mine"]}})).status_code == 201


async def test_no_flow_of_a_producer_shows_jobs_of_others(producer: httpx.AsyncClient, storage: Storage) -> None:
    await storage.add([NewJob(queue="mail", name="n", id="theirs", data='{"to":"boss"}')])
    body = {"name": "n", "opts": {"after": [{"queue": "mail", "id": "theirs"}]}}
    answer = await producer.post("/queues/mail/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "job-not-found")
    children = [{"queue": "mail", "name": "n", "opts": {"id": "theirs"}}, {"queue": "mail", "name": "mine"}]
    made = await producer.post("/flows", json={"queue": "mail", "name": "top", "children": children})
    root = made.json()["id"]
    for path in (f"/flows/mail/{root}", f"/queues/mail/jobs/{root}/flow", f"/queues/mail/jobs/{root}?include=flow"):
        found = await producer.get(path)
        assert found.status_code == 200
        assert "boss" not in found.text, path
        assert '"mine"' in found.text, path


async def test_a_producer_completes_no_words_of_others(producer: httpx.AsyncClient, viewer: httpx.AsyncClient,
                                                       storage: Storage) -> None:  # fmt: skip
    await storage.add([NewJob(queue="mail", name="fire-ana", options=JobOptions(tags=("owner:boss",)))])
    await viewer.get("/jobs")
    assert (await producer.get("/complete?q=name:")).status_code == 403


@pytest.mark.parametrize("query", [
    'x "', "tag:owner:boss,", 'tag:"owner:boss', "name:~", "-", 'x \\"', "tag:owner:boss tag:*", "id:theirs",
    'name:"a\\', "tag:o*,", "flow:theirs", "flow:mail/theirs",
])  # fmt: skip
async def test_no_search_of_a_producer_finds_jobs_of_others(
    producer: httpx.AsyncClient, storage: Storage, query: str
) -> None:
    options = JobOptions(tags=("owner:boss",))
    await storage.add([NewJob(queue="mail", name="x", id="theirs", options=options)])
    for path in ("/jobs", "/queues/mail/jobs", "/jobs/export"):
        answer = await producer.get(path, params={"q": query})
        assert answer.status_code in (200, 400), answer.text
        assert answer.status_code == 400 or ("fire" not in answer.text and '"theirs"' not in answer.text)


# -- keeping others out of the way -----------------------------------------------------------------------------------


async def test_a_text_that_is_never_closed_stops_nobody(anonymous: httpx.AsyncClient) -> None:
    """It took the square of its length: a megabyte stopped the process for minutes, and nobody had to log in."""
    body = b"[]" * 65 + b'"' + b'\\"' * 400_000
    began = time.process_time()
    answer = await anonymous.post("/login", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-json")
    assert time.process_time() - began < 20


async def test_made_up_schemes_make_no_series(app: FastAPI, anonymous: httpx.AsyncClient) -> None:
    for number in range(20):
        await anonymous.get("/me", headers={"Authorization": f"made-{number} x"})
    async with make_client(app, TOKENS["viewer"]) as viewer:
        page = (await viewer.get("http://api.test/metrics")).text
    assert "made-" not in page
    assert 'corral_auth_failures_total{method="other"} 20' in page


async def test_a_cursor_with_a_number_that_no_store_takes_is_none(viewer: httpx.AsyncClient, storage: Storage) -> None:
    await storage.add([NewJob(queue="mail", name="n"), NewJob(queue="mail", name="n")])
    cursor = (await viewer.get("/jobs?limit=1&q=name:n")).json()["page"]["next"]
    spot = json.loads(base64.urlsafe_b64decode(cursor))
    for number in (10**30, 2**63, -5):
        made = base64.urlsafe_b64encode(json.dumps([*spot[:4], number, *spot[5:]]).encode()).decode()
        answer = await viewer.get("/jobs", params={"limit": 1, "q": "name:n", "cursor": made})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-cursor"), number


# -- who asks, and for how long --------------------------------------------------------------------------------------


async def test_a_name_of_another_site_does_not_open_what_is_open_to_this_machine(storage: Storage) -> None:
    """A site whose name suddenly leads to 127.0.0.1 is a caller from this machine, and of the same origin."""
    app = create_app(storage, settings=ApiSettings(insecure_no_auth=True, rate_limits=False, read_timeout=60))
    for host, status in (("evil.test", 403), ("evil.test:8800", 403), ("localhost:8800", 200), ("127.0.0.1", 200)):
        async with make_client(app, Host=host) as client:
            assert (await client.get("/me")).status_code == status, host
    await app.state.corral.close()


async def test_no_words_of_a_request_make_a_line_of_the_audit_log(
    operator: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "corral.audit"):
        await operator.post("/queues/mail%0AINFO%20forged%1b%5D/pause")
        await operator.post("/attention/x%0D%0Aforged/mute", json={"until": "2030-01-01T00:00:00Z"})
    said = [record.getMessage() for record in caplog.records if record.name == "corral.audit"]
    assert len(said) == 2
    assert all(text.isprintable() for text in said)


async def test_a_stream_ends_when_its_token_is_revoked(
    home: Api, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, take = asyncio.Event(), home.seats.take

    def taken(who: str) -> None:
        take(who)
        opened.set()

    monkeypatch.setattr(feed, "CHECK", 0.01)
    monkeypatch.setattr(home.seats, "take", taken)
    desk = home.admin.by(Actor(sub="root"))
    clear, token = await desk.create_token("eye", "viewer", ["*"])
    async with make_client(app, clear) as client:
        reading = asyncio.create_task(client.get("/events?topics=counts"))  # it is answered when the stream has ended
        async with asyncio.timeout(30):
            await opened.wait()
        await desk.revoke_token(token.id)
        answer = await reading
    assert answer.status_code == 200
    assert "event: bye" in answer.text
    assert home.seats.taken == 0


async def test_the_password_of_scrapers_is_not_guessed_at_any_pace(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(metrics_password="the right one of the tests"))
    app.state.corral.login.lockout.seconds = lambda: 1.0
    statuses = []
    for password in [*("wrong",) * 4, "the right one of the tests"]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), auth=("metrics", password)) as client:
            statuses.append((await client.get("http://api.test/metrics")).status_code)
    assert statuses == [401, 401, 401, 401, 429]
    await app.state.corral.close()


async def test_patterns_of_queues_are_short(viewer: httpx.AsyncClient, operator: httpx.AsyncClient) -> None:
    """Each is compiled once, and kept by the process."""
    assert (await viewer.get("/queues", params={"match": "x" * 257})).status_code == 400
    assert (await operator.post("/queues/pause", json={"match": ["x" * 257]})).status_code == 422
