"""What a queue that Node has obliterated leaves behind is cleared away by the next look after dead workers."""

import redis.asyncio

from corral.options import QueueSettings
from corral.outcome import Completed
from corral.storage.connect import connect
from tests.redis_server import fresh_prefix, with_prefix
from tests.storage.helpers import QUEUE, add_ids, run_through, wish


async def test_own_keys_go_when_bullmq_has_obliterated_the_queue(redis_url: str) -> None:
    prefix = fresh_prefix()
    async with (
        connect(with_prefix(redis_url, prefix)) as store,
        redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client,
    ):
        await store.configure(QUEUE, QueueSettings(name_concurrency={"welcome": 1}))
        await add_ids(store, "a", "b", "c")
        await run_through(store, Completed())
        await store.claim(QUEUE, wish(2))
        await client.delete(*[key async for key in client.scan_iter(f"{prefix}:{QUEUE}:*")])
        await store.recover(QUEUE)
        left = [key async for key in client.scan_iter(f"corral:{prefix}:{QUEUE}:*") if ":op:" not in key]
        assert left == []
        assert await store.queues() == []


async def test_settings_of_a_queue_without_jobs_stay(redis_url: str) -> None:
    async with connect(with_prefix(redis_url, fresh_prefix())) as store:
        await store.configure(QUEUE, QueueSettings(name_concurrency={"welcome": 1}))
        await store.recover(QUEUE)
        [info] = await store.queues()
        assert info.name_concurrency == {"welcome": 1}
