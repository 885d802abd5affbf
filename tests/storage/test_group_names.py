"""Caps on job names inside groups: who has no room is set aside, and his group goes on."""

import pytest

from corral.errors import QueueFullError
from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Completed
from corral.storage.port import Storage

from .grouping import add_grouped, change_group, every_group, grouped, hold_group, limit_groups, one_by_one, rates
from .helpers import QUEUE, T0, end, ids_of, new_job, served, start, tally, these

WAITING = JobState.WAITING


async def test_a_job_over_its_names_cap_is_set_aside_and_its_group_goes_on(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await storage.add([grouped("a1", name="slow"), grouped("a2", name="slow"), grouped("a3"), grouped("b1")], now=T0)
    runs = await start(storage, 9)
    assert sorted(run.job.id for run in runs) == ["a1", "a3", "b1"]
    assert ((await tally(storage)).waiting, (await every_group(storage))["a"].waiting) == (1, 1)
    assert ids_of((await storage.page(QUEUE, [WAITING])).items) == ["a2"]
    assert await served(storage) == []
    await end(storage, runs[0], Completed())
    assert await served(storage) == ["a2"]


async def test_a_job_that_was_set_aside_goes_back_to_where_it_stood_in_its_group(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await storage.add([new_job("p1", "slow", priority=1), grouped("a1", name="slow"), grouped("a2")], now=T0)
    assert await served(storage, 2) == ["p1", "a2"]
    await add_grouped(storage, "a3", "a4")
    assert ids_of((await storage.page(QUEUE, [WAITING])).items) == ["a1", "a3", "a4"]
    await storage.configure(QUEUE, QueueSettings(name_concurrency={}), now=T0)
    assert await served(storage) == ["a1", "a3", "a4"]


async def test_jobs_set_aside_can_be_removed_and_count_in_the_size_of_their_group(storage: Storage) -> None:
    await limit_groups(storage, max_size=2)
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await storage.add(
        [new_job("p1", "slow", priority=1), grouped("a1", name="slow"), grouped("a2", name="slow")], now=T0
    )
    assert await served(storage) == ["p1"]
    with pytest.raises(QueueFullError):
        await add_grouped(storage, "a3")
    assert await storage.remove(QUEUE, these("a1"), now=T0) == ["a1"]
    assert (await every_group(storage))["a"].waiting == 1
    assert await storage.cancel(QUEUE, these("a2"), now=T0) == ["a2"]
    assert await every_group(storage) == {}
    assert (await tally(storage)).waiting == 0


async def test_a_held_job_of_a_blocked_group_does_not_keep_those_of_others_waiting(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await storage.add([grouped(f"{group}1", name="slow") for group in "abc"], now=T0)
    [run] = await start(storage, 9)
    assert run.job.id == "a1"
    await change_group(storage, "b", paused=True)
    await end(storage, run, Completed())
    assert await served(storage) == ["c1"]


async def test_a_held_job_whose_group_is_blocked_by_another_one_does_not_keep_those_of_others_waiting(
    storage: Storage,
) -> None:
    await storage.configure(QUEUE, QueueSettings(name_limits={"slow": rates((2, 1.0))}), now=T0)
    urgent = [new_job(f"p{n}", "slow", priority=1) for n in (1, 2)]
    await storage.add([*urgent, *(grouped(id, name="slow") for id in ("b1", "b2", "c1"))], now=T0)
    assert await served(storage) == ["p1", "p2"]
    await hold_group(storage, "b", 500, now=T0, probe=True)
    # The window lets two start: b2 waits until b1 has shown that its group works again, c1 need not.
    assert await one_by_one(storage, 3, now=T0 + 1_000) == ["b1", "c1"]


async def test_all_slots_that_ended_runs_of_a_name_leave_are_filled_from_groups_that_are_not_full(
    storage: Storage,
) -> None:
    await limit_groups(storage, concurrency=1)
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 3}), now=T0)
    urgent = [new_job(f"p{n}", "slow", priority=1) for n in range(3)]
    await storage.add([*urgent, *(grouped(id, name="slow") for id in ("a1", "a2", "a3", "b1", "b2", "c1"))], now=T0)
    runs = await start(storage, 9)
    assert [run.job.id for run in runs] == ["p0", "p1", "p2"]
    for run in runs:
        await end(storage, run, Completed())
    assert sorted(await served(storage)) == ["a1", "b1", "c1"]


async def test_many_held_jobs_of_a_blocked_group_do_not_keep_those_of_others_waiting(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_limits={"slow": rates((1, 1.0))}), now=T0)
    many = [grouped(f"a{n}", name="slow") for n in range(150)]
    await storage.add([new_job("p1", "slow", priority=1), *many, grouped("b1", name="slow")], now=T0)
    assert await served(storage) == ["p1"]
    await change_group(storage, "a", paused=True)
    assert await served(storage, now=T0 + 1_000) == ["b1"]


async def test_the_caps_of_queue_name_and_group_hold_together(storage: Storage) -> None:
    await limit_groups(storage, concurrency=2)
    await storage.configure(QUEUE, QueueSettings(concurrency=4, name_concurrency={"slow": 1}), now=T0)
    slow = [grouped(f"{group}-slow", name="slow") for group in "ab"]
    await storage.add([*slow, *(grouped(f"{group}{n}") for group in "ab" for n in range(4))], now=T0)
    assert sorted(await served(storage)) == ["a-slow", "a0", "b0", "b1"]
    assert await served(storage) == []
