"""Time limits that stop the work, slots that are won back, and jobs that come too late to start."""

import asyncio
import os
import threading
import time
from typing import Any

import pytest

from corral import Corral, EventType, JobContext, JobDefinition, JobState, RateLimit, SyncJobContext
from corral.errors import JobCancelledError, LeaseLostError
from corral.testing import FakeClock, drain
from corral.worker import fetcher
from tests.engine import processes
from tests.engine.helpers import GUARD, ending, next_event, on_clock, past, reason, working


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# -- async handlers ----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-30", "M-AI-21")
async def test_an_async_handler_is_cancelled_when_its_time_is_up(app: Corral) -> None:
    queue = app.queue("work")
    left: list[str] = []

    @queue.job("slow", timeout=0.05)
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            left.append("cleaned up")

    async with working(app):
        assert await reason(await slow.add()) == "JobTimeoutError: timed out after 0.05 s"
    assert left == ["cleaned up"]


@pytest.mark.mission("M-BI-30")
async def test_running_out_of_time_uses_up_an_attempt(app: Corral) -> None:
    queue = app.queue("work", attempts=3)

    @queue.job("slow")
    async def slow(ctx: JobContext) -> int:
        if ctx.attempt < 3:
            await asyncio.sleep(60)
        return ctx.attempt

    async with working(app):
        assert await (await slow.add(timeout=0.02)).result(timeout=GUARD) == 3


