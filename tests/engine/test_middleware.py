"""Middleware around adding and around running, and the hooks of a worker's life."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from corral import BaseWorker, Corral, Every, JobContext, NewJob, SyncJobContext
from corral.errors import ConfigError
from corral.payload import from_json, to_json
from corral.testing import FakeClock, app_in_memory, fire_schedules
from tests.engine.helpers import GUARD, work_off, working

CallNext = Callable[[], Awaitable[object]]
AddNext = Callable[[NewJob], Awaitable[NewJob]]


def tagging(app: Corral, tag: str) -> None:
    """Enqueue middleware that puts a tag into each payload."""

    @app.enqueue_middleware
    async def add_tag(job: NewJob, call_next: AddNext) -> NewJob:
        data: Any = from_json(job.data)
        return await call_next(replace(job, data=to_json({**data, "tags": [*data.get("tags", []), tag]}, "payload")))


def echo(app: Corral) -> Any:
    queue = app.queue("work")

    @queue.job("echo")
    async def echo(data: dict[str, Any]) -> object:
        return data.get("tags")

    return echo


# -- adding ------------------------------------------------------------------------------------------------------------


async def test_enqueue_middleware_sees_single_jobs_bulks_names_and_blocking_code(app: Corral) -> None:
    job = echo(app)
    tagging(app, "traced")
    live = await app.queues["work"].open()
    ids = [
        (await job.add({})).id,
        *[handle.id for handle in await job.add_bulk([{}, {}])],
        (await live.add("echo", {})).id,
        await asyncio.to_thread(job.add_sync, {}),
    ]
    jobs = await live.storage.get("work", ids)
    assert [from_json(one.data) for one in jobs if one] == [{"tags": ["traced"]}] * 5


async def test_enqueue_middleware_sees_what_schedules_and_handlers_add() -> None:
    app = Corral("sqlite:///:memory:")
    job = echo(app)
    tagging(app, "traced")
    app.schedule("hourly", Every(3600), job, {})
    clock = FakeClock()
    async with app_in_memory(app, clock=clock):
        clock.advance(3600)
        [fired] = await fire_schedules(app)
    assert from_json(fired.data) == {"tags": ["traced"]}


async def test_enqueue_middleware_sees_every_job_of_a_flow_and_what_running_handlers_add(app: Corral) -> None:
    job = echo(app)
    tagging(app, "traced")

    @app.queues["work"].job("first")
    async def first(ctx: JobContext, data: dict[str, Any]) -> object:
        await ctx.add(job, {"by": "add"}, id="at-once")
        await ctx.add_on_complete(job, {"by": "completion"}, id="later")
        return data.get("tags")

    flow = await app.flow.add(job.node({}, children=[first.node({})]))
    async with working(app):
        assert await flow.result(timeout=GUARD) == ["traced"]
        for job_id in ("at-once", "later"):
            assert await flow.root.queue.result(job_id, timeout=GUARD) == ["traced"]


async def test_the_first_enqueue_middleware_is_outermost_and_guards_come_last(app: Corral) -> None:
    job = echo(app)
    tagging(app, "first")
    tagging(app, "second")
    seen: list[object] = []
    app.before_add(lambda new: seen.append(from_json(new.data)))
    handle = await job.add({})
    assert seen == [{"tags": ["first", "second"]}]
    assert from_json((await handle.get()).data) == {"tags": ["first", "second"]}


async def test_one_refused_job_refuses_the_whole_call(app: Corral) -> None:
    job = echo(app)

    @app.enqueue_middleware
    async def refuse(new: NewJob, call_next: AddNext) -> NewJob:
        if "secret" in new.data:
            raise PermissionError("not for you")
        return await call_next(new)

    with pytest.raises(PermissionError, match="not for you"):
        await job.add_bulk([{"open": 1}, {"secret": 1}])
    assert (await (await app.queues["work"].open()).counts()).waiting == 0
    await job.add({"open": 1})


@pytest.mark.parametrize("change", ["queue", "id", "nothing"])
async def test_a_middleware_may_not_send_a_job_elsewhere_or_lose_it(app: Corral, change: str) -> None:
    job = echo(app)

    @app.enqueue_middleware
    async def break_it(new: NewJob, call_next: AddNext) -> Any:
        made = await call_next(new)
        return {"queue": replace(made, queue="other"), "id": replace(made, id="other"), "nothing": None}[change]

    with pytest.raises(ConfigError, match="enqueue middleware"):
        await job.add({}, id="mine")


async def test_a_middleware_may_choose_an_id_a_group_or_options(app: Corral) -> None:
    job = echo(app)

    @app.enqueue_middleware
    async def mark(new: NewJob, call_next: AddNext) -> NewJob:
        return await call_next(replace(new, id="chosen", group="tenant-7", priority=3))

    handle = await job.add({})
    stored = await handle.get()
    assert (handle.id, stored.group, stored.priority) == ("chosen", "tenant-7", 3)


# -- running -----------------------------------------------------------------------------------------------------------


async def test_middleware_goes_from_the_application_through_the_queue_to_the_handler(app: Corral) -> None:
    queue = app.queue("work")
    told: list[str] = []

    def telling(name: str) -> Callable[[JobContext, CallNext], Awaitable[object]]:
        async def middleware(ctx: JobContext, call_next: CallNext) -> object:
            told.append(f"{name} in")
            result = await call_next()
            told.append(f"{name} out")
            return result

        return middleware

    app.middleware(telling("app"))
    app.middleware(telling("app 2"))
    queue.middleware(telling("queue"))

    @queue.job("own", middleware=[telling("own"), telling("own 2")])
    def own(ctx: SyncJobContext) -> None:
        told.append("handler")

    @queue.job("plain")
    async def plain() -> None:
        told.append("plain")

    await own.add()
    await work_off(app)
    names = ["app", "app 2", "queue", "own", "own 2"]
    assert told == [f"{name} in" for name in names] + ["handler"] + [f"{name} out" for name in reversed(names)]
    told.clear()
    await plain.add()
    await work_off(app)
    assert told == ["app in", "app 2 in", "queue in", "plain", "queue out", "app 2 out", "app out"]


async def test_a_queues_middleware_leaves_other_queues_alone(app: Corral) -> None:
    one, two = app.queue("one"), app.queue("two")

    @one.middleware
    async def double(ctx: JobContext, call_next: CallNext) -> object:
        return [await call_next()] * 2

    def work() -> int:
        return 1

    first, second = one.job("work")(work), two.job("work")(work)
    async with working(app):
        assert str(await (await first.add()).result(timeout=GUARD)) == "[1, 1]"
        assert await (await second.add()).result(timeout=GUARD) == 1


# -- a worker's life ---------------------------------------------------------------------------------------------------


async def test_start_ups_and_shut_downs_are_inside_the_lifespan_and_around_the_jobs(local_url: str) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        told.append("enter")
        yield
        told.append("leave")

    app = Corral(local_url, lifespan=lifespan)
    app.on_startup(lambda: told.append("start 1"))

    @app.on_startup
    async def start() -> None:
        told.append("start 2")

    app.on_shutdown(lambda: told.append("stop 1"))
    app.on_shutdown(lambda: told.append("stop 2"))
    app.on_ready(lambda worker: told.append(f"ready {worker.name}"))

    @app.on_stopping
    async def stopping(worker: BaseWorker) -> None:
        told.append(f"stopping {worker.stopping}")

    queue = app.queue("work")

    @queue.job("work")
    async def work() -> None:
        told.append("work")

    async with app, working(app, name="w"):
        await (await work.add()).result(timeout=GUARD)
    assert told == [
        "enter", "start 1", "start 2", "ready w", "work", "stopping True", "stop 2", "stop 1", "leave",
    ]  # fmt: skip


async def test_a_failing_start_up_stops_the_start_and_no_hook_of_a_running_worker_is_told(app: Corral) -> None:
    app.queue("work")
    told: list[str] = []

    @app.on_startup
    def fail() -> None:
        raise ConnectionError("no database")

    app.on_shutdown(lambda: told.append("shut down"))
    app.on_ready(lambda worker: told.append("ready"))
    app.on_stopping(lambda worker: told.append("stopping"))
    with pytest.raises(ConnectionError, match="no database"):
        await (await app.worker()).run()
    assert told == []


async def test_a_failing_ready_hook_is_logged_and_the_worker_works(
    app: Corral, caplog: pytest.LogCaptureFixture
) -> None:
    job = echo(app)

    @app.on_ready
    def fail(worker: BaseWorker) -> None:
        raise SystemExit(1)

    with caplog.at_level(logging.ERROR, "corral.worker"):
        async with working(app):
            await (await job.add({})).result(timeout=GUARD)
    assert "failed when the worker was ready" in caplog.text
