"""wait: a worker sleeps until there may be something to claim, and never sleeps through it."""

import asyncio

from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Released
from corral.storage.connect import connect
from corral.storage.port import Settlement, Storage

from .helpers import QUEUE, add_ids, all_in, new_job, served, tally, wish

#: What `wait` is asked to sleep at most. A test that sleeps this long has failed: `PATIENCE` ends it before.
LONG = 60.0
PATIENCE = 10.0


async def _sleeper(storage: Storage, *queues: str) -> asyncio.Task[bool]:
    """Somebody who waits; on return it has had every chance to fall asleep."""
    task = asyncio.create_task(storage.wait(queues, timeout=LONG))
    for _ in range(10):
        await asyncio.sleep(0)
    return task


async def test_waiting_ends_when_its_time_is_up(storage: Storage) -> None:
    async with asyncio.timeout(PATIENCE):
        assert await storage.wait([QUEUE], timeout=0.01) in (True, False)


async def test_an_add_wakes_the_waiting_worker(storage: Storage) -> None:
    sleeper = await _sleeper(storage, QUEUE)
    await storage.add([new_job()])
    async with asyncio.timeout(PATIENCE):
        assert await sleeper


async def test_an_add_between_claim_and_wait_is_not_slept_through(storage: Storage) -> None:
    assert (await storage.claim(QUEUE, wish())).jobs == ()
    await storage.add([new_job()])
    async with asyncio.timeout(PATIENCE):
        assert await storage.wait([QUEUE], timeout=LONG)


async def test_an_add_during_a_claim_is_not_slept_through(storage: Storage) -> None:
    for n in range(1, 21):
        await asyncio.gather(storage.claim(QUEUE, wish()), storage.add([new_job()]))
        async with asyncio.timeout(PATIENCE):
            while (await tally(storage)).active < n:
                await storage.wait([QUEUE], timeout=LONG)
                await storage.claim(QUEUE, wish())


async def test_an_add_to_any_of_the_queues_wakes(storage: Storage) -> None:
    sleeper = await _sleeper(storage, "one", "two", "three")
    await storage.add([new_job(queue="two")])
    async with asyncio.timeout(PATIENCE):
        assert await sleeper


async def test_an_add_through_another_handle_wakes(storage: Storage) -> None:
    async with storage.sibling() as other:
        sleeper = await _sleeper(storage, QUEUE)
        await other.add([new_job()])
        async with asyncio.timeout(PATIENCE):
            assert await sleeper


async def test_every_waiting_worker_may_wake(storage: Storage) -> None:
    sleepers = [await _sleeper(storage, QUEUE) for _ in range(3)]
    await storage.add([new_job() for _ in range(3)])

    async def work(sleeper: asyncio.Task[bool]) -> int:
        assert await sleeper
        return len((await storage.claim(QUEUE, wish())).jobs)  # whoever leaves something wakes the next one

    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*map(work, sleepers)) == [1, 1, 1]


async def test_a_promoted_job_wakes(storage: Storage) -> None:
    await storage.add([new_job("a", delay_ms=3_600_000)])
    await storage.claim(QUEUE, wish())
    sleeper = await _sleeper(storage, QUEUE)
    await storage.promote(QUEUE, all_in(JobState.DELAYED))
    async with asyncio.timeout(PATIENCE):
        assert await sleeper


async def test_resuming_wakes(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(paused=True))
    await storage.add([new_job()])
    await storage.claim(QUEUE, wish())
    sleeper = await _sleeper(storage, QUEUE)
    await storage.configure(QUEUE, QueueSettings(paused=False))
    async with asyncio.timeout(PATIENCE):
        assert await sleeper


async def test_a_released_job_wakes(storage: Storage) -> None:
    await storage.add([new_job()])
    [job] = (await storage.claim(QUEUE, claim := wish())).jobs
    sleeper = await _sleeper(storage, QUEUE)
    await storage.settle(QUEUE, [Settlement(job_id=job.id, token=claim.token, outcome=Released())])
    async with asyncio.timeout(PATIENCE):
        assert await sleeper


async def test_a_cancelled_wait_leaves_the_store_usable(storage: Storage) -> None:
    sleeper = await _sleeper(storage, QUEUE)
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    assert sleeper.cancelled()
    await add_ids(storage, "a")
    assert await served(storage) == ["a"]


async def test_an_add_by_another_process_wakes(storage: Storage, storage_url: str) -> None:
    async with connect(storage_url) as other:
        sleeper = await _sleeper(storage, QUEUE)
        await other.add([new_job()])
        async with asyncio.timeout(PATIENCE):
            assert await sleeper


async def test_an_add_by_another_process_between_claim_and_wait_is_not_slept_through(
    storage: Storage, storage_url: str
) -> None:
    async with connect(storage_url) as other:
        for n in range(1, 6):
            await storage.claim(QUEUE, wish())
            await other.add([new_job()])
            async with asyncio.timeout(PATIENCE):
                while (await tally(storage)).active < n:
                    await storage.wait([QUEUE], timeout=LONG)
                    await storage.claim(QUEUE, wish())
