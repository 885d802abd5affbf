"""The Python port of BullMQ (PyPI `bullmq`) and corral on one queue, in both directions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import bullmq
import pytest

from corral.errors import JobFailedError
from corral.job import JobState
from corral.options import Fixed
from corral.queue import Queue
from corral.worker.context import JobContext

from .keys import Keys
from .work import GUARD, echo, fails, until, working

# Its own warnings (about files, loops and sockets it leaves to the garbage collector) are not ours to judge.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
async def theirs(server_url: str, keys: Keys) -> AsyncIterator[Any]:
    """Their queue."""
    queue = bullmq.Queue("mail", {"connection": server_url, "prefix": keys.prefix})
    yield queue
    await queue.close()


@asynccontextmanager
async def their_worker(
    server_url: str, keys: Keys, act: Callable[[Any, str], Awaitable[object]]
) -> AsyncIterator[None]:
    """Their worker for the length of a block."""
    opts = {"connection": server_url, "prefix": keys.prefix, "drainDelay": 1}
    worker = bullmq.Worker("mail", act, opts)
    try:
        yield
    finally:
        await worker.close(force=True)


async def finished(mail: Queue, job_id: str) -> bool:
    return (await mail.get(job_id)).state.finished


async def test_their_job_runs_here_and_they_read_the_result(theirs: Any, mail: Queue) -> None:
    job = await theirs.add("welcome", {"to": [7], "text": "ü"}, {"attempts": 2, "backoff": 50})
    async with working(mail, echo):
        assert await mail.result(job.id, timeout=GUARD) == {"to": [7], "text": "ü"}
    done = await theirs.getJob(job.id)
    assert done.returnvalue == {"to": [7], "text": "ü"}
    assert (done.attemptsMade, await theirs.getJobState(job.id)) == (1, "completed")
    assert done.timestamp <= done.processedOn <= done.finishedOn


async def test_their_options_are_obeyed_here(theirs: Any, mail: Queue) -> None:
    bad = await theirs.add("bad", {}, {"attempts": 3, "backoff": {"type": "fixed", "delay": 20}})
    late = await theirs.add("late", {}, {"delay": 200})
    await theirs.add("urgent", {}, {"priority": 2, "removeOnComplete": True})

    async def act(ctx: JobContext, data: Any) -> object:
        return await fails()(ctx, data) if ctx.name == "bad" else None

    async with working(mail, act) as notes:
        with pytest.raises(JobFailedError, match="boom"):
            await mail.result(bad.id, timeout=GUARD)
        await mail.result(late.id, timeout=GUARD)
    assert notes.ids.count(bad.id) == 3
    failed = await theirs.getJob(bad.id)
    assert (failed.failedReason, failed.attemptsMade, len(failed.stacktrace)) == ("RuntimeError: boom", 3, 3)
    assert await theirs.getJobCounts("completed", "failed") == {"completed": 1, "failed": 1}


async def test_our_job_runs_there_and_we_read_the_result(server_url: str, keys: Keys, mail: Queue) -> None:
    async def act(job: Any, token: str) -> object:
        await job.updateProgress(50)
        await job.log("half way")
        return {"got": job.data}

    handle = await mail.add("welcome", {"to": [7], "text": "ü"})
    async with their_worker(server_url, keys, act):
        assert await handle.result(timeout=GUARD) == {"got": {"to": [7], "text": "ü"}}
    job = await handle.get()
    assert (job.progress, list((await mail.logs(handle.id)).items)) == ("50", ["half way"])


async def test_they_retry_our_job_with_our_backoff(server_url: str, keys: Keys, mail: Queue) -> None:
    async def act(job: Any, token: str) -> object:
        if job.attemptsMade < 2:
            raise RuntimeError("not yet")
        return "at last"

    handle = await mail.add("flaky", attempts=4, backoff=Fixed(0.02, jitter=0))
    async with their_worker(server_url, keys, act):
        assert await handle.result(timeout=GUARD) == "at last"
    job = await handle.get()
    assert (job.attempts_made, job.failed_reason) == (3, "not yet")


async def test_both_share_a_queue_and_each_job_runs_once(server_url: str, theirs: Any, keys: Keys, mail: Queue) -> None:
    there: list[str] = []
    both = asyncio.Event()

    async def act(job: Any, token: str) -> object:
        there.append(job.id)
        await both.wait()
        return None

    async def act_here(ctx: JobContext, data: Any) -> object:
        await both.wait()
        return None

    await theirs.addBulk([{"name": "n", "data": {}, "opts": {}} for _ in range(40)])
    await mail.add_bulk([("n", {}) for _ in range(40)])
    async with their_worker(server_url, keys, act), working(mail, act_here) as notes:
        await notes.begun(1)

        async def they_too() -> bool:
            return bool(there)

        await until(they_too)
        both.set()

        async def all_done() -> bool:
            return (await mail.counts()).completed == 80

        await until(all_done)
    assert sorted(map(int, there + notes.ids)) == list(range(1, 81))


async def test_they_pause_and_we_obey_and_the_other_way(theirs: Any, mail: Queue) -> None:
    await theirs.pause()
    assert (await mail.info()).paused
    handle = await mail.add("welcome")
    await mail.resume()
    assert await theirs.isPaused() is False
    await mail.pause()
    assert await theirs.isPaused() is True
    await theirs.resume()
    async with working(mail):
        await handle.result(timeout=GUARD)
    assert (await handle.get()).state is JobState.COMPLETED
