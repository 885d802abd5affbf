"""The worker's life: starting, sharing, stopping, handing back, and a store that fails for a while."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import UNSET

from corral import BaseWorker, Corral, EventType, JobContext, JobState, RateLimit, WorkerOptions, connect
from corral.errors import StorageUnavailableError
from corral.options import KEEP_COMPLETED
from corral.outcome import Completed
from corral.queue import Queue
from corral.storage.port import Claim, Settled, Settlement
from corral.testing import FakeClock, drain
from corral.timing import Millis
from corral.worker import fetcher
from tests.engine.faulty import Faulty, lent_to
from tests.engine.helpers import (
    GUARD,
    Meter,
    answers,
    elsewhere,
    ending,
    ids,
    line,
    next_event,
    on_clock,
    past,
    work_off,
    working,
)

# -- sharing -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-19")
async def test_m_ts_19_workers_in_several_processes_share_a_queue_without_running_a_job_twice(url: str) -> None:
    async with connect(url) as store:
        queue = Queue("work", store)
        handles = await queue.add_bulk([("step", number) for number in range(150)])
        async with elsewhere("work", url, 10_000, 1) as one, elsewhere("work", url, 10_000, 1) as two:
            workers = {await line(one), await line(two)}
            results = {await handle.result(timeout=GUARD) for handle in handles}
            handles += await queue.add_bulk([("step", number) for number in range(50)])
            results |= {await handle.result(timeout=GUARD) for handle in handles}
            for process in (one, two):
                process.terminate()
                assert await answers(process) == []
        jobs = [await handle.get() for handle in handles]
        assert {(job.attempts_started, job.attempts_made, job.crashes) for job in jobs} == {(1, 1, 0)}
        assert results <= workers
        assert (await queue.counts()).completed_total == 200


@pytest.mark.mission("M-TS-60", "M-BI-05")
async def test_m_ts_60_one_worker_serves_several_queues_with_the_slots_it_is_given(app: Corral) -> None:
    meters = {name: Meter() for name in ("one", "two", "three")}

    def declare(name: str, concurrency: int) -> Any:
        @app.queue(name, concurrency=concurrency).job("work")
        async def work() -> None:
            with meters[name]:
                await asyncio.sleep(0.002)

        return work

    jobs = [declare("one", 2), declare("two", 9), declare("three", 1)]
    handles = [await job.add() for job in jobs for _ in range(10)]
    async with await app.worker(queues={"one": None, "two": 4}, options=WorkerOptions(stats_interval=0)):
        for handle in handles[:20]:
            await handle.result(timeout=GUARD)
    assert [meter.most for meter in meters.values()] == [2, 4, 0]


async def test_a_worker_is_listed_while_it_lives(app: Corral) -> None:
    app.queue("one", concurrency=2)
    app.queue("two", concurrency=3)
    store = await app.open()
    async with working(app, name="mail-1") as worker:
        [listed] = await store.workers()
        assert (listed.id, listed.name, listed.queues, listed.slots) == (worker.id, "mail-1", ("one", "two"), 5)
    assert await store.workers() == []


async def test_starting_is_announced(app: Corral, caplog: pytest.LogCaptureFixture) -> None:
    app.queue("work")
    with caplog.at_level(logging.INFO, "corral.worker"):
        async with working(app):
            pass
    assert [record.message for record in caplog.records] == [
        "Queue Worker is now running", "worker stopping", "worker stopped",
    ]  # fmt: skip


# -- ending by itself --------------------------------------------------------------------------------------------------


async def test_a_burst_ends_when_nothing_waits_and_leaves_delayed_jobs(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)

    @queue.job("work")
    async def work(data: int) -> None:
        if data:
            await work.add(data - 1)

    await work.add(5)
    later = await work.add(0, delay=3600)
    worker = await work_off(app)
    assert worker.reporter.finished == 6
    assert (await later.get()).state is JobState.DELAYED


async def test_a_burst_waits_for_the_rate_limit(app: Corral) -> None:
    queue = app.queue("work", rate_limit=RateLimit(1, per=0.05))

    @queue.job("work")
    async def work() -> None: ...

    await work.add_bulk([None] * 4)
    assert (await work_off(app)).reporter.finished == 4


async def test_max_jobs_ends_the_worker_after_so_many(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)

    @queue.job("work")
    async def work() -> None:
        await asyncio.sleep(0.03)

    await work.add_bulk([None] * 20)
    async with asyncio.timeout(GUARD), working(app, max_jobs=3) as worker:
        await worker.wait()
    counts = await (await queue.open()).counts()
    assert counts.completed >= 3
    assert counts.completed + counts.waiting == 20
    assert counts.waiting > 10


async def test_max_time_ends_the_worker_after_so_long(app: Corral) -> None:
    app.queue("work")
    async with asyncio.timeout(GUARD), working(app, max_time=0.05) as worker:
        await worker.wait()
        assert worker.stopping


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-49", "M-BI-07", "M-AI-71")
async def test_m_ts_49_sigterm_finishes_what_runs_takes_nothing_more_and_exits_with_0(url: str) -> None:
    async with connect(url) as store:
        queue = Queue("work", store)
        handles = await queue.add_bulk([("hold", None)] * 4)
        async with elsewhere("hold", url, 30) as process:
            assert {tuple(await line(process)) for _ in range(2)} == {("running", "1"), ("running", "2")}
            process.send_signal(signal.SIGTERM)
            await queue.add("go", id="go", delay=3600)
            assert await answers(process) == [["stopped", 0]]
        states = [(await handle.get()).state for handle in handles]
    assert states == [JobState.COMPLETED, JobState.COMPLETED, JobState.WAITING, JobState.WAITING]


async def test_a_second_sigterm_hands_running_jobs_back_at_once_and_exits_with_9(url: str) -> None:
    async with connect(url) as store:
        queue = Queue("work", store)
        handles = await queue.add_bulk([("hold", None)] * 4)
        async with elsewhere("hold", url, 30) as process:
            assert {tuple(await line(process)) for _ in range(2)} == {("running", "1"), ("running", "2")}
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(GUARD):
                assert await line(process) == ["stopped", 9]
                assert await process.wait() == 9
        jobs = [await handle.get() for handle in handles]
        released = await past(queue, EventType.RELEASED)
        waiting = await queue.page(JobState.WAITING)
    assert [(job.state, job.attempts_made, job.crashes) for job in jobs] == [(JobState.WAITING, 0, 0)] * 4
    assert sorted(str(event.job_id) for event in released) == ["1", "2"]
    assert ids(waiting.items) == ["1", "2", "3", "4"]


async def test_jobs_that_do_not_end_within_the_shutdown_time_are_handed_back_in_their_old_order(app: Corral) -> None:
    queue = app.queue("work", concurrency=3, attempts=2)
    running = Meter()
    running.full_at = 3
    stuck = True

    @queue.job("work")
    async def work(ctx: JobContext) -> int:
        with running:
            await asyncio.sleep(60 if stuck else 0)
        return ctx.attempt

    handles = await work.add_bulk([None] * 5)
    async with working(app, shutdown_timeout=0):
        await running.full.wait()
        stuck = False
    live = await queue.open()
    assert ids((await live.page(JobState.WAITING)).items) == ["1", "2", "3", "4", "5"]
    assert [(await handle.get()).attempts_made for handle in handles] == [0] * 5
    async with working(app):
        assert [await handle.result(timeout=GUARD) for handle in handles] == [1] * 5


async def test_a_stop_during_the_start_is_not_lost(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> None: ...

    handle = await work.add()
    worker: BaseWorker = await app.worker(options=WorkerOptions(stats_interval=0))
    worker.stop()
    async with asyncio.timeout(GUARD):
        assert await worker.run() == 0
    assert (await handle.get()).state is JobState.WAITING


async def test_a_handler_that_ignores_the_order_to_stop_does_not_hold_up_the_worker(
    app: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "STOP_GRACE", 0.05)
    queue = app.queue("work")
    running, release = asyncio.Event(), asyncio.Event()

    @queue.job("deaf")
    async def deaf() -> None:
        running.set()
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()

    handle = await deaf.add()
    async with asyncio.timeout(GUARD):
        async with working(app, shutdown_timeout=0):
            await running.wait()
    job = await handle.get()
    assert (job.state, job.attempts_made) == (JobState.WAITING, 0)
    release.set()


# -- names nobody knows ------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-42")
async def test_a_job_of_an_unknown_name_is_put_back_five_times_and_then_fails(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("send-email", attempts=3)

    @queue.job("welcome-email")
    async def welcome() -> None: ...

    async with on_clock(app, clock=FakeClock()):
        live = await queue.open()
        handle = await live.add("welcome-mail", attempts=3)
        await welcome.add()
        done = await drain(app)
        job = await handle.get()
        snoozes = await past(live, EventType.SNOOZED)
    assert (done.completed, done.failed) == (1, 1)
    assert len(snoozes) == 4
    assert job.attempts_made <= 1
    assert job.failed_reason == (
        "UnknownJobError: queue 'send-email' has no handler named 'welcome-mail'; did you mean 'welcome-email'?"
    )


async def test_a_newer_worker_takes_what_an_older_one_does_not_know(url: str) -> None:
    older, newer = Corral(url), Corral(url)
    older.queue("work")

    @newer.queue("work").job("new")
    async def new() -> str:
        return "done"

    async with older, newer:
        handle = await new.add()
        await work_off(older)
        assert (await handle.get()).state is JobState.DELAYED  # put back, not failed
        await (await newer.open_queue("work")).promote()
        async with working(newer):
            assert await handle.result(timeout=GUARD) == "done"


# -- a store that fails ------------------------------------------------------------------------------------------------


class Troubled(Faulty):
    """A store whose `settle` cannot be reached for a while: before it did anything, or after it did everything."""

    before = 0
    after = 0

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        if self.before and settlements:
            self.before -= 1
            raise StorageUnavailableError("no route to the store")
        settled = await self.inner.settle(queue, settlements, then=then, now=now)
        if self.after and (settlements or settled.claimed.jobs):
            self.after -= 1
            raise StorageUnavailableError("the answer got lost")
        return settled


class Picky(Faulty):
    """A store that cannot take one certain result."""

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        if any(one.outcome == Completed('"poison"', KEEP_COMPLETED) for one in settlements):
            raise ValueError("this cannot be stored")
        return await self.inner.settle(queue, settlements, then=then, now=now)


async def test_a_verdict_that_cannot_be_stored_fails_its_job_and_no_other(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work", concurrency=5)
    together = Meter()
    together.full_at = 5

    @queue.job("work")
    async def work(data: str) -> str:
        with together:
            await together.full.wait()
            return data

    async with lent_to(app, Picky(connect(url))):
        handles = await work.add_bulk(["a", "b", "poison", "c", "d"])
        async with working(app):
            jobs = [await ending(handle) for handle in handles]
    assert [job.result for job in jobs] == ['"a"', '"b"', None, '"c"', '"d"']
    assert jobs[2].failed_reason == "ValueError: this cannot be stored"


async def run_on(store: Faulty, runs: list[str], count: int, **options: Any) -> list[Any]:
    """Run so many jobs on this store; answers them as they stand in the end."""
    app = Corral()
    queue = app.queue("work", concurrency=3)

    @queue.job("work")
    async def work(ctx: JobContext) -> str:
        runs.append(ctx.id)
        return ctx.id

    async with lent_to(app, store):
        handles = await work.add_bulk([None] * count)
        async with working(app, **options):
            assert [await handle.result(timeout=GUARD) for handle in handles] == [handle.id for handle in handles]
        return [await handle.get() for handle in handles]


@pytest.mark.mission("M-AI-65")
async def test_verdicts_that_cannot_be_handed_in_are_kept_until_the_store_is_back(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Troubled(connect(url))
    store.before = 4
    runs: list[str] = []
    jobs = await run_on(store, runs, 12)
    assert sorted(runs, key=int) == [str(number) for number in range(1, 13)]
    assert {(job.attempts_started, job.crashes) for job in jobs} == {(1, 0)}
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == [
        "store cannot be reached, trying again"
    ]


async def test_an_answer_that_is_lost_loses_no_job(url: str) -> None:
    store = Troubled(connect(url))
    store.after = 2
    runs: list[str] = []
    jobs = await run_on(store, runs, 12, lease=0.4)
    assert sorted(set(runs), key=int) == [str(number) for number in range(1, 13)]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert len(runs) == 12  # what was claimed by the lost answer ran once, after its lease


async def test_a_lease_that_was_lost_stops_the_handler_and_refuses_its_verdict(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work")
    runs: list[int] = []
    running = asyncio.Event()

    @queue.job("work")
    async def work(ctx: JobContext) -> str:
        runs.append(ctx.fence)
        if ctx.fence > 1:
            return "second"
        running.set()
        await asyncio.sleep(60)
        return "first"

    async with app, working(app, lease=0.4):
        handle = await work.add()
        await running.wait()
        store = await app.open()
        await store.recover("work", now=2**42)  # somebody whose clock runs ahead takes the job away
        assert await handle.result(timeout=GUARD) == "second"
    assert runs == [1, 2]
    assert (await ending_of(url, handle.id)).result == '"second"'


async def ending_of(url: str, job_id: str) -> Any:
    async with connect(url) as store:
        return await Queue("work", store).get(job_id)


async def test_settings_that_nobody_declared_are_left_open(app: Corral) -> None:
    settings = app.queue("work").settings()
    assert (settings.rate_limit, settings.concurrency, settings.paused) == (UNSET, UNSET, UNSET)


@pytest.mark.mission("M-AI-31")
async def test_the_idle_event_comes_when_the_last_job_has_ended(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work() -> None: ...

    await work.add_bulk([None] * 3)
    async with working(app):
        live = await queue.open()
        await next_event(live, EventType.IDLE)
        assert (await live.counts()).completed == 3
        last = await work.add()
        await ending(last)
