"""Retries: how often, how soon, for which errors, and what a handler can say about it."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from corral import (
    Corral,
    Discard,
    EventType,
    Exponential,
    Fixed,
    JobContext,
    JobDefinition,
    JobState,
    Queue,
    Retry,
    Snooze,
    SyncJobContext,
)
from corral.testing import FakeClock, drain
from tests.engine import processes
from tests.engine.helpers import ending, on_clock, past, work_off, working


class Flaky(ConnectionError):
    pass


def failing(app: Corral, error: Callable[[], BaseException] = Flaky, **options: Any) -> JobDefinition[None, None]:
    """A job that always fails."""
    queue = app.queues.get("work") or app.queue("work")

    @queue.job("fail", **options)
    async def fail() -> None:
        raise error()

    return fail


async def waits(queue: Queue) -> list[float]:
    """Seconds from each failed attempt to the next one, by the events: a drain takes no time of its own."""
    found = await past(queue, EventType.RETRYING, EventType.ACTIVE)
    return [
        (next(later.at for later in found[index + 1 :] if later.job_id == event.job_id) - event.at) / 1000
        for index, event in enumerate(found)
        if event.type is EventType.RETRYING
    ]


# -- how often ---------------------------------------------------------------------------------------------------------


async def test_a_job_is_tried_once_unless_more_attempts_are_asked_for(app: Corral) -> None:
    handle = await failing(app).add()
    await work_off(app)
    job = await handle.get()
    assert (job.state, job.attempts_made, job.failed_reason) == (JobState.FAILED, 1, "Flaky")


async def test_attempts_are_used_up_and_the_job_fails_once(app: Corral) -> None:
    handle = await failing(app, attempts=3).add()
    async with working(app):
        job = await ending(handle)
    events = await past(await app.open_queue("work"), EventType.RETRYING, EventType.FAILED)
    assert (job.state, job.attempts_made) == (JobState.FAILED, 3)
    assert [event.type for event in events] == [EventType.RETRYING, EventType.RETRYING, EventType.FAILED]


async def test_a_job_that_succeeds_later_keeps_the_reason_of_its_last_failure(app: Corral) -> None:
    queue = app.queue("work", attempts=3)

    @queue.job("work")
    async def work(ctx: JobContext) -> int:
        if ctx.attempt < 3:
            raise Flaky(f"attempt {ctx.attempt}")
        return ctx.attempt

    async with working(app):
        job = await ending(await work.add())
    assert (job.state, job.result, job.failed_reason) == (JobState.COMPLETED, "3", "Flaky: attempt 2")
    assert len(job.traces) == 2


@pytest.mark.mission("M-GL-68", "M-AI-19")
async def test_options_of_one_add_win_over_the_handlers_and_those_over_the_queues(app: Corral) -> None:
    queue = app.queue("work", attempts=2)

    @queue.job("from-queue")
    async def from_queue() -> None:
        raise Flaky

    @queue.job("from-handler", attempts=3)
    async def from_handler() -> None:
        raise Flaky

    handles = [await from_queue.add(), await from_handler.add(), await from_handler.add(attempts=4)]
    async with working(app):
        assert [(await ending(handle)).attempts_made for handle in handles] == [2, 3, 4]


# -- how soon ----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-44", "M-GL-67", "M-BI-32", "M-BI-52")
async def test_m_ts_44_three_attempts_with_two_and_four_seconds_between_them_never_earlier(local_url: str) -> None:
    app = Corral(local_url)
    fail = failing(app, attempts=3, backoff=Exponential(2))
    async with on_clock(app, clock=FakeClock()):
        for _ in range(20):
            await fail.add()
        done = await drain(app)
        found = await waits(await app.open_queue("work"))
    assert (done.retried, done.failed) == (40, 20)
    assert [seconds for seconds in found if not (2.0 <= seconds <= 2.2 or 4.0 <= seconds <= 4.4)] == []
    assert len([seconds for seconds in found if seconds < 3]) == 20


@pytest.mark.parametrize(("backoff", "attempts", "bounds"), [
    (Fixed(3, jitter=0), 4, [(3, 3)] * 3),
    (5, 3, [(5, 5.5)] * 2),
    (timedelta(seconds=4).total_seconds(), 2, [(4, 4.4)]),
    (Exponential(2, maximum=5, jitter=0), 5, [(2, 2), (4, 4), (5, 5), (5, 5)]),
    (Fixed(10, jitter=1), 3, [(10, 20)] * 2),
    (lambda attempt, error: attempt * 7, 4, [(7, 7), (14, 14), (21, 21)]),
])  # fmt: skip
@pytest.mark.mission("M-AI-22")
async def test_the_back_off_decides_how_long_a_retry_waits(
    local_url: str, backoff: Any, attempts: int, bounds: list[tuple[float, float]]
) -> None:
    app = Corral(local_url)
    fail = failing(app, attempts=attempts, backoff=backoff)
    async with on_clock(app, clock=FakeClock()):
        await fail.add()
        await drain(app)
        found = await waits(await app.open_queue("work"))
    assert [low <= seconds <= high for seconds, (low, high) in zip(found, bounds, strict=True)] == [True] * len(bounds)


async def test_jitter_spreads_the_retries_of_jobs_that_failed_together(local_url: str) -> None:
    app = Corral(local_url)
    fail = failing(app, attempts=2, backoff=Fixed(100))
    async with on_clock(app, clock=FakeClock()):
        await fail.add_bulk([None] * 50)
        await drain(app)
        due = {event.at for event in await past(await app.open_queue("work"), EventType.FAILED)}
    assert len(due) > 25


async def test_a_custom_back_off_is_told_the_attempt_and_the_error(app: Corral) -> None:
    told: list[tuple[int, str]] = []

    def backoff(attempt: int, error: BaseException) -> float:
        told.append((attempt, str(error)))
        return 0

    handle = await failing(app, lambda: Flaky("why"), attempts=3, backoff=backoff).add()
    async with working(app):
        await ending(handle)
    assert told == [(1, "why"), (2, "why")]


@pytest.mark.parametrize("answer", ["soon", -1, float("nan"), None])
async def test_a_custom_back_off_that_makes_no_sense_is_replaced_and_noted(local_url: str, answer: Any) -> None:
    app = Corral(local_url)
    fail = failing(app, attempts=2, backoff=lambda attempt, error: answer)
    async with on_clock(app, clock=FakeClock()):
        handle = await fail.add()
        await drain(app)
        found = await waits(await app.open_queue("work"))
        job = await handle.get()
    assert [1 <= seconds <= 1.1 for seconds in found] == [True]
    assert "back-off function could not be followed" in job.traces[0]


async def test_retries_wait_in_the_store_and_not_in_the_worker(app: Corral) -> None:
    handle = await failing(app, attempts=2, backoff=3600).add()
    await work_off(app)
    job = await handle.get()
    assert job.state is JobState.DELAYED
    assert job.run_at is not None
    assert job.run_at - (job.started_at or 0) >= 3_600_000


# -- for which errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "attempts"), [
    ({"retry_on": ConnectionError}, 3),
    ({"retry_on": (KeyError, OSError)}, 3),
    ({"retry_on": KeyError}, 1),
    ({"retry_on": ()}, 1),
    ({"give_up_on": KeyError}, 3),
    ({"give_up_on": (KeyError, ConnectionError)}, 1),
    ({"retry_on": OSError, "give_up_on": Flaky}, 1),
    ({"retry_if": lambda error: isinstance(error, Flaky)}, 3),
    ({"retry_if": lambda error: False}, 1),
    ({"retry_if": lambda error: 1 / 0}, 3),
])  # fmt: skip
@pytest.mark.mission("M-GL-70")
async def test_only_errors_that_are_worth_it_are_tried_again(app: Corral, options: Any, attempts: int) -> None:
    handle = await failing(app, attempts=3, **options).add()
    async with working(app):
        job = await ending(handle)
    assert (job.attempts_made, job.failed_reason) == (attempts, "Flaky")


@pytest.mark.parametrize(("options", "attempts"), [
    ({"retry_on": OSError}, 2),
    ({"retry_on": ValueError}, 1),
    ({"give_up_on": ConnectionError}, 1),
])  # fmt: skip
async def test_errors_of_process_handlers_are_judged_by_their_class_too(
    app: Corral, options: Any, attempts: int
) -> None:
    queue = app.queue("work")
    fail = queue.job("fail", process=True, attempts=2, **options)(processes.fail)
    async with working(app):
        assert (await ending(await fail.add("network"))).attempts_made == attempts


async def test_a_group_is_tried_again_only_if_all_its_errors_are_worth_it(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0)

    def raising(name: str, *errors: Exception) -> JobDefinition[None, None]:
        async def fail() -> None:
            raise ExceptionGroup("tasks", errors)

        return queue.job(name, retry_on=ConnectionError)(fail)

    handles = [
        await raising("all", Flaky("a"), ConnectionError("b")).add(),
        await raising("some", Flaky("a"), KeyError("b")).add(),
        await raising("one", ExceptionGroup("deeper", [Flaky("a")])).add(),
    ]
    async with working(app):
        assert [(await ending(handle)).attempts_made for handle in handles] == [2, 1, 2]


# -- signals -----------------------------------------------------------------------------------------------------------


def steer(name: str) -> None:
    raise {"retry": Retry("not yet", after=0.01), "snooze": Snooze(0.01), "discard": Discard("never")}[name]


@pytest.mark.parametrize(("name", "state", "attempts_made", "failed_reason"), [
    ("retry", JobState.COMPLETED, 2, "not yet"),
    ("snooze", JobState.COMPLETED, 1, None),
    ("discard", JobState.FAILED, 1, "never"),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["async", "thread", "process"])
@pytest.mark.mission("M-GL-69")
async def test_signals_steer_from_any_depth_and_in_every_kind_of_handler(
    app: Corral, mode: str, name: str, state: JobState, attempts_made: int, failed_reason: str | None
) -> None:
    queue = app.queue("work", attempts=3)

    async def asynchronous(ctx: JobContext, data: str) -> int:
        if ctx.fence == 1:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(steer, data))
        return ctx.attempt

    def threaded(ctx: SyncJobContext, data: str) -> int:
        if ctx.fence == 1:
            steer(data)
        return ctx.attempt

    functions: dict[str, Any] = {"async": asynchronous, "thread": threaded, "process": processes.signal_by_name}
    job = queue.job("steer", process=mode == "process")(functions[mode])
    async with working(app):
        done = await ending(await job.add(name))
    assert (done.state, done.attempts_made, done.failed_reason) == (state, attempts_made, failed_reason)


async def test_retry_waits_as_long_as_it_says_and_else_as_the_back_off_says(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", attempts=4, backoff=Fixed(50, jitter=0))
    delays = iter([7, timedelta(minutes=2), None])

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        if not ctx.is_last_attempt:
            raise Retry(after=next(delays))

    async with on_clock(app, clock=FakeClock()):
        await work.add()
        await drain(app)
        assert await waits(await app.open_queue("work")) == [7, 120, 50]


async def test_retry_on_the_last_attempt_fails_with_its_reason(app: Corral) -> None:
    handle = await failing(app, lambda: Retry("the report is not ready"), attempts=2).add()
    async with working(app):
        job = await ending(handle)
    assert (job.attempts_made, job.failed_reason) == (2, "the report is not ready")


async def test_retry_is_obeyed_even_where_errors_are_not_retried(app: Corral) -> None:
    handle = await failing(app, Retry, attempts=2, retry_on=()).add()
    async with working(app):
        assert (await ending(handle)).attempts_made == 2


async def test_snoozing_uses_no_attempt_however_often(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", attempts=1)
    runs: list[int] = []

    @queue.job("wait")
    async def wait(ctx: JobContext) -> int:
        runs.append(ctx.attempt)
        if len(runs) < 20:
            raise Snooze(timedelta(hours=1), "the shop is closed")
        return ctx.attempt

    clock = FakeClock()
    began = clock.now
    async with on_clock(app, clock=clock):
        handle = await wait.add()
        await drain(app)
        job = await handle.get()
    assert runs == [1] * 20
    assert clock.now - began == timedelta(hours=19)
    assert (job.state, job.attempts_made, job.attempts_started) == (JobState.COMPLETED, 1, 20)


async def test_a_moment_that_has_passed_is_now_and_one_that_makes_no_sense_is_an_error(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work(ctx: JobContext, data: float) -> int:
        if ctx.fence == 1:
            raise Snooze(data)
        return ctx.fence

    async with working(app):
        assert (await ending(await work.add(-5))).result == "2"
        failed = await ending(await work.add(1e12))
    assert (failed.state, json.loads(failed.result or "null")) == (JobState.FAILED, None)
    assert (failed.failed_reason or "").startswith("ConfigError: snooze must be at most ten years")
