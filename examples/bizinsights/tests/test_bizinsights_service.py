"""The queue service: what the API does, from code; and what becomes of jobs whose worker died."""

import asyncio

import pytest

from corral import JobContext
from examples.bizinsights.build import Platform
from examples.bizinsights.payloads import QueueName
from tests.dead import claimed_by_the_dead

from .conftest import Maker
from .test_bizinsights_api import EMPTY, SYNC, some_failed


@pytest.mark.mission("M-BI-02", "M-BI-29", "M-BI-34", "M-BI-35", "M-BI-36")
async def test_the_service_does_what_the_api_does(platform: Platform) -> None:
    service, queue = platform.queue_service, QueueName.DATA_SYNC
    first, second, third = await some_failed(platform)

    assert {job.id for job in await service.get_failed_jobs(queue)} == {first, second, third}
    await service.retry_failed_job(queue, first)
    assert (await service.get_all_queue_stats())["data-sync"]["waiting"] == 1
    assert await service.retry_all_failed_jobs(queue) == 2
    await service.remove_job(queue, first)
    assert await service.get_job(queue, first) is None
    await service.pause_queue(queue)
    assert (await service.get_queue_stats(queue))["paused"] == 2
    await service.resume_queue(queue)
    await service.empty_queue(queue)
    assert await service.get_queue_stats(queue) == EMPTY
    await service.obliterate_queue(queue)
    assert await service.clean_queue(queue, 24 * 3600 * 1000, "completed") == []
    with pytest.raises(LookupError):
        await service.retry_failed_job(queue, "999")


@pytest.mark.mission("M-BI-40")
async def test_retrying_what_failed_leaves_running_jobs_alone(maker: Maker) -> None:
    made = maker()
    began, go = asyncio.Event(), asyncio.Event()

    @made.app.queues[QueueName.DATA_SYNC].job("slow")
    async def slow(ctx: JobContext) -> str:
        began.set()
        await go.wait()
        return "once"

    async with made.opened(), await made.app.worker():
        handle = await slow.add()
        await began.wait()
        assert await made.queue_service.retry_all_failed_jobs(QueueName.DATA_SYNC) == 0
        assert await made.queue_service.recover_stuck_jobs(QueueName.DATA_SYNC) == []
        go.set()
        assert await handle.result(timeout=60) == "once"
        assert (await handle.get()).attempts_started == 1


@pytest.mark.mission("M-BI-40")
async def test_jobs_of_a_dead_worker_can_be_given_back_by_hand(platform: Platform) -> None:
    service, queue = platform.queue_service, QueueName.DATA_SYNC
    handle = await service.add_job(queue, SYNC)
    assert await claimed_by_the_dead(await platform.app.open(), queue) == [handle.id]
    assert await service.retry_all_failed_jobs(queue) == 0
    assert await service.recover_stuck_jobs(queue) == [handle.id]
    assert await service.get_queue_stats(queue) == {**EMPTY, "waiting": 1}
