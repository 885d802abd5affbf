"""Durable steps: what an earlier run has finished is not done again."""

import asyncio
from dataclasses import dataclass

import pytest
from msgspec import Struct

from corral import Corral, Fixed, JobContext, Retry, Step, SyncJobContext
from corral.errors import ConfigError, JobFailedError, JobNotFoundError, JobStateError
from corral.storage.port import Storage
from corral.testing import app_in_memory, drain
from corral.testing.handler import Recorded, run_job
from tests.engine.helpers import ending, on_clock, reason, work_off


class Receipt(Struct):
    number: int
    paid: bool = True


@dataclass
class Parcel:
    weight: float


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_a_retry_goes_on_after_the_last_step_that_was_finished(app: Corral, mode: str) -> None:
    queue = app.queue("work", attempts=4, backoff=0)
    done: list[str] = []

    def note(name: str, fails: bool) -> str:
        done.append(name)
        if fails:
            raise ValueError(f"{name} went wrong")
        return name.upper()

    async def asynchronous(ctx: JobContext) -> list[str]:
        first = await ctx.step("first", note, "first", fails=False)
        second = await ctx.step("second", note, "second", fails=ctx.attempt == 1)
        third = await ctx.step("third", note, "third", fails=ctx.attempt < 3)
        return [first, second, third]

    def threaded(ctx: SyncJobContext) -> list[str]:
        first = ctx.step("first", note, "first", fails=False)
        second = ctx.step("second", note, "second", fails=ctx.attempt == 1)
        third = ctx.step("third", note, "third", fails=ctx.attempt < 3)
        return [first, second, third]

    handler = queue.job("trip")({"async": asynchronous, "thread": threaded}[mode])  # type: ignore[call-overload]
    handle = await handler.add()
    await work_off(app)
    assert await handle.result(timeout=5) == ["FIRST", "SECOND", "THIRD"]
    assert done == ["first", "second", "second", "third", "third"]


async def test_what_comes_back_has_the_declared_type_the_first_time_and_later(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0)
    seen: list[object] = []

    async def pay() -> Receipt:
        return Receipt(7)

    def pack() -> Parcel:
        return Parcel(1.5)

    def tally() -> dict[str, tuple[int, int]]:
        return {"a": (1, 2)}

    @queue.job("trip")
    async def trip(ctx: JobContext) -> None:
        untyped = await ctx.step("untyped", lambda: (1, 2))
        seen.append([await ctx.step("pay", pay), await ctx.step("pack", pack), await ctx.step("tally", tally), untyped])
        if ctx.attempt == 1:
            raise Retry("again", after=0)

    await trip.add()
    await work_off(app)
    assert seen == [[Receipt(7), Parcel(1.5), {"a": (1, 2)}, [1, 2]]] * 2


