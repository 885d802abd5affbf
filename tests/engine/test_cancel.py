"""Cancelling: waiting, delayed and running jobs, from here, from another application and from another process."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corral import Corral, EventType, JobHandle, JobState, Queue, SyncJobContext, connect
from corral.errors import JobCancelledError
from tests.engine import processes
from tests.engine.helpers import GUARD, answers, elsewhere, ending, next_event, past, reason, work_off, working

#: Cancellations are looked for four times a lease.
QUICK = 0.4


@pytest.mark.mission("M-AI-49")
async def test_a_waiting_and_a_delayed_job_fail_at_once(app: Corral) -> None:
    queue = await app.queue("work").open()
    waiting = await queue.add("work")
    delayed = await queue.add("work", None, delay=3600)
    assert await waiting.cancel("not needed any more") is True
    assert await queue.cancel(delayed.id) == [delayed.id]
    assert await reason(waiting) == "cancelled: not needed any more"
    assert await reason(delayed) == "cancelled"
    events = [event.type for event in await past(queue) if event.job_id == waiting.id]
    assert events == [EventType.ADDED, EventType.CANCELLED, EventType.FAILED]
    assert (await waiting.get()).attempts_made == 0


async def test_waiting_and_delayed_jobs_are_cancelled_from_another_process(url: str) -> None:
    async with connect(url) as store:
        queue = Queue("work", store)
        handles = [await queue.add("work"), await queue.add("work", None, delay=3600)]
        async with elsewhere("cancel", url, "work", *(handle.id for handle in handles)) as process:
            [cancelled] = await answers(process)
        assert sorted(cancelled) == ["1", "2"]
        assert [await reason(handle) for handle in handles] == ["cancelled: from elsewhere"] * 2


async def test_what_has_ended_or_never_was_cannot_be_cancelled(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> str:
        return "done"

    handle = await work.add()
    await work_off(app)
    assert await handle.cancel() is False
    assert await (await queue.open()).cancel("nobody", "999") == []
    assert await handle.result() == "done"


async def test_several_jobs_are_cancelled_in_one_call(app: Corral) -> None:
    queue = await app.queue("work").open()
    handles = await queue.add_bulk([("work", {"number": number}) for number in range(5)])
    cancelled = await queue.cancel(*(handle.id for handle in handles[1:4]), "nobody")
    assert sorted(cancelled) == [handle.id for handle in handles[1:4]]
    assert (await queue.counts()).waiting == 2


async def from_here(url: str, handle: JobHandle[Any]) -> None:
    await handle.cancel("from elsewhere")


async def from_another_application(url: str, handle: JobHandle[Any]) -> None:
    async with connect(url) as store:
        assert await Queue(handle.queue.name, store).cancel(handle.id, reason="from elsewhere") == [handle.id]


async def from_another_process(url: str, handle: JobHandle[Any]) -> None:
    async with elsewhere("cancel", url, handle.queue.name, handle.id) as process:
        assert await answers(process) == [[handle.id]]


@pytest.mark.parametrize("cancel", [from_here, from_another_application, from_another_process])
@pytest.mark.mission("M-AI-49")
async def test_a_running_async_handler_is_stopped_from_anywhere_and_not_tried_again(
    url: str, cancel: Callable[[str, JobHandle[Any]], Awaitable[None]]
) -> None:
    app = Corral(url)
    queue = app.queue("work", attempts=5)
    running = asyncio.Event()
    left: list[str] = []

    @queue.job("work")
    async def work() -> None:
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            left.append("cleaned up")

    async with app, working(app, lease=QUICK):
        handle = await work.add()
        await running.wait()
        await cancel(url, handle)
        job = await ending(handle)
    assert (job.state, job.failed_reason, job.attempts_made) == (JobState.FAILED, "cancelled: from elsewhere", 1)
    assert left == ["cleaned up"]


async def test_a_running_thread_is_told_and_can_clean_up(app: Corral) -> None:
    queue = app.queue("work", attempts=5)
    running = asyncio.Event()
    loop = asyncio.get_running_loop()
    heard: list[str] = []
    ended = threading.Event()

    @queue.job("work")
    def work(ctx: SyncJobContext) -> None:
        loop.call_soon_threadsafe(running.set)
        try:
            ctx.wait(60)
        except JobCancelledError as error:
            heard.append(str(error))
            raise
        finally:
            ended.set()

    async with working(app, lease=QUICK):
        handle = await work.add()
        await running.wait()
        await handle.cancel("enough")
        assert await reason(handle) == "cancelled: enough"
        assert await asyncio.to_thread(ended.wait, GUARD)
    assert heard == ["cancelled: enough"]


async def test_a_running_process_is_stopped_and_may_clean_up(app: Corral, tmp_path: Any) -> None:
    queue = app.queue("work", attempts=5)
    work = queue.job("work", process=True)(processes.cancellable)
    note = tmp_path / "note"
    async with working(app, lease=QUICK):
        handle = await work.add(str(note))
        await next_event(await queue.open(), EventType.PROGRESS, job_id=handle.id)
        await handle.cancel("enough")
        assert await reason(handle) == "cancelled: enough"
    assert note.read_text() == "cleaned up"


async def test_cancelling_races_with_completing_and_one_of_them_wins(app: Corral) -> None:
    queue = app.queue("work", concurrency=20)

    @queue.job("work")
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    async with working(app, lease=QUICK):
        handles = await work.add_bulk([None] * 200)
        told = await asyncio.gather(*(handle.cancel() for handle in handles))
        jobs = [await ending(handle) for handle in handles]
    refused = [job for job, reached in zip(jobs, told, strict=True) if not reached]
    failed = [job for job in jobs if job.state is JobState.FAILED]
    assert {job.state for job in refused} <= {JobState.COMPLETED}
    assert {job.failed_reason for job in failed} <= {"cancelled"}
    ends = await past(await queue.open(), EventType.COMPLETED, EventType.FAILED)
    assert len(ends) == 200


async def test_a_cancelled_job_can_be_run_again_by_hand(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> str:
        return "done"

    handle = await work.add()
    await handle.cancel("by mistake")
    assert await (await queue.open()).retry(handle.id) == [handle.id]
    async with working(app):
        assert await handle.result(timeout=GUARD) == "done"
