"""Jobs that Node adds and corral runs: what arrives, in which order, and what Node then reads."""

import asyncio
from typing import Any

import pytest

from corral.options import JobOptions
from corral.queue import Queue
from corral.signals import Discard
from corral.worker.context import JobContext

from .node import Bull, NodeError
from .scenes.adding import ODD_DATA
from .work import GUARD, echo, fails, working


async def test_a_job_of_node_runs_here_and_its_result_is_awaited_there(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("welcome", {"to": 7})
    async with working(mail, echo, name="box-1"):
        assert await queue.job(job["id"], "waitUntilFinished", events.as_argument) == {"to": 7}
    done = await queue.get(job["id"])
    assert done is not None
    assert (done["returnvalue"], done["attemptsMade"], done["attemptsStarted"]) == ({"to": 7}, 1, 1)
    assert done["timestamp"] <= done["processedOn"] <= done["finishedOn"]
    assert done["processedBy"].startswith("box-1")
    assert await queue.state(job["id"]) == "completed"


async def test_data_of_every_kind_arrives_and_goes_back_unchanged(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    # Half a surrogate pair is no text: it can be received (the golden dumps do) but not sent on.
    odd = {name: data for name, data in ODD_DATA.items() if name != "data-half-surrogate"}
    jobs = await queue.call("addBulk", [{"name": name, "data": data} for name, data in odd.items()])
    async with working(mail, echo):
        for job in jobs:
            assert await queue.job(job["id"], "waitUntilFinished", events.as_argument) == odd[job["name"]], job["name"]


async def test_urgent_jobs_come_first_then_the_list_with_lifo_ahead(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("plain")
    await queue.add("five", priority=5)
    await queue.add("one", priority=1)
    await queue.add("ahead", lifo=True)
    await queue.add("idle", priority=2_000_000)
    async with working(mail, concurrency=1) as notes:
        runs = await notes.begun(5)
    assert [job.name for job in runs] == ["one", "five", "ahead", "plain", "idle"]


async def test_a_delayed_job_waits_for_its_time(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    async with working(mail):
        job = await queue.add("later", delay=300)
        await queue.job(job["id"], "waitUntilFinished", events.as_argument)
    done = await queue.get(job["id"])
    assert done is not None
    assert done["processedOn"] >= job["timestamp"] + 300
    assert done["delay"] == 0


async def test_a_failing_job_is_retried_with_nodes_backoff_until_it_succeeds(
    bull: Bull, mail: Queue, major: int
) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("flaky", attempts=4, backoff={"type": "exponential", "delay": 50})
    async with working(mail, fails("not yet", times=2)) as notes:
        assert await queue.job(job["id"], "waitUntilFinished", events.as_argument) == "at last"
    first, second, third = (run.started_at or 0 for run in notes.runs)
    assert second - first >= 50
    assert third - second >= 100
    done = await queue.get(job["id"])
    assert done is not None
    assert (done["attemptsMade"], done["failedReason"], len(done["stacktrace"])) == (3, "RuntimeError: not yet", 2)
    await events.wait(event="delayed", jobId=job["id"])


async def test_what_failed_here_for_good_rejects_there(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("bad", attempts=2)
    async with working(mail, fails("550 – ö")):
        with pytest.raises(NodeError, match="550 – ö"):
            await queue.job(job["id"], "waitUntilFinished", events.as_argument)
    failed = await queue.get(job["id"])
    assert failed is not None
    assert (failed["attemptsMade"], failed["failedReason"], len(failed["stacktrace"])) == (
        2,
        "RuntimeError: 550 – ö",
        2,
    )
    assert "RuntimeError" in failed["stacktrace"][0]
    assert (await events.wait(event="retries-exhausted", jobId=job["id"]))["attemptsMade"] == "2"


async def test_a_discarded_job_has_no_further_attempts(bull: Bull, mail: Queue, major: int) -> None:
    async def give_up(ctx: JobContext, data: Any) -> object:
        raise Discard("no such user")

    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("bad", attempts=5)
    async with working(mail, give_up):
        await events.wait(event="failed", jobId=job["id"], failedReason="no such user")
    failed = await queue.get(job["id"])
    assert failed is not None
    assert failed["attemptsMade"] == 1


async def test_progress_and_logs_of_a_handler_are_read_in_node(bull: Bull, mail: Queue, major: int) -> None:
    async def talk(ctx: JobContext, data: Any) -> object:
        await ctx.progress({"step": 2, "of": []})
        await ctx.log("half – way")
        return None

    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("welcome")
    async with working(mail, talk):
        assert await queue.job(job["id"], "waitUntilFinished", events.as_argument) is None
    assert (await events.wait(event="progress", jobId=job["id"]))["data"] == {"step": 2, "of": []}
    done = await queue.get(job["id"])
    assert done is not None
    assert done["progress"] == {"step": 2, "of": []}
    assert await queue.call("getJobLogs", job["id"]) == {"logs": ["half – way"], "count": 1}


async def test_node_decides_what_is_kept_of_its_jobs(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    gone = await queue.add("welcome", removeOnComplete=True)
    bad = await queue.add("bad", removeOnFail=True)
    for _ in range(3):
        await queue.add("last-two", removeOnComplete=2)

    async def act(ctx: JobContext, data: Any) -> object:
        if ctx.name == "bad":
            raise RuntimeError("boom")
        return None

    async with working(mail, act, concurrency=1) as notes:
        await events.wait(event="failed", jobId=bad["id"])
        await notes.begun(5)
        await events.wait(event="completed", jobId=notes.ids[-1])
    assert await queue.get(gone["id"]) is None
    assert await queue.get(bad["id"]) is None
    assert await queue.counts() == {"completed": 2}


async def test_five_hundred_jobs_of_node_each_run_once(bull: Bull, mail: Queue) -> None:
    queue = await bull.queue()
    await queue.call("addBulk", [{"name": "n", "data": {"n": number}} for number in range(500)])
    async with working(mail, concurrency=50) as notes:
        runs = await notes.begun(500)
    assert sorted(int(job.id) for job in runs) == list(range(1, 501))
    async with asyncio.timeout(GUARD):
        assert await queue.counts() == {"completed": 500}


async def test_a_job_by_an_id_that_exists_is_not_added_again(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("welcome", {"n": 1}, jobId="order-17")
    again = await mail.add("welcome", {"n": 2}, id="order-17")
    assert not again.fresh
    async with working(mail, echo):
        assert await again.result(timeout=GUARD) == {"n": 1}
    await queue.add("welcome", {"n": 3}, jobId="order-17")
    assert await queue.counts() == {"completed": 1}


async def test_the_trace_of_a_job_of_node_is_read_here(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    trace = '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'
    await queue.add("traced", attempts=3, telemetry={"metadata": trace})
    await queue.add("apart", telemetry={"omitContext": True})
    await queue.call("upsertJobScheduler", "tick", {"every": 60_000}, {"opts": {"telemetry": {"metadata": trace}}})
    async with working(mail) as notes:
        runs = {job.name: job.options for job in await notes.begun(3)}
    assert runs["traced"] == JobOptions(attempts=3, trace=trace)
    assert runs["apart"] == JobOptions(omit_trace=True)
    assert runs["tick"].trace == trace
