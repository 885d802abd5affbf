"""Each side hears the other's transitions: Node's QueueEvents those of corral, corral's events those of Node."""

from typing import Any

import pytest

from corral.event import OLDEST, EventType
from corral.queue import Queue
from corral.storage.port import Storage
from corral.worker.context import JobContext

from .node import Bull, NodeEvents
from .work import GUARD, fails, heard, working


async def names(events: NodeEvents, job_id: str) -> list[str]:
    """The events of one job in the order Node heard them."""
    return [event["event"] for event in await events.heard() if event.get("jobId") == job_id]


async def test_node_hears_the_life_of_a_job_that_completes_here(bull: Bull, mail: Queue, major: int) -> None:
    async def act(ctx: JobContext, data: Any) -> object:
        await ctx.progress(50)
        return {"list": [], "text": "ü"}

    events = await bull.events(major=major)
    handle = await mail.add("welcome")
    async with working(mail, act):
        completed = await events.wait(event="completed", jobId=handle.id)
    assert completed["returnvalue"] == {"list": [], "text": "ü"}
    assert completed["prev"] == "active"
    assert await names(events, handle.id) == ["added", "waiting", "active", "progress", "completed"]
    assert (await events.wait(event="added", jobId=handle.id))["name"] == "welcome"
    assert (await events.wait(event="progress", jobId=handle.id))["data"] == 50
    assert (await events.wait(event="active", jobId=handle.id))["prev"] == "waiting"
    await events.wait(event="drained")


async def test_node_hears_the_life_of_a_job_that_fails_here(bull: Bull, mail: Queue, major: int) -> None:
    events = await bull.events(major=major)
    handle = await mail.add("bad", attempts=3, backoff=0.05)
    async with working(mail, fails("bo\nom")):
        failed = await events.wait(event="failed", jobId=handle.id)
    assert (failed["failedReason"], failed["prev"]) == ("RuntimeError: bo\nom", "active")
    heard_here = await names(events, handle.id)
    assert heard_here.count("active") == 3
    assert heard_here.count("delayed") == 2
    assert heard_here.count("failed") == 1
    job = await handle.get()
    later = (await events.wait(event="delayed", jobId=handle.id))["delay"]
    assert job.created_at + 50 <= float(later) <= (job.finished_at or 0)


async def test_node_hears_what_people_do_with_corral(bull: Bull, mail: Queue, storage: Storage, major: int) -> None:
    events = await bull.events(major=major)
    later = await mail.add("later", delay=3600)
    assert float((await events.wait(event="delayed", jobId=later.id))["delay"]) == (await later.get()).run_at
    await mail.promote(later.id)
    await events.wait(event="waiting", jobId=later.id, prev="delayed")
    await mail.remove(later.id)
    await events.wait(event="removed", jobId=later.id)
    await mail.add("welcome", id="order-17")
    await mail.add("welcome", id="order-17")
    await events.wait(event="duplicated", jobId="order-17")
    await mail.pause("lunch")
    await events.wait(event="paused")
    await mail.resume()
    await events.wait(event="resumed")


async def test_node_hears_a_failed_job_being_retried_by_a_person(bull: Bull, mail: Queue, major: int) -> None:
    events = await bull.events(major=major)
    handle = await mail.add("bad")
    async with working(mail, fails(times=1)):
        await events.wait(event="failed", jobId=handle.id)
        assert await mail.retry(handle.id) == [handle.id]
        await events.wait(event="waiting", jobId=handle.id, prev="failed")


SEEN = (
    EventType.ADDED,
    EventType.ACTIVE,
    EventType.PROGRESS,
    EventType.COMPLETED,
    EventType.FAILED,
    EventType.RETRYING,
)