async def test_a_handler_may_clean_up_after_its_time_and_even_answer(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("late")
    async def late() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # what a handler does in its last moments is not cancelled again
        return "done after all"

    async with working(app):
        assert await (await late.add(timeout=0.02)).result(timeout=GUARD) == "done after all"


async def test_a_time_limit_never_hits_the_next_job_of_the_slot(app: Corral) -> None:
    """Handlers that end at the very moment of their limit, and one without a limit behind each of them."""
    queue = app.queue("work", concurrency=1)

    @queue.job("close")
    async def close() -> None:
        await asyncio.sleep(0.004)

    @queue.job("next")
    async def following() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return "whole"

    handles = []
    for _ in range(50):
        await close.add(timeout=0.004)
        handles.append(await following.add())
    async with working(app):
        assert [await handle.result(timeout=GUARD) for handle in handles] == ["whole"] * 50


async def test_a_timeout_of_the_handlers_own_is_an_ordinary_error(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work", timeout=60)
    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    async with working(app):
        assert await reason(await work.add()) == "TimeoutError"


async def test_a_handler_that_ignores_its_cancellation_loses_its_slot_after_the_grace(
    app: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "STOP_GRACE", 0.05)
    queue = app.queue("work", concurrency=1)
    release = asyncio.Event()
    ended = asyncio.Event()

    @queue.job("deaf", timeout=0.02)
    async def deaf() -> str:
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()
        ended.set()
        return "too late"

    @queue.job("next")
    async def following() -> str:
        return "done"

    async with working(app):
        stuck, good = await deaf.add(), await following.add()
        assert await good.result(timeout=GUARD) == "done"
        assert await reason(stuck) == "JobTimeoutError: timed out after 0.02 s"
        release.set()
        await ended.wait()
        again = await following.add()
        assert await again.result(timeout=GUARD) == "done"
        assert (await stuck.get()).state is JobState.FAILED  # what it answers in the end changes nothing


# -- def handlers ------------------------------------------------------------------------------------------------------


async def test_a_thread_that_waits_through_its_context_ends_at_once(app: Corral) -> None:
    queue = app.queue("work")
    seen: list[object] = []
    ended = threading.Event()

    @queue.job("wait", timeout=0.05)
    def wait(ctx: SyncJobContext) -> None:
        try:
            ctx.wait(60)
        except JobCancelledError as error:
            seen.append((ctx.stopping, str(error).removeprefix("cancelled: ")))
            raise
        finally:
            ended.set()

    async with working(app):
        assert await reason(await wait.add()) == "JobTimeoutError: timed out after 0.05 s"
        assert await asyncio.to_thread(ended.wait, GUARD)
    assert seen == [(True, "timed out after 0.05 s")]


async def test_a_pure_python_loop_in_a_thread_is_ended(app: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "STOP_GRACE", 0.05)
    queue = app.queue("work", concurrency=1)
    ended = threading.Event()

    @queue.job("loop", timeout=0.05)
    def loop() -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    async with working(app):
        assert await reason(await loop.add()) == "JobTimeoutError: timed out after 0.05 s"
        assert await asyncio.to_thread(ended.wait, GUARD)


async def test_a_thread_stuck_in_foreign_code_is_given_up_and_its_slot_replaced(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)
    release = threading.Event()

    @queue.job("stuck", timeout=0.05)
    def stuck() -> str:
        release.wait(GUARD)  # a lock: nothing can interrupt it
        return "too late"

    @queue.job("next")
    def following() -> int:
        return threading.get_ident()

    async with working(app) as worker:
        bad, good = await stuck.add(), await following.add()
        assert await reason(bad) == "JobTimeoutError: timed out after 0.05 s"
        assert await good.result(timeout=GUARD) != threading.get_ident()
        assert worker.threads.abandoned == 1
        release.set()
    assert (await bad.get()).state is JobState.FAILED


async def test_a_thread_that_is_given_up_cannot_speak_for_its_job_any_more(app: Corral) -> None:
    queue = app.queue("work", concurrency=1, attempts=2)
    release, ended = threading.Event(), threading.Event()
    heard: list[str] = []

    @queue.job("work")
    def work(ctx: SyncJobContext) -> str:
        if ctx.attempt == 2:
            ctx.progress("second")
            return "second"
        release.wait(GUARD)
        try:
            ctx.progress("first")
        except LeaseLostError:
            heard.append("lost")
        ended.set()
        return "first"

    async with working(app):
        handle = await work.add(timeout=1.0)  # the second attempt has it too
        assert await handle.result(timeout=GUARD) == "second"
        release.set()
        assert await asyncio.to_thread(ended.wait, GUARD)
        job = await handle.get()
    assert (job.progress, job.result) == ('"second"', '"second"')
    assert heard == ["lost"]


# -- process=True ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [processes.hang, processes.stubborn])
async def test_a_process_that_runs_out_of_time_is_killed(app: Corral, handler: Any) -> None:
    queue = app.queue("work", concurrency=1)
    hang = queue.job("hang", process=True, timeout=0.3)(handler)
    whoami = queue.job("whoami", process=True)(processes.whoami)
    async with working(app):
        bad, good = await hang.add(), await whoami.add()
        assert await reason(bad) == "JobTimeoutError: timed out after 0.3 s"
        pid = int((await bad.get()).progress or "0")
        assert await good.result(timeout=GUARD) != pid
        assert not alive(pid)


# -- too late to start -------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-24")
async def test_a_job_that_is_not_started_within_its_lifespan_expires(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", lifespan=60)
    ran: list[str] = []

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        ran.append(ctx.id)

    clock = FakeClock()
    async with on_clock(app, clock=clock):
        late, longer = await work.add(), await work.add(lifespan=120)
        clock.advance(60)
        in_time = await work.add()
        await drain(app)
        assert await reason(late) == "expired"
        assert (await late.get()).attempts_made == 0
        events = [event.type for event in await past(await queue.open()) if event.job_id == late.id]
    assert ran == [longer.id, in_time.id]
    assert events[-2:] == [EventType.EXPIRED, EventType.FAILED]


async def test_a_job_that_has_started_once_never_expires(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", attempts=3, backoff=3600)

    @queue.job("work", lifespan=60)
    async def work(ctx: JobContext) -> int:
        if ctx.attempt < 3:
            raise ValueError
        return ctx.attempt

    async with on_clock(app, clock=FakeClock()):
        handle = await work.add()
        await drain(app)
        assert await handle.result() == 3


async def test_a_job_that_waits_behind_a_rate_limit_for_too_long_expires(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", rate_limit=RateLimit(1, per=10), lifespan=15)

    @queue.job("work")
    async def work() -> None: ...

    async with on_clock(app, clock=FakeClock()):
        handles = await work.add_bulk([None] * 4)
        done = await drain(app)
        states = [(await handle.get()).state for handle in handles]
    assert done.completed == 2
    assert states == [JobState.COMPLETED, JobState.COMPLETED, JobState.FAILED, JobState.FAILED]


# -- handlers that block the loop --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sleep", "loop"])
async def test_a_handler_that_blocks_the_loop_for_three_leases_runs_once(url: str, how: str) -> None:
    lease = 0.4
    app, other = Corral(url), Corral(url)
    runs: list[int] = []

    def declare(one: Corral) -> JobDefinition[Any, None]:
        @one.queue("work").job("block")
        async def block(ctx: JobContext) -> None:
            runs.append(ctx.fence)
            if how == "sleep":
                time.sleep(3 * lease)  # noqa: ASYNC251  # what is tested
            else:
                until = time.monotonic() + 3 * lease
                while time.monotonic() < until:
                    pass

        return block

    declare(other)
    block = declare(app)
    recovered = threading.Event()

    def rescue() -> None:
        """Another worker, on its own thread and loop: it would take the job over as soon as the lease had run out."""

        async def serve() -> None:
            async with other, working(other, lease=lease):
                await asyncio.to_thread(recovered.wait, GUARD)

        asyncio.run(serve())

    async with app:
        queue = await app.open_queue("work")
        async with working(app, lease=lease):
            handle = await block.add()
            await next_event(queue, EventType.ACTIVE, job_id=handle.id)
            thread = threading.Thread(target=rescue)
            thread.start()
            job = await ending(handle)
            recovered.set()
            await asyncio.to_thread(thread.join)
    assert runs == [1]
    assert (job.state, job.crashes) == (JobState.COMPLETED, 0)
