"""after: a job that waits for other jobs, of any queue; several jobs may wait for one."""

from typing import Any

import pytest

from corral.errors import JobNotFoundError
from corral.event import EventType
from corral.job import After, JobState, NewJob, ParentRef
from corral.options import JobOptions, Keep, ParentPolicy
from corral.outcome import Completed, Failed, Parked, Retried
from corral.storage.port import Children, Storage

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add,
    add_ids,
    children_of,
    end,
    gone,
    new_job,
    run_through,
    served,
    start,
    start_one,
    tally,
    the,
    these,
)

OTHER = "other"


def later(id: str, *before: str, policy: ParentPolicy = ParentPolicy.FAIL, **fields: Any) -> NewJob:
    """A job that comes after these; "other/x" is one of the other queue."""
    pairs = [name.split("/") if "/" in name else [QUEUE, name] for name in before]
    return new_job(id, after=tuple(After(queue, name, policy) for queue, name in pairs), **fields)


async def state(storage: Storage, *ids: str) -> list[JobState]:
    return [(await the(storage, id)).state for id in ids]


# -- waiting and being let go ------------------------------------------------------------------------------------------


async def test_a_job_waits_for_those_it_comes_after(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a"), new_job("b", queue=OTHER), later("c", "a", "other/b"))
    job = await the(storage, "c")
    assert (job.state, job.pending_children, job.parent) == (JobState.WAITING_CHILDREN, 2, None)
    assert (await the(storage, "a")).parent is None
    assert (EventType.ADDED, "c") in await tape.told()
    assert set((await storage.children(QUEUE, "c")).pending) == {(QUEUE, "a"), (OTHER, "b")}
    counts = await tally(storage)
    assert (counts.waiting, counts.waiting_children) == (1, 1)
    assert await served(storage) == ["a"]


async def test_the_last_one_to_complete_lets_it_run(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a"), new_job("b", queue=OTHER), later("c", "a", "other/b"))
    await run_through(storage, Completed("1"))
    assert (await the(storage, "c")).pending_children == 1
    await tape.events()
    await run_through(storage, Completed("2"), queue=OTHER)
    job = await the(storage, "c")
    assert (job.state, job.pending_children) == (JobState.WAITING, 0)
    assert await tape.everything() == [(EventType.WAITING, "c")]
    assert await children_of(storage, "c") == Children(completed={"a": "1", "b": "2"})
    assert await served(storage) == ["c"]


async def test_a_later_call_may_come_after_jobs_in_every_stage(storage: Storage) -> None:
    await add(storage, new_job("waits", priority=2_000_000), new_job("sleeps", delay_ms=9_000), new_job("runs"))
    run = await start_one(storage)
    await add(storage, later("d", "waits", "sleeps", "runs"))
    assert (await the(storage, "d")).pending_children == 3
    await end(storage, run, Completed())
    for _ in range(2):
        await run_through(storage, Completed(), now=T0 + 9_001)
    assert await served(storage, now=T0 + 9_001) == ["d"]


async def test_several_jobs_may_come_after_one(storage: Storage) -> None:
    await add(storage, new_job("a"), *(later(f"d{n}", "a") for n in range(5)))
    assert await served(storage, now=T0) == ["a"]


async def test_all_that_come_after_it_are_let_go_in_their_order(storage: Storage) -> None:
    await add(storage, new_job("a"), *(later(f"d{n}", "a") for n in range(5)))
    await run_through(storage, Completed("1"))
    assert sorted(await served(storage)) == [f"d{n}" for n in range(5)]
    for n in range(5):
        assert (await storage.children(QUEUE, f"d{n}")).completed == {"a": "1"}


async def test_a_diamond_runs_in_order(storage: Storage) -> None:
    await add(storage, new_job("top"), later("left", "top"), later("right", "top"), later("end", "left", "right"))
    assert await run_through(storage, Completed("0")) == "top"
    runs = await start(storage, 9)
    assert {run.job.id for run in runs} == {"left", "right"}
    await end(storage, runs[0], Completed("1"))
    assert await served(storage) == []
    await end(storage, runs[1], Completed("1"))
    assert await served(storage) == ["end"]
    assert (await storage.children(QUEUE, "end")).completed == {"left": "1", "right": "1"}


async def test_both_sides_of_a_diamond_may_end_in_one_call(storage: Storage) -> None:
    await add(storage, new_job("left"), new_job("right"), later("end", "left", "right"))
    runs = await start(storage, 2)
    await storage.settle(QUEUE, [run.ends(Completed("1")) for run in runs], now=T0)
    assert await served(storage) == ["end"]


async def test_a_chain_across_queues(storage: Storage) -> None:
    await add(
        storage,
        new_job("a", queue=OTHER), later("b", "other/a"),
        new_job("c", queue=OTHER, after=(After(QUEUE, "b"),)), later("d", "other/c"),
    )  # fmt: skip
    for queue, id in ((OTHER, "a"), (QUEUE, "b"), (OTHER, "c"), (QUEUE, "d")):
        assert await run_through(storage, Completed(), queue=queue) == id


async def test_the_same_one_named_twice_counts_once(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a", "a"))
    assert (await the(storage, "b")).pending_children == 1
    await run_through(storage, Completed())
    assert await served(storage) == ["b"]


async def test_jobs_with_numbers_may_be_come_after(storage: Storage) -> None:
    [first] = await add(storage, new_job())
    await add(storage, later("b", first))
    await run_through(storage, Completed())
    assert await served(storage) == ["b"]


async def test_a_job_that_comes_after_others_keeps_its_priority(storage: Storage) -> None:
    await add(storage, new_job("a", priority=1), new_job("plain"), later("b", "a", priority=10))
    await run_through(storage, Completed())
    assert await served(storage) == ["b", "plain"]


# -- what is there already ---------------------------------------------------------------------------------------------


async def test_what_has_completed_counts_as_done(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed("1"))
    await add(storage, later("b", "a"))
    job = await the(storage, "b")
    assert (job.state, job.pending_children) == (JobState.WAITING, 0)
    assert await children_of(storage, "b") == Children(completed={"a": "1"})
    assert await served(storage) == ["b"]


async def test_a_job_after_a_completed_one_and_a_running_one_waits_for_that(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Completed("1"))
    await add(storage, later("c", "a", "b"))
    assert (await the(storage, "c")).pending_children == 1
    await run_through(storage, Completed("2"))
    assert await served(storage) == ["c"]


@pytest.mark.parametrize(
    ("policy", "expected", "pending"),
    [
        (ParentPolicy.WAIT, JobState.WAITING_CHILDREN, 1),
        (ParentPolicy.FAIL, JobState.FAILED, None),
        (ParentPolicy.CONTINUE, JobState.WAITING, None),
        (ParentPolicy.IGNORE, JobState.WAITING, 0),
        (ParentPolicy.REMOVE, JobState.WAITING, 0),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["failed-before", "fails-later"])
async def test_a_failure_means_what_the_policy_says(
    storage: Storage, policy: ParentPolicy, expected: JobState, pending: int | None, before: bool
) -> None:
    await add_ids(storage, "a")
    if before:
        await run_through(storage, Failed("no"))
    [added] = await storage.add([later("b", "a", policy=policy)], now=T0 + 5)
    assert added.fresh
    if not before:
        await run_through(storage, Failed("no"), now=T0 + 5)
    job = await the(storage, "b")
    assert job.state is expected
    assert pending is None or job.pending_children == pending
    failed = {} if policy is ParentPolicy.REMOVE else {"a": "no"}
    assert (await storage.children(QUEUE, "b")).failed == failed


async def test_a_job_after_a_failed_one_fails_at_once(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed("no"))
    await tape.events()
    await add(storage, later("b", "a"), later("c", "b"), now=T0 + 7)
    job = await the(storage, "b")
    assert (job.state, job.failed_reason, job.finished_at) == (JobState.FAILED, "child a failed: no", T0 + 7)
    assert (await the(storage, "c")).state is JobState.FAILED
    told = await tape.told()
    assert sorted(told, key=lambda one: one[1] or "") == [
        (EventType.ADDED, "b"), (EventType.FAILED, "b"), (EventType.ADDED, "c"), (EventType.FAILED, "c"),
    ]  # fmt: skip
    counts = await tally(storage)
    assert (counts.failed, counts.failed_total, counts.waiting_children, counts.waiting) == (3, 3, 0, 0)


async def test_a_job_after_one_that_is_not_there_is_refused(storage: Storage) -> None:
    await add_ids(storage, "a")
    with pytest.raises(JobNotFoundError, match="ghost") as caught:
        await storage.add([new_job("x"), later("b", "a", "ghost")], now=T0)
    assert (caught.value.queue, caught.value.job_id) == (QUEUE, "ghost")
    assert await storage.get(QUEUE, ["x", "b"]) == [None, None]
    with pytest.raises(JobNotFoundError):
        await storage.add([later("b", "nowhere/a")], now=T0)
    await run_through(storage, Completed())
    assert (await tally(storage)).waiting == 0


async def test_a_job_may_not_come_after_one_that_stands_behind_it(storage: Storage) -> None:
    """So no two jobs can wait for each other."""
    with pytest.raises(JobNotFoundError):
        await storage.add([later("a", "b"), later("b", "a")], now=T0)
    with pytest.raises(JobNotFoundError):
        await storage.add([later("a", "a")], now=T0)
    assert await storage.get(QUEUE, ["a", "b"]) == [None, None]


async def test_an_id_that_is_there_keeps_what_it_waits_for(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    [added] = await storage.add([later("b", "a")], now=T0)
    assert not added.fresh
    assert await children_of(storage, "b") == Children()
    assert await served(storage) == ["a", "b"]


# -- ends of every kind ------------------------------------------------------------------------------------------------


async def test_a_failure_travels_down_the_whole_chain(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"), later("c", "b"), later("d", "b"), later("e", "c", "d"))
    await run_through(storage, Failed("no"))
    assert await state(storage, "b", "c", "d", "e") == [JobState.FAILED] * 4
    assert (await the(storage, "c")).failed_reason == "child b failed: child a failed: no"
    assert (await tally(storage)).failed_total == 5


async def test_a_failed_attempt_does_not_count(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"))
    await run_through(storage, Retried(0, "busy"))
    assert await state(storage, "b") == [JobState.WAITING_CHILDREN]


async def test_each_follower_has_its_own_policy(storage: Storage) -> None:
    await add(storage, new_job("a"))
    for policy in ParentPolicy:
        await add(storage, later(f"on-{policy.value}", "a", policy=policy))
    await run_through(storage, Failed("no"))
    states = {policy: (await the(storage, f"on-{policy.value}")).state for policy in ParentPolicy}
    assert states == {
        ParentPolicy.WAIT: JobState.WAITING_CHILDREN,
        ParentPolicy.FAIL: JobState.FAILED,
        ParentPolicy.CONTINUE: JobState.WAITING,
        ParentPolicy.IGNORE: JobState.WAITING,
        ParentPolicy.REMOVE: JobState.WAITING,
    }


async def test_a_cancelled_one_counts_as_failed(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"))
    await storage.cancel(QUEUE, these("a"), now=T0)
    assert await state(storage, "b") == [JobState.FAILED]


async def test_an_expired_one_counts_as_failed(storage: Storage) -> None:
    await add(storage, new_job("a", options=JobOptions(lifespan_ms=10)), later("b", "a", policy=ParentPolicy.IGNORE))
    assert await served(storage, now=T0 + 11) in ([], ["b"])
    assert (await storage.children(QUEUE, "b")).failed == {"a": "expired"}
    assert (await the(storage, "b")).state in (JobState.WAITING, JobState.ACTIVE)


async def test_a_quarantined_one_counts_as_failed(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"))
    await start_one(storage)
    await storage.recover(QUEUE, max_crashes=1, now=T0 + LEASE + 1)
    assert await state(storage, "b") == [JobState.FAILED]


async def test_a_cancelled_follower_is_not_let_go_any_more(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"), later("c", "a"))
    await storage.cancel(QUEUE, these("b"), now=T0)
    await run_through(storage, Completed())
    assert await state(storage, "b", "c") == [JobState.FAILED, JobState.WAITING]


async def test_a_removed_one_is_no_longer_waited_for(storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("b"), later("c", "a", "b"))
    await storage.remove(QUEUE, these("a"), now=T0)
    assert (await the(storage, "c")).pending_children == 1
    await storage.remove(QUEUE, these("b"), now=T0)
    assert await children_of(storage, "c") == Children()
    assert await served(storage) == ["c"]


async def test_one_that_failed_and_was_removed_is_no_longer_waited_for(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a", policy=ParentPolicy.WAIT))
    await run_through(storage, Failed("no"))
    await storage.remove(QUEUE, these("a"), now=T0)
    assert await served(storage) == ["b"]


async def test_a_completed_one_may_be_gone_at_once(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"))
    await run_through(storage, Completed("1", keep=Keep(count=0)))
    assert await gone(storage, "a")
    assert await children_of(storage, "b") == Children(completed={"a": "1"})
    assert await served(storage) == ["b"]


async def test_a_failed_one_may_be_gone_at_once(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"), later("c", "a", policy=ParentPolicy.WAIT))
    await run_through(storage, Failed("no", keep=Keep(count=0)))
    assert await state(storage, "b", "c") == [JobState.FAILED, JobState.WAITING]


async def test_a_queue_that_is_gone_is_no_longer_waited_for(storage: Storage) -> None:
    await add(storage, new_job("a", queue=OTHER), later("b", "other/a"))
    await storage.obliterate(OTHER)
    assert await served(storage) == ["b"]


async def test_a_follower_that_was_removed_or_whose_queue_is_gone_is_not_missed(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"), later("far", "a", queue=OTHER))
    await storage.remove(QUEUE, these("b"), now=T0)
    await storage.obliterate(OTHER)
    await run_through(storage, Completed())
    assert await gone(storage, "b")
    assert await served(storage) == []
    await add_ids(storage, "b")
    assert await served(storage) == ["b"]


# -- running again -----------------------------------------------------------------------------------------------------


async def test_a_failed_one_that_is_retried_is_waited_for_again(storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("z"), later("b", "a", "z", policy=ParentPolicy.IGNORE))
    await run_through(storage, Failed("no"))
    await storage.retry(QUEUE, these("a"), now=T0)
    assert (await the(storage, "b")).pending_children == 2
    for _ in range(2):
        await run_through(storage, Completed("1"))
    assert await children_of(storage, "b") == Children(completed={"a": "1", "z": "1"})
    assert await served(storage) == ["b"]


async def test_a_completed_one_that_is_retried_is_waited_for_again(storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("z", priority=2_000_000), later("b", "a", "z"))
    await run_through(storage, Completed("1"))
    await storage.retry(QUEUE, these("a"), now=T0)
    assert (await the(storage, "b")).pending_children == 2
    await run_through(storage, Completed("2"))
    await run_through(storage, Completed("3"))
    assert await children_of(storage, "b") == Children(completed={"a": "2", "z": "3"})


async def test_waiting_policy_keeps_it_until_the_failed_one_has_completed(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a", policy=ParentPolicy.WAIT))
    await run_through(storage, Failed("no"))
    await storage.retry(QUEUE, these("a"), now=T0)
    await run_through(storage, Completed("1"))
    assert await served(storage) == ["b"]


async def test_a_job_failed_by_the_one_before_it_may_be_retried_itself(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a"))
    await run_through(storage, Failed("no"))
    assert await storage.retry(QUEUE, these("b"), now=T0) == ["b"]
    assert await run_through(storage, Completed()) == "b"


# -- together with other things ----------------------------------------------------------------------------------------


async def test_a_job_may_have_a_parent_and_followers(storage: Storage) -> None:
    parent = ParentRef(OTHER, "up")
    await add(storage, new_job("up", queue=OTHER, children=1), new_job("a", parent=parent), later("b", "a"))
    await run_through(storage, Completed("1"))
    assert await served(storage) == ["b"]
    assert await served(storage, queue=OTHER) == ["up"]


async def test_a_job_may_have_children_and_come_after_others(storage: Storage) -> None:
    await add(storage, new_job("a"), later("b", "a", children=1), new_job("kid", parent=ParentRef(QUEUE, "b")))
    assert (await the(storage, "b")).pending_children == 2
    await run_through(storage, Completed("1"))
    assert await state(storage, "b") == [JobState.WAITING_CHILDREN]
    await run_through(storage, Completed("2"))
    assert (await storage.children(QUEUE, "b")).completed == {"a": "1", "kid": "2"}
    assert await served(storage) == ["b"]


async def test_a_child_of_a_flow_may_come_after_its_sibling(storage: Storage) -> None:
    up = ParentRef(QUEUE, "up")
    await add(storage, new_job("up", children=2), new_job("a", parent=up), later("b", "a", parent=up))
    for id in ("a", "b", "up"):
        assert await run_through(storage, Completed()) == id


async def test_a_child_that_fails_for_the_one_before_it_fails_its_parent(storage: Storage) -> None:
    up = ParentRef(QUEUE, "up", ParentPolicy.FAIL)
    await add(storage, new_job("a"), new_job("up", children=1), later("b", "a", parent=up))
    await run_through(storage, Failed("no"))
    assert await state(storage, "b", "up") == [JobState.FAILED] * 2


async def test_a_child_may_be_waited_for_by_its_parent_twice_over(storage: Storage) -> None:
    """Named as a child and in `after`: it counts once."""
    await add(storage, new_job("a"))
    await add(storage, later("up", "a", children=1), new_job("a", parent=ParentRef(QUEUE, "up")))
    assert (await the(storage, "up")).pending_children == 1
    await run_through(storage, Completed("1"))
    assert await served(storage) == ["up"]


async def test_the_delay_begins_when_it_is_let_go(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a"), later("b", "a", delay_ms=1_000))
    assert await state(storage, "b") == [JobState.WAITING_CHILDREN]
    await tape.events()
    await run_through(storage, Completed(), now=T0 + 5_000)
    job = await the(storage, "b")
    assert (job.state, job.run_at) == (JobState.DELAYED, T0 + 6_000)
    assert (EventType.DELAYED, "b") in await tape.everything()
    assert await served(storage, now=T0 + 5_999) == []
    assert await served(storage, now=T0 + 6_001) == ["b"]


async def test_a_parents_delay_begins_when_it_is_let_go_and_only_once(storage: Storage) -> None:
    kid = new_job("kid", parent=ParentRef(QUEUE, "up"))
    await add(storage, new_job("up", children=1, delay_ms=1_000), kid)
    await run_through(storage, Completed(), now=T0 + 5_000)
    assert (await the(storage, "up")).run_at == T0 + 6_000
    run = await start_one(storage, now=T0 + 6_001)
    await add(storage, new_job("kid-2", parent=ParentRef(QUEUE, "up")), now=T0 + 6_001)
    await end(storage, run, Parked(), now=T0 + 6_002)
    await run_through(storage, Completed(), now=T0 + 6_003)
    assert await served(storage, now=T0 + 6_003) == ["up"]


async def test_a_job_after_completed_ones_is_delayed_at_once(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    await add(storage, later("b", "a", delay_ms=1_000), now=T0 + 10)
    job = await the(storage, "b")
    assert (job.state, job.run_at) == (JobState.DELAYED, T0 + 1_010)


@pytest.mark.parametrize(("done_at", "expected"), [(T0 + 10, JobState.DELAYED), (T0 + 9_000, JobState.WAITING)])
async def test_an_absolute_time_stays_absolute(storage: Storage, done_at: int, expected: JobState) -> None:
    await add(storage, new_job("a"), later("b", "a", run_at=T0 + 5_000))
    await run_through(storage, Completed(), now=done_at)
    job = await the(storage, "b")
    assert (job.state, job.run_at) == (expected, T0 + 5_000 if expected is JobState.DELAYED else None)


async def test_a_running_job_may_be_waited_for_by_one_that_it_adds(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await add(storage, later("b", "a"))
    await end(storage, run, Completed("1"))
    assert await served(storage) == ["b"]
