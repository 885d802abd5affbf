"""What every answer has, and what none has: headers, ids, log lines; no trace, path or secret."""

import json
import logging
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from corral.errors import CorralError, StorageFullError, StorageUnavailableError
from corral.http import create_app
from corral.http.answers import TABLE
from corral.http.home import Api
from corral.http.problems import CATALOGUE
from corral.storage.connect import connect
from tests.web.conftest import TOKENS, make_client, make_settings

ALWAYS = {
    "x-content-type-options": "nosniff", "referrer-policy": "same-origin", "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY", "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}  # fmt: skip


@pytest.fixture
async def app() -> AsyncIterator[FastAPI]:
    """An API over a store in memory."""
    async with connect("sqlite:///:memory:") as storage:
        made = create_app(storage, settings=make_settings())
        await made.state.corral.open()
        yield made
        await made.state.corral.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/me", 200), ("GET", "/queues/nowhere", 404), ("GET", "/nothing", 404), ("PUT", "/me", 405),
     ("GET", "http://api.test/livez", 200), ("GET", "http://api.test/metrics", 200), ("GET", "http://api.test/", 404),
     ("OPTIONS", "/me", 405), ("GET", "/openapi.json", 200), ("GET", "/me/", 404)],
)  # fmt: skip
async def test_every_answer_has_the_headers_that_keep_browsers_in_check(
    app: FastAPI, method: str, path: str, status: int
) -> None:
    async with make_client(app, TOKENS["admin"]) as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in ALWAYS} == ALWAYS
    assert len(answer.headers["x-request-id"]) == 26
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-123", True), ("01J.x:y_z", True), ("x" * 128, True), ("x" * 129, False), ("", False), ("a b", False),
     ("a;b", False), ("<script>", False), ("-a", False), ("a\tb", False)],
)  # fmt: skip
async def test_an_id_that_the_client_gives_is_kept_if_it_can_stand_in_a_line(
    app: FastAPI, given: str, kept: bool
) -> None:
    async with make_client(app, **{"X-Request-Id": given}) as client:
        answer = await client.get("/me")
    assert (answer.headers["x-request-id"] == given) == kept
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_problem_says_what_the_standard_wants(app: FastAPI) -> None:
    async with make_client(app, TOKENS["viewer"]) as client:
        answer = await client.get("/queues/mial")
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:corral:problem:queue-not-found"
    assert (problem["status"], problem["code"], problem["instance"]) == (404, "queue-not-found", "/api/v1/queues/mial")
    assert problem["title"] == CATALOGUE["queue-not-found"][1]
    assert problem["detail"].startswith("Queue 'mial'")


async def test_a_method_that_is_not_allowed_names_those_that_are(app: FastAPI) -> None:
    async with make_client(app, TOKENS["viewer"]) as client:
        answer = await client.delete("/me")
    assert (answer.json()["code"], answer.headers["allow"]) == ("method-not-allowed", "GET")


#: Stand for what an error may have in its words.
CANARIES = ("/srv/secret/path.db", "redis://user:hunter2@10.0.0.7:6379", "SELECT * FROM job", "Traceback")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError(" ".join(CANARIES)), 500, "internal"),
        (KeyError("hunter2"), 500, "internal"),
        (OSError(2, "No such file", "/srv/secret/path.db"), 500, "internal"),
        (CorralError(" ".join(CANARIES)), 500, "internal"),
        (StorageUnavailableError(" ".join(CANARIES)), 503, "engine-unavailable"),
        (StorageFullError(" ".join(CANARIES)), 503, "engine-full"),
        (TimeoutError(" ".join(CANARIES)), 504, "engine-timeout"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_error_is_logged_and_the_client_learns_its_id_only(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception, status: int, code: str,
) -> None:  # fmt: skip
    home: Api = app.state.corral

    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(home.monitor, "queues", fail)
    async with make_client(app, TOKENS["admin"]) as client:
        answer = await client.get("/queues")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not [
        word for word in (*CANARIES, "hunter2", "/srv", ".py", "RuntimeError", "site-packages") if word in answer.text
    ]
    told = [record for record in caplog.records if getattr(record, "event", "") == "api.error"]
    assert len(told) == (code == "internal")
    assert all(getattr(record, "request_id", "") == answer.json()["request_id"] for record in told)
    assert all(record.exc_info is not None and record.exc_info[1] is error for record in told)


async def test_a_store_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings(read_timeout=0.05))
        await app.state.corral.open()
        never = asyncio.Event()
        monkeypatch.setattr(app.state.corral.monitor, "queues", lambda *_, **__: never.wait())
        async with make_client(app, TOKENS["viewer"]) as client:
            answer = await client.get("/queues")
        await app.state.corral.close()
    assert (answer.status_code, answer.json()["code"]) == (504, "engine-timeout")


