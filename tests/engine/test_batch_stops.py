"""Batches that are stopped: jobs cancelled one by one or all, time limits, the end of the worker."""

import asyncio
from typing import Any

import pytest

from corral import Batch, BatchContext, BatchJob, Corral, EventType, JobState, SyncBatchJob
from corral.errors import JobCancelledError
from tests.engine.helpers import GUARD, chosen, next_event, reason, working

#: A wait that no test may sit out: calls are made because the minimum is there.
LONG = 60.0


async def test_a_cancelled_job_leaves_the_batch_and_the_others_go_on(app: Corral) -> None:
    queue = app.queue("work")
    begun, release = asyncio.Event(), asyncio.Event()
    gone: list[tuple[int, bool, bool]] = []

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> str:
        begun.set()
        await release.wait()
        gone.extend((job.data, job.gone, job.complete("late")) for job in jobs)
        return "done"

    first, second = await index.add_bulk([1, 2])
    async with working(app):
        async with asyncio.timeout(GUARD):
            await begun.wait()
        await first.cancel("not wanted")
        assert "cancelled: not wanted" in await reason(first)
        release.set()
        assert await second.result(timeout=GUARD) == "late"
    assert sorted(gone) == [(1, True, False), (2, False, True)]


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_when_every_job_is_cancelled_the_call_is_stopped(app: Corral, mode: str) -> None:
    queue = app.queue("work")
    loop = asyncio.get_running_loop()
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def index(ctx: BatchContext, jobs: list[BatchJob[int]]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            assert ctx.stopping
            stopped.set()

    def blocking_index(ctx: BatchContext, jobs: list[SyncBatchJob[int]]) -> None:
        loop.call_soon_threadsafe(begun.set)
        with pytest.raises(JobCancelledError):
            ctx.wait(GUARD)
        loop.call_soon_threadsafe(stopped.set)

    job: Any = queue.job("index", batch=Batch(2, minimum=2, wait=LONG))(chosen(mode, index, blocking_index))
    handles = await job.add_bulk([1, 2])
    async with working(app) as worker:
        async with asyncio.timeout(GUARD):
            await begun.wait()
        assert len(worker.cancel_all(reason="enough")) == 2
        assert [await reason(handle) for handle in handles] == ["cancelled: enough"] * 2
        async with asyncio.timeout(GUARD):
            await stopped.wait()


async def test_the_time_limit_counts_from_the_call_and_not_from_the_claim(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG), timeout=0.1)
    async def index(jobs: list[BatchJob[str]]) -> None:
        if jobs[0].data == "slow":
            await asyncio.Event().wait()

    async with working(app) as worker:
        first = await index.add("quick")
        await next_event(first.queue, EventType.ACTIVE, job_id=first.id)
        async with asyncio.timeout(GUARD):
            while not worker.jobs:
                await next_event(first.queue, EventType.ACTIVE, job_id=first.id)
        assert [run.timer for run in worker.fetchers[0]._runs] == [None]
        second = await index.add("quick")
        assert await first.result(timeout=GUARD) is None
        assert await second.result(timeout=GUARD) is None
        late = await index.add_bulk(["slow", "slow"])
        assert ["timed out after 0.1 s" in await reason(handle) for handle in late] == [True, True]


async def test_stopping_hands_back_jobs_whose_batch_has_not_begun(app: Corral) -> None:
    queue = app.queue("work")
    calls: list[int] = []

    @queue.job("index", batch=Batch(10, minimum=5, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> None:
        calls.append(len(jobs))

    handles = await index.add_bulk([1, 2])
    async with working(app):
        await next_event(handles[1].queue, EventType.ACTIVE, job_id=handles[1].id)
    jobs = [await handle.get() for handle in handles]
    assert calls == []
    assert [(job.state, job.attempts_made) for job in jobs] == [(JobState.WAITING, 0)] * 2


async def test_stopping_lets_a_running_batch_finish(app: Corral) -> None:
    queue = app.queue("work")
    begun, release = asyncio.Event(), asyncio.Event()

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> str:
        begun.set()
        await release.wait()
        return "done"

    handles = await index.add_bulk([1, 2])
    async with working(app, shutdown_timeout=GUARD) as worker:
        async with asyncio.timeout(GUARD):
            await begun.wait()
        worker.stop()
        release.set()
    assert [(await handle.get()).result for handle in handles] == ['"done"', '"done"']


async def test_a_batch_handler_that_ignores_the_order_to_stop_does_not_keep_its_slot(
    app: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corral.worker.fetcher.STOP_GRACE", 0.05)
    queue = app.queue("work", concurrency=1)
    release, ended = asyncio.Event(), asyncio.Event()

    @queue.job("index", batch=Batch(1), timeout=0.05)
    async def index(jobs: list[BatchJob[str]]) -> None:
        while jobs[0].data == "stubborn" and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        ended.set()

    async with working(app, shutdown_timeout=1000):  # and it does not hold up the end either
        stubborn = await index.add("stubborn")
        assert "timed out" in await reason(stubborn)
        await (await index.add("good")).result(timeout=GUARD)
        ended.clear()
    release.set()
    async with asyncio.timeout(GUARD):
        await ended.wait()
