"""Progress, logs, results and events: visible while it happens, in this process and in any other."""

import asyncio
import json
from typing import Any

import pytest

from corral import NOW, OLDEST, Corral, EventType, JobContext, JobState, SyncJobContext, connect
from corral.errors import JobFailedError, JobNotFoundError, JobTimeoutError
from corral.queue import Queue
from corral.testing import FakeClock, drain
from tests.engine.helpers import (
    GUARD,
    answers,
    chosen,
    elsewhere,
    ending,
    line,
    next_event,
    on_clock,
    past,
    work_off,
    working,
)

# -- progress and logs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "thread"])
@pytest.mark.mission("M-TS-48", "M-GL-43", "M-AI-27")
async def test_m_ts_48_progress_is_seen_by_others_while_the_job_runs(url: str, mode: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    async def work(ctx: JobContext) -> None:
        for percent in (10, 50, 100):
            await ctx.progress(percent)

    def work_in_thread(ctx: SyncJobContext) -> None:
        for percent in (10, 50, 100):
            ctx.progress(percent)

    job: Any = queue.job("work")(chosen(mode, work, work_in_thread))
    async with app, connect(url) as store, working(app):
        others = Queue("work", store)
        handle = await job.add()
        await ending(handle)
        seen = await past(others, EventType.PROGRESS)
        assert [json.loads(event.detail or "") for event in seen] == [10, 50, 100]
        assert (await others.get(handle.id)).progress == "100"


async def test_a_running_job_shows_its_progress_and_log(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")
    release = asyncio.Event()

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        await ctx.log("begun")
        await ctx.progress({"step": 1})
        await release.wait()
        await ctx.log("ended")

    async with app, connect(url) as store, working(app):
        others = Queue("work", store)
        handle = await work.add()
        event = await next_event(others, EventType.PROGRESS, job_id=handle.id)
        job = await others.get(handle.id)
        assert (event.name, event.detail, job.state, job.progress) == (
            "work",
            '{"step":1}',
            JobState.ACTIVE,
            '{"step":1}',
        )
        assert (await others.logs(handle.id)).items == ("begun",)
        release.set()
        await ending(handle)
        page = await others.logs(handle.id, start=1, limit=10)
        assert (page.items, page.total) == (("ended",), 2)


async def test_people_may_write_into_a_jobs_log_too(app: Corral) -> None:
    queue = await app.queue("work").open()
    handle = await queue.add("work")
    assert await queue.log(handle.id, "looked at by ann") == 1
    assert (await queue.logs(handle.id)).items == ("looked at by ann",)
    assert await queue.log("nobody", "lost") == 0


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-44", "M-AI-60")
async def test_a_result_is_awaited_in_another_process(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("double")
    async def double(data: int) -> dict[str, int]:
        return {"value": data * 2}

    async with app:
        handle = await double.add(21)
        async with elsewhere("result", url, "work", handle.id) as process:
            assert await line(process) == "waiting"
            await work_off(app)
            assert await answers(process) == [{"result": {"value": 42}}]


async def test_a_failure_is_awaited_in_another_process(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("fail")
    async def fail() -> None:
        raise ValueError("no luck")

    async with app:
        handle = await fail.add()
        async with elsewhere("result", url, "work", handle.id) as process:
            assert await line(process) == "waiting"
            await work_off(app)
            assert await answers(process) == [{"reason": "ValueError: no luck"}]


async def test_awaiting_ends_with_the_right_error(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("fail")
    async def fail() -> None:
        raise ValueError("no luck")

    live = await queue.open()
    handle = await fail.add()
    with pytest.raises(JobTimeoutError, match=r"0\.01 s"):
        await handle.result(timeout=0.01)
    with pytest.raises(JobNotFoundError):
        await live.result("nobody")
    waiting = asyncio.create_task(handle.result())
    await work_off(app)
    with pytest.raises(JobFailedError, match="ValueError: no luck") as caught:
        await waiting
    assert (caught.value.queue, caught.value.job_id, caught.value.reason) == ("work", handle.id, "ValueError: no luck")


async def test_a_job_that_is_removed_ends_the_wait_for_it(app: Corral) -> None:
    live = await app.queue("work").open()
    handle = await live.add("work")
    waiting = asyncio.create_task(handle.result())
    await next_event(live, EventType.ADDED)
    await asyncio.sleep(0)
    await live.remove(handle.id)
    with pytest.raises(JobNotFoundError):
        async with asyncio.timeout(GUARD):
            await waiting


async def test_many_may_await_one_job_and_one_may_await_many(app: Corral) -> None:
    queue = app.queue("work", concurrency=5)

    @queue.job("double")
    async def double(data: int) -> int:
        return data * 2

    handles = await double.add_bulk(list(range(100)))
    waiting = [asyncio.create_task(handle.result()) for handle in (*handles, *[handles[7]] * 20)]
    async with working(app), asyncio.timeout(GUARD):
        assert await asyncio.gather(*waiting) == [*range(0, 200, 2), *[14] * 20]


async def test_a_wait_that_is_given_up_leaves_the_others_waiting(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> str:
        return "done"

    handle = await work.add()
    first, second = asyncio.create_task(handle.result()), asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    first.cancel()
    async with working(app), asyncio.timeout(GUARD):
        assert await second == "done"
    assert first.cancelled()


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-30")
async def test_events_arrive_in_another_process_in_order(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")

    @queue.job("work")
    async def work(ctx: JobContext) -> int:
        await ctx.progress(50)
        return 7

    async with app:
        await (await queue.open()).add("earlier", None, delay=3600)
        async with elsewhere("events", url, "work", 4) as process:
            assert await line(process) == "listening"
            handle = await work.add()
            await work_off(app)
            assert await answers(process) == [
                ["added", handle.id, None], ["active", handle.id, None], ["drained", None, None],
                ["progress", handle.id, "50"],
            ]  # fmt: skip


@pytest.mark.mission("M-BI-51")
async def test_a_job_tells_its_whole_life(app: Corral) -> None:
    queue = app.queue("work", attempts=2)

    @queue.job("work")
    async def work(ctx: JobContext) -> int:
        if not ctx.is_last_attempt:
            raise ValueError("once")
        return ctx.attempt

    await work.add(delay=0.01)
    async with working(app):
        live = await queue.open()
        await next_event(live, EventType.COMPLETED)
    types = [event.type for event in await past(live) if event.job_id is not None]
    assert types == [
        EventType.ADDED, EventType.DELAYED, EventType.WAITING, EventType.ACTIVE, EventType.RETRYING, EventType.ACTIVE,
        EventType.COMPLETED,
    ]  # fmt: skip


async def test_a_listener_goes_on_where_it_stopped(app: Corral) -> None:
    live = await app.queue("work").open()
    await live.add_bulk([("work", number) for number in range(3)])
    seen = []
    async for event in live.events(after=OLDEST):
        seen.append(event)
        if len(seen) == 2:
            break
    rest = await past(live, EventType.ADDED, after=seen[-1].cursor)
    assert [event.job_id for event in (*seen, *rest)] == ["1", "2", "3"]


async def test_from_now_on_means_from_the_first_look(app: Corral) -> None:
    live = await app.queue("work").open()
    await live.add("earlier")
    seen: list[str | None] = []
    listening = asyncio.Event()

    async def listen() -> None:
        _, cursor = await live.storage.events("work", after=NOW)
        listening.set()
        async for event in live.events(after=cursor):
            seen.append(event.name)
            return

    task = asyncio.create_task(listen())
    await listening.wait()
    await live.add("later")
    async with asyncio.timeout(GUARD):
        await task
    assert seen == ["later"]


@pytest.mark.mission("M-TS-50", "M-AI-62")
async def test_m_ts_50_health_numbers_can_be_had_per_queue(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work(data: int) -> None:
        if data % 4 == 0:
            raise ValueError

    await work.add_bulk(list(range(20)))
    await work.add(1, delay=3600)
    await work_off(app)
    live = await queue.open()
    counts = await live.counts()
    buckets = await live.storage.metrics("work", since=0, until=2**53)
    assert (counts.completed_total, counts.failed_total, counts.delayed, counts.waiting) == (15, 5, 1, 0)
    assert (sum(one.completed for one in buckets), sum(one.failed for one in buckets)) == (15, 5)


@pytest.mark.mission("M-TS-63", "M-AI-62")
async def test_m_ts_63_waiting_time_and_running_time_are_told_apart(app: Corral) -> None:
    queue = app.queue("work")
    clock = FakeClock()

    @queue.job("work")
    async def work() -> None:
        clock.advance(3)

    async with on_clock(app, clock=clock):
        await work.add()
        clock.advance(40)
        await drain(app)
        store = (await queue.open()).storage
        [bucket] = await store.metrics("work", since=0, until=2**53)
    assert (bucket.wait_ms, bucket.run_ms) == (40_000, 3_000)
