"""Orders to one worker, by a record in its store: obeyed, answered, and only by the one they are meant for."""

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from corral import Corral, JobContext
from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.job import JobState
from corral.monitor.monitor import Monitor
from corral.naming import sortable_id
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from corral.timing import now_ms
from corral.worker.orders import ANSWERS, ORDERS, Orders
from corral.worker.worker import BaseWorker, WorkerOptions
from tests.engine.helpers import GUARD, working


@pytest.fixture
def app(storage_url: str) -> Corral:
    app = Corral(storage_url)
    app.queue("mail", concurrency=3)
    app.queue("reports", concurrency=2)
    return app


async def order(storage: Storage, worker: BaseWorker, command: str, **more: Any) -> str:
    """Give an order; its id."""
    order_id = sortable_id(now_ms())
    text = json.dumps({"command": command, "by": "ann", **more})
    await storage.write_entries(ORDERS + worker.id, [EntryChange(id=order_id, text=text, ttl_ms=300_000)])
    return order_id


async def answer(storage: Storage, worker: BaseWorker, order_id: str) -> Mapping[str, Any] | None:
    """What the worker answered."""
    found = await storage.entries(ANSWERS + worker.id, ids=[order_id])
    return None if not found else dict(json.loads(found[0].text))


async def answered(storage: Storage, worker: BaseWorker, order_id: str) -> Mapping[str, Any]:
    """Have the worker look now, unless it has looked by itself, and wait for its answer."""
    await Orders(worker).look(storage)
    async with asyncio.timeout(2 * GUARD):
        while (found := await answer(storage, worker, order_id)) is None:  # noqa: ASYNC110  # the store does not tell
            await asyncio.sleep(0.02)
    return found


async def obeyed(app: Corral, worker: BaseWorker, command: str, **more: Any) -> Mapping[str, Any]:
    """Give an order and have the worker look for it now."""
    storage = await app.open()
    return await answered(storage, worker, await order(storage, worker, command, **more))


async def test_a_worker_is_told_to_take_no_jobs_and_to_go_on(app: Corral) -> None:
    async with app, working(app) as worker:
        told = await obeyed(app, worker, "quiet")
        assert (told["ok"], told["text"]) == (True, "takes no more jobs")
        assert worker.paused
        assert worker.info().quiet
        assert (await obeyed(app, worker, "resume"))["ok"]
        assert not worker.paused


async def test_its_slots_are_changed_in_one_queue_or_in_each(app: Corral) -> None:
    async with app, working(app) as worker:
        assert worker.info().slots_of == (3, 2)
        await obeyed(app, worker, "concurrency", value=7, queue="mail")
        assert worker.info().slots_of == (7, 2)
        await obeyed(app, worker, "concurrency", value=4)
        assert (worker.info().slots_of, worker.info().slots) == ((4, 4), 8)


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        ("concurrency", {"value": 0}, "concurrency must be a whole number of 1 or more, not 0"),
        ("concurrency", {"value": 2, "queue": "post"}, "queue 'post' is not registered"),
        ("concurrency", {}, "no worker knows the order 'concurrency' with the value None"),
        ("dance", {}, "no worker knows the order 'dance'"),
    ],
)
async def test_an_order_that_cannot_be_meant_is_answered_and_changes_nothing(
    app: Corral, command: str, more: dict[str, Any], words: str
) -> None:
    async with app, working(app) as worker:
        told = await obeyed(app, worker, command, **more)
        assert not told["ok"]
        assert words in told["text"]
        assert worker.info().slots_of == (3, 2)


async def test_an_order_that_cannot_be_read_is_answered_too(app: Corral) -> None:
    async with app, working(app) as worker:
        storage = await app.open()
        await storage.write_entries(ORDERS + worker.id, [EntryChange(id="one", text="[]")])
        told = await answered(storage, worker, "one")
        assert not told["ok"]
        assert "cannot be read" in told["text"]


async def test_an_order_is_obeyed_once_and_by_nobody_else(app: Corral) -> None:
    async with app, working(app) as worker, working(app) as other:
        storage = await app.open()
        order_id = await order(storage, worker, "quiet")
        await Orders(other).look(storage)
        assert await answer(storage, other, order_id) is None
        assert not other.paused
        await answered(storage, worker, order_id)
        worker.resume()
        await Orders(worker).look(storage)
        assert not worker.paused
        assert await storage.entries(ORDERS + worker.id) == []


