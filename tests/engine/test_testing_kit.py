"""The testing kit: handlers alone, applications in memory, drains that move the time, and assertions that explain."""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel

from corral import (
    Corral,
    Discard,
    Event,
    Every,
    Job,
    JobContext,
    JobState,
    RateLimit,
    Retry,
    Snooze,
    SyncJobContext,
)
from corral.errors import (
    ConfigError,
    CorralError,
    PayloadError,
    QueueNotFoundError,
    ResultError,
)
from corral.storage import port
from corral.storage.port import Children, Storage
from corral.testing import FakeClock, Recorded, added, app_in_memory, assert_added, drain, fire_schedules, run_job
from corral.testing.store import ClockedStorage
from corral.worker import fetcher
from corral.worker.run import current_job
from tests.engine import processes
from tests.engine.helpers import GUARD, chosen

START = datetime(2026, 3, 1, tzinfo=UTC)


class Order(BaseModel):
    number: int
    to: str = "ann"


# -- one handler -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["async", "thread"])
@pytest.mark.mission("M-AI-59", "M-AI-61")
async def test_a_handler_runs_alone_and_what_it_tells_its_context_is_kept(mode: str) -> None:
    queue = Corral().queue("work", attempts=3)

    async def work(ctx: JobContext, order: Order) -> dict[str, object]:
        await ctx.progress(50)
        await ctx.log("half way")
        await ctx.note("step", "one")
        job = current_job.get()
        assert job is not None
        return {"id": ctx.id, "to": order.to, "attempt": ctx.attempt, "of": ctx.attempts, "same": job.id == ctx.id,
                "earlier": await ctx.recall("earlier"), "children": len((await ctx.children()).completed)}  # fmt: skip

    def work_in_thread(ctx: SyncJobContext, order: Order) -> dict[str, object]:
        ctx.progress(50)
        ctx.log("half way")
        ctx.note("step", "one")
        ctx.check()
        job = current_job.get()
        assert job is not None
        return {"id": ctx.id, "to": order.to, "attempt": ctx.attempt, "of": ctx.attempts, "same": job.id == ctx.id,
                "earlier": ctx.recall("earlier"), "children": len(ctx.children().completed)}  # fmt: skip

    job: Any = queue.job("work")(chosen(mode, work, work_in_thread))
    seen = Recorded(notes={"earlier": "yes"}, children=Children(completed={"7": "1"}))
    result = await run_job(job, Order(number=1), id="order-1", attempt=2, recorded=seen)
    assert result == {
        "id": "order-1",
        "to": "ann",
        "attempt": 2,
        "of": 3,
        "same": True,
        "earlier": "yes",
        "children": 1,
    }
    assert (seen.progress, seen.logs, seen.notes) == ([50], ["half way"], {"earlier": "yes", "step": "one"})


@pytest.mark.parametrize(
    "error", [Retry("later", after=5), Snooze(5), Discard("no"), ValueError("x"), SystemExit(1)], ids=repr
)
@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_what_a_handler_raises_comes_out_as_it_is(error: BaseException, mode: str) -> None:
    async def fail() -> None:
        raise error

    def fail_in_thread() -> None:
        raise error

    queue = Corral().queue("work")
    job: Any = queue.job("fail")(chosen(mode, fail, fail_in_thread))
    with pytest.raises(type(error)) as caught:
        await run_job(job)
    assert caught.value is error


async def test_payload_and_result_are_checked_as_a_worker_would(tmp_path: Path) -> None:
    queue = Corral(f"sqlite:///{tmp_path / 'never.db'}").queue("work")

    @queue.job("work")
    async def work(data: Order) -> object:
        return {data.number} if data.number else data

    with pytest.raises(PayloadError, match="number"):
        await run_job(work, Order.model_construct(number="seven"))  # type: ignore[arg-type]
    with pytest.raises(ResultError):
        await run_job(work, Order(number=1))
    assert await run_job(work, Order(number=0)) == {"number": 0, "to": "ann"}
    assert list(tmp_path.iterdir()) == []


async def test_a_process_handler_runs_here_and_the_slot_is_told() -> None:
    queue = Corral().queue("work")
    whoami = queue.job("whoami", process=True)(processes.whoami)

    @queue.job("when")
    def when(ctx: SyncJobContext) -> str:
        return str(ctx.scheduled_for)

    pid = await run_job(whoami)
    assert pid == os.getpid()
    assert await run_job(when, scheduled_for=START) == str(START)


