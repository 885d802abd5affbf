"""remember: a ledger of effects, where the first note stands."""

import asyncio

import pytest
from msgspec.structs import replace

from corral.errors import LeaseLostError
from corral.outcome import Completed, Released
from corral.storage.port import Storage

from .helpers import LEASE, QUEUE, T0, Tape, add_ids, end, new_job, new_token, start_one


async def test_the_first_note_stands(storage: Storage) -> None:
    assert await storage.remember(QUEUE, "sent:1", "yes", now=T0) is None
    assert await storage.remember(QUEUE, "sent:1", "again", now=T0) == "yes"
    assert await storage.remember(QUEUE, "sent:1", now=T0) == "yes"


async def test_without_a_value_it_only_looks(storage: Storage, tape: Tape) -> None:
    assert await storage.remember(QUEUE, "k", now=T0) is None
    assert await storage.remember(QUEUE, "k", now=T0) is None
    assert await storage.remember(QUEUE, "k", "v", now=T0) is None
    assert await tape.everything() == []


async def test_replacing_answers_the_note_before(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "one", now=T0)
    assert await storage.remember(QUEUE, "k", "two", replace=True, now=T0) == "one"
    assert await storage.remember(QUEUE, "k", now=T0) == "two"


async def test_an_empty_note_is_a_note(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "", now=T0)
    assert await storage.remember(QUEUE, "k", "other", now=T0) == ""
    assert await storage.remember(QUEUE, "k", now=T0) == ""


async def test_a_note_is_forgotten_after_its_time(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "old", ttl_ms=1_000, now=T0)
    assert await storage.remember(QUEUE, "k", now=T0 + 999) == "old"
    assert await storage.remember(QUEUE, "k", now=T0 + 1_001) is None
    assert await storage.remember(QUEUE, "k", "new", now=T0 + 1_001) is None
    assert await storage.remember(QUEUE, "k", now=T0 + 1_001) == "new"


async def test_a_note_without_a_time_stays(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "v", now=T0)
    assert await storage.remember(QUEUE, "k", now=T0 + 10 * 365 * 86_400_000) == "v"


async def test_a_refused_note_does_not_lengthen_the_first_ones_time(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "first", ttl_ms=1_000, now=T0)
    assert await storage.remember(QUEUE, "k", "second", ttl_ms=9_000, now=T0 + 500) == "first"
    assert await storage.remember(QUEUE, "k", now=T0 + 1_001) is None


async def test_each_queue_has_its_own_notes(storage: Storage) -> None:
    await storage.remember(QUEUE, "k", "here", now=T0)
    assert await storage.remember("other", "k", now=T0) is None
    assert await storage.remember(QUEUE, "k2", now=T0) is None


async def test_of_many_at_once_one_is_first(storage: Storage) -> None:
    answers = await asyncio.gather(*(storage.remember(QUEUE, "k", str(n), now=T0) for n in range(20)))
    assert answers.count(None) == 1
    assert len(set(answers) - {None}) == 1


async def test_the_holder_of_a_lease_may_write(storage: Storage) -> None:
    await add_ids(storage, "a")
    lease = (await start_one(storage)).lease
    assert await storage.remember(QUEUE, "k", "v", lease=lease, now=T0) is None
    assert await storage.remember(QUEUE, "k", "w", replace=True, lease=lease, now=T0) == "v"
    assert await storage.remember(QUEUE, "k", now=T0) == "w"


async def test_who_lost_the_lease_may_not_write(storage: Storage) -> None:
    await add_ids(storage, "a")
    lease = (await start_one(storage)).lease
    await storage.recover(QUEUE, now=T0 + LEASE + 1)
    with pytest.raises(LeaseLostError) as caught:
        await storage.remember(QUEUE, "k", "v", lease=lease, now=T0 + LEASE + 1)
    assert (caught.value.queue, caught.value.job_id) == (QUEUE, "a")
    await start_one(storage, now=T0 + LEASE + 2)
    with pytest.raises(LeaseLostError):
        await storage.remember(QUEUE, "k", "v", replace=True, lease=lease, now=T0 + LEASE + 2)
    assert await storage.remember(QUEUE, "k", now=T0 + LEASE + 2) is None


async def test_the_first_note_stands_against_who_lost_the_lease(storage: Storage) -> None:
    await add_ids(storage, "a")
    lease = (await start_one(storage)).lease
    await storage.remember(QUEUE, "k", "first", now=T0)
    stale = replace(lease, token=new_token())
    for one in (stale, replace(lease, job_id="ghost"), replace(lease, queue="nowhere")):
        with pytest.raises(LeaseLostError):
            await storage.remember(QUEUE, "k", "second", replace=True, lease=one, now=T0)
        with pytest.raises(LeaseLostError):
            await storage.remember(QUEUE, "k", "second", lease=one, now=T0)
    assert await storage.remember(QUEUE, "k", now=T0) == "first"


@pytest.mark.parametrize("outcome", [Completed(), Released()])
async def test_a_lease_ends_with_the_run(storage: Storage, outcome: Completed | Released) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, outcome)
    with pytest.raises(LeaseLostError):
        await storage.remember(QUEUE, "k", "v", lease=run.lease, now=T0)


async def test_looking_needs_no_lease(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.remember(QUEUE, "k", "v", lease=run.lease, now=T0)
    await end(storage, run, Completed())
    assert await storage.remember(QUEUE, "k", lease=run.lease, now=T0) == "v"


async def test_a_lease_of_another_queue_fences_too(storage: Storage) -> None:
    await storage.add([new_job("a", queue="other")], now=T0)
    run = await start_one(storage, queue="other")
    assert await storage.remember(QUEUE, "k", "v", lease=run.lease, now=T0) is None
    await end(storage, run, Completed())
    with pytest.raises(LeaseLostError):
        await storage.remember(QUEUE, "k2", "v", lease=run.lease, now=T0)
