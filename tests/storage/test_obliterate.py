"""obliterate: a queue and everything in it is gone."""

import pytest
from msgspec.structs import replace

from corral.errors import StorageError
from corral.job import JobState, ParentRef
from corral.options import ParentPolicy, QueueSettings
from corral.outcome import Completed
from corral.schedule import Every, Schedule
from corral.storage.port import QueueCounts, Refusal, Storage
from corral.storage.sqlite import obliterate

from .helpers import MINUTE, QUEUE, T0, add, add_ids, end, gone, new_job, run_through, start_one, tally, the


async def test_everything_of_the_queue_is_gone(storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("b", delay_ms=99), new_job("c"))
    await storage.log(QUEUE, "a", ["line"])
    await run_through(storage, Completed())
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    await storage.put_schedules([Schedule(key="k", queue=QUEUE, name="n", timing=Every(60), next_at=T0)], now=T0)
    await storage.obliterate(QUEUE)
    assert await storage.get(QUEUE, ["a", "b", "c"]) == [None, None, None]
    # On Redis numbers go on where they were, so that no id comes twice.
    assert replace(await tally(storage), added_total=0) == QueueCounts(queue=QUEUE)
    assert await storage.queues() == []
    assert (await storage.schedules(queue=QUEUE)).items == ()
    assert (await storage.logs(QUEUE, "a")).total == 0
    assert await storage.metrics(QUEUE, since=T0 - MINUTE, until=T0 + MINUTE) == []


async def test_other_queues_are_left_alone(storage: Storage) -> None:
    await storage.add([new_job("a"), new_job("a", queue="other")], now=T0)
    await storage.obliterate(QUEUE)
    assert (await the(storage, "a", queue="other")).queue == "other"
    assert [info.name for info in await storage.queues()] == ["other"]


async def test_active_jobs_forbid_it_and_nothing_is_deleted(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await start_one(storage)
    with pytest.raises(StorageError):
        await storage.obliterate(QUEUE)
    counts = await tally(storage)
    assert (counts.active, counts.waiting) == (1, 1)


async def test_force_takes_active_jobs_too(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.obliterate(QUEUE, force=True)
    assert await gone(storage, "a")
    assert (await end(storage, run, Completed())).refused == {"a": Refusal.JOB_MISSING}
    # On Redis numbers go on where they were, so that no id comes twice.
    assert replace(await tally(storage), added_total=0) == QueueCounts(queue=QUEUE)


async def test_a_queue_that_never_was_can_be_obliterated(storage: Storage) -> None:
    await storage.obliterate("never")
    assert await storage.queues() == []


async def test_the_queue_can_be_used_again(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.configure(QUEUE, QueueSettings(paused=True, concurrency=1), now=T0)
    await storage.obliterate(QUEUE)
    await add_ids(storage, "a", "b")
    assert (await start_one(storage)).job.attempts_started == 1
    assert (await start_one(storage)).job.id == "b"
    assert (await tally(storage)).active == 2


async def test_a_long_queue_goes_in_steps_with_all_that_is_tied_to_it(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obliterate, "SLICE", 40)
    await storage.add([new_job("outside", queue="other", children=1)], now=T0)
    tied = ParentRef(queue="other", id="outside", policy=ParentPolicy.IGNORE)
    await add(storage, *(new_job(f"done-{n}") for n in range(90)))
    for _ in range(90):
        await run_through(storage, Completed())
    await storage.log(QUEUE, "done-7", ["line"])
    await add(
        storage,
        *(new_job(f"waits-{n}") for n in range(90)),
        *(new_job(f"late-{n}", delay_ms=1_000) for n in range(90)),
        *(new_job(f"tenant-{n}", group=f"t{n % 7}") for n in range(90)),
        new_job("child", parent=tied),
        new_job("parent", children=1),
    )
    await storage.obliterate(QUEUE)
    assert replace(await tally(storage), added_total=0) == QueueCounts(queue=QUEUE)
    assert [info.name for info in await storage.queues()] == ["other"]
    assert (await storage.logs(QUEUE, "done-7")).total == 0
    assert await storage.get(QUEUE, ["done-7", "waits-7", "late-7", "tenant-7", "child", "parent"]) == [None] * 6
    assert (await the(storage, "outside", queue="other")).state is JobState.WAITING
    await add_ids(storage, "waits-7")
    assert (await tally(storage)).waiting == 1
    assert not (await storage.configure(QUEUE, QueueSettings())).paused


async def test_active_jobs_forbid_it_for_a_long_queue_too(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obliterate, "SLICE", 3)
    await add_ids(storage, *"abcdefgh")
    await start_one(storage)
    with pytest.raises(StorageError):
        await storage.obliterate(QUEUE)
    counts = await tally(storage)
    assert (counts.active, counts.waiting) == (1, 7)
    assert not (await storage.configure(QUEUE, QueueSettings())).paused
    await storage.obliterate(QUEUE, force=True)
    assert replace(await tally(storage), added_total=0) == QueueCounts(queue=QUEUE)
