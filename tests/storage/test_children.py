"""Parents and children: a parent waits for its children, and each child's failure means what its policy says."""

import pytest

from corral.event import EventType
from corral.job import After, JobState, NewJob, ParentRef
from corral.options import JobOptions, ParentPolicy
from corral.outcome import Completed, Failed, Parked, Released
from corral.storage.port import REASON, Children, JobPatch, Storage

from .helpers import (
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
    wish,
)

KIDS = "kids"


def family(*children: str, policy: ParentPolicy = ParentPolicy.WAIT) -> list[NewJob]:
    """A parent in the usual queue and its children in another one."""
    parent = ParentRef(queue=QUEUE, id="parent", policy=policy)
    kids = [new_job(child, queue=KIDS, parent=parent) for child in children]
    return [new_job("parent", children=len(kids)), *kids]


async def test_a_parent_waits_for_its_children(storage: Storage, tape: Tape) -> None:
    await storage.add(family("a", "b"), now=T0)
    parent = await the(storage, "parent")
    assert (parent.state, parent.pending_children) == (JobState.WAITING_CHILDREN, 2)
    assert (await the(storage, "a", queue=KIDS)).parent == ParentRef(QUEUE, "parent", ParentPolicy.WAIT)
    assert (await tape.told())[0] == (EventType.ADDED, "parent")
    counts = await tally(storage)
    assert (counts.waiting_children, counts.waiting) == (1, 0)
    assert await served(storage) == []
    children = await storage.children(QUEUE, "parent")
    assert set(children.pending) == {(KIDS, "a"), (KIDS, "b")}


async def test_the_last_child_lets_the_parent_run(storage: Storage, tape: Tape) -> None:
    await storage.add(family("a", "b"), now=T0)
    await tape.events()
    await run_through(storage, Completed(result="1"), queue=KIDS)
    assert (await the(storage, "parent")).pending_children == 1
    assert await served(storage) == []
    await run_through(storage, Completed(result="2"), queue=KIDS)
    parent = await the(storage, "parent")
    assert (parent.state, parent.pending_children) == (JobState.WAITING, 0)
    assert await tape.everything() == [(EventType.WAITING, "parent")]
    assert await children_of(storage, "parent") == Children(completed={"a": "1", "b": "2"})
    assert await served(storage) == ["parent"]


async def test_a_child_of_the_same_queue_counts_too(storage: Storage) -> None:
    parent = ParentRef(queue=QUEUE, id="parent")
    await add(storage, new_job("parent", children=1), new_job("kid", parent=parent))
    assert await run_through(storage, Completed(result="1")) == "kid"
    assert await served(storage) == ["parent"]


async def test_a_parent_may_run_in_the_call_that_settles_its_last_child(storage: Storage) -> None:
    parent = ParentRef(queue=QUEUE, id="parent")
    await add(storage, new_job("parent", children=1), new_job("kid", parent=parent))
    run = await start_one(storage)
    from_claim = (await storage.settle(QUEUE, [run.ends(Completed())], then=wish(), now=T0)).claimed
    assert [job.id for job in from_claim.jobs] == ["parent"]