#: Requests that nobody sends who means well.
ODD = [
    ("GET", "/queues/%00/jobs"), ("GET", "/queues/%ff"), ("GET", "/queues/..%2f..%2fetc%2fpasswd"),
    ("GET", "/queues/'--"),
    ("GET", "/jobs?q=%00"), ("GET", "/jobs?limit=99999999999999999999"), ("GET", "/jobs?limit=-1"),
    ("GET", "/jobs?limit=x"),
    ("GET", "/jobs?cursor=AAAA"), ("GET", "/jobs?q=name:((("), ("GET", "/queues?sort=__class__"),
    ("GET", "/queues/mail/jobs/%F0%9F%92%A9"), ("GET", "/queues/mail/jobs/<script>alert(1)</script>"),
    ("GET", "/metrics/series?from=0000&to=9999"), ("GET", "/metrics/series?metric=__import__"),
    ("POST", "/queues/mail/jobs"), ("PATCH", "/queues/mail"), ("DELETE", "/queues/mail/jobs/1"), ("POST", "/jobs/bulk"),
    ("GET", "/workers/%2e%2e"), ("GET", "/operations/x"), ("GET", "/audit?limit=x"), ("GET", "/failures?window=-1h"),
    ("GET", "/system/doctor?x=1"), ("GET", "/queues/mail/schedules/x/next?n=1e9"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ODD)
async def test_an_odd_request_gets_a_plain_answer(app: FastAPI, method: str, path: str) -> None:
    async with make_client(app, TOKENS["admin"]) as client:
        answer = await client.request(method, path, content=b"")
    assert answer.status_code < 500, answer.text
    assert not re.search(
        r"Traceback|File \"|\.py\b|/tmp/|/root/|site-packages|apsw|SELECT |msgspec|pydantic", answer.text
    )


async def test_a_request_is_one_line_in_the_log(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "corral.api")
    async with make_client(app, TOKENS["viewer"]) as client:
        await client.get("/queues/mail%0d%0aGET /fake 200?token=hunter2")
        await client.get("http://api.test/livez")
    [record] = [record for record in caplog.records if getattr(record, "event", "") == "api.request"]
    found = vars(record)
    assert record.getMessage() == "GET /api/v1/queues/mail%0D%0AGET%20/fake%20200 404"
    assert (found["method"], found["status"]) == ("GET", 404)
    assert (found["ip"], found["duration_ms"] >= 0) == ("127.0.0.1", True)
    assert len(found["request_id"]) == 26
    assert "hunter2" not in json.dumps(found, default=str)
    assert TOKENS["viewer"] not in json.dumps(found, default=str)


async def test_the_line_says_who_and_by_which_route(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "corral.api")
    async with make_client(app, TOKENS["operator"]) as client:
        await client.get("/queues/mail")
    [record] = [record for record in caplog.records if getattr(record, "event", "") == "api.request"]
    found = vars(record)
    assert (found["actor"], found["role"], found["route"]) == ("operator", "operator", "/api/v1/queues/{q}")


@pytest.mark.parametrize(
    ("host", "status"),
    [("api.example.com", 200), ("API.EXAMPLE.COM:8443", 200), ("a.tenant.test", 200), ("api.example.com.", 200),
     ("evil.test", 403), ("tenant.test", 403), ("xtenant.test", 403), ("api.example.com@evil.test", 403),
     ("api.example.com.evil.test", 403)],
)  # fmt: skip
async def test_only_the_names_that_are_allowed_are_served(host: str, status: int) -> None:
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings(allowed_hosts="api.example.com, *.tenant.test"))
        async with make_client(app, TOKENS["viewer"], Host=host) as client:
            answer = await client.get("/me")
        await app.state.corral.close()
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("peer", "headers", "seen"),
    [
        ("10.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, "192.0.2.7"),
        ("10.0.0.1", {"X-Forwarded-For": "6.6.6.6, 192.0.2.7, 10.0.0.9"}, "192.0.2.7"),
        ("10.0.0.1", {"X-Forwarded-For": "not an address"}, "10.0.0.1"),
        ("10.0.0.1", {"X-Forwarded-For": "x" * 100}, "10.0.0.1"),
        ("10.0.0.1", {}, "10.0.0.1"),
        ("192.0.2.9", {"X-Forwarded-For": "127.0.0.1"}, "192.0.2.9"),
    ],
)
async def test_where_a_request_comes_from_is_what_a_trusted_proxy_says(
    caplog: pytest.LogCaptureFixture, peer: str, headers: dict[str, str], seen: str
) -> None:
    caplog.set_level(logging.INFO, "corral.api")
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings(trusted_proxies="10.0.0.0/8"))
        transport = httpx.ASGITransport(app=app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
            await client.get("/api/v1/me")
        await app.state.corral.close()
    [record] = [record for record in caplog.records if getattr(record, "event", "") == "api.request"]
    assert vars(record)["ip"] == seen


async def test_a_trusted_proxy_says_by_which_scheme_and_for_which_host() -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "queues.example.com"}
    async with connect("sqlite:///:memory:") as storage:
        answers = []
        for networks in ("127.0.0.1", "10.0.0.0/8"):
            settings = make_settings(trusted_proxies=networks, allowed_hosts="queues.example.com, api.test")
            app = create_app(storage, settings=settings)
            async with make_client(app, TOKENS["viewer"], **headers) as client:
                answers.append(await client.get("/me"))
            await app.state.corral.close()
    assert ["strict-transport-security" in answer.headers for answer in answers] == [True, False]


def test_every_error_of_the_tree_has_a_place_in_the_catalogue() -> None:
    from corral import errors
    from corral.admin.problems import CODES

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CorralError)]
    table = tuple(kind for kind, _ in TABLE)
    known = {kind.__name__ for kind in kinds if issubclass(kind, (*table, *CODES))}
    # A bug of whoever builds the application, or of ours: they are logged, and the client is told nothing.
    assert {kind.__name__ for kind in kinds} - known - {"JobStateError", "RecordNotFoundError"} == {
        "CorralError", "RegistrationError", "JobError", "ResultError", "EffectError", "JobCancelledError",
        "WorkerCrashedError",
    }  # fmt: skip
