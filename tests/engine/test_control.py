"""A worker while it runs: paused, resized, told to cancel, closed."""

import asyncio

import pytest

from corral import Corral, EventType, JobContext, JobState, Queue, WaitForChildren, Worker, WorkerOptions
from corral.errors import ConfigError, QueueNotFoundError
from tests.engine.helpers import GUARD, Meter, next_event, reason, work_off, working


async def test_a_paused_worker_takes_no_jobs_until_it_is_resumed(app: Corral) -> None:
    queue, other = app.queue("work"), app.queue("other")

    @queue.job("work")
    async def work(data: int) -> int:
        return data

    @other.job("work")
    async def other_work(data: int) -> int:
        return data

    async with working(app) as worker, await app.worker(queues={"other": None}):
        await (await work.add(1)).result(timeout=GUARD)
        await worker.pause()
        assert worker.paused
        handle = await work.add(2)
        # Many jobs later, done by the other worker, this one has had every chance.
        for number in range(20):
            await (await other_work.add(number)).result(timeout=GUARD)
        assert (await handle.get()).state is JobState.WAITING
        worker.resume()
        assert not worker.paused
        assert await handle.result(timeout=GUARD) == 2


async def test_pausing_waits_for_running_jobs_unless_told_not_to(app: Corral) -> None:
    queue = app.queue("work")
    begun, release = asyncio.Event(), asyncio.Event()

    @queue.job("work")
    async def work() -> None:
        begun.set()
        await release.wait()

    handle = await work.add()
    async with working(app) as worker:
        async with asyncio.timeout(GUARD):
            await begun.wait()
            await worker.pause(wait=False)
            assert [job.id for job in worker.jobs] == [handle.id]
            pausing = asyncio.create_task(worker.pause())
            await asyncio.sleep(0)
            assert not pausing.done()
            release.set()
            await pausing
        assert worker.jobs == []
        assert (await handle.get()).state is JobState.COMPLETED


async def test_a_paused_worker_can_be_stopped(app: Corral) -> None:
    app.queue("work")
    async with working(app) as worker:
        await worker.pause()
    assert worker.stopping


async def test_concurrency_can_be_raised_and_lowered_at_run_time(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)
    meter, release = Meter(), asyncio.Event()

    @queue.job("work")
    async def work(data: int) -> None:
        with meter:
            await release.wait()

    meter.full_at = 5
    handles = await work.add_bulk(range(20))
    async with working(app) as worker:
        await next_event(handles[0].queue, EventType.ACTIVE)
        worker.resize(5, queue="work")
        async with asyncio.timeout(GUARD):
            await meter.full.wait()
        worker.resize(2)
        release.set()
        for handle in handles:
            await handle.result(timeout=GUARD)
        assert meter.most == 5
        meter.most = 0
        release.clear()
        meter.full_at, meter.full = 2, asyncio.Event()
        handles = await work.add_bulk(range(6))
        async with asyncio.timeout(GUARD):
            await meter.full.wait()
        release.set()
        for handle in handles:
            await handle.result(timeout=GUARD)
        assert meter.most == 2


@pytest.mark.parametrize("count", [0, -1, True, 1.5])
async def test_a_worker_without_slots_is_refused_with_what_to_do_instead(app: Corral, count: int) -> None:
    app.queue("work")
    with pytest.raises(ConfigError, match="pause the worker"):
        Worker(Queue("work", await app.open()), lambda: None, concurrency=count)
    with pytest.raises(ConfigError, match="pause the worker"):
        await app.worker(queues={"work": count})
    async with working(app) as worker:
        with pytest.raises(ConfigError, match="pause the worker"):
            worker.resize(count)


async def test_one_job_or_all_that_run_here_can_be_cancelled(app: Corral) -> None:
    queue = app.queue("work")
    meter = Meter()
    meter.full_at = 3

    @queue.job("work")
    async def work(data: int) -> None:
        with meter:
            await asyncio.Event().wait()

    handles = await work.add_bulk([1, 2, 3])
    async with working(app) as worker:
        async with asyncio.timeout(GUARD):
            await meter.full.wait()
        assert worker.cancel(handles[0].id, "no-such-job", reason="not wanted") == [handles[0].id]
        assert await reason(handles[0]) == "cancelled: not wanted"
        assert sorted(worker.cancel_all(queue="work")) == sorted(handle.id for handle in handles[1:])
        assert [await reason(handle) for handle in handles[1:]] == ["cancelled"] * 2
        with pytest.raises(QueueNotFoundError):
            worker.cancel_all(queue="other")


async def test_close_lets_running_jobs_finish_and_may_be_called_again(app: Corral) -> None:
    queue = app.queue("work")
    begun, release = asyncio.Event(), asyncio.Event()

    @queue.job("work")
    async def work() -> None:
        begun.set()
        await release.wait()

    handle = await work.add()
    async with working(app, shutdown_timeout=GUARD) as worker:
        async with asyncio.timeout(GUARD):
            await begun.wait()
        release.set()
        assert await worker.close() == 0
        assert await worker.close() == 0
    assert (await handle.get()).state is JobState.COMPLETED


async def test_close_by_force_hands_running_jobs_back_at_once(app: Corral) -> None:
    queue = app.queue("work")
    begun = asyncio.Event()

    @queue.job("work")
    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    handle = await work.add()
    async with working(app, shutdown_timeout=1000) as worker:
        async with asyncio.timeout(GUARD):
            await begun.wait()
            assert await worker.close(force=True) == 9
    job = await handle.get()
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)


@pytest.mark.parametrize("options", [{"recovery_interval": 0}, {"max_crashes": 0}, {"max_crashes": True}])
def test_options_that_cannot_be_meant_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        WorkerOptions(**options)  # type: ignore[arg-type]  # what a configuration file may say


async def test_a_burst_ends_only_when_no_queue_has_let_another_ones_jobs_go(app: Corral) -> None:
    children, parents = app.queue("children"), app.queue("parents")

    @children.job("child")
    async def child(data: int) -> int:
        return data

    @parents.job("parent")
    async def parent(ctx: JobContext) -> list[int]:
        await ctx.add_child(child, 1)
        found = await ctx.children_of(child)
        if found.pending:
            raise WaitForChildren
        return found.results

    handles = [await parent.add() for _ in range(5)]
    await work_off(app)
    assert [(await handle.get()).result for handle in handles] == ["[1]"] * 5


async def test_a_worker_tells_which_handlers_it_has(app: Corral) -> None:
    queue = app.queue("work")
    queue.job("one")(lambda: None)
    queue.job("two")(lambda: None)
    async with working(app):
        [info] = await (await app.open()).workers()
    assert info.handlers == ("work/one", "work/two")
