"""Retention: how many finished jobs stay and for how long, also where nothing runs any more."""

from typing import Any

import pytest

from corral import Corral, EventType, JobState, Keep
from corral.options import KEEP_COMPLETED, KEEP_FAILED
from corral.storage.port import Selection
from corral.testing import FakeClock, drain
from tests.engine.helpers import ids, next_event, on_clock, work_off, working


def finishing(app: Corral, **options: Any) -> Any:
    """A job that completes, or fails when it is told to."""
    queue = app.queue("work", **options)

    @queue.job("work")
    async def work(data: str) -> None:
        if data == "bad":
            raise ValueError(data)

    return work


@pytest.mark.parametrize(("keep", "kept"), [(True, 8), (Keep(), 8), (3, 3), (Keep(count=2), 2), (0, 0), (False, 0)])
@pytest.mark.mission("M-GL-10", "M-GL-48")
async def test_the_newest_finished_jobs_stay_and_all_are_counted(app: Corral, keep: Any, kept: int) -> None:
    work = finishing(app, keep_completed=keep, keep_failed=keep, concurrency=1)
    for _ in range(8):
        await work.add("good")
        await work.add("bad")
    await work_off(app)
    queue = await app.open_queue("work")
    counts = await queue.counts()
    assert (counts.completed, counts.failed, counts.completed_total, counts.failed_total) == (kept, kept, 8, 8)
    newest = [str(number) for number in range(1, 17, 2)][8 - kept :]
    assert sorted(ids((await queue.page(JobState.COMPLETED)).items), key=str) == sorted(newest)


@pytest.mark.mission("M-GL-87", "M-AI-20", "M-AI-64")
async def test_one_job_may_be_kept_differently(app: Corral) -> None:
    work = finishing(app, keep_completed=0)
    kept, gone = await work.add("good", keep_completed=True), await work.add("good")
    await work_off(app)
    assert (await kept.get()).state is JobState.COMPLETED
    assert ids((await (await app.open_queue("work")).page()).items) == [kept.id]
    assert gone.id != kept.id


async def test_finished_jobs_older_than_their_age_go_when_another_one_finishes(local_url: str) -> None:
    app = Corral(local_url)
    work = finishing(app, keep_completed=Keep(age=60))
    clock = FakeClock()
    async with on_clock(app, clock=clock):
        old = await work.add("good")
        await drain(app)
        clock.advance(61)
        new = await work.add("good")
        await drain(app)
        assert ids((await (await app.open_queue("work")).page()).items) == [new.id]
        assert old.id != new.id


@pytest.mark.mission("M-BI-33")
async def test_a_day_of_completed_and_a_week_of_failed_jobs_stay_when_nothing_is_said(local_url: str) -> None:
    assert Keep(age=86_400, count=1_000) == KEEP_COMPLETED
    assert Keep(age=7 * 86_400, count=5_000) == KEEP_FAILED
    app = Corral(local_url)
    work = finishing(app)
    clock = FakeClock()
    async with on_clock(app, clock=clock):
        queue = await app.open_queue("work")
        await work.add_bulk(["good", "bad"])
        await drain(app)
        clock.advance(86_401)
        await work.add_bulk(["good", "bad"])
        await drain(app)
        assert ((await queue.counts()).completed, (await queue.counts()).failed) == (1, 2)
        clock.advance(6 * 86_400)
        await work.add_bulk(["good", "bad"])
        await drain(app)
        assert ((await queue.counts()).completed, (await queue.counts()).failed) == (1, 2)


@pytest.mark.mission("M-TS-45")
async def test_m_ts_45_failed_jobs_are_swept_by_age_on_an_idle_queue_too(app: Corral) -> None:
    work = finishing(app, keep_failed=Keep(age=0.2))
    handle = await work.add("bad")
    async with working(app, sweep_interval=0.05):
        queue = await app.open_queue("work")
        await next_event(queue, EventType.FAILED, job_id=handle.id)
        removed = await next_event(queue, EventType.REMOVED, job_id=handle.id)
        assert (await queue.counts()).failed == 0
    assert (removed.name, (await queue.counts()).failed_total) == ("work", 1)


async def test_the_sweeper_keeps_an_idle_queue_to_its_count(app: Corral) -> None:
    work = finishing(app)
    await work.add_bulk(["good"] * 6)
    await work_off(app)
    queue = await app.open_queue("work")
    await queue.retain(completed=Keep(count=2))
    async with working(app, sweep_interval=0.02):
        for job_id in ("1", "2", "3", "4"):
            await next_event(queue, EventType.REMOVED, job_id=job_id)
    assert (await queue.counts()).completed == 2


@pytest.mark.mission("M-BI-34", "M-GL-63", "M-GL-86", "M-AI-41")
async def test_cleaning_by_hand_takes_what_ended_long_enough_ago(local_url: str) -> None:
    app = Corral(local_url)
    work = finishing(app)
    clock = FakeClock()
    async with on_clock(app, clock=clock):
        queue = await app.open_queue("work")
        await work.add_bulk(["good", "good", "bad"])
        await drain(app)
        clock.advance(3600)
        await work.add_bulk(["good", "bad"])
        await drain(app)
        assert sorted(await queue.clean(JobState.COMPLETED, older_than=3600)) == ["1", "2"]
        assert sorted(await queue.clean()) == ["3", "4", "5"]
        assert await queue.clean() == []


@pytest.mark.mission("M-BI-36", "M-AI-40")
async def test_draining_deletes_what_waits_and_spares_what_runs_and_ended(app: Corral) -> None:
    work = finishing(app)
    await work.add("good")
    await work_off(app)
    queue = await app.open_queue("work")
    await work.add_bulk(["good"] * 3)
    await work.add("good", delay=60)
    assert sorted(await queue.drain()) == ["2", "3", "4"]
    assert await queue.drain(delayed=True) == ["5"]
    counts = await queue.counts()
    assert (counts.waiting, counts.delayed, counts.completed) == (0, 0, 1)


async def test_what_belongs_to_a_job_goes_with_it(app: Corral) -> None:
    work = finishing(app)
    queue = await app.open_queue("work")
    handle = await work.add("good")
    await queue.log(handle.id, "a line")
    await queue.storage.remove("work", Selection(ids=(handle.id,)))
    assert (await queue.logs(handle.id)).total == 0
