"""add_limit: how many jobs producers may add, counted in the store, over all of them."""

import pytest

from corral.errors import QueueFullError
from corral.options import QueueSettings, RateLimit
from corral.storage.port import Storage

from .helpers import QUEUE, T0, new_job, tally


async def limited(storage: Storage, count: int, per: float) -> None:
    await storage.configure(QUEUE, QueueSettings(add_limit=RateLimit(count, per=per)), now=T0)


async def test_producers_may_add_so_many_in_a_window_and_no_more(storage: Storage) -> None:
    await limited(storage, 3, per=60)
    await storage.add([new_job(), new_job()], now=T0)
    await storage.add([new_job()], now=T0 + 1)
    with pytest.raises(QueueFullError) as refusal:
        await storage.add([new_job()], now=T0 + 10_000)
    assert (refusal.value.queue, refusal.value.count, refusal.value.retry_after) == (QUEUE, 3, 50.0)
    assert (await tally(storage)).waiting == 3


async def test_a_bulk_over_the_limit_is_refused_whole_and_costs_nothing(storage: Storage) -> None:
    await limited(storage, 3, per=60)
    with pytest.raises(QueueFullError):
        await storage.add([new_job() for _ in range(4)], now=T0)
    assert (await tally(storage)).waiting == 0
    await storage.add([new_job() for _ in range(3)], now=T0)
    assert (await tally(storage)).waiting == 3


async def test_the_next_window_begins_with_its_first_add(storage: Storage) -> None:
    await limited(storage, 1, per=60)
    await storage.add([new_job()], now=T0)
    await storage.add([new_job()], now=T0 + 90_000)
    with pytest.raises(QueueFullError):
        await storage.add([new_job()], now=T0 + 149_999)
    await storage.add([new_job()], now=T0 + 150_000)
    assert (await tally(storage)).waiting == 3


async def test_jobs_of_schedules_and_of_other_queues_do_not_count(storage: Storage) -> None:
    await limited(storage, 1, per=60)
    await storage.add([new_job(schedule="nightly"), new_job(queue="other"), new_job()], now=T0)
    await storage.add([new_job(schedule="nightly"), new_job(queue="other")], now=T0 + 1)
    assert (await tally(storage)).waiting == 3


async def test_the_limit_can_be_lifted(storage: Storage) -> None:
    await limited(storage, 1, per=60)
    await storage.add([new_job()], now=T0)
    assert (await storage.configure(QUEUE, QueueSettings(add_limit=None), now=T0 + 1)).add_limit is None
    await storage.add([new_job(), new_job()], now=T0 + 2)
    assert (await tally(storage)).waiting == 3
