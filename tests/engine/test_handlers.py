"""Handlers: how they are called, where they run, what they are told and what they leave behind."""

import asyncio
import json
import threading
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from corral import Corral, Discard, JobContext, JobState, Keep, Queue, Snooze, SyncJobContext
from corral.errors import PayloadError, RegistrationError
from corral.worker.run import current_job
from tests.engine.helpers import chosen, ending, work_off, working

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")

# -- signatures --------------------------------------------------------------------------------------------------------


async def test_each_shape_of_handler_is_called_with_what_it_asks_for(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("both")
    async def both(ctx: JobContext, data: dict[str, Any]) -> object:
        return [ctx.name, data]

    @queue.job("data")
    async def only_data(data: dict[str, Any]) -> object:
        return data

    @queue.job("context")
    def only_context(context: SyncJobContext) -> object:
        return context.name

    @queue.job("neither")
    def neither() -> object:
        return "nothing"

    @queue.job("unannotated")
    async def unannotated(ctx, data):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # as people write them
        return [ctx.name, data]

    @queue.job("defaults")
    async def defaults(data: dict[str, Any], verbose: bool = False) -> object:
        return [data, verbose]

    async with working(app):
        assert await (await both.add({"a": 1})).result() == ["both", {"a": 1}]
        assert await (await only_data.add({"a": 1})).result() == {"a": 1}
        assert await (await only_context.add()).result() == "context"
        assert await (await neither.add()).result() == "nothing"
        assert await (await unannotated.add({"a": 1})).result() == ["unannotated", {"a": 1}]
        assert await (await defaults.add({"a": 1})).result() == [{"a": 1}, False]


async def test_objects_methods_and_partials_are_handlers_too(app: Corral) -> None:
    class Greeter:
        async def __call__(self, data: dict[str, str]) -> str:
            return f"called {data['name']}"

        def greet(self, data: dict[str, str]) -> str:
            return f"greeted {data['name']}"

    async def add(amount: int, data: dict[str, int]) -> int:
        return data["x"] + amount

    queue = app.queue("work")
    called = queue.job("called")(Greeter())
    greeted = queue.job("greeted")(Greeter().greet)
    added = queue.job("added")(partial(add, 2))
    async with working(app):
        assert await (await called.add({"name": "ann"})).result() == "called ann"
        assert await (await greeted.add({"name": "ann"})).result() == "greeted ann"
        assert await (await added.add({"x": 5})).result() == 7


def too_many(ctx: JobContext, one: int, two: int) -> None: ...
def variadic(*data: int) -> None: ...
def keywords(**data: int) -> None: ...
def keyword_only(data: int, *, mode: str) -> None: ...
def unreadable(data: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("function", [too_many, variadic, keywords, keyword_only, unreadable, 7, None, dict.update])
def test_a_handler_without_a_usable_signature_is_refused_at_registration(function: Any) -> None:
    queue = Corral().queue("work")
    with pytest.raises(RegistrationError):
        queue.job("work")(function)
    assert queue.definitions == {}


# -- what the context says ---------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-47", "M-AI-51")
async def test_m_ts_47_the_id_stays_while_attempts_and_fence_grow(app: Corral) -> None:
    seen: list[tuple[object, ...]] = []
    queue = app.queue("work", attempts=3)

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        seen.append((ctx.queue, ctx.name, ctx.id, ctx.attempt, ctx.attempts, ctx.is_last_attempt, ctx.fence))
        if len(seen) == 2:
            raise Snooze(0)
        raise ValueError("again")

    await work.add(id="order-7")
    await work_off(app)
    assert seen == [
        ("work", "work", "order-7", 1, 3, False, 1),
        ("work", "work", "order-7", 2, 3, False, 2),
        ("work", "work", "order-7", 2, 3, False, 3),
        ("work", "work", "order-7", 3, 3, True, 4),
    ]


@pytest.mark.parametrize("mode", ["async", "thread"])
@pytest.mark.mission("M-TS-47")
async def test_m_ts_47_a_later_attempt_finds_what_an_earlier_one_noted(app: Corral, mode: str) -> None:
    sent: list[str] = []
    queue = app.queue("work", attempts=2)

    async def email(ctx: JobContext) -> dict[str, bool]:
        if await ctx.recall("sent"):
            return {"already_sent": True}
        sent.append(ctx.id)
        await ctx.note("sent", "yes")
        raise ConnectionError("the answer got lost")

    def blocking_email(ctx: SyncJobContext) -> dict[str, bool]:
        if ctx.recall("sent"):
            return {"already_sent": True}
        sent.append(ctx.id)
        ctx.note("sent", "yes")
        raise ConnectionError("the answer got lost")

    job: Any = queue.job("email")(chosen(mode, email, blocking_email))
    async with working(app):
        handle = await job.add()
        other = await job.add()
        assert await handle.result() == {"already_sent": True}
        assert await other.result() == {"already_sent": True}
    assert sorted(sent) == [handle.id, other.id]  # each once


@pytest.mark.mission("M-AI-37")
async def test_scheduled_for_is_none_for_an_ordinary_job_and_the_slot_for_a_scheduled_one(app: Corral) -> None:
    from corral.job import NewJob

    seen: list[datetime | None] = []
    queue = app.queue("work")

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        seen.append(ctx.scheduled_for)

    await work.add()
    live = await queue.open()
    await live.add_jobs([NewJob(queue="work", name="work", schedule="s", scheduled_for=1_767_225_600_000)])
    await work_off(app)
    assert seen == [None, datetime(2026, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_the_running_job_is_known_to_the_code_that_it_calls(app: Corral, mode: str) -> None:
    queue = app.queue("work")

    def who() -> str | None:
        job = current_job.get()
        return None if job is None else job.id

    async def asynchronous() -> list[str | None]:
        return [who(), await asyncio.to_thread(who)]

    def threaded() -> list[str | None]:
        return [who(), who()]

    job: Any = queue.job("who")(chosen(mode, asynchronous, threaded))
    async with working(app):
        handle = await job.add()
        assert await handle.result() == [handle.id, handle.id]
    assert who() is None


# -- where handlers run ------------------------------------------------------------------------------------------------


async def test_def_handlers_run_in_threads_side_by_side(app: Corral) -> None:
    barrier = threading.Barrier(4)
    queue = app.queue("work", concurrency=4)

    @queue.job("meet")
    def meet() -> int:
        barrier.wait(10)  # passes only when four threads have come
        return threading.get_ident()

    async with working(app):
        handles = [await meet.add() for _ in range(4)]
        threads = {await handle.result() for handle in handles}
    assert len(threads) == 4
    assert threading.get_ident() not in threads


async def test_threads_are_used_again(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)

    @queue.job("who")
    def who() -> int:
        return threading.get_ident()

    async with working(app):
        assert len({await (await who.add()).result() for _ in range(5)}) == 1


async def test_the_loop_goes_on_while_def_handlers_block(app: Corral) -> None:
    release = threading.Event()
    queue = app.queue("work", concurrency=2)

    @queue.job("block")
    def block() -> bool:
        return release.wait(10)

    @queue.job("quick")
    async def quick() -> str:
        return "done"

    async with working(app):
        blocked = await block.add()
        assert await (await quick.add()).result() == "done"
        assert (await blocked.get()).state is JobState.ACTIVE
        release.set()
        assert await blocked.result() is True


# -- what one job leaves to the next -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_context_variables_do_not_leak_into_the_next_job(app: Corral, mode: str) -> None:
    queue = app.queue("work", concurrency=1)

    def swap(data: str) -> str:
        before = tenant.get()
        tenant.set(data)
        return before

    async def swap_async(data: str) -> str:
        return swap(data)

    job: Any = queue.job("swap")(chosen(mode, swap_async, swap))
    handles = await job.add_bulk(["ann", "bob", "cay", "dan"])
    async with working(app):
        assert [await handle.result() for handle in handles] == ["nobody"] * 4


async def test_a_handler_that_cancels_its_own_task_does_not_harm_the_next_job(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)

    @queue.job("cancel")
    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    @queue.job("leave")
    async def leave() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "before the cancellation arrives"

    @queue.job("next")
    async def following() -> str:
        await asyncio.sleep(0)
        return "whole"

    async with working(app):
        cancelled = await cancel.add()
        first = await following.add()
        left = await leave.add()
        second = await following.add()
        assert (await ending(cancelled)).state is JobState.FAILED
        assert await first.result() == "whole"
        assert await left.result() == "before the cancellation arrives"
        assert await second.result() == "whole"


# -- progress and logs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_progress_takes_any_json_and_refuses_the_rest(app: Corral, mode: str) -> None:
    refused: list[PayloadError] = []
    queue = app.queue("work")

    async def report(ctx: JobContext) -> None:
        try:
            await ctx.progress(float("nan"))
        except PayloadError as error:
            refused.append(error)
        await ctx.progress({"step": 2, "of": [1, 2, None]})

    def report_blocking(ctx: SyncJobContext) -> None:
        try:
            ctx.progress({"x": b""})
        except PayloadError as error:
            refused.append(error)
        ctx.progress({"step": 2, "of": [1, 2, None]})

    job: Any = queue.job("report")(chosen(mode, report, report_blocking))
    handle = await job.add()
    await work_off(app)
    assert json.loads((await handle.get()).progress or "") == {"step": 2, "of": [1, 2, None]}
    assert len(refused) == 1


async def test_log_lines_are_kept_in_order_and_only_the_newest(app: Corral) -> None:
    queue = app.queue("work", keep_logs=3)

    @queue.job("talk")
    async def talk(ctx: JobContext) -> None:
        for number in range(5):
            await ctx.log(f"line {number}")
        await ctx.log("x" * 100_000)

    handle = await talk.add()
    await work_off(app)
    page = await (await queue.open()).logs(handle.id)
    assert page.items[:2] == ("line 3", "line 4")
    assert page.items[2] == "x" * 8_000
    assert page.total == 3


# -- a handler may meddle with its own job -----------------------------------------------------------------------------


async def meddle(queue: Queue, how: str, job_id: str) -> None:
    match how:
        case "remove":
            assert await queue.remove(job_id) == []  # active jobs are spared
        case "retry":
            assert await queue.retry(job_id) == []
        case "promote":
            assert await queue.promote(job_id) == []
        case "pause":
            await queue.pause()
        case _:
            await queue.obliterate(force=True)


@pytest.mark.parametrize(
    ("how", "left"), [("remove", 1), ("retry", 1), ("promote", 1), ("pause", 1), ("obliterate", 0)]
)
async def test_a_handler_that_meddles_with_its_own_job_leaves_no_ghost(app: Corral, how: str, left: int) -> None:
    queue = app.queue("work")
    ran: list[str] = []

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        ran.append(ctx.id)
        await meddle(await queue.open(), how, ctx.id)

    await work.add()
    await work_off(app)
    counts = await (await queue.open()).counts()
    assert len(ran) == 1
    assert (counts.completed, counts.active, counts.waiting, counts.failed) == (left, 0, 0, 0)


async def test_a_handler_may_add_jobs_and_await_them(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)

    @queue.job("child")
    async def child(data: int) -> int:
        return data * 2

    @queue.job("parent")
    async def parent() -> int:
        return sum([await (await child.add(number)).result() for number in range(5)])

    async with working(app):
        assert await (await parent.add()).result() == 20


@pytest.mark.mission("M-GL-69")
async def test_a_discarded_job_fails_for_good_and_keep_false_leaves_nothing(app: Corral) -> None:
    queue = app.queue("work", attempts=5, keep_failed=Keep(count=0))

    @queue.job("work")
    def work() -> None:
        raise Discard("no such customer")

    await work.add()
    await work_off(app)
    counts = await (await queue.open()).counts()
    assert (counts.failed, counts.failed_total) == (0, 1)
