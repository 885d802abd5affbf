"""A claim tells how many children of a job have not ended, also when the job was ready before it had them."""

from corral.job import After, JobState, NewJob, ParentRef
from corral.options import Dedup, ParentPolicy
from corral.outcome import Completed, Failed, Parked
from corral.storage.port import Storage

from .helpers import (
    QUEUE,
    T0,
    Run,
    add,
    add_ids,
    children_of,
    end,
    new_job,
    run_through,
    start,
    start_one,
    the,
    these,
    wish,
)

UP = "up"


def child(id: str, dedup: Dedup | None = None) -> NewJob:
    return new_job(id, parent=ParentRef(UP, "parent"), dedup=dedup)


async def parent_that_waits(storage: Storage, *children: NewJob) -> Run:
    """Start a parent which has been ready all the time; what the claim tells of it is what is stored."""
    await storage.add([new_job("parent", queue=UP)], now=T0)
    await storage.add(children, now=T0)
    assert (await the(storage, "parent", queue=UP)).state is JobState.WAITING
    run = await start_one(storage, queue=UP)
    assert run.job == await the(storage, "parent", queue=UP)
    return run


async def follower(storage: Storage) -> None:
    """A job that waits for its turn, and for one that ran once and is to run again."""
    await add_ids(storage, "first")
    await run_through(storage, Completed("1"))
    await add(storage, new_job("second", priority=1, after=(After(QUEUE, "first", ParentPolicy.IGNORE),)))
    await storage.retry(QUEUE, these("first"), now=T0)
    assert (await the(storage, "second")).state is JobState.WAITING


async def test_of_a_follower_whose_forerunner_is_retried(storage: Storage) -> None:
    await follower(storage)
    second = await start_one(storage)
    assert (second.job.id, second.job.pending_children) == ("second", 1)
    assert second.job == await the(storage, "second")


async def test_of_a_follower_that_a_verdict_claims(storage: Storage) -> None:
    await add_ids(storage, "other")
    other = await start_one(storage)
    await follower(storage)
    settled = await storage.settle(QUEUE, [other.ends(Completed())], then=wish(2), now=T0)
    assert [(job.id, job.pending_children) for job in settled.claimed.jobs] == [("second", 1), ("first", 0)]


async def test_of_a_parent_that_gets_a_new_child(storage: Storage) -> None:
    run = await parent_that_waits(storage, child("a"), child("b"))
    assert run.job.pending_children == 2
    await end(storage, run, Parked())
    assert (await the(storage, "parent", queue=UP)).state is JobState.WAITING_CHILDREN


async def test_of_a_parent_that_is_given_a_job_which_was_there(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await parent_that_waits(storage, child("a"))
    assert run.job.pending_children == 1


async def test_of_a_parent_whose_child_was_kept_out_for_a_while(storage: Storage) -> None:
    last = Dedup("d", keep_last=True)
    await add(storage, new_job("owner", dedup=last))
    owner = await start_one(storage)
    await storage.add([new_job("parent", queue=UP)], now=T0)
    await storage.add([child("a", dedup=last)], now=T0)
    assert (await the(storage, "parent", queue=UP)).pending_children == 0
    await end(storage, owner, Completed())
    assert (await the(storage, "a")).parent == ParentRef(UP, "parent")
    run = await start_one(storage, queue=UP)
    assert run.job.pending_children == 1
    assert (await children_of(storage, "parent", queue=UP)).pending == ((QUEUE, "a"),)


async def test_a_child_that_was_kept_out_is_an_ordinary_job_when_its_parent_is_gone(storage: Storage) -> None:
    last = Dedup("d", keep_last=True)
    await add(storage, new_job("owner", dedup=last))
    owner = await start_one(storage)
    await storage.add([new_job("parent", queue=UP)], now=T0)
    await storage.add([child("a", dedup=last)], now=T0)
    await storage.remove(UP, these("parent"), now=T0)
    await end(storage, owner, Completed())
    assert (await the(storage, "a")).parent is None
    assert await run_through(storage, Completed()) == "a"


async def test_a_new_child_of_a_parent_that_is_not_there_is_an_ordinary_job(storage: Storage) -> None:
    await storage.add([child("a")], now=T0)
    assert (await the(storage, "a")).parent is None
    assert await run_through(storage, Completed()) == "a"


async def test_a_failure_while_a_parent_is_ready_counts_when_it_parks(storage: Storage) -> None:
    await add_ids(storage, "first", "other")
    first, other = await start(storage, 2)
    after = (After(QUEUE, "first", ParentPolicy.CONTINUE), After(QUEUE, "other", ParentPolicy.FAIL))
    await add(storage, new_job("second", after=after))
    await end(storage, first, Failed("no"))
    await end(storage, other, Failed("nor this"))
    assert (await the(storage, "second")).state is JobState.WAITING
    second = await start_one(storage)
    assert second.job.id == "second"
    await end(storage, second, Parked())
    assert (await the(storage, "second")).failed_reason == "child other failed: nor this"


async def test_what_was_kept_out_comes_though_another_newcomer_has_begun_a_time_for_the_owner(storage: Storage) -> None:
    last, timed = Dedup("d", keep_last=True), Dedup("d", ttl=60, extend=True)
    await add(storage, new_job("owner", dedup=last))
    owner = await start_one(storage)
    await storage.add([new_job("kept", dedup=last), new_job("other", dedup=timed)], now=T0)
    await end(storage, owner, Completed())
    assert await storage.deduplication(QUEUE, "d", now=T0) == "kept"
    assert await run_through(storage, Completed()) == "kept"
