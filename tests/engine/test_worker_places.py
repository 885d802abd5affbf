"""How a worker may be told to run its handlers: where, in how many threads, with how much memory; and its tags."""

import asyncio
import logging
import os
import threading
import time
from functools import partial
from typing import Any

import pytest

from corral import Batch, Corral, SyncJobContext, WorkerOptions
from corral.app.definition import JobDefinition
from corral.errors import ConfigError, JobFailedError, JobTimeoutError
from corral.worker import worker as module
from corral.worker.vitals import memory
from tests.engine.helpers import GUARD, work_off, working
from tests.engine.place_handlers import where, where_async, where_many

MAIN = threading.main_thread().name


async def _places(app: Corral, executor: str) -> dict[str, tuple[bool, str]]:
    """Of each handler: whether it ran in this process, and the kind of its thread."""
    queue = app.queue("places", concurrency=2)
    jobs: dict[str, JobDefinition[None, Any]] = {
        "plain": queue.job("plain")(where),
        "async": queue.job("async")(where_async),
        "apart": queue.job("apart", process=True)(where),
        "apart-async": queue.job("apart-async", process=True)(where_async),
        "batch": queue.job("batch", batch=Batch(2))(where_many),
    }
    handles = {name: await job.add() for name, job in jobs.items()}
    await work_off(app, executor=executor)
    found = {}
    for name, handle in handles.items():
        process, thread = await handle.result(timeout=GUARD)
        found[name] = process == os.getpid(), str(thread).rstrip("0123456789")
    return found


async def test_handlers_run_where_they_declare_it(app: Corral) -> None:
    assert await _places(app, "async") == {
        "plain": (True, "corral-handler-"), "async": (True, MAIN), "apart": (False, MAIN), "apart-async": (False, MAIN),
        "batch": (True, MAIN),
    }  # fmt: skip


async def test_executor_thread_keeps_all_of_them_in_this_process(app: Corral) -> None:
    assert await _places(app, "thread") == {
        "plain": (True, "corral-handler-"), "async": (True, MAIN), "apart": (True, "corral-handler-"),
        "apart-async": (True, MAIN), "batch": (True, MAIN),
    }  # fmt: skip


async def test_executor_process_runs_all_but_batches_in_child_processes(app: Corral) -> None:
    assert await _places(app, "process") == {
        "plain": (False, MAIN), "async": (False, MAIN), "apart": (False, MAIN), "apart-async": (False, MAIN),
        "batch": (True, MAIN),
    }  # fmt: skip


async def test_executor_process_refuses_a_handler_that_no_other_process_can_find(app: Corral) -> None:
    @app.queue("places").job("inner")
    async def inner() -> None: ...

    with pytest.raises(ConfigError, match=r"'inner' .* cannot be found by another process: define it at module level"):
        await app.worker(options=WorkerOptions(executor="process"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"executor": "threads"}, "did you mean 'thread'"),
        ({"threads": 0}, "threads must be a whole number of 1 or more, not 0"),
        ({"max_rss": 1_000}, r"max_rss must be above the [\d,]+ bytes that the process holds already, not 1,000"),
        ({"tags": (("zone", "a"), ("zone", "b"))}, "must differ"),
        ({"tags": (("zone", "a\nb"),)}, "printable"),
        ({"tags": (("", "a"),)}, "must have a name"),
        ({"tags": tuple((str(number), "") for number in range(21))}, "may have 20 tags, not 21"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WorkerOptions(**options)  # type: ignore[arg-type]  # what is tested


# -- threads -----------------------------------------------------------------------------------------------------------


class Crowd:
    """How many are inside at a time, counted across threads."""

    def __init__(self) -> None:
        self.most = 0
        self._here = 0
        self._lock = threading.Lock()

    def visit(self, seconds: float) -> None:
        with self._lock:
            self._here += 1
            self.most = max(self.most, self._here)
        time.sleep(seconds)
        with self._lock:
            self._here -= 1


async def test_threads_bounds_the_plain_handlers_of_all_queues_together(app: Corral) -> None:
    crowd = Crowd()
    jobs = []
    for name in ("one", "two"):
        queue = app.queue(name, concurrency=5)
        jobs.append(queue.job("visit")(partial(crowd.visit, 0.01)))
    for job in jobs:
        await job.add_bulk([None] * 6)
    await work_off(app, threads=2)
    assert crowd.most == 2


async def test_the_wait_for_a_thread_is_not_charged_to_a_jobs_timeout(app: Corral) -> None:
    queue = app.queue("one", concurrency=10)

    @queue.job("slow", timeout=3.0)
    def slow() -> str:
        time.sleep(0.35)
        return "slowly"

    handles = await slow.add_bulk([None] * 10)  # one after another they take longer than the timeout of each
    await work_off(app, threads=1)
    assert [await handle.result(timeout=GUARD) for handle in handles] == ["slowly"] * 10


async def test_a_job_that_has_its_thread_runs_out_of_time_as_ever(app: Corral) -> None:
    queue = app.queue("one", concurrency=2)

    @queue.job("stuck", timeout=0.1, attempts=1)
    def stuck(ctx: SyncJobContext) -> None:
        ctx.wait(GUARD)

    handle = await stuck.add()
    await work_off(app, threads=1)
    with pytest.raises(JobFailedError, match=JobTimeoutError.__name__):
        await handle.result(timeout=GUARD)


async def test_a_step_of_a_handler_needs_no_second_thread(app: Corral) -> None:
    @app.queue("one").job("stepping")
    def stepping(ctx: SyncJobContext) -> object:
        return ctx.step("half", lambda: 21)

    handle = await stepping.add()
    await work_off(app, threads=1)
    assert await handle.result(timeout=GUARD) == 21


# -- memory, tags ------------------------------------------------------------------------------------------------------


async def test_a_worker_that_holds_too_much_memory_finishes_its_jobs_and_stops(
    app: Corral, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MEMORY_SECONDS", 0.01)
    held: list[bytes] = []
    started = asyncio.Event()

    @app.queue("one").job("greedy")
    async def greedy() -> str:
        held.append(os.urandom(1_000_000) * 80)
        started.set()
        await asyncio.sleep(0.1)  # the worker is told to stop meanwhile, and waits for it
        return "done"

    handle = await greedy.add()
    with caplog.at_level(logging.WARNING, "corral.worker"):
        async with asyncio.timeout(GUARD), working(app, max_rss=memory() + 40_000_000) as worker:
            await started.wait()
            await worker.wait()
    held.clear()
    assert await handle.result(timeout=GUARD) == "done"
    assert "bytes of memory, more than" in caplog.text


async def test_a_workers_tags_are_listed(app: Corral) -> None:
    @app.queue("one").job("nothing")
    async def nothing() -> None: ...

    async with working(app, tags=(("zone", "eu-1"), ("rack", "7"))):
        [listed] = await (await app.open()).workers()
    assert listed.tags == (("zone", "eu-1"), ("rack", "7"))