async def test_corral_hears_the_life_of_a_job_that_completes_in_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    job = await queue.add("welcome", {"n": 1})
    await bull.worker(script={"*": {"progress": {"at": 0.5}, "return": ["ü"]}}, major=major)
    completed = await heard(mail, EventType.COMPLETED, after=OLDEST, job_id=job["id"])
    events, _ = await mail.storage.events("mail", after=OLDEST)
    mine = {event.type: event for event in events if event.job_id == job["id"]}
    assert [event.type for event in events if event.job_id == job["id"] and event.type in SEEN] == [
        EventType.ADDED, EventType.ACTIVE, EventType.PROGRESS, EventType.COMPLETED,
    ]  # fmt: skip
    assert completed.detail == '["ü"]'
    assert mine[EventType.PROGRESS].detail == '{"at":0.5}'
    assert mine[EventType.ADDED].name == "welcome"
    assert job["timestamp"] <= mine[EventType.ADDED].at <= completed.at


async def test_corral_hears_the_life_of_a_job_that_fails_in_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    job = await queue.add("bad", attempts=3, backoff=50)
    await bull.worker(script={"*": {"throw": "bo\nom"}}, major=major)
    failed = await heard(mail, EventType.FAILED, after=OLDEST, job_id=job["id"])
    assert "bo" in (failed.detail or "")
    events, _ = await mail.storage.events("mail", after=OLDEST)
    kinds = [event.type for event in events if event.job_id == job["id"]]
    assert kinds.count(EventType.ACTIVE) == 3
    assert kinds.count(EventType.FAILED) == 1
    assert kinds.count(EventType.DELAYED) + kinds.count(EventType.RETRYING) >= 2


async def test_corral_hears_what_people_do_in_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    job = await queue.add("later", delay=3_600_000)
    await queue.job(job["id"], "promote")
    await queue.job(job["id"], "remove")
    await queue.call("pause")
    await queue.call("resume")
    for kind in (EventType.ADDED, EventType.DELAYED, EventType.WAITING, EventType.REMOVED):
        assert (await heard(mail, kind, after=OLDEST, job_id=job["id"])).queue == "mail"
    for kind in (EventType.PAUSED, EventType.RESUMED):
        assert (await heard(mail, kind, after=OLDEST)).job_id is None


async def test_events_that_nobody_knows_are_passed_over_here(bull: Bull, mail: Queue) -> None:
    producer = await bull.producer()
    await producer.call("publishEvent", {"eventName": "lunch", "who": "Ada"})
    await (await bull.queue()).add("welcome")
    assert (await heard(mail, EventType.ADDED, after=OLDEST)).job_id == "1"


async def test_a_listener_in_node_survives_all_that_corral_can_say(bull: Bull, mail: Queue, storage: Storage) -> None:
    """Anything that is not JSON where Node decodes would end its listener for good: the last event proves it lives."""
    events = await bull.events()
    handles = await mail.add_bulk([("a", {}), ("b", {}, {"lifespan": 0.001}), ("c", {}, {"delay": 3600})])
    await mail.cancel(handles[2].id, reason="no longer – needed")

    async def act(ctx: JobContext, data: Any) -> object:
        odd: tuple[object, ...] = ("text", None, [], {"a": {}}, 1e300, True)
        for value in odd:
            await ctx.progress(value)
        return None

    async with working(mail, act):
        await handles[0].result(timeout=GUARD)
        await events.wait(event="failed", jobId=handles[1].id)
        await events.wait(event="failed", jobId=handles[2].id)
        last = await mail.add("last")
        await events.wait(event="completed", jobId=last.id)
    progress = [event["data"] for event in await events.heard() if event["event"] == "progress"]
    assert progress[:6] == ["text", None, [], {"a": {}}, 1e300, True]


@pytest.mark.parametrize("adder", ["node", "corral"])
async def test_both_sides_hear_the_same_story(bull: Bull, mail: Queue, adder: str) -> None:
    events = await bull.events()
    queue = await bull.queue()
    job_id = (await queue.add("welcome"))["id"] if adder == "node" else (await mail.add("welcome")).id
    async with working(mail):
        await events.wait(event="completed", jobId=job_id)
    here, _ = await mail.storage.events("mail", after=OLDEST)
    there = await names(events, job_id)
    there.remove("waiting")  # of an added job: corral leaves it out, it says nothing new
    assert [event.type.value for event in here if event.job_id == job_id] == there
