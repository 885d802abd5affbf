"""What an application can say about adding, and what a worker's memory does in the long run."""

import gc
import logging

import pytest

from corral import Corral, JobContext, NewJob, Queue, QueueFullError, RateLimit, Worker, connect
from tests.engine.helpers import GUARD, work_off


class NotAllowed(Exception):
    """An application's own refusal."""


@pytest.mark.mission("M-TS-51")
async def test_m_ts_51_an_application_may_refuse_a_job_before_it_is_added(url: str) -> None:
    app = Corral(url)
    mail = app.queue("send-email")
    asked: list[str] = []

    @mail.job("welcome-email")
    async def welcome(data: dict[str, object]) -> None: ...

    @app.before_add
    def only_for_members(job: NewJob) -> None:
        asked.append(job.name)
        if "stranger" in job.data:
            raise NotAllowed(job.queue)

    async with app:
        await welcome.add({"to": "member"})
        with pytest.raises(NotAllowed):
            await welcome.add_bulk([{"to": "member"}, {"to": "stranger"}])
        assert (await (await mail.open()).counts()).waiting == 1
    assert asked == ["welcome-email"] * 3


@pytest.mark.mission("M-TS-52")
async def test_m_ts_52_producers_have_a_rate_limit_of_their_own(url: str) -> None:
    app = Corral(url)
    mail = app.queue("send-email", add_limit=RateLimit(2, per=3600))

    @mail.job("welcome-email")
    async def welcome(data: dict[str, object]) -> None: ...

    async with app:
        await work_off(app)  # a worker stores what the declaration says
        await welcome.add_bulk([{}, {}])
        with pytest.raises(QueueFullError, match="takes 2 new jobs in 3600 s"):
            await welcome.add({})
        await work_off(app)
        assert (await (await mail.open()).counts()).completed_total == 2


@pytest.mark.mission("M-TS-62")
async def test_m_ts_62_memory_does_not_grow_with_the_number_of_jobs(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "corral")  # pytest would keep every line
    app = Corral(url)
    queue = app.queue("q", concurrency=50, keep_completed=100)

    @queue.job("noop")
    async def noop(data: dict[str, object]) -> None: ...

    async def objects_after(jobs: int) -> int:
        await noop.add_bulk([{"n": number} for number in range(jobs)])
        await work_off(app)
        gc.collect()
        return len(gc.get_objects())

    async with app:
        await objects_after(1_000)  # caches fill
        before = await objects_after(1_000)
        after = await objects_after(4_000)
        kept = (await (await queue.open()).counts()).completed
    assert kept == 100
    assert after - before < 1_000, f"{after - before} objects more after 4,000 jobs"


@pytest.mark.mission("M-TS-10")
async def test_m_ts_10_a_worker_is_bound_to_a_queue_with_a_handler_that_receives_the_job(url: str) -> None:
    seen: list[tuple[str, object]] = []

    async def process(ctx: JobContext, data: dict[str, object]) -> int:
        seen.append((ctx.name, data))
        return ctx.attempt

    async with connect(url) as storage:
        queue = Queue("send-email", storage)
        async with Worker(queue, process, concurrency=5):
            first = await queue.add("welcome", {"to": "ann"})
            second = await queue.add("reminder", {"to": "bob"}, attempts=3)
            assert [await first.result(timeout=GUARD), await second.result(timeout=GUARD)] == [1, 1]
    assert sorted(seen, key=str) == [("reminder", {"to": "bob"}), ("welcome", {"to": "ann"})]
