"""Waiting for a job's end: one tail of events for everybody, and nobody waits for somebody who has gone."""

import asyncio

import pytest
from starlette.requests import Request

from corral.errors import JobNotFoundError
from corral.http.home import Api
from corral.http.waiting import ended
from corral.job import JobState
from corral.outcome import Completed
from tests.web.routes.conftest import QUEUE, Store


def caller(gone: asyncio.Event) -> Request:
    """A request whose connection ends when the event is set."""
    told = False

    async def receive() -> dict[str, object]:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)


async def test_a_wait_ends_when_the_caller_hangs_up(home: Api, store: Store) -> None:
    [job] = await store.add("x")
    gone = asyncio.Event()
    waiting = asyncio.create_task(ended(caller(gone), home, QUEUE, job, 60))
    gone.set()
    async with asyncio.timeout(30):
        assert (await waiting).state is JobState.WAITING


async def test_a_wait_ends_when_the_server_stops(home: Api, store: Store) -> None:
    [job] = await store.add("x")
    waiting = asyncio.create_task(ended(caller(asyncio.Event()), home, QUEUE, job, 60))
    home.closing.set()
    async with asyncio.timeout(30):
        assert (await waiting).state is JobState.WAITING


async def test_a_hundred_who_wait_share_one_tail(home: Api, store: Store) -> None:
    [job] = await store.add("x")
    calls = [asyncio.create_task(ended(caller(asyncio.Event()), home, QUEUE, job, 60)) for _ in range(100)]
    async with asyncio.timeout(30):
        while not home.endings:
            await home.monitor.states(QUEUE, [job])
        assert list(home.endings) == [QUEUE]
        await store.end(Completed(result="1"))
        assert {one.state for one in await asyncio.gather(*calls)} == {JobState.COMPLETED}
    assert home.endings == {}, "nobody waits any more"


async def test_a_queue_that_somebody_made_up_is_not_followed(
    home: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    [job] = await store.add("x")
    monkeypatch.setattr(home.storage, "events", None)  # whoever follows calls it
    for number in range(50):
        with pytest.raises(JobNotFoundError):
            await ended(caller(asyncio.Event()), home, f"made-up-{number}", job, 60)
    assert home.endings == {}


async def test_a_job_that_has_ended_is_not_waited_for(home: Api, store: Store) -> None:
    job = await store.completed()
    found = await ended(caller(asyncio.Event()), home, QUEUE, job, 60)
    assert found.state is JobState.COMPLETED
