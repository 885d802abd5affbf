"""What a close look at the verbs turned up: each of these lost a job, stopped a queue, or grew without end."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from corral.job import JobState, ParentRef
from corral.options import JobOptions, Keep, ParentPolicy, QueueSettings
from corral.outcome import Completed, Failed, Parked
from corral.storage.port import BATCH, Storage

from .helpers import (
    MINUTE,
    QUEUE,
    SECOND,
    T0,
    add,
    all_in,
    end,
    ids_of,
    new_job,
    run_through,
    start,
    start_one,
    tally,
    the,
    these,
    wish,
)

DAY = 24 * 60 * MINUTE
IGNORED = ParentRef(QUEUE, "parent", ParentPolicy.IGNORE)


async def complete(storage: Storage, jobs: int, keep: Keep) -> None:
    """Add, claim and complete this many jobs."""
    await storage.add([new_job()] * jobs, now=T0)
    for _ in range(0, jobs, BATCH):
        runs = await start(storage, BATCH)
        await storage.settle(QUEUE, [run.ends(Completed(keep=keep)) for run in runs], now=T0)


# -- lost --------------------------------------------------------------------------------------------------------------


async def test_a_parent_that_parks_in_the_batch_in_which_its_last_child_fails_runs_again(storage: Storage) -> None:
    await add(storage, new_job("parent"))
    parent = await start_one(storage)
    await add(storage, new_job("child", parent=IGNORED))
    child = await start_one(storage)
    settled = await storage.settle(QUEUE, [child.ends(Failed(reason="no")), parent.ends(Parked())], now=T0)
    assert not settled.refused
    assert (await the(storage, "parent")).state is JobState.WAITING


@pytest.mark.parametrize("way", ["removed", "obliterated", "kept for no time"])
async def test_a_parent_does_not_wait_for_ever_for_a_failed_child_that_is_gone(storage: Storage, way: str) -> None:
    waits = replace(new_job("child", queue="kids"), parent=ParentRef(QUEUE, "parent", ParentPolicy.WAIT))
    await add(storage, new_job("parent", children=1), waits)
    keep = {"kept for no time": Keep(count=0)}.get(way, Keep())
    await run_through(storage, Failed(reason="no", keep=keep), queue="kids")
    take_away: dict[str, Callable[[], Awaitable[object]]] = {
        "removed": lambda: storage.remove("kids", these("child"), now=T0),
        "obliterated": lambda: storage.obliterate("kids"),
        "kept for no time": lambda: storage.get("kids", ["child"]),
    }
    await take_away[way]()
    assert ids_of(await storage.claim(QUEUE, wish(9), now=T0)) == ["parent"]
    assert (await storage.children(QUEUE, "parent")).failed == {"child": "no"}


async def test_an_expired_job_that_is_retried_runs(storage: Storage) -> None:
    await add(storage, new_job("late", options=JobOptions(lifespan_ms=SECOND)))
    assert await start(storage, now=T0 + SECOND) == []
    assert await storage.retry(QUEUE, all_in(JobState.FAILED), now=T0 + 2 * SECOND) == ["late"]
    assert (await start_one(storage, now=T0 + 9 * SECOND)).job.id == "late"


# -- crowds at the head ------------------------------------------------------------------------------------------------


async def test_a_crowd_of_expired_jobs_is_passed_over_in_steps_and_hides_nobody(storage: Storage) -> None:
    crowd = 2_500
    await storage.add([new_job(options=JobOptions(lifespan_ms=SECOND))] * crowd, now=T0)
    await add(storage, new_job("good"))
    now = T0 + SECOND
    first = await storage.claim(QUEUE, wish(), now=now)
    assert (first.jobs, first.held_until) == ((), now)  # it asks to be called again at once, and is not idle
    assert crowd - 1_100 <= (await tally(storage)).waiting < crowd
    claims = [await storage.claim(QUEUE, wish(), now=now) for _ in range(10)]
    assert [id for claim in claims for id in ids_of(claim)] == ["good"]
    assert (await tally(storage)).failed == crowd


async def test_a_crowd_of_capped_jobs_is_passed_over_in_steps_and_hides_nobody(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await storage.add([new_job(name="slow")] * 2_500, now=T0)
    await add(storage, new_job("good", name="quick"))
    slow = await start_one(storage)
    claims = [await storage.claim(QUEUE, wish(), now=T0) for _ in range(10)]
    assert [id for claim in claims for id in ids_of(claim)] == ["good"]
    assert claims[0].held_until == T0
    await end(storage, slow, Completed())
    assert (await start_one(storage)).job.name == "slow"


async def test_jobs_after_capped_ones_in_the_same_look_are_not_set_aside_for_nothing(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await add(storage, new_job("s1", name="slow"))
    running = await start_one(storage)
    await add(storage, new_job("s2", name="slow"), new_job("q1"), new_job("q2"), new_job("s3", name="slow"))
    assert (await start_one(storage)).job.id == "q1"
    await end(storage, running, Completed())
    order = [(await start_one(storage)).job.id, (await start_one(storage)).job.id]
    assert order == ["s2", "q2"]


# -- growth ------------------------------------------------------------------------------------------------------------


async def test_minutes_are_kept_for_two_weeks(storage: Storage) -> None:
    for day in (0, 1, 14, 15):
        await storage.add([new_job()], now=T0 + day * DAY)
        await run_through(storage, Completed(), now=T0 + day * DAY)
    buckets = await storage.metrics(QUEUE, since=0, until=T0 + 99 * DAY)
    assert [(bucket.at - T0) // DAY for bucket in buckets] == [1, 14, 15]


async def test_a_bound_that_was_lowered_is_reached_in_steps(storage: Storage) -> None:
    await complete(storage, 1_600, Keep())
    await complete(storage, 1, Keep(count=10))
    assert 600 < (await tally(storage)).completed < 1_600  # one verdict deletes some: nobody waits for a million
    for _ in range(4):
        await complete(storage, 1, Keep(count=10))
    assert (await tally(storage)).completed == 10


async def test_the_jobs_beyond_a_number_are_removed_and_no_others(storage: Storage) -> None:
    await complete(storage, 12, Keep())
    assert len(await storage.remove(QUEUE, all_in(JobState.COMPLETED, beyond=5), now=T0)) == 7
    assert await storage.remove(QUEUE, all_in(JobState.COMPLETED, beyond=5), now=T0) == []
    assert (await tally(storage)).completed == 5


async def test_a_crowd_of_notes_that_are_over_goes_in_steps_and_none_of_them_answers(storage: Storage) -> None:
    for number in range(1_500):
        await storage.remember(QUEUE, f"k{number:04}", "old", ttl_ms=SECOND, now=T0)
    later = T0 + SECOND
    assert await storage.remember(QUEUE, "k1499", now=later) is None
    assert await storage.remember(QUEUE, "k1498", "new", now=later) is None
    assert await storage.remember(QUEUE, "k1498", now=later) == "new"


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_page_of_two_states_goes_on_where_the_one_before_ended(storage: Storage, newest_first: bool) -> None:
    for number in range(7):
        await add(storage, new_job(f"j{number}"))
        outcome = Failed(reason="no") if number % 2 else Completed()
        await run_through(storage, outcome, now=T0 + number)
    states = (JobState.COMPLETED, JobState.FAILED)
    seen = []
    for first in (0, 3, 6):
        page = await storage.page(QUEUE, states, start=first, limit=3, newest_first=newest_first)
        assert page.total == 7
        seen += ids_of(page.items)
    assert seen == [f"j{number}" for number in (range(6, -1, -1) if newest_first else range(7))]
