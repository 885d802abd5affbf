"""Hooks, middleware and the lifespan: the application's own code around its jobs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from corral import Corral, Discard, Event, EventType, Job, JobContext, JobState, SyncJobContext
from corral.errors import ConfigError
from corral.storage.port import Claim, Token
from tests.engine import processes
from tests.engine.helpers import GUARD, ending, next_event, reason, work_off, working

CallNext = Callable[[], Awaitable[object]]


def flaky(app: Corral) -> Any:
    """A job that fails once, and one that always does."""
    queue = app.queue("work", attempts=2)

    @queue.job("work")
    async def work(ctx: JobContext, data: str) -> str:
        if data == "bad" or ctx.attempt == 1:
            raise ValueError(data)
        return data

    return work


# -- hooks -------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-25", "M-AI-26", "M-AI-52")
async def test_hooks_hear_completed_and_failed_once_and_each_retry(app: Corral) -> None:
    work = flaky(app)
    heard: list[tuple[str, str | None, str | None]] = []

    @app.on("completed", "retrying")
    async def note(event: Event, job: Job) -> None:
        heard.append((event.type, event.job_id, event.detail))

    @app.on("failed")
    def note_failure(event: Event, job: Job) -> None:
        heard.append((event.type, job.id, event.detail))

    good, bad = await work.add("good"), await work.add("bad")
    await work_off(app)
    assert [entry for entry in heard if entry[1] == good.id] == [
        ("retrying", good.id, '"ValueError: good"'), ("completed", good.id, '"good"'),
    ]  # fmt: skip
    assert [entry for entry in heard if entry[1] == bad.id] == [
        ("retrying", bad.id, '"ValueError: bad"'), ("failed", bad.id, '"ValueError: bad"'),
    ]  # fmt: skip


def test_a_hook_for_an_event_that_does_not_exist_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'completed'"):
        Corral().on("complete")


@pytest.mark.parametrize("error", [ValueError("hook"), SystemExit(1), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_failing_hook_is_logged_and_harms_nothing(
    app: Corral, caplog: pytest.LogCaptureFixture, error: BaseException, kind: str
) -> None:
    work = flaky(app)
    heard: list[str | None] = []

    async def fail_async(event: Event, job: Job) -> None:
        raise error

    def fail(event: Event, job: Job) -> None:
        raise error

    app.on("completed")({"async": fail_async, "plain": fail}[kind])

    @app.on("completed")
    async def note(event: Event, job: Job) -> None:
        heard.append(event.job_id)

    with caplog.at_level(logging.ERROR, "corral.hooks"):
        handles = [await work.add("good") for _ in range(2)]
        async with working(app):
            assert [await handle.result(timeout=GUARD) for handle in handles] == ["good", "good"]
    assert sorted(str(job_id) for job_id in heard) == ["1", "2"]
    assert caplog.text.count("failed on completed of job") == 2


async def test_a_slow_hook_does_not_hold_up_jobs_and_is_waited_for_at_the_end(app: Corral) -> None:
    work = flaky(app)
    release = asyncio.Event()
    heard: list[str | None] = []

    @app.on("completed")
    async def slow(event: Event, job: Job) -> None:
        await release.wait()
        heard.append(event.job_id)

    async with working(app):
        for _ in range(3):
            assert await (await work.add("good")).result(timeout=GUARD) == "good"
        assert heard == []
        release.set()
    assert heard == ["1", "2", "3"]


async def test_a_hook_may_add_a_job(app: Corral) -> None:
    queue = app.queue("work")
    ran: list[str] = []

    @queue.job("first")
    async def first() -> None: ...

    @queue.job("second")
    async def second(data: str) -> None:
        ran.append(data)

    @app.on("completed")
    async def follow(event: Event, job: Job) -> None:
        if job.name == "first":
            await second.add(f"after {job.id}", id=f"after-{job.id}")

    async with working(app):
        handle = await first.add()
        await next_event(await queue.open(), EventType.COMPLETED, job_id=f"after-{handle.id}")
    assert ran == [f"after {handle.id}"]


@pytest.mark.mission("M-BI-40", "M-AI-28", "M-AI-63")
async def test_a_dead_workers_job_is_recovered_and_the_stalled_hook_hears_it(app: Corral) -> None:
    queue = app.queue("work", attempts=3)
    heard: list[tuple[str, str]] = []

    @queue.job("work")
    async def work(ctx: JobContext) -> list[int]:
        return [ctx.attempt, ctx.fence]

    @app.on("stalled", "failed")
    async def note(event: Event, job: Job) -> None:
        heard.append((event.type, job.id))

    handle = await work.add()
    store = await app.open()
    await store.claim("work", Claim(count=1, token=Token("dead"), lease_ms=1))
    async with working(app, lease=0.2):
        assert await handle.result(timeout=GUARD) == [1, 2]  # a lost worker uses up no attempt
    assert heard == [("stalled", handle.id)]
    assert (await handle.get()).crashes == 1


async def test_a_job_that_two_workers_died_with_is_quarantined_and_the_failed_hook_hears_it(app: Corral) -> None:
    queue = app.queue("work", attempts=3)
    heard: list[str] = []

    @queue.job("work")
    async def work() -> None: ...

    @app.on("stalled", "failed")
    async def note(event: Event, job: Job) -> None:
        heard.append(event.type)

    handle = await work.add()
    store = await app.open()
    await store.claim("work", Claim(count=1, token=Token("dead"), lease_ms=1), now=1_000)
    await store.recover("work", now=2_000)
    await store.claim("work", Claim(count=1, token=Token("dead too"), lease_ms=1))
    async with working(app, lease=0.2):
        job = await ending(handle)
    assert (job.state, job.crashes, job.attempts_made) == (JobState.FAILED, 2, 0)
    assert heard == ["stalled", "failed"]


# -- middleware --------------------------------------------------------------------------------------------------------


async def test_middleware_wraps_every_handler_first_declared_outermost(app: Corral) -> None:
    queue = app.queue("work")
    order: list[str] = []

    @app.middleware
    async def outer(ctx: JobContext, call_next: CallNext) -> object:
        order.append(f"outer before {ctx.name}")
        result = await call_next()
        order.append("outer after")
        return result

    @app.middleware
    async def inner(ctx: JobContext, call_next: CallNext) -> object:
        order.append("inner before")
        result = await call_next()
        order.append("inner after")
        return result

    @queue.job("work")
    async def work() -> None:
        order.append("handler")

    await work.add()
    await work_off(app)
    assert order == ["outer before work", "inner before", "handler", "inner after", "outer after"]


@pytest.mark.parametrize("mode", ["async", "thread", "process"])
async def test_middleware_sees_and_changes_the_result_of_every_kind_of_handler(app: Corral, mode: str) -> None:
    queue = app.queue("work")
    seen: list[object] = []

    @app.middleware
    async def wrap(ctx: JobContext, call_next: CallNext) -> object:
        result = await call_next()
        seen.append(result)
        return {"wrapped": result}

    async def give() -> list[int]:
        return [1, 2]

    def give_in_thread() -> list[int]:
        return [1, 2]

    functions: dict[str, Any] = {"async": give, "thread": give_in_thread, "process": processes.give_list}
    job = queue.job("give", process=mode == "process")(functions[mode])
    async with working(app):
        assert await (await job.add()).result(timeout=GUARD) == {"wrapped": [1, 2]}
    assert seen == [[1, 2]]


async def test_middleware_sees_errors_and_may_swallow_replace_or_raise_them(app: Corral) -> None:
    queue = app.queue("work", attempts=3)

    @app.middleware
    async def judge(ctx: JobContext, call_next: CallNext) -> object:
        if ctx.name == "forbidden":
            raise Discard("not allowed here")
        if ctx.name == "cached":
            return "from the cache"
        try:
            return await call_next()
        except KeyError:
            return "found nothing"
        except OSError as error:
            raise Discard("no use") from error

    @queue.job("missing")
    async def missing() -> object:
        raise KeyError("x")

    @queue.job("broken")
    def broken() -> None:
        raise OSError("disk")

    @queue.job("forbidden")
    async def forbidden() -> str:
        raise AssertionError("never called")

    @queue.job("cached")
    async def cached() -> str:
        raise AssertionError("never called")

    async with working(app):
        assert await (await missing.add()).result(timeout=GUARD) == "found nothing"
        assert await (await cached.add()).result(timeout=GUARD) == "from the cache"
        assert await reason(await broken.add()) == "no use"
        refused = await forbidden.add()
        assert await reason(refused) == "not allowed here"
        assert (await refused.get()).attempts_made == 1


async def test_time_limits_and_cancellations_go_through_middleware(app: Corral) -> None:
    queue = app.queue("work")
    seen: list[str] = []

    @app.middleware
    async def watch(ctx: JobContext, call_next: CallNext) -> object:
        try:
            return await call_next()
        finally:
            seen.append("cleaned up")

    @queue.job("slow", timeout=0.02)
    async def slow() -> None:
        await asyncio.sleep(60)

    async with working(app):
        assert await reason(await slow.add()) == "JobTimeoutError: timed out after 0.02 s"
    assert seen == ["cleaned up"]


async def test_middleware_may_report_progress_for_the_job(app: Corral) -> None:
    queue = app.queue("work")

    @app.middleware
    async def begin(ctx: JobContext, call_next: CallNext) -> object:
        await ctx.progress("begun")
        await ctx.log("begun")
        return await call_next()

    @queue.job("work")
    def work(ctx: SyncJobContext) -> None:
        ctx.log("worked")

    handle = await work.add()
    await work_off(app)
    assert (await handle.get()).progress == '"begun"'
    assert (await (await queue.open()).logs(handle.id)).items == ("begun", "worked")


# -- lifespan ----------------------------------------------------------------------------------------------------------


async def test_the_lifespan_is_entered_before_the_first_job_and_left_after_the_last(local_url: str) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        order.append("opened")
        yield
        order.append("closed")

    app = Corral(local_url, lifespan=lifespan)
    queue = app.queue("work", concurrency=1)

    @queue.job("work")
    async def work(data: int) -> None:
        order.append(f"job {data}")

    async with app:
        await work.add_bulk([1, 2])
        assert order == []  # producing is not working
        await work_off(app)
    assert order == ["opened", "job 1", "job 2", "closed"]


async def test_a_lifespan_that_fails_to_open_starts_no_worker(local_url: str) -> None:
    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    app = Corral(local_url, lifespan=lifespan)
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> None: ...

    async with app:
        handle = await work.add()
        with pytest.raises(ConnectionError, match="no database"):
            async with working(app):
                pass
        assert (await handle.get()).state is JobState.WAITING
        assert await (await app.open()).workers() == []


async def test_a_lifespan_that_fails_to_close_still_lets_the_jobs_end(local_url: str) -> None:
    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        yield
        raise ConnectionError("lost the database")

    app = Corral(local_url, lifespan=lifespan)
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> str:
        return "done"

    async with app:
        handle = await work.add()
        with pytest.raises(ConnectionError, match="lost the database"):
            await work_off(app)
        assert (await handle.get()).state is JobState.COMPLETED
        assert await (await app.open()).workers() == []
