"""What a job may be added with, and what becomes of attempts that fail or take too long."""

import asyncio

import pytest

from corral import CorralError, Exponential, JobContext, JobState
from examples.bizinsights.build import Platform
from examples.bizinsights.payloads import QueueName

from .conftest import Maker
from .test_bizinsights_jobs import SYNC


@pytest.mark.mission("M-BI-30")
async def test_options_are_those_of_bull_in_milliseconds(platform: Platform) -> None:
    handle = await platform.queue_service.add_job(
        QueueName.DATA_SYNC, SYNC,
        {
            "priority": 1, "attempts": 5, "backoff": {"type": "exponential", "delay": 5000}, "delay": 60000,
            "timeout": 300000,
        },
    )  # fmt: skip

    job = await handle.get()
    assert (job.priority, job.options.attempts, job.options.backoff) == (1, 5, Exponential(5))
    assert (job.state, job.options.timeout_ms) == (JobState.DELAYED, 300_000)
    assert job.run_at == job.created_at + 60_000


@pytest.mark.mission("M-BI-30", "M-BI-43")
async def test_a_time_limit_really_stops_the_work(maker: Maker) -> None:
    made = maker()
    stopped = asyncio.Event()

    @made.app.queues[QueueName.DATA_SYNC].job("endless")
    async def endless(ctx: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    async with made.opened(), await made.app.worker():
        handle = await endless.add(timeout=0.2, attempts=1)
        with pytest.raises(CorralError, match=r"timed out after 0\.2 s"):
            await handle.result(timeout=60)
    assert stopped.is_set()


@pytest.mark.mission("M-BI-32", "M-BI-52")
async def test_a_failed_attempt_is_tried_again_by_itself(maker: Maker) -> None:
    made = maker()
    tried: list[int] = []

    @made.app.queues[QueueName.DATA_SYNC].job("shaky")
    async def shaky(ctx: JobContext) -> str:
        tried.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ConnectionError("not now")
        return "done"

    async with made.opened(), await made.app.worker():
        handle = await shaky.add(backoff=Exponential(0.05))
        assert await handle.result(timeout=60) == "done"
    assert tried == [1, 2, 3]