async def test_waiting_policy_keeps_the_parent_until_a_person_acts(storage: Storage) -> None:
    await storage.add(family("a", policy=ParentPolicy.WAIT), now=T0)
    await run_through(storage, Failed(reason="no"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.WAITING_CHILDREN
    children = await storage.children(QUEUE, "parent")
    assert children.failed == {"a": "no"}
    await storage.retry(KIDS, these("a"), now=T0)
    await run_through(storage, Completed(result="1"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.WAITING
    assert await children_of(storage, "parent") == Children(completed={"a": "1"})


async def test_failing_policy_fails_the_parent(storage: Storage, tape: Tape) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.FAIL), now=T0)
    await tape.events()
    await run_through(storage, Failed(reason="no"), queue=KIDS, now=T0 + 5)
    parent = await the(storage, "parent")
    assert (parent.state, parent.finished_at) == (JobState.FAILED, T0 + 5)
    assert parent.failed_reason
    assert await tape.told() == [(EventType.FAILED, "parent")]
    counts = await tally(storage)
    assert (counts.waiting_children, counts.failed, counts.failed_total) == (0, 1, 1)
    await run_through(storage, Completed(), queue=KIDS, now=T0 + 6)
    assert (await the(storage, "parent")).state is JobState.FAILED


async def test_failing_policy_reaches_grandparents(storage: Storage) -> None:
    top = ParentRef(QUEUE, "top", ParentPolicy.FAIL)
    mid = ParentRef(QUEUE, "mid", ParentPolicy.FAIL)
    family = [new_job("top", children=1), new_job("mid", parent=top, children=1), new_job("leaf", parent=mid)]
    await storage.add(family, now=T0)
    assert await run_through(storage, Failed(reason="no")) == "leaf"
    assert [(await the(storage, id)).state for id in ("mid", "top")] == [JobState.FAILED, JobState.FAILED]
    assert (await tally(storage)).failed_total == 3


async def test_continuing_policy_runs_the_parent_at_once(storage: Storage) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.CONTINUE), now=T0)
    await run_through(storage, Failed(reason="no"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.WAITING
    assert (await storage.children(QUEUE, "parent")).failed == {"a": "no"}
    run = await start_one(storage)
    await run_through(storage, Completed(result="2"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.ACTIVE
    await end(storage, run, Completed())
    assert await served(storage) == []


async def test_ignoring_policy_counts_the_child_as_done(storage: Storage) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.IGNORE), now=T0)
    await run_through(storage, Failed(reason="no"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.WAITING_CHILDREN
    await run_through(storage, Completed(result="2"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.WAITING
    assert await children_of(storage, "parent") == Children(completed={"b": "2"}, failed={"a": "no"})


async def test_removing_policy_forgets_the_child(storage: Storage) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.REMOVE), now=T0)
    await run_through(storage, Failed(reason="no"), queue=KIDS)
    await run_through(storage, Completed(result="2"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.WAITING
    assert await children_of(storage, "parent") == Children(completed={"b": "2"})


@pytest.mark.parametrize("policy", [ParentPolicy.IGNORE, ParentPolicy.REMOVE, ParentPolicy.CONTINUE])
async def test_a_cancelled_child_counts_as_failed(storage: Storage, policy: ParentPolicy) -> None:
    await storage.add(family("a", policy=policy), now=T0)
    await storage.cancel(KIDS, these("a"), now=T0)
    assert (await the(storage, "parent")).state is JobState.WAITING


async def test_a_parent_keeps_its_priority(storage: Storage) -> None:
    parent = ParentRef(queue=QUEUE, id="parent")
    await storage.add([new_job("parent", children=1, priority=1), new_job("kid", queue=KIDS, parent=parent)], now=T0)
    await add_ids(storage, "plain")
    await run_through(storage, Completed(), queue=KIDS)
    assert await served(storage) == ["parent", "plain"]


async def test_a_running_job_may_get_children_and_park(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "parent")
    run = await start_one(storage)
    await storage.add([new_job("kid", queue=KIDS, parent=ParentRef(QUEUE, "parent"))], now=T0)
    assert (await the(storage, "parent")).pending_children == 1
    await tape.events()
    await end(storage, run, Parked())
    parent = await the(storage, "parent")
    assert (parent.state, parent.attempts_made) == (JobState.WAITING_CHILDREN, 0)
    assert await tape.told() == [(EventType.WAITING_CHILDREN, "parent")]
    assert (await tally(storage)).waiting_children == 1
    await run_through(storage, Completed(result="1"), queue=KIDS)
    again = await start_one(storage)
    assert (again.job.id, again.job.attempts_started) == ("parent", 2)


async def test_a_job_whose_children_are_done_before_it_parks_runs_again(storage: Storage) -> None:
    await add_ids(storage, "parent")
    run = await start_one(storage)
    await storage.add([new_job("kid", queue=KIDS, parent=ParentRef(QUEUE, "parent"))], now=T0)
    await run_through(storage, Completed(result="1"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.ACTIVE
    await end(storage, run, Parked())
    assert await served(storage) == ["parent"]


@pytest.mark.parametrize(
    ("policy", "state"), [(ParentPolicy.FAIL, JobState.FAILED), (ParentPolicy.CONTINUE, JobState.WAITING)]
)
async def test_a_child_that_failed_before_the_parent_parked_still_counts(
    storage: Storage, policy: ParentPolicy, state: JobState
) -> None:
    await add_ids(storage, "parent")
    run = await start_one(storage)
    await storage.add([new_job("kid", queue=KIDS, parent=ParentRef(QUEUE, "parent", policy))], now=T0)
    await run_through(storage, Failed(reason="no"), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.ACTIVE
    await end(storage, run, Parked())
    assert (await the(storage, "parent")).state is state


async def test_children_outlive_their_own_removal(storage: Storage) -> None:
    await storage.add(family("a"), now=T0)
    await run_through(storage, Completed(result="1"), queue=KIDS)
    await storage.remove(KIDS, these("a"), now=T0)
    assert (await storage.children(QUEUE, "parent")).completed == {"a": "1"}


async def test_a_job_without_children_has_none(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await children_of(storage, "a") == Children()
    assert await children_of(storage, "ghost") == Children()


async def test_a_parent_does_not_wait_for_a_child_that_was_removed(storage: Storage) -> None:
    await storage.add(family("a", "b"), now=T0)
    await storage.remove(KIDS, these("a"), now=T0)
    assert (await the(storage, "parent")).pending_children == 1
    await run_through(storage, Completed(result="2"), queue=KIDS)
    assert await served(storage) == ["parent"]


async def test_a_parent_does_not_wait_for_children_whose_queue_is_gone(storage: Storage) -> None:
    await storage.add(family("a", "b"), now=T0)
    await storage.obliterate(KIDS)
    assert await served(storage) == ["parent"]


async def test_children_of_a_parent_that_is_gone_are_ordinary_jobs(storage: Storage) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.FAIL), now=T0)
    assert await storage.remove(QUEUE, these("parent"), now=T0) == ["parent"]
    await run_through(storage, Completed(), queue=KIDS)
    await run_through(storage, Failed(reason="no"), queue=KIDS)
    counts = await tally(storage, KIDS)
    assert (counts.completed, counts.failed) == (1, 1)
    assert await gone(storage, "parent")


async def test_a_cancelled_parent_stays_cancelled_when_its_children_end(storage: Storage) -> None:
    await storage.add(family("a"), now=T0)
    await storage.cancel(QUEUE, these("parent"), now=T0)
    await run_through(storage, Completed(), queue=KIDS)
    assert (await the(storage, "parent")).state is JobState.FAILED
    assert await served(storage) == []


async def test_a_quarantined_child_counts_as_failed(storage: Storage) -> None:
    await storage.add(family("a", policy=ParentPolicy.FAIL), now=T0)
    await start_one(storage, queue=KIDS)
    assert (await storage.recover(KIDS, max_crashes=1, now=T0 + 60_000)).quarantined == ("a",)
    assert (await the(storage, "parent")).state is JobState.FAILED


async def test_an_expired_child_counts_as_failed(storage: Storage) -> None:
    parent = ParentRef(QUEUE, "parent", ParentPolicy.CONTINUE)
    child = new_job("a", queue=KIDS, parent=parent, options=JobOptions(lifespan_ms=10))
    await storage.add([new_job("parent", children=1), child], now=T0)
    assert await served(storage, queue=KIDS, now=T0 + 11) == []
    assert (await storage.children(QUEUE, "parent")).failed == {"a": "expired"}
    assert await served(storage, now=T0 + 11) == ["parent"]


async def test_every_childs_queue_is_told(storage: Storage) -> None:
    after = After(QUEUE, "before", ParentPolicy.IGNORE)
    jobs = [new_job("before"), new_job("parent", children=3, after=(after,)), *family("a", "b", "c")[1:]]
    await storage.add(jobs, now=T0)
    await run_through(storage, Failed("no"))
    await run_through(storage, Completed("1"), queue=KIDS)
    await run_through(storage, Failed("no"), queue=KIDS)
    children = await storage.children(QUEUE, "parent")
    assert (set(children.completed), set(children.failed)) == ({"a"}, {"before", "b"})
    assert children.queues == {"before": QUEUE, "a": KIDS, "b": KIDS, "c": KIDS}


async def test_a_detached_child_is_no_longer_waited_for(storage: Storage, tape: Tape) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.FAIL), now=T0)
    assert await storage.update(KIDS, [JobPatch(job_id="a", detach=True)], now=T0) == ["a"]
    assert (await the(storage, "a", queue=KIDS)).parent is None
    assert await children_of(storage, "parent") == Children(pending=((KIDS, "b"),))
    await run_through(storage, Failed("no"), queue=KIDS)
    assert (await the(storage, "parent")).pending_children == 1
    await run_through(storage, Completed("1"), queue=KIDS)
    assert await served(storage) == ["parent"]


async def test_detaching_the_last_child_lets_the_parent_run(storage: Storage, tape: Tape) -> None:
    await storage.add(family("a"), now=T0)
    await tape.events()
    await storage.update(KIDS, [JobPatch(job_id="a", detach=True)], now=T0)
    assert await tape.everything() == [(EventType.WAITING, "parent")]
    await storage.update(KIDS, [JobPatch(job_id="a", detach=True)], now=T0)
    assert await served(storage) == ["parent"]


async def test_a_claim_tells_how_many_children_have_not_ended(storage: Storage) -> None:
    await add_ids(storage, "parent")
    run = await start_one(storage)
    await storage.add(family("a", "b")[1:], now=T0)
    await end(storage, run, Released())
    assert (await start_one(storage)).job.pending_children == 2


async def test_a_claim_tells_of_those_that_a_new_job_need_not_wait_for(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await end(storage, await start_one(storage), Failed("no"))
    after = (After(QUEUE, "a", ParentPolicy.CONTINUE), After(QUEUE, "b", ParentPolicy.WAIT))
    await add(storage, new_job("c", priority=1, after=after))
    run = await start_one(storage)
    assert (run.job.id, run.job) == ("c", await the(storage, "c"))
    assert run.job.pending_children == 1


async def test_lean_children_are_told_without_their_results(storage: Storage) -> None:
    await storage.add(family("a", "b", "c", policy=ParentPolicy.IGNORE), now=T0)
    await run_through(storage, Completed(result='"' + "x" * 50_000 + '"'), queue=KIDS)
    await run_through(storage, Failed(reason="é" * 5_000), queue=KIDS)
    lean = await storage.children(QUEUE, "parent", lean=True)
    whole = await storage.children(QUEUE, "parent")
    assert (lean.completed, lean.failed) == ({"a": ""}, {"b": "é" * REASON})
    assert (lean.pending, lean.queues) == (whole.pending, whole.queues)
    assert len(whole.completed["a"]) == 50_002


async def test_thousands_of_lean_children_come_whole(storage: Storage) -> None:
    await storage.add([new_job("parent", children=5_600)], now=T0)
    for begin in range(0, 5_600, 200):
        ids = [f"c{n}" for n in range(begin, begin + 200)]
        await storage.add([new_job(one, queue=KIDS, parent=ParentRef(QUEUE, "parent")) for one in ids], now=T0)
        done = [run.ends(Completed(result='"big"')) for run in await start(storage, 199, queue=KIDS)]
        await storage.settle(KIDS, done, now=T0)
    lean = await storage.children(QUEUE, "parent", lean=True)
    assert set(lean.completed.values()) == {""}
    assert len(lean.completed) + len(lean.pending) == 5_600
    assert len(lean.pending) == 28


async def test_a_failure_that_let_its_parent_go_on_does_not_do_so_again(storage: Storage) -> None:
    await storage.add(family("a", policy=ParentPolicy.CONTINUE), now=T0)
    await end(storage, await start_one(storage, queue=KIDS), Failed("no"))
    parent = await start_one(storage)
    await storage.add([new_job("later", queue=KIDS, parent=ParentRef(QUEUE, "parent"))], now=T0 + 1)
    await end(storage, parent, Parked(), now=T0 + 2)
    assert (await the(storage, "parent")).state is JobState.WAITING_CHILDREN
    assert await run_through(storage, Completed(), queue=KIDS, now=T0 + 3) == "later"
    assert await served(storage, now=T0 + 4) == ["parent"]


async def test_failures_while_the_parent_ran_let_it_go_on_once(storage: Storage) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.CONTINUE), now=T0)
    first, second = await start(storage, 2, queue=KIDS)
    await end(storage, first, Failed("no"))
    parent = await start_one(storage)
    await end(storage, second, Failed("no"))
    await end(storage, parent, Parked(), now=T0 + 1)
    again = await start_one(storage, now=T0 + 1)
    await storage.add([new_job("later", queue=KIDS, parent=ParentRef(QUEUE, "parent"))], now=T0 + 2)
    await end(storage, again, Parked(), now=T0 + 3)
    assert (await the(storage, "parent")).state is JobState.WAITING_CHILDREN


async def test_those_who_wait_for_a_job_itself_hear_of_its_failure_before_those_who_wait_for_its_parent(
    storage: Storage,
) -> None:
    parent = ParentRef(QUEUE, "parent", ParentPolicy.FAIL)
    await storage.add([new_job("parent", children=1), new_job("kid", parent=parent)], now=T0)
    await storage.add([new_job("other", delay_ms=10_000)], now=T0)
    after = (
        After(QUEUE, "other"),
        After(QUEUE, "parent", ParentPolicy.CONTINUE),
        After(QUEUE, "kid", ParentPolicy.FAIL),
    )
    await storage.add([new_job("last", after=after)], now=T0)
    await end(storage, await start_one(storage), Failed("no"))
    last = await the(storage, "last")
    assert (last.state, last.failed_reason) == (JobState.FAILED, "child kid failed: no")
