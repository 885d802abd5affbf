"""Limits that hold over all workers: concurrency, rate, caps per name and per queue; and pausing."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from corral import Corral, EventType, Job, JobContext, JobState, Priority, RateLimit, connect
from corral.queue import Queue
from corral.testing import FakeClock, drain
from tests.engine.helpers import GUARD, Meter, answers, elsewhere, ending, line, next_event, on_clock, past, working


def most_within(starts: Sequence[int], period_ms: int) -> int:
    """The most starts in any window of this length."""
    ordered = sorted(starts)
    return max(sum(first <= start < first + period_ms for start in ordered) for first in ordered)


# -- concurrency -------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-11")
async def test_m_ts_11_a_worker_runs_five_jobs_at_once_and_never_more(app: Corral) -> None:
    queue = app.queue("send-email", concurrency=5)
    meter = Meter()
    meter.full_at = 5

    @queue.job("work")
    async def work() -> None:
        with meter:
            await meter.full.wait()
            await asyncio.sleep(0.001)

    handles = await work.add_bulk([None] * 30)
    async with working(app):
        for handle in handles:
            await handle.result(timeout=GUARD)
    assert meter.most == 5


async def test_max_active_holds_over_two_workers(url: str) -> None:
    meter = Meter()
    meter.full_at = 3
    apps = [Corral(url), Corral(url)]
    ran: set[str | None] = set()

    def declare(app: Corral) -> None:
        @app.queue("work", concurrency=2, max_active=3).job("work")
        async def work(ctx: JobContext) -> None:
            with meter:
                ran.add(ctx.job.worker)
                await meter.full.wait()
                await asyncio.sleep(0.002)

    for app in apps:
        declare(app)
    async with apps[0], apps[1]:
        handles = await apps[0].queues["work"].definitions["work"].add_bulk([None] * 24)
        async with working(apps[0]), working(apps[1]):
            for handle in handles:
                await handle.result(timeout=GUARD)
    assert meter.most == 3
    assert len(ran) == 2


@pytest.mark.mission("M-GL-41", "M-GL-81", "M-GL-82")
async def test_a_cap_on_one_name_holds_over_two_workers_and_leaves_the_others_alone(url: str) -> None:
    capped, others = Meter(), Meter()
    others.full_at = 4
    apps = [Corral(url), Corral(url)]

    def declare(app: Corral) -> None:
        queue = app.queue("work", concurrency=4)

        @queue.job("capped", concurrency=1)
        async def one_by_one() -> None:
            with capped:
                await asyncio.sleep(0.002)

        @queue.job("free")
        async def free() -> None:
            with others:
                await others.full.wait()

    for app in apps:
        declare(app)
    async with apps[0], apps[1]:
        jobs = apps[0].queues["work"].definitions
        slow = await jobs["capped"].add_bulk([None] * 12)
        fast = await jobs["free"].add_bulk([None] * 12)
        async with working(apps[0]), working(apps[1]):
            for handle in (*fast, *slow):
                await handle.result(timeout=GUARD)
    assert capped.most == 1
    assert others.most >= 4


# -- rate --------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-12")
async def test_m_ts_12_the_rate_limit_is_a_total_over_two_worker_processes(url: str) -> None:
    count, period = 5, 0.3
    async with connect(url) as store:
        queue = Queue("work", store)
        async with elsewhere("work", url, count, period) as one, elsewhere("work", url, count, period) as two:
            workers = {await line(one), await line(two)}
            handles = await queue.add_bulk([("step", None)] * 20)
            results = [await handle.result(timeout=GUARD) for handle in handles]
            for process in (one, two):
                process.terminate()
                assert await answers(process) == []
        jobs = [await handle.get() for handle in handles]
    assert set(results) <= workers
    assert {job.attempts_started for job in jobs} == {1}
    starts = sorted(job.started_at or 0 for job in jobs)
    windows = starts[::count]  # the first start of each window; the processes read their clocks a moment apart
    assert [later - before > period * 1000 - 20 for before, later in pairwise(windows)] == [True] * 3


async def test_a_rate_limit_lets_exactly_so_many_start_in_each_window(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", rate_limit=RateLimit(10, per=1))

    @queue.job("work")
    async def work() -> None: ...

    async with on_clock(app, clock=FakeClock()):
        handles = await work.add_bulk([None] * 35)
        done = await drain(app)
        starts = [(await handle.get()).started_at or 0 for handle in handles]
    assert done.seconds == 3
    assert sorted({starts.count(start) for start in starts}) == [5, 10]


async def test_two_windows_may_meet_but_never_bring_more_than_twice_the_limit(local_url: str) -> None:
    """One start opens a window, nine come at its very end, ten more start with the next: what the limit promises."""
    app = Corral(local_url)
    queue = app.queue("work", rate_limit=RateLimit(10, per=1))

    @queue.job("work")
    async def work() -> None: ...

    clock = FakeClock()
    async with on_clock(app, clock=clock):
        handles = [await work.add()]
        await drain(app)
        clock.advance(0.99)
        handles += await work.add_bulk([None] * 9)
        await drain(app)
        clock.advance(0.01)
        handles += await work.add_bulk([None] * 10)
        await drain(app)
        starts = [(await handle.get()).started_at or 0 for handle in handles]
    assert most_within(starts, 1000) == 19


@pytest.mark.mission("M-TS-13")
async def test_m_ts_13_workers_that_disagree_about_the_limit_warn_and_the_latest_one_holds(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Corral(url), Corral(url)
    first.queue("send-email", rate_limit=RateLimit(10, per=1))
    second.queue("send-email", rate_limit=RateLimit(3, per=1))
    async with first, second, working(first):
        assert "rate limit" not in caplog.text
        async with working(second):
            [warning] = [record for record in caplog.records if "rate limit" in record.message]
            assert warning.levelname == "WARNING"
            assert "send-email" in warning.message
            assert (await (await first.open_queue("send-email")).info()).rate_limit == RateLimit(3, per=1)


async def test_a_limit_that_a_person_set_survives_workers_that_declare_none(app: Corral) -> None:
    queue = await app.queue("work").open()
    await queue.limit(RateLimit(7, per=60))
    async with working(app):
        pass
    assert (await queue.info()).rate_limit == RateLimit(7, per=60)


async def test_lifting_a_limit_takes_effect_at_once(app: Corral) -> None:
    queue = app.queue("work", rate_limit=RateLimit(1, per=3600), max_active=1)

    @queue.job("work")
    async def work() -> None: ...

    live = await queue.open()
    handles = await work.add_bulk([None] * 5)
    async with working(app):
        await handles[0].result(timeout=GUARD)
        assert (await live.counts()).waiting == 4
        await live.limit(None, concurrency=None)
        for handle in handles:
            await handle.result(timeout=GUARD)


# -- pausing -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-64", "M-BI-35", "M-AI-39")
async def test_a_paused_queue_starts_nothing_and_lets_running_jobs_finish(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)
    running, release = asyncio.Event(), asyncio.Event()

    @queue.job("work")
    async def work() -> str:
        running.set()
        await release.wait()
        return "done"

    live = await queue.open()
    async with working(app):
        first, second = await work.add(), await work.add()
        await running.wait()
        await live.pause("maintenance")
        third = await work.add()
        release.set()
        assert await first.result(timeout=GUARD) == "done"
        counts = await live.counts()
        assert (counts.waiting, counts.paused, counts.active) == (2, 2, 0)
        assert (await live.info()).pause_reason == "maintenance"
        await live.resume()
        assert [await second.result(timeout=GUARD), await third.result(timeout=GUARD)] == ["done", "done"]
    assert (await live.counts()).paused == 0


async def test_a_pause_outlives_workers_and_applications(url: str) -> None:
    async with Corral(url) as app:
        await (await app.queue("work").open()).pause("until monday")
    async with Corral(url) as app:
        queue = app.queue("work")

        @queue.job("work")
        async def work() -> None: ...

        handle = await work.add()
        async with working(app):
            live = await queue.open()
            assert (await live.info()).paused
            assert (await handle.get()).state is JobState.WAITING
            await live.resume()
            await handle.result(timeout=GUARD)


async def test_a_delayed_job_that_falls_due_in_a_pause_waits_for_its_end(app: Corral) -> None:
    queue = app.queue("work")
    clock = FakeClock()

    @queue.job("work")
    async def work() -> None: ...

    async with on_clock(app, clock=clock):
        live = await queue.open()
        handle = await work.add(delay=10)
        await live.pause()
        clock.advance(20)
        assert (await drain(app)).runs == 0
        await live.resume()
        assert (await drain(app)).completed == 1
        assert (await handle.get()).state is JobState.COMPLETED


async def test_other_queues_go_on_while_one_is_paused(app: Corral) -> None:
    one, two = app.queue("one"), app.queue("two")

    async def work() -> str:
        return "done"

    first, second = one.job("work")(work), two.job("work")(work)
    await (await one.open()).pause()
    async with working(app):
        held = await first.add()
        assert await (await second.add()).result(timeout=GUARD) == "done"
        assert (await held.get()).state is JobState.WAITING


# -- order -------------------------------------------------------------------------------------------------------------


async def served(app: Corral) -> list[str]:
    """The names of the jobs in the order in which one slot serves them."""
    queue = await app.open_queue("work")
    await drain(app)
    return [str(event.name) for event in await past(queue, EventType.ACTIVE)]


@pytest.mark.mission("M-TS-22")
async def test_m_ts_22_a_job_with_priority_one_runs_before_ordinary_jobs(app: Corral) -> None:
    queue = app.queue("work")

    async def work() -> None: ...

    urgent, reminder = queue.job("urgent")(work), queue.job("reminder")(work)
    async with on_clock(app):
        await reminder.add()
        await reminder.add()
        await urgent.add(priority=1)
        assert await served(app) == ["urgent", "reminder", "reminder"]


@pytest.mark.mission("M-GL-35", "M-AI-17", "M-AI-69")
async def test_lower_numbers_go_first_ordinary_jobs_between_and_equals_in_order(app: Corral) -> None:
    queue = app.queue("work")

    async def work() -> None: ...

    added: list[tuple[str, int, bool]] = [
        ("low", Priority.LOW, False), ("plain", Priority.NORMAL, False), ("high", Priority.HIGH, False),
        ("last", 2_097_151, False), ("million", 1_000_000, False), ("critical", Priority.CRITICAL, False),
        ("high-second", 10, False), ("plain-second", 0, False), ("plain-lifo", 0, True),
        ("million-and-one", 1_000_001, False),
    ]  # fmt: skip
    jobs = {name: queue.job(name)(work) for name, _, _ in added}
    async with on_clock(app):
        for name, priority, lifo in added:
            await jobs[name].add(priority=priority, lifo=lifo)
        assert await served(app) == [
            "critical", "high", "high-second", "million", "plain-lifo", "plain", "plain-second", "million-and-one",
            "low", "last",
        ]  # fmt: skip


async def test_the_priority_of_a_handler_is_the_default_of_its_jobs(app: Corral) -> None:
    queue = app.queue("work", priority=5)

    async def work() -> None: ...

    jobs = [queue.job("queue")(work), queue.job("handler", priority=3)(work)]
    handles = [await jobs[0].add(), await jobs[1].add(), await jobs[1].add(priority=0)]
    assert [(await handle.get()).priority for handle in handles] == [5, 3, 0]


async def test_changing_the_priority_of_a_waiting_job_moves_it(app: Corral) -> None:
    queue = app.queue("work")

    async def work() -> None: ...

    first, second = queue.job("first")(work), queue.job("second")(work)
    async with on_clock(app):
        await first.add()
        handle = await second.add()
        await (await queue.open()).update(handle.id, priority=1)
        assert await served(app) == ["second", "first"]


async def test_a_retried_by_hand_job_runs_again_from_its_first_attempt(app: Corral) -> None:
    queue = app.queue("work", attempts=2)
    broken = True

    @queue.job("work")
    async def work(ctx: JobContext) -> int:
        if broken:
            raise ValueError
        return ctx.attempt

    async with working(app):
        handle = await work.add()
        failed: Job = await ending(handle)
        broken = False
        assert await (await queue.open()).retry(handle.id) == [handle.id]
        assert await handle.result(timeout=GUARD) == 1
    assert failed.attempts_made == 2
    await next_event(await queue.open(), EventType.COMPLETED, job_id=handle.id)