@pytest.mark.parametrize(("attempt", "attempts"), [(0, None), (2, None), (4, 3)])
async def test_attempts_that_do_not_add_up_are_refused(attempt: int, attempts: int | None) -> None:
    @Corral().queue("work").job("work")
    async def work() -> None: ...

    with pytest.raises(ConfigError, match="attempt must be"):
        await run_job(work, attempt=attempt, attempts=attempts)


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_a_clock_moves_only_forwards_and_only_when_told() -> None:
    clock = FakeClock(START)
    clock.advance(1.5)
    clock.advance(timedelta(minutes=1))
    assert clock.now == START + timedelta(seconds=61.5)
    clock.advance_to(START + timedelta(days=1))
    assert clock() == round((START + timedelta(days=1)).timestamp() * 1000)
    for wrong in (lambda: clock.advance(-1), lambda: clock.advance_to(START), lambda: FakeClock(datetime(2026, 1, 1))):  # noqa: DTZ001
        with pytest.raises(ConfigError):
            wrong()
    assert "2026-03-02" in repr(clock)


def test_a_clock_that_ticks_also_runs_by_itself() -> None:
    clock = FakeClock(START, ticking=True)
    clock.advance(3600)
    began = clock()
    deadline = time.monotonic() + GUARD
    while clock() == began and time.monotonic() < deadline:
        pass
    assert clock() > began >= round((START + timedelta(hours=1)).timestamp() * 1000)


# -- an application in memory ------------------------------------------------------------------------------------------


