"""`GET /events` over a real socket: what a client reads, tickets, limits, and how a stream ends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from corral.http.home import Api
from corral.http.live import feed, seats
from corral.http.routes import events
from corral.job import NewJob
from corral.storage.port import Selection, Storage

from .conftest import BASE, TOKENS

GUARD = 30.0


class Quiet(uvicorn.Server):
    """Leaves the signals of the test's process alone."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """The API on a socket."""
    listener = socket.create_server(("127.0.0.1", 0))  # takes connections from now on
    server = Quiet(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}{BASE}"
    app.state.corral.closing.set()
    server.should_exit = True
    await serving


class Reader:
    """Reads a stream of events."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = ""
        self._lines = response.aiter_lines()

    async def next(self, event: str) -> Any:
        """The data of the next event of this sort."""
        async with asyncio.timeout(GUARD):
            name = ""
            data = ""
            async for line in self._lines:
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif field == "id":
                    self.last_id = value
                elif not line and name:
                    if name == event:
                        return json.loads(data)
                    name = ""
        raise AssertionError(f"the stream ended before {event!r}")

    async def rest(self) -> str:
        """All lines to the end."""
        async with asyncio.timeout(GUARD):
            return "\n".join([line async for line in self._lines])


@asynccontextmanager
async def stream(
    url: str, topics: str = "counts", token: str | None = TOKENS["viewer"], **headers: str
) -> AsyncIterator[Reader]:
    shown = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(timeout=GUARD) as client,
        client.stream("GET", f"{url}/events?topics={topics}", headers={**shown, **headers}) as response,
    ):
        yield Reader(response)


async def add(storage: Storage, queue: str, *ids: str) -> None:
    await storage.add([NewJob(queue=queue, name="n", id=job_id) for job_id in ids])


async def test_a_stream_greets_and_tells_what_changes(url: str, storage: Storage) -> None:
    await add(storage, "mail", "j1")
    async with stream(url, "counts,queue:mail") as reader:
        assert reader.response.headers["content-type"].startswith("text/event-stream")
        assert reader.response.headers["cache-control"] == "no-cache"
        assert reader.response.headers["x-accel-buffering"] == "no"
        hello = await reader.next("hello")
        assert hello["resume"] is False
        assert (await reader.next("counts"))["mail"]["waiting"] == 1
        await add(storage, "mail", "j2")
        assert await reader.next("jobs") == {"queue": "mail", "states": {"waiting": 1}, "n": 1}


async def test_a_client_that_comes_back_with_its_last_id_has_missed_nothing(url: str, storage: Storage) -> None:
    await add(storage, "mail", "old")
    async with stream(url, "job:mail/j1") as reader:
        await reader.next("hello")
        await add(storage, "mail", "j1")
        await reader.next("job")
        last = reader.last_id
    assert last
    await storage.remove("mail", Selection(ids=("j1",)))
    async with stream(url, "job:mail/j1", **{"Last-Event-ID": last}) as again:
        assert (await again.next("hello"))["resume"] is True
        assert (await again.next("job"))["event"] == "removed"


@pytest.mark.parametrize("last_id", ["nonsense", "%00", "mail=zzz", "x" * 7_000])
async def test_a_last_id_that_means_nothing_does_no_harm(url: str, storage: Storage, last_id: str) -> None:
    await add(storage, "mail", "j1")
    async with stream(url, "queue:mail", **{"Last-Event-ID": last_id}) as reader:
        await reader.next("hello")


async def test_topics_that_cannot_be_meant_are_a_problem_and_no_stream(viewer: httpx.AsyncClient) -> None:
    answer = await viewer.get("/events", params={"topics": "count"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-parameter")
    assert "counts" in answer.json()["detail"]


async def test_a_queue_outside_of_the_callers_sight_looks_like_none(
    app: FastAPI, client_of: Callable[[str | None], httpx.AsyncClient], admin: httpx.AsyncClient
) -> None:
    made = await admin.post("/tokens", json={"name": "t", "role": "viewer", "queues": ["mail*"]})
    assert made.status_code == 201
    scoped = client_of(None)
    scoped.headers["Authorization"] = f"Bearer {made.json()['token']}"
    answer = await scoped.get("/events", params={"topics": "queue:secret"})
    assert (answer.status_code, answer.json()["code"]) == (404, "queue-not-found")


async def test_a_ticket_opens_one_stream_without_a_header(
    url: str, viewer: httpx.AsyncClient, storage: Storage
) -> None:
    await add(storage, "mail", "j1")
    answer = await viewer.post("/events/tickets", json={"topics": ["counts"]})
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    kept = [entry.text for entry in await storage.entries("ticket")]
    assert kept
    assert not [text for text in kept if ticket in text]
    async with stream(f"{url}", f"rates&ticket={ticket}", token=None) as reader:
        await reader.next("hello")
        await reader.next("counts")  # the ticket's topics, not those of the URL
    async with stream(f"{url}", f"counts&ticket={ticket}", token=None) as second:
        assert second.response.status_code == 401


async def test_a_stream_by_ticket_is_a_short_one_because_nobody_can_look_at_its_token_again(
    url: str, viewer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHECK", 0.01)
    monkeypatch.setattr(events, "BY_TICKET_MS", 0)
    ticket = (await viewer.post("/events/tickets", json={"topics": ["counts"]})).json()["ticket"]
    async with stream(url, f"counts&ticket={ticket}", token=None) as reader:
        assert "event: bye" in await reader.rest()


async def test_an_invented_ticket_is_refused(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/events", params={"ticket": "x" * 43})
    assert (answer.status_code, answer.json()["code"]) == (401, "token-invalid")


async def test_streams_end_with_a_word_when_the_server_stops(url: str, home: Api) -> None:
    async with stream(url) as reader:
        await reader.next("hello")
        home.closing.set()
        assert "event: bye" in await reader.rest()


async def test_nobody_has_more_streams_than_there_are_seats(
    url: str, home: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "OWN", 1)
    async with stream(url) as first:
        await first.next("hello")
        async with stream(url) as second:
            assert second.response.status_code == 503
            await second.response.aread()
            assert second.response.json()["code"] == "too-many-streams"
        async with stream(url, token=TOKENS["admin"]) as another:
            await another.next("hello")
            assert home.seats.taken == 2
    status = 0
    async with asyncio.timeout(GUARD):
        while status != 200:  # the seat is given back as soon as the server has seen that the viewer is gone
            async with stream(url) as later:
                status = later.response.status_code


async def test_a_quiet_stream_shows_that_it_lives(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PING", 0.01)
    async with stream(url, "operations") as reader, asyncio.timeout(GUARD):
        async for line in reader.response.aiter_lines():
            if line == ": ping":
                break