async def test_a_name_that_is_used_twice_in_one_run_is_refused_and_a_key_tells_rounds_apart(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("twice")
    async def twice(ctx: JobContext) -> None:
        await ctx.step("charge", lambda: 1)
        await ctx.step("charge", lambda: 2)

    @queue.job("loop")
    async def loop(ctx: JobContext) -> list[str]:
        for order in (17, 18):
            await ctx.step(Step("charge", key=order), str, order)
        return [step.name for step in await ctx.steps()]

    bad, good = await twice.add(), await loop.add()
    await work_off(app)
    assert (await reason(bad)).startswith("ConfigError: step 'charge' is used twice in one run")
    assert await good.result(timeout=5) == ["charge:17", "charge:18"]


async def test_steps_that_run_together_are_all_stored(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0)
    runs: list[int] = []

    async def number(value: int) -> int:
        runs.append(value)
        return value

    @queue.job("many")
    async def many(ctx: JobContext) -> int:
        values = await asyncio.gather(*(ctx.step(Step("n", key=value), number, value) for value in range(50)))
        if ctx.attempt == 1:
            raise ValueError("after all of them")
        return sum(values)

    handle = await many.add()
    await work_off(app)
    assert await handle.result(timeout=5) == sum(range(50))
    assert sorted(runs) == list(range(50))


async def test_long_results_fill_several_pages_and_all_are_found_again(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0)
    runs: list[int] = []

    def text(number: int) -> str:
        runs.append(number)
        return f"{number}" * 9_000

    @queue.job("long")
    async def long(ctx: JobContext) -> list[int]:
        found = [await ctx.step(Step("text", key=number), text, number) for number in range(7)]
        if ctx.attempt == 1:
            raise ValueError("after all of them")
        return [len(one) for one in found]

    handle = await long.add()
    await work_off(app)
    assert await handle.result(timeout=5) == [9_000] * 7
    assert runs == list(range(7))


async def test_a_step_may_be_tried_several_times_within_one_run(app: Corral) -> None:
    queue = app.queue("work")
    tries: list[int] = []

    def flaky() -> int:
        tries.append(len(tries))
        if len(tries) < 3:
            raise ConnectionError("no line")
        return len(tries)

    @queue.job("async")
    async def asynchronous(ctx: JobContext) -> int:
        return await ctx.step(Step("call", attempts=3, backoff=Fixed(0)), flaky)

    @queue.job("thread")
    def threaded(ctx: SyncJobContext) -> int:
        return ctx.step(Step("call", attempts=3, backoff=0), flaky)

    first = await asynchronous.add()
    await work_off(app)
    assert await first.result(timeout=5) == 3
    tries.clear()
    second = await threaded.add()
    await work_off(app)
    assert await second.result(timeout=5) == 3
    assert (await first.get()).attempts_made == (await second.get()).attempts_made == 1


async def test_a_signal_out_of_a_step_is_not_tried_again_in_it(app: Corral) -> None:
    queue = app.queue("work", attempts=1)
    tries: list[int] = []

    def stop() -> None:
        tries.append(1)
        raise Retry("not now", after=0)

    @queue.job("stop")
    async def stopping(ctx: JobContext) -> None:
        await ctx.step(Step("call", attempts=5), stop)

    handle = await stopping.add()
    await work_off(app)
    assert (await reason(handle), tries) == ("not now", [1])


async def test_a_step_that_takes_too_long_is_stopped(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("slow")
    async def slow(ctx: JobContext) -> None:
        await ctx.step(Step("wait", timeout=0.01), asyncio.Event().wait)

    handle = await slow.add()
    await work_off(app)
    assert await reason(handle) == "JobTimeoutError: timed out after 0.01 s"


async def test_a_first_run_without_steps_before_it_does_not_look_for_any(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0)
    looks: list[str | None] = []

    @queue.job("watched")
    async def watched(ctx: JobContext) -> None:
        remember = type(ctx).remember

        async def watch(ledger: str, key: str, value: str | None = None, **rest: object) -> str | None:
            looks.append(None if value is None else "write")
            return await remember(ctx, ledger, key, value, **rest)  # type: ignore[arg-type]

        ctx.durable._ledger = Watched(watch)  # type: ignore[assignment]
        await ctx.step("one", lambda: 1)
        await ctx.step("two", lambda: 2)
        if ctx.attempt == 1:
            raise ValueError("again")

    class Watched:
        def __init__(self, remember: object) -> None:
            self.remember = remember

    await watched.add()
    await work_off(app)
    assert looks == ["write", "write", None]


async def test_a_run_that_lost_its_job_stores_no_step(app: Corral, storage: Storage) -> None:
    queue = app.queue("work")
    failures: list[str] = []

    @queue.job("zombie")
    async def zombie(ctx: JobContext) -> None:
        await app_storage.obliterate("work", force=True)
        try:
            await ctx.step("late", lambda: 1)
        except Exception as error:
            failures.append(type(error).__name__)
            raise

    app_storage = await app.open()
    await zombie.add()
    await work_off(app)
    assert failures == ["LeaseLostError"]


# -- for people --------------------------------------------------------------------------------------------------------


async def test_people_see_the_steps_of_a_job_and_may_have_one_done_again(app: Corral) -> None:
    queue = app.queue("work")
    runs: list[str] = []

    @queue.job("trip")
    async def trip(ctx: JobContext) -> None:
        await ctx.step("pack", runs.append, "pack")
        await ctx.step("go", runs.append, "go")
        raise ValueError("lost the way")

    handle = await trip.add()
    await work_off(app)
    live = await app.open_queue("work")
    steps = await live.steps(handle.id)
    assert [(step.name, step.result, step.run) for step in steps] == [("pack", None, 1), ("go", None, 1)]
    assert await live.forget_step(handle.id, "pack") is True
    assert await live.forget_step(handle.id, "swim") is False
    await live.retry(handle.id)
    await work_off(app)
    assert runs == ["pack", "go", "pack"]
    assert [step.name for step in await live.steps(handle.id)] == ["go", "pack"]


async def test_the_steps_of_a_running_job_are_its_own_and_of_none_there_are_none(app: Corral) -> None:
    queue = app.queue("work")
    seen: list[type[BaseException]] = []

    @queue.job("trip")
    async def trip(ctx: JobContext) -> None:
        await ctx.step("pack", lambda: 1)
        try:
            await (await app.open_queue("work")).forget_step(ctx.id, "pack")
        except JobStateError as error:
            seen.append(type(error))

    handle = await trip.add()
    await work_off(app)
    assert (await ending(handle)).state.value == "completed"
    assert seen == [JobStateError]
    with pytest.raises(JobNotFoundError):
        await (await app.open_queue("work")).steps("nobody")


# -- in tests ----------------------------------------------------------------------------------------------------------


async def test_steps_work_on_a_clock_that_is_moved_by_hand(app: Corral) -> None:
    queue = app.queue("work", attempts=3, backoff=3_600)
    runs: list[int] = []

    @queue.job("trip")
    async def trip(ctx: JobContext) -> None:
        await ctx.step("once", runs.append, ctx.attempt)
        raise ValueError("never")

    async with on_clock(app):
        await trip.add()
        await drain(app)
    assert runs == [1]


async def test_one_handler_alone_finds_the_steps_of_the_run_before() -> None:
    app = Corral("sqlite:///:memory:")
    runs: list[int] = []

    def count() -> int:
        runs.append(1)
        return len(runs)

    @app.queue("work").job("trip")
    async def trip(ctx: JobContext) -> int:
        return await ctx.step("count", count)

    kept = Recorded()
    async with app_in_memory(app):
        assert [await run_job(trip, attempt=n, attempts=2, recorded=kept) for n in (1, 2)] == [1, 1]
    assert runs == [1]


@pytest.mark.parametrize(
    "wrong",
    [lambda: Step(""), lambda: Step("a" * 300), lambda: Step("a", attempts=0), lambda: Step("a", timeout=0),
     lambda: Step("a", ttl=-1), lambda: Step("a", backoff=-1.0)],
)  # fmt: skip
def test_a_step_that_cannot_be_meant_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]


async def test_a_def_handlers_step_is_a_plain_function_without_a_timeout(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("async-in-thread")
    def one(ctx: SyncJobContext) -> None:
        _ = ctx.step("wait", asyncio.sleep, 0)

    @queue.job("timeout-in-thread")
    def other(ctx: SyncJobContext) -> None:
        ctx.step(Step("wait", timeout=1), lambda: None)

    handles = [await one.add(), await other.add()]
    await work_off(app)
    for handle in handles:
        with pytest.raises(JobFailedError, match=r"ConfigError: a (def|step of a def) handler"):
            await handle.result(timeout=5)