async def test_the_applications_own_store_is_not_touched_and_is_back_afterwards(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    app = Corral(url)

    @app.queue("work").job("work")
    async def work(data: int) -> None: ...

    async with app:
        await work.add(1)
        own = await app.open()
        async with app_in_memory(app) as same:
            assert same is app
            await work.add(2)
            await asyncio.to_thread(work.add_sync, 3)
            async with app:  # what a web framework does around its requests
                await work.add(4)
            await work.add(5)
            assert [job.data for job in await added(app)] == ["2", "3", "4", "5"]
        assert await app.open() is own
        assert [job.data for job in await added(app)] == ["1"]
        async with app_in_memory(app):
            assert await added(app) == []
    assert app.url == url


async def test_nothing_is_opened_for_an_application_that_was_closed(tmp_path: Path) -> None:
    app = Corral(f"sqlite:///{tmp_path / 'own.db'}")

    @app.queue("work").job("work")
    async def work() -> None: ...

    async def break_off() -> None:
        async with app_in_memory(app):
            await work.add()
            raise KeyError("in the middle of it")

    with pytest.raises(KeyError):
        await break_off()
    assert app.url.endswith("own.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_real_worker_runs_in_memory_too(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> str:
        return "done"

    async with app_in_memory(app), await app.worker():
        assert await (await work.add(delay=0.01)).result(timeout=10) == "done"


# -- draining ----------------------------------------------------------------------------------------------------------


async def test_a_drain_runs_everything_delayed_jobs_retries_and_what_they_add() -> None:
    app = Corral("sqlite:///:memory:")
    mail, reports = app.queue("mail", attempts=3, backoff=60), app.queue("reports")
    order: list[str] = []

    @mail.job("send")
    async def send(ctx: JobContext, data: str) -> None:
        order.append(f"{data} {ctx.attempt}")
        if data == "flaky" and not ctx.is_last_attempt:
            raise ConnectionError("busy")
        if data == "bad":
            raise Discard("no such address")

    @reports.job("report")
    def report() -> None:
        order.append("report")

    @app.on("completed")
    async def follow(event: Event, job: Job) -> None:
        if job.data == '"flaky"':
            await report.add(delay=10)

    clock = FakeClock(START)
    async with app_in_memory(app, clock=clock):
        for what in ("good", "flaky", "bad"):
            await send.add(what)
        await send.add("tomorrow", delay=86_400)
        done = await drain(app)
        assert await drain(app) == type(done)()
    assert order == ["good 1", "flaky 1", "bad 1", "flaky 2", "flaky 3", "report", "tomorrow 1"]
    assert (done.completed, done.retried, done.failed, done.other, done.runs) == (4, 2, 1, 0, 7)
    assert done.reasons == (
        "mail/send 2: ConnectionError: busy", "mail/send 3: no such address", "mail/send 2: ConnectionError: busy",
    )  # fmt: skip
    assert done.seconds == 86_400
    assert clock.now == START + timedelta(days=1)


async def test_only_the_named_queues_are_drained() -> None:
    app = Corral("sqlite:///:memory:")
    ran: list[str] = []

    async def work(ctx: JobContext) -> None:
        ran.append(ctx.queue)

    jobs = [app.queue(name).job("work")(work) for name in ("one", "two")]
    async with app_in_memory(app):
        for job in jobs:
            await job.add()
        assert (await drain(app, queues=["two"])).completed == 1
        with pytest.raises(QueueNotFoundError):
            await drain(app, queues=["three"])
    assert ran == ["two"]


async def test_a_job_that_adds_itself_for_ever_is_stopped() -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue("work").job("again")
    async def again() -> None:
        await again.add(delay=60)

    async with app_in_memory(app):
        await again.add()
        with pytest.raises(CorralError, match=r"after 25 runs; the last was 'again' of queue 'work'"):
            await drain(app, max_jobs=25)
        counts = await (await app.open_queue("work")).counts()
    assert (counts.completed, counts.delayed, counts.active) == (25, 1, 0)


async def test_a_drain_works_on_an_application_with_a_store_of_its_own(tmp_path: Path) -> None:
    app = Corral(f"sqlite:///{tmp_path / 'own.db'}")

    @app.queue("work").job("work")
    async def work() -> None: ...

    clock = FakeClock()
    async with app:
        handle = await work.add(delay=3600)
        assert (await drain(app, clock=clock)).completed == 1
        assert (await handle.get()).state is JobState.COMPLETED


async def test_a_drain_has_the_applications_lifespan_middleware_and_limits() -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        order.append("open")
        yield
        order.append("close")

    app = Corral("sqlite:///:memory:", lifespan=lifespan)
    queue = app.queue("work", rate_limit=RateLimit(1, per=30), timeout=0.02)

    @app.middleware
    async def watch(ctx: JobContext, call_next: Any) -> object:
        order.append("before")
        return await call_next()

    @queue.job("work")
    async def work(data: str) -> None:
        order.append(data)
        await asyncio.sleep(60 if data == "slow" else 0)

    async with app_in_memory(app, clock=FakeClock()):
        await work.add_bulk(["quick", "slow"])
        done = await drain(app)
    assert order == ["open", "before", "quick", "before", "slow", "close"]
    assert (done.seconds, done.reasons) == (30, ("work/work 2: JobTimeoutError: timed out after 0.02 s",))


async def test_process_handlers_are_drained_too() -> None:
    app = Corral("sqlite:///:memory:")
    whoami = app.queue("work").job("whoami", process=True)(processes.whoami)
    async with app_in_memory(app):
        handle = await whoami.add()
        await drain(app)
        assert isinstance(await handle.result(), int)


async def test_a_drain_that_is_given_up_hands_its_job_back() -> None:
    app = Corral("sqlite:///:memory:")
    running = asyncio.Event()

    @app.queue("work").job("slow")
    async def slow() -> None:
        running.set()
        await asyncio.sleep(60)

    async with app_in_memory(app):
        handle = await slow.add()
        task = asyncio.create_task(drain(app))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        job = await handle.get()
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


async def test_a_handler_that_does_not_end_when_it_is_told_to_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "STOP_GRACE", 0.02)
    app = Corral("sqlite:///:memory:")

    @app.queue("work").job("deaf", timeout=0.02)
    async def deaf() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    async with app_in_memory(app):
        await deaf.add()
        assert (await drain(app)).reasons == ("work/deaf 1: JobTimeoutError: timed out after 0.02 s",)


# -- schedules ---------------------------------------------------------------------------------------------------------


async def test_schedules_are_fired_in_memory_only() -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue("work").job("tick")
    async def tick() -> None: ...

    app.schedule("ticker", Every(60), tick)
    clock = FakeClock(START)
    async with app_in_memory(app, clock=clock):
        clock.advance(59)
        assert await fire_schedules(app) == []
        clock.advance(1)
        [job] = await fire_schedules(app)
        assert job.scheduled_for == clock()
        await assert_added(app, tick, schedule="ticker", count=1)
    async with app:
        with pytest.raises(ConfigError, match="app_in_memory"):
            await fire_schedules(app)


# -- the store on a fake clock -----------------------------------------------------------------------------------------


class Echo:
    """Answers every verb with nothing, and keeps how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []

    def __getattr__(self, name: str) -> Any:
        async def answer(*args: object, **keywords: object) -> list[object]:
            self.calls.append((name, args, keywords))
            return []

        return answer


def verbs() -> list[str]:
    parts = (port.Dispatch, port.Commands, port.Queries, port.Schedules, port.EventLog)
    return [name for part in parts for name in vars(part) if not name.startswith("_")]


@pytest.mark.parametrize("verb", verbs())
async def test_every_verb_is_passed_on_whole_and_with_the_clocks_time(verb: str) -> None:
    signature = inspect.signature(getattr(port.Storage, verb))
    asked: dict[str, tuple[str, ...]] = {
        name: (name,) for name in signature.parameters if name not in ("self", "now", "jobs", "events")
    }
    asked |= {name: () for name in signature.parameters if name in ("jobs", "events")}
    call = signature.bind(None, **asked)
    clock, echo = FakeClock(START), Echo()
    await getattr(ClockedStorage(cast(Storage, echo), clock), verb)(*call.args[1:], **call.kwargs)
    [(name, args, keywords)] = echo.calls
    passed_on = dict(signature.bind(None, *args, **keywords).arguments)
    passed_on.pop("self")
    time = {"now": clock()} if "now" in signature.parameters else {}
    passed_on = {key: tuple(value) if isinstance(value, list) else value for key, value in passed_on.items()}
    assert (name, passed_on) == (verb, {**asked, **time})