async def test_people_order_and_read_the_answer_at_their_desk(app: Corral) -> None:
    async with app, working(app) as worker:
        storage = await app.open()
        desk = Admin(storage, Monitor(storage)).by(Actor(sub="ann"))
        order_id = await desk.order(worker.id, "concurrency", 9)
        await answered(storage, worker, order_id)
        assert await desk.answer(worker.id, order_id) == "runs 9 at once in each queue"
        assert worker.info().slots_of == (9, 9)


async def test_a_worker_that_is_told_to_stop_answers_before_it_is_gone(app: Corral) -> None:
    async with app, working(app) as worker:
        storage = await app.open()
        order_id = await order(storage, worker, "stop")
        async with asyncio.timeout(GUARD):  # it looks by itself, every other second
            await worker.wait()
        told = await answer(storage, worker, order_id)
        assert told is not None
        assert told["text"] == "stopping"


async def test_a_stop_may_say_how_long_running_jobs_have(app: Corral) -> None:
    begun = asyncio.Event()

    @app.queues["mail"].job("endless")
    async def endless(ctx: JobContext, data: None) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with app:
        handle = await endless.add(None)
        worker = await app.worker(options=WorkerOptions(stats_interval=0, shutdown_timeout=3_600))
        async with asyncio.timeout(2 * GUARD), worker:
            await begun.wait()
            assert (await obeyed(app, worker, "stop", value=0))["ok"]
        assert (await handle.get()).state is JobState.WAITING


async def test_orders_are_answered_within_five_seconds(app: Corral) -> None:
    async with app, working(app) as worker:
        storage = await app.open()
        order_id = await order(storage, worker, "quiet")
        began = time.monotonic()
        async with asyncio.timeout(GUARD):
            while await answer(storage, worker, order_id) is None:  # noqa: ASYNC110  # the store does not tell
                await asyncio.sleep(0.05)
        assert worker.paused
        assert time.monotonic() - began < GUARD


async def test_a_dump_names_the_places_of_threads_and_tasks_and_no_value(app: Corral) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @app.queues["mail"].job("waiting")
    async def waiting(ctx: JobContext, secret: str) -> None:
        begun.set()
        await inner(go)

    async def inner(event: asyncio.Event) -> None:
        await event.wait()

    async with app, working(app) as worker:
        await waiting.add("s3cret")
        await begun.wait()
        text = (await obeyed(app, worker, "dump"))["text"]
        go.set()
    assert "thread corral-leases" in text
    assert "task corral-fetch-mail" in text
    [task] = [part for part in text.split("\n\n") if part.startswith("task corral-slot-mail")]
    assert task.index("_slot") < task.index("waiting") < task.index("inner")
    assert "s3cret" not in text


async def test_a_worker_whose_loop_is_blocked_still_says_where(app: Corral) -> None:
    release = threading.Event()
    blocked = threading.Event()
    found: list[str] = []

    @app.queues["mail"].job("blocking")
    async def blocking(ctx: JobContext, data: None) -> None:
        blocked.set()
        release.wait(60)  # blocks the event loop, on purpose

    def from_outside(worker: BaseWorker) -> None:
        async def ask() -> None:
            async with storage.sibling() as mine:
                order_id = await order(mine, worker, "dump")
                while (told := await answer(mine, worker, order_id)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                found.append(told["text"])

        blocked.wait(GUARD)
        asyncio.run(asyncio.wait_for(ask(), 2 * GUARD))

    async with app, working(app, shutdown_timeout=60) as worker:
        storage = await app.open()
        await blocking.add(None)
        watching = asyncio.create_task(asyncio.to_thread(_and_then, from_outside, worker, release))
        await watching
    assert "in blocking" in found[0]
    assert "the event loop does not answer" in found[0]


def _and_then(work: Any, worker: BaseWorker, release: threading.Event) -> None:
    try:
        work(worker)
    finally:
        release.set()


async def test_a_worker_tells_what_it_is_made_of_and_a_beat_stays_cheap(app: Corral) -> None:
    async with app, working(app) as worker:
        info = worker.info()
        assert info.rss > 10_000_000
        assert info.lag_ms < 5_000
        assert worker.info() == info  # nothing new for seconds: a beat with news would be written each time
