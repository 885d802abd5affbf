"""Large families: added in one call, and the parent is never stuck, whatever becomes of the children or of itself."""

import pytest

from corral.job import After, JobState, NewJob, ParentRef
from corral.options import ParentPolicy
from corral.outcome import Completed, Failed
from corral.storage.port import BATCH, Storage

from .helpers import LEASE, QUEUE, T0, add, end, gone, new_job, served, start, start_one, tally, the, these

KIDS = "kids"


def flow(size: int, *, policy: ParentPolicy = ParentPolicy.WAIT, ids: bool = True) -> list[NewJob]:
    parent = ParentRef(QUEUE, "parent", policy)
    children = [new_job(f"k{n}" if ids else None, queue=KIDS, parent=parent) for n in range(size)]
    return [new_job("parent", children=size), *children]


async def complete_all(storage: Storage, *, now: int = T0) -> int:
    """Run every child there is; answers how many."""
    done = 0
    while runs := await start(storage, BATCH, queue=KIDS, now=now):
        await storage.settle(KIDS, [run.ends(Completed(str(done))) for run in runs], now=now)
        done += len(runs)
    return done


@pytest.mark.timeout(300)
async def test_a_flow_of_ten_thousand_children_is_added_in_one_call_and_ends(storage: Storage) -> None:
    answers = await storage.add(flow(10_000), now=T0)
    assert len(answers) == 10_001
    assert all(answer.fresh for answer in answers)
    assert (await the(storage, "parent")).pending_children == 10_000
    assert (await tally(storage, KIDS)).waiting == 10_000
    assert await storage.remove(KIDS, these("k77", "k5000"), now=T0) == ["k77", "k5000"]
    assert await complete_all(storage) == 9_998
    assert await served(storage) == ["parent"]
    children = await storage.children(QUEUE, "parent")
    assert (len(children.completed), children.pending) == (9_998, ())


@pytest.mark.timeout(300)
async def test_twenty_thousand_jobs_without_ids_are_added_in_one_call(storage: Storage) -> None:
    answers = await storage.add(flow(19_999, ids=False), now=T0)
    assert len({answer.id for answer in answers[1:]}) == 19_999
    assert (await the(storage, "parent")).pending_children == 19_999
    await storage.remove(QUEUE, these("parent"), now=T0)
    await storage.obliterate(KIDS)
    assert (await tally(storage, KIDS)).waiting == 0


@pytest.mark.timeout(300)
async def test_a_job_may_come_after_ten_thousand_and_ten_thousand_after_one(storage: Storage) -> None:
    plain = [new_job(f"k{n}", queue=KIDS) for n in range(5_000)]
    last = new_job("parent", after=tuple(After(KIDS, f"k{n}") for n in range(5_000)))
    followers = [new_job(f"f{n}", queue=KIDS, after=(After(QUEUE, "parent"),)) for n in range(5_000)]
    await storage.add([*plain, last, *followers], now=T0)
    assert await complete_all(storage) == 5_000
    await end(storage, await start_one(storage), Completed())
    assert (await tally(storage, KIDS)).waiting == 5_000


async def test_a_flow_added_again_after_half_of_it_ran_is_the_same_flow(storage: Storage) -> None:
    await storage.add(flow(600), now=T0)
    runs = await start(storage, 200, queue=KIDS)
    await storage.settle(KIDS, [run.ends(Completed("1")) for run in runs], now=T0)
    assert not any(answer.fresh for answer in await storage.add(flow(600), now=T0))
    assert (await the(storage, "parent")).pending_children == 400
    assert await complete_all(storage) == 400
    assert await served(storage) == ["parent"]


async def test_a_parent_that_is_killed_while_it_runs_runs_again_with_its_results(storage: Storage) -> None:
    await storage.add(flow(300), now=T0)
    await complete_all(storage)
    await start_one(storage)
    assert (await storage.recover(QUEUE, now=T0 + LEASE + 1)).requeued == ("parent",)
    await start_one(storage, now=T0 + LEASE + 1)
    assert len((await storage.children(QUEUE, "parent")).completed) == 300


async def test_children_of_a_removed_parent_end_on_their_own(storage: Storage) -> None:
    await storage.add(flow(300, policy=ParentPolicy.FAIL), now=T0)
    await storage.remove(QUEUE, these("parent"), now=T0)
    runs = await start(storage, 10, queue=KIDS)
    await storage.settle(KIDS, [run.ends(Failed("no")) for run in runs], now=T0)
    assert await complete_all(storage) == 290
    assert await gone(storage, "parent")


@pytest.mark.parametrize("policy", [ParentPolicy.IGNORE, ParentPolicy.REMOVE])
async def test_a_parent_is_let_go_whatever_becomes_of_its_children(storage: Storage, policy: ParentPolicy) -> None:
    """Completed, failed, removed, cancelled, quarantined, retried: in the end nothing is pending."""
    await storage.add(flow(60, policy=policy), now=T0)
    await storage.remove(KIDS, these(*(f"k{n}" for n in range(50, 60))), now=T0)
    await storage.cancel(KIDS, these(*(f"k{n}" for n in range(40, 50))), now=T0)
    runs = await start(storage, 30, queue=KIDS)
    ends = [run.ends(Completed("1") if n % 2 else Failed("no")) for n, run in enumerate(runs[:20])]
    await storage.settle(KIDS, ends, now=T0)
    now = T0 + LEASE + 1
    assert len((await storage.recover(KIDS, max_crashes=1, now=now)).quarantined) == 10
    assert (await the(storage, "parent")).pending_children == 10
    await storage.retry(KIDS, these("k0", "k1", "k2", "k3", "k25"), now=now)
    assert await complete_all(storage, now=now) == 15
    parent = await the(storage, "parent")
    assert (parent.state, parent.pending_children) == (JobState.WAITING, 0)
    assert await served(storage, now=now) == ["parent"]


async def test_two_flows_that_share_a_child_both_end(storage: Storage) -> None:
    await add(storage, new_job("shared", queue=KIDS))
    last = [new_job(f"last-{n}", after=(After(KIDS, "shared"),)) for n in range(2)]
    await storage.add(last, now=T0)
    assert await complete_all(storage) == 1
    assert sorted(await served(storage)) == ["last-0", "last-1"]


@pytest.mark.timeout(300)
async def test_a_chain_of_a_thousand_jobs_fails_with_its_first(storage: Storage) -> None:
    """Telling one of the other within each other's call would end at some depth."""
    chain = [new_job(f"j{n}", after=(After(QUEUE, f"j{n - 1}"),) if n else ()) for n in range(1_000)]
    await storage.add(chain, now=T0)
    await end(storage, await start_one(storage), Failed("no"))
    counts = await tally(storage)
    assert (counts.failed, counts.waiting_children) == (1_000, 0)
