"""Traces through the API: a span for each request, and the jobs that it adds go on in its trace."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.trace import SpanKind, StatusCode

from corral import Corral
from corral.http import create_app, home
from corral.observe.server_spans import ServerSpans
from corral.observe.tracing import instrument
from corral.storage.port import Storage
from tests.observe.spans import Seen, about, parent_of, span_id, trace_of
from tests.web.conftest import TOKENS, make_client, make_settings

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
ADDED = "POST /api/v1/queues/{q}/jobs"


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What is exported during a test."""
    found = Seen()
    yield found
    found.provider.shutdown()
    found.meters.shutdown()


@pytest.fixture
async def traced(storage: Storage, seen: Seen) -> AsyncIterator[FastAPI]:
    """The API over an open store that nobody has instrumented."""
    made = create_app(storage, settings=make_settings())
    made.state.corral.spans = ServerSpans(tracer_provider=seen.provider, meter_provider=seen.meters)
    await made.state.corral.open()
    yield made
    await made.state.corral.close()


@pytest.fixture
async def client(traced: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with make_client(traced, TOKENS["admin"]) as made:
        yield made


async def test_a_job_that_is_added_goes_on_in_the_trace_of_the_request(
    client: httpx.AsyncClient, seen: Seen, storage: Storage
) -> None:
    answer = await client.post("/queues/mail/jobs", json={"name": "welcome", "data": {}}, headers=SENT)
    request, add = seen.one("POST"), seen.one("add mail.welcome")
    assert (request.name, request.kind, add.kind) == (ADDED, SpanKind.SERVER, SpanKind.PRODUCER)
    assert (trace_of(request), parent_of(request)) == (int(TRACE, 16), int(PARENT, 16))
    assert parent_of(add) == span_id(request)
    system = "corral" if "SqliteStorage" in repr(storage) else "bullmq"
    assert about(add)["messaging.system"] == system
    assert about(request) == {
        "http.request.method": "POST", "http.route": "/api/v1/queues/{q}/jobs", "http.response.status_code": 201,
        "url.path": "/api/v1/queues/mail/jobs", "url.scheme": "http",
    }  # fmt: skip
    [job] = await storage.get("mail", [answer.json()["id"]])
    assert job is not None
    assert job.options.trace == f'{{"traceparent":"00-{TRACE}-{span_id(add):016x}-01"}}'


async def test_what_somebody_does_to_a_queue_is_below_their_request(client: httpx.AsyncClient, seen: Seen) -> None:
    await client.post("/queues/mail/jobs", json={"name": "welcome"})
    await client.post("/queues/mail/pause")
    assert parent_of(seen.one("pause mail")) == span_id(seen.one("POST /api/v1/queues/{q}/pause"))


async def test_what_the_client_did_wrong_is_no_error_of_the_server(client: httpx.AsyncClient, seen: Seen) -> None:
    await client.get("/queues/nowhere")
    span = seen.one("GET")
    assert (about(span)["http.response.status_code"], span.status.status_code) == (404, StatusCode.UNSET)


async def test_an_address_without_a_route_and_a_method_that_nobody_knows_have_short_names(
    client: httpx.AsyncClient, seen: Seen
) -> None:
    await client.get("/a/b/c")
    await client.request("BREW", "/queues/pot-1")
    assert seen.spans()[0].name == "GET"
    assert [about(span)["http.request.method"] for span in seen.spans()] == ["GET", "_OTHER"]


async def test_probes_leave_none(client: httpx.AsyncClient, seen: Seen) -> None:
    await client.get("http://api.test/livez")
    assert seen.spans() == []


async def test_where_the_host_has_begun_a_span_there_is_no_second_one(client: httpx.AsyncClient, seen: Seen) -> None:
    with seen.tracer.start_as_current_span("theirs") as host:
        await client.post("/queues/mail/jobs", json={"name": "welcome"})
    assert {span.name for span in seen.spans()} == {"theirs", "add mail.welcome"}
    assert parent_of(seen.one("add")) == span_id(host)


async def test_an_application_that_is_traced_is_not_traced_twice(storage_url: str, seen: Seen) -> None:
    app = Corral(storage_url)

    @app.queue("mail").job("welcome")
    async def welcome() -> None: ...

    instrument(app, tracer_provider=seen.provider, meter_provider=seen.meters)
    api = create_app(app, settings=make_settings())
    api.state.corral.spans = ServerSpans(tracer_provider=seen.provider, meter_provider=seen.meters)
    async with make_client(api, TOKENS["admin"]) as client:
        await client.post("/queues/mail/jobs", json={"name": "welcome"})
    await api.state.corral.close()
    assert parent_of(seen.one("add mail.welcome")) == span_id(seen.one("POST"))


def test_a_failure_of_the_server_is_an_error(seen: Seen) -> None:
    span = ServerSpans(tracer_provider=seen.provider).begin("GET", "/x", "http", ())
    assert span is not None
    span.end("/x", 503)
    assert (seen.one("GET /x").status.status_code, about(seen.one("GET"))["error.type"]) == (StatusCode.ERROR, "503")


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert create_app("sqlite:///:memory:", settings=make_settings()).state.corral.spans is not None
    monkeypatch.setenv("CORRAL_OTEL", "0")
    assert create_app("sqlite:///:memory:", settings=make_settings()).state.corral.spans is None


def test_without_the_package_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "find_spec", lambda name: None)
    assert create_app("sqlite:///:memory:", settings=make_settings()).state.corral.spans is None


def test_where_nobody_has_said_where_spans_go_none_is_begun() -> None:
    assert ServerSpans().begin("GET", "/x", "http", ()) is None


def test_the_framework_records_nothing_by_itself(seen: Seen) -> None:
    made = create_app("sqlite:///:memory:", settings=make_settings())
    given = getattr(made, "_telemetry", None)  # of FastAPI versions that do
    assert given is None or not any(given[one] for one in ("tracing", "metrics", "logs", "operation_spans"))
