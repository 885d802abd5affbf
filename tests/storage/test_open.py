"""Opening and closing: a store outlives its handles, and a handle its siblings."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

import pytest

from corral.errors import StorageError
from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Completed
from corral.schedule import Every, Schedule
from corral.storage.connect import connect
from corral.storage.port import Storage

from .helpers import LEASE, QUEUE, T0, add, add_ids, new_job, run_through, served, start_one, tally, the, wish

T = TypeVar("T")


async def test_what_was_written_is_there_after_reopening(storage_url: str) -> None:
    async with connect(storage_url) as storage:
        await add(storage, new_job("a"), new_job("b", data='{"n":1}'), new_job("c", delay_ms=500))
        await run_through(storage, Completed(result="1"))
        await storage.configure(QUEUE, QueueSettings(concurrency=7), now=T0)
        await storage.log(QUEUE, "a", ["line"])
        await storage.remember(QUEUE, "k", "v", now=T0)
        await storage.put_schedules([Schedule(key="k", queue=QUEUE, name="n", timing=Every(60))], now=T0)
        before = (
            await storage.get(QUEUE, ["a", "b", "c"]), await tally(storage), await storage.queues(),
            await storage.schedules(), await storage.logs(QUEUE, "a"), await storage.events(QUEUE, after=""),
        )  # fmt: skip
    async with connect(storage_url) as storage:
        after = (
            await storage.get(QUEUE, ["a", "b", "c"]), await tally(storage), await storage.queues(),
            await storage.schedules(), await storage.logs(QUEUE, "a"), await storage.events(QUEUE, after=""),
        )  # fmt: skip
        assert after == before
        assert await storage.remember(QUEUE, "k", now=T0) == "v"
        assert await served(storage) == ["b"]


async def test_numbers_are_not_given_twice_after_reopening(storage_url: str) -> None:
    async with connect(storage_url) as storage:
        first = await add(storage, new_job(), new_job())
    async with connect(storage_url) as storage:
        second = await add(storage, new_job(), new_job())
    assert not set(first) & set(second)


async def test_a_lease_outlives_the_handle_that_took_it(storage_url: str) -> None:
    async with connect(storage_url) as storage:
        await add_ids(storage, "a")
        run = await start_one(storage)
    async with connect(storage_url) as storage:
        assert await served(storage) == []
        assert not (await storage.settle(QUEUE, [run.ends(Completed())], now=T0 + 1)).refused


async def test_what_was_asked_before_closing_is_written(storage_url: str) -> None:
    async with connect(storage_url) as storage:
        adding = [asyncio.create_task(storage.add([new_job(f"j{n}")], now=T0)) for n in range(50)]
        await asyncio.gather(*adding)
    async with connect(storage_url) as storage:
        assert (await tally(storage)).waiting == 50


async def test_a_closed_store_says_so(storage_url: str) -> None:
    async with connect(storage_url) as storage:
        await add_ids(storage, "a")
    with pytest.raises(StorageError):
        await add_ids(storage, "b")
    with pytest.raises(StorageError):
        await storage.get(QUEUE, ["a"])


async def test_closing_a_sibling_leaves_the_store_open(storage: Storage) -> None:
    async with storage.sibling() as other:
        await add_ids(other, "a")
    assert await served(storage) == ["a"]


async def test_a_sibling_serves_the_event_loop_of_another_thread(storage: Storage) -> None:
    async def there() -> str:
        async with storage.sibling() as other:
            await add_ids(other, "a")
            return (await start_one(other)).job.id

    assert await asyncio.to_thread(asyncio.run, there()) == "a"
    assert (await the(storage, "a")).state is JobState.ACTIVE


async def test_two_loops_in_two_threads_share_the_work(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}") for n in range(100)], now=T0)

    async def there() -> list[str]:
        async with storage.sibling() as other:
            batches = [await served(other, 5) for _ in range(10)]
            return [id for batch in batches for id in batch]

    first, second = await asyncio.gather(*(asyncio.to_thread(asyncio.run, there()) for _ in range(2)))
    assert sorted(first + second) == sorted(f"j{n}" for n in range(100))


async def test_two_handles_opened_at_once_make_one_store(storage_url: str) -> None:
    async def add_one(name: str) -> None:
        async with connect(storage_url) as storage:
            await add_ids(storage, name)

    await asyncio.gather(*(add_one(f"j{n}") for n in range(6)))
    async with connect(storage_url) as storage:
        assert (await tally(storage)).waiting == 6


async def test_an_abandoned_add_happened_entirely_or_not_at_all(storage_url: str) -> None:
    async with connect(storage_url) as storage, storage.sibling() as sibling, connect(storage_url) as other:
        handles = (storage, sibling, other)
        batches = [[new_job(f"j{batch}-{n}") for n in range(10)] for batch in range(30)]
        adding = [asyncio.create_task(handles[n % 3].add(batch, now=T0)) for n, batch in enumerate(batches)]
        await abandon(adding)
    async with connect(storage_url) as storage:
        for batch in batches:
            stored = await storage.get(QUEUE, [job.id or "" for job in batch])
            assert len({job is None for job in stored}) == 1
        waiting = (await tally(storage)).waiting
        assert waiting == len(await served(storage)) + len(await served(storage))


async def test_an_abandoned_claim_is_recovered_like_a_dead_workers(storage_url: str) -> None:
    ids = [f"j{n:02}" for n in range(40)]
    async with connect(storage_url) as storage, storage.sibling() as sibling, connect(storage_url) as other:
        await add_ids(storage, *ids)
        handles = (storage, sibling, other)
        await abandon([asyncio.create_task(handles[n % 3].claim(QUEUE, wish(4), now=T0)) for n in range(12)])
    async with connect(storage_url) as storage:
        await storage.recover(QUEUE, now=T0 + LEASE + 1)
        assert await served(storage) == ids


async def abandon(calls: Sequence[asyncio.Task[T]]) -> None:
    """Cancel calls at different moments of their lives."""
    for steps, call in enumerate(calls):
        for _ in range(steps % 4):
            await asyncio.sleep(0)
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
