"""retry of a job that waits for others: it waits for those that really run again, and for nobody else."""

import pytest

from corral.event import EventType
from corral.job import After, JobState, NewJob, ParentRef
from corral.options import ParentPolicy
from corral.outcome import Completed, Failed
from corral.storage.port import Children, Storage

from .helpers import QUEUE, T0, Tape, add, children_of, new_job, run_through, served, tally, the, these

KIDS = "kids"


def family(*children: str, policy: ParentPolicy = ParentPolicy.FAIL) -> list[NewJob]:
    parent = ParentRef(QUEUE, "parent", policy)
    return [new_job("parent", children=len(children)), *(new_job(id, queue=KIDS, parent=parent) for id in children)]


async def test_a_parent_waits_for_children_that_were_retried_before_it(storage: Storage, tape: Tape) -> None:
    await storage.add(family("a", "b"), now=T0)
    await run_through(storage, Failed("no"), queue=KIDS)
    await tape.events()
    await storage.retry(KIDS, these("a"), now=T0)
    assert await storage.retry(QUEUE, these("parent"), now=T0) == ["parent"]
    job = await the(storage, "parent")
    assert (job.state, job.pending_children, job.finished_at) == (JobState.WAITING_CHILDREN, 2, None)
    assert await tape.everything() == [(EventType.WAITING_CHILDREN, "parent")]
    counts = await tally(storage)
    assert (counts.failed, counts.waiting_children, counts.waiting) == (0, 1, 0)
    for _ in range(2):
        await run_through(storage, Completed("1"), queue=KIDS)
    assert await children_of(storage, "parent") == Children(completed={"a": "1", "b": "1"})
    assert await served(storage) == ["parent"]


async def test_failed_children_that_nobody_retried_do_not_hold_it_up(storage: Storage) -> None:
    await storage.add(family("a", "b"), now=T0)
    await run_through(storage, Failed("no"), queue=KIDS)
    await storage.retry(QUEUE, these("parent"), now=T0)
    assert (await the(storage, "parent")).state is JobState.WAITING_CHILDREN
    await run_through(storage, Completed("2"), queue=KIDS)
    assert await served(storage) == ["parent"]
    assert await children_of(storage, "parent") == Children(completed={"b": "2"}, failed={"a": "no"})


async def test_a_parent_of_failed_children_only_runs_at_once(storage: Storage) -> None:
    await storage.add(family("a"), now=T0)
    await run_through(storage, Failed("no"), queue=KIDS)
    await storage.retry(QUEUE, these("parent"), now=T0)
    assert await served(storage) == ["parent"]


async def test_a_child_that_fails_again_fails_its_parent_again(storage: Storage) -> None:
    await storage.add(family("a"), now=T0)
    await run_through(storage, Failed("no"), queue=KIDS)
    await storage.retry(KIDS, these("a"), now=T0)
    await storage.retry(QUEUE, these("parent"), now=T0)
    await run_through(storage, Failed("still no"), queue=KIDS)
    job = await the(storage, "parent")
    assert (job.state, job.failed_reason) == (JobState.FAILED, "child a failed: still no")


async def test_a_cancelled_parent_that_is_retried_waits_for_its_children(storage: Storage) -> None:
    await storage.add(family("a"), now=T0)
    await storage.cancel(QUEUE, these("parent"), now=T0)
    await storage.retry(QUEUE, these("parent"), now=T0)
    assert await served(storage) == []
    await run_through(storage, Completed("1"), queue=KIDS)
    assert await served(storage) == ["parent"]


async def test_a_failed_child_that_would_have_been_waited_for_is_spent_when_its_parent_runs_again(
    storage: Storage,
) -> None:
    await storage.add(family("a", "b", policy=ParentPolicy.WAIT), now=T0)
    await run_through(storage, Failed("no"), queue=KIDS)
    await storage.cancel(QUEUE, these("parent"), now=T0)
    await storage.retry(QUEUE, these("parent"), now=T0)
    assert (await the(storage, "parent")).pending_children == 1
    await run_through(storage, Completed("2"), queue=KIDS)
    assert await served(storage) == ["parent"]
    assert await children_of(storage, "parent") == Children(completed={"b": "2"}, failed={"a": "no"})


async def test_a_whole_chain_is_run_again_from_its_deepest_job(storage: Storage) -> None:
    chain = [new_job("a"), new_job("b", after=(After(QUEUE, "a"),)), new_job("c", after=(After(QUEUE, "b"),))]
    await storage.add(chain, now=T0)
    await run_through(storage, Failed("no"))
    for id in "abc":
        await storage.retry(QUEUE, these(id), now=T0)
    for id in "abc":
        assert await run_through(storage, Completed()) == id
    assert await add(storage, new_job("d", after=(After(QUEUE, "c"),))) == ["d"]
    assert await served(storage) == ["d"]


@pytest.mark.parametrize("policy", ParentPolicy)
@pytest.mark.parametrize("order", [("parent", "a"), ("a", "parent")])
async def test_retried_together_a_parent_waits_for_its_child_whichever_comes_first(
    storage: Storage, policy: ParentPolicy, order: tuple[str, str]
) -> None:
    parent = ParentRef(QUEUE, "parent", policy)
    await add(storage, new_job("parent", children=2), new_job("a", parent=parent), new_job("b", parent=parent))
    await run_through(storage, Failed("no"))
    await storage.remove(QUEUE, these("b"), now=T0)
    await storage.cancel(QUEUE, these("parent"), now=T0)
    both = {job.id: job.state for job in (await storage.page(QUEUE, [JobState.FAILED])).items}
    if policy is ParentPolicy.REMOVE:
        assert (await the(storage, "parent")).pending_children == 0
        return  # it has forgotten that child
    assert set(both) == {"parent", "a"}
    assert await storage.retry(QUEUE, these(*order), now=T0) == list(order)
    assert (await the(storage, "parent")).state is JobState.WAITING_CHILDREN
    assert await run_through(storage, Completed("1")) == "a"
    assert await served(storage) == ["parent"]
    assert await children_of(storage, "parent") == Children(completed={"a": "1"})


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "b", "a")])
async def test_a_chain_that_is_retried_together_runs_in_its_order(storage: Storage, order: tuple[str, ...]) -> None:
    await add(storage, new_job("a"), new_job("b", after=(After(QUEUE, "a"),)), new_job("c", after=(After(QUEUE, "b"),)))
    await run_through(storage, Failed("no"))
    assert await storage.retry(QUEUE, these(*order), now=T0) == list(order)
    for id in "abc":
        assert await run_through(storage, Completed()) == id
