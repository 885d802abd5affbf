"""Deduplication ids that Node's producers use, when corral does the work."""

import asyncio
from typing import Any

from corral.queue import Queue
from corral.worker.context import JobContext

from .node import Bull
from .work import fails, working


async def test_a_completed_owner_frees_its_deduplication_id(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    await queue.add("welcome", {"n": 1}, deduplication={"id": "user-7"})
    dropped = await queue.add("welcome", {"n": 2}, deduplication={"id": "user-7"})
    assert dropped["id"] == "1"
    async with working(mail) as notes:
        await events.wait(event="completed", jobId="1")
        assert await queue.call("getDeduplicationJobId", "user-7") is None
        again = await queue.add("welcome", {"n": 3}, deduplication={"id": "user-7"})
        await events.wait(event="completed", jobId=again["id"])
    assert notes.ids == ["1", again["id"]]


async def test_a_finally_failed_owner_frees_its_deduplication_id(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    await queue.add("bad", attempts=2, deduplication={"id": "user-7"})
    async with working(mail, fails()):
        await events.wait(event="failed", jobId="1")
    assert await queue.call("getDeduplicationJobId", "user-7") is None


async def test_an_owner_with_a_time_to_live_keeps_its_id_until_then(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    await queue.add("welcome", deduplication={"id": "user-7", "ttl": 3_600_000})
    async with working(mail):
        await events.wait(event="completed", jobId="1")
    assert await queue.call("getDeduplicationJobId", "user-7") == "1"


async def test_the_last_of_many_is_run_after_the_active_owner(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    mode = {"id": "user-7", "keepLastIfActive": True}
    started, go_on = asyncio.Event(), asyncio.Event()

    async def act(ctx: JobContext, data: Any) -> object:
        started.set()
        await go_on.wait()
        return data["n"]

    await queue.add("welcome", {"n": 1, "list": []}, deduplication=mode)
    async with working(mail, act) as notes:
        await started.wait()
        for number in (2, 3):
            await queue.add("welcome", {"n": number, "list": []}, deduplication=mode, attempts=3)
        go_on.set()
        await events.wait(event="completed", returnvalue=3)
    assert [run.data for run in notes.runs] == ['{"n":1,"list":[]}', '{"n":3,"list":[]}']
    assert notes.runs[1].options.attempts == 3
    assert await queue.call("getDeduplicationJobId", "user-7") is None
    assert await bull.keys.faults("mail", idle=True) == []


async def test_removing_or_cancelling_the_owner_here_frees_its_id(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("welcome", deduplication={"id": "user-7"})
    assert await mail.remove("1") == ["1"]
    assert await queue.call("getDeduplicationJobId", "user-7") is None
    second = await queue.add("welcome", deduplication={"id": "user-7"})
    assert await mail.cancel(second["id"]) == [second["id"]]
    assert await queue.call("getDeduplicationJobId", "user-7") is None


async def test_a_debounced_job_that_node_replaced_runs_once_here(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    mode = {"id": "user-7", "ttl": 60_000, "extend": True, "replace": True}
    for number in (1, 2):
        await queue.add("welcome", {"n": number}, deduplication=mode, delay=3_600_000)
    last = await queue.add("welcome", {"n": 3}, deduplication=mode, delay=200)
    async with working(mail) as notes:
        await events.wait(event="completed", jobId=last["id"])
    assert [run.data for run in notes.runs] == ['{"n":3}']
