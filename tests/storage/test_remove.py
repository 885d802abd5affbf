"""remove: jobs and all that belongs to them, the active ones spared."""

import pytest

from corral.event import EventType
from corral.job import FINISHED, JobState
from corral.outcome import Completed, Failed
from corral.storage.port import Selection, Storage

from .helpers import (
    QUEUE,
    T0,
    Clock,
    Tape,
    add,
    add_ids,
    all_in,
    end,
    gone,
    ids_of,
    new_job,
    run_through,
    served,
    start_one,
    tally,
    the,
    these,
)


async def test_removed_jobs_are_gone_with_their_logs(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    await storage.log(QUEUE, "a", ["line"])
    await tape.events()
    assert await storage.remove(QUEUE, these("a"), now=T0 + 1) == ["a"]
    assert await gone(storage, "a")
    assert (await storage.logs(QUEUE, "a")).items == ()
    assert await tape.told() == [(EventType.REMOVED, "a")]
    assert (await tally(storage)).waiting == 1
    assert await served(storage) == ["b"]


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.DELAYED, JobState.COMPLETED, JobState.FAILED])
async def test_a_job_can_be_removed_in_any_state_at_rest(storage: Storage, state: JobState) -> None:
    await _one_in_each_state(storage)
    assert await storage.remove(QUEUE, all_in(state), now=T0) == [f"job-{state}"]
    assert await gone(storage, f"job-{state}")
    counts = await tally(storage)
    assert counts.waiting + counts.delayed + counts.completed + counts.failed == 3
    assert counts.active == 1


async def test_active_jobs_are_spared(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await tape.events()
    assert await storage.remove(QUEUE, these("a"), now=T0) == []
    assert await storage.remove(QUEUE, all_in(*JobState), now=T0) == []
    assert await tape.everything() == []
    assert not (await end(storage, run, Completed())).refused


async def test_what_is_not_there_is_not_named(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.remove(QUEUE, these("ghost", "a"), now=T0) == ["a"]
    assert await storage.remove(QUEUE, these("a"), now=T0) == []


async def test_an_empty_selection_means_no_job(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.remove(QUEUE, Selection(), now=T0) == []
    assert (await tally(storage)).waiting == 1


async def test_other_queues_are_left_alone(storage: Storage) -> None:
    await storage.add([new_job("a"), new_job("a", queue="other")], now=T0)
    await storage.remove(QUEUE, these("a"), now=T0)
    assert (await the(storage, "a", queue="other")).state is JobState.WAITING


async def test_the_totals_outlive_the_jobs(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Completed())
    await run_through(storage, Failed(reason="no"))
    assert sorted(await storage.remove(QUEUE, all_in(*FINISHED), now=T0)) == ["a", "b"]
    counts = await tally(storage)
    assert (counts.completed, counts.failed, counts.completed_total, counts.failed_total) == (0, 0, 1, 1)


async def test_an_age_means_time_spent_in_the_state(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await run_through(storage, Completed(), now=T0 + 1_000)
    await run_through(storage, Completed(), now=T0 + 5_000)
    old = all_in(JobState.COMPLETED, JobState.WAITING, older_than_ms=3_000)
    assert await storage.remove(QUEUE, old, now=T0 + 2_999) == []
    assert sorted(await storage.remove(QUEUE, old, now=T0 + 4_000)) == ["a", "c"]
    assert await storage.remove(QUEUE, old, now=T0 + 8_000) == ["b"]


async def test_pending_jobs_are_as_old_as_their_creation(storage: Storage) -> None:
    await add(storage, new_job("old", delay_ms=99_000), now=T0)
    await add(storage, new_job("young", delay_ms=99_000), now=T0 + 5_000)
    assert await storage.remove(QUEUE, all_in(JobState.DELAYED, older_than_ms=5_000), now=T0 + 6_000) == ["old"]


async def test_the_newest_of_each_state_can_be_spared(storage: Storage, clock: Clock) -> None:
    await storage.add([new_job(f"j{n}") for n in range(10)], now=T0)
    for n in range(10):
        await run_through(storage, (Completed(), Failed(reason="no"))[n % 2], now=clock.tick())
    removed = await storage.remove(QUEUE, all_in(*FINISHED, beyond=2), now=clock.now)
    assert set(removed) == {f"j{n}" for n in range(6)}
    counts = await tally(storage)
    assert (counts.completed, counts.failed) == (2, 2)


async def test_a_name_narrows_the_choice(storage: Storage) -> None:
    await add(storage, new_job("a", "welcome"), new_job("b", "reminder"), new_job("c", "welcome"))
    assert sorted(await storage.remove(QUEUE, all_in(JobState.WAITING, name="welcome"), now=T0)) == ["a", "c"]
    assert await served(storage) == ["b"]


async def test_a_limit_takes_the_oldest(storage: Storage, clock: Clock) -> None:
    await storage.add([new_job(f"j{n}") for n in range(6)], now=T0)
    for _ in range(6):
        await run_through(storage, Completed(), now=clock.tick())
    assert await storage.remove(QUEUE, all_in(JobState.COMPLETED, limit=2), now=clock.now) == ["j0", "j1"]
    assert ids_of((await storage.page(QUEUE, [JobState.COMPLETED])).items) == ["j5", "j4", "j3", "j2"]


async def test_waiting_jobs_are_taken_in_serving_order(storage: Storage) -> None:
    await add(storage, new_job("low", priority=2_000_000), new_job("plain"), new_job("urgent", priority=1))
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, limit=1), now=T0) == ["urgent"]
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, beyond=1), now=T0) == ["plain"]
    assert await served(storage) == ["low"]


async def test_delayed_jobs_are_taken_by_due_time(storage: Storage) -> None:
    await add(storage, new_job("late", delay_ms=300), new_job("soon", delay_ms=100), new_job("mid", delay_ms=200))
    assert await storage.remove(QUEUE, all_in(JobState.DELAYED, limit=1), now=T0) == ["soon"]
    assert await storage.remove(QUEUE, all_in(JobState.DELAYED, beyond=1), now=T0) == ["mid"]


async def test_an_id_can_be_used_again_after_its_job_was_removed(storage: Storage) -> None:
    await add(storage, new_job("a", data="1"))
    await storage.remove(QUEUE, these("a"), now=T0)
    [answer] = await storage.add([new_job("a", data="2")], now=T0)
    assert answer.fresh
    assert (await the(storage, "a")).data == "2"


async def _one_in_each_state(storage: Storage) -> None:
    """One job in each state at rest and an active one, each named after its state."""
    await add(storage, new_job("job-completed"), new_job("job-failed"), new_job("job-active"))
    await run_through(storage, Completed())
    await run_through(storage, Failed(reason="no"))
    await start_one(storage)
    await add(storage, new_job("job-waiting"), new_job("job-delayed", delay_ms=60_000))
