"""Adding a job that is there already as somebody's child: it is tied to the new parent, which is never stuck."""

import pytest

from corral.event import EventType
from corral.job import JobState, NewJob, ParentRef
from corral.options import ParentPolicy
from corral.outcome import Completed, Failed, Parked
from corral.storage.port import Added, Children, Storage

from .helpers import (
    QUEUE,
    T0,
    Tape,
    add,
    add_ids,
    children_of,
    end,
    new_job,
    run_through,
    served,
    start_one,
    the,
    these,
)

UP = "up"


def child(id: str, of: str = "parent", *, policy: ParentPolicy = ParentPolicy.WAIT) -> NewJob:
    return new_job(id, parent=ParentRef(UP, of, policy))


def flow(*children: NewJob, parent: str = "parent") -> list[NewJob]:
    return [new_job(parent, queue=UP, children=len(children)), *children]


async def parent_state(storage: Storage, id: str = "parent") -> JobState:
    return (await the(storage, id, queue=UP)).state


async def test_a_job_that_waits_gets_the_parent(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await tape.events()
    answers = await storage.add(flow(child("a")), now=T0)
    assert answers == [Added("parent", True), Added("a", False)]
    assert (await the(storage, "a")).parent == ParentRef(UP, "parent", ParentPolicy.WAIT)
    assert await tape.told() == [(EventType.DUPLICATED, "a")]
    assert await children_of(storage, "parent", queue=UP) == Children(pending=((QUEUE, "a"),))
    assert (await the(storage, "parent", queue=UP)).pending_children == 1
    await run_through(storage, Completed("1"))
    assert await children_of(storage, "parent", queue=UP) == Children(completed={"a": "1"})
    assert await served(storage, queue=UP) == ["parent"]


async def test_a_job_that_runs_gets_the_parent(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.add(flow(child("a")), now=T0)
    assert await parent_state(storage) is JobState.WAITING_CHILDREN
    await end(storage, run, Completed("1"))
    assert await served(storage, queue=UP) == ["parent"]


async def test_a_completed_jobs_result_is_there_at_once(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed("1"))
    await storage.add(flow(child("a"), child("b")), now=T0)
    assert (await the(storage, "parent", queue=UP)).pending_children == 1
    assert await children_of(storage, "parent", queue=UP) == Children(pending=((QUEUE, "b"),), completed={"a": "1"})
    await run_through(storage, Completed("2"))
    assert await children_of(storage, "parent", queue=UP) == Children(completed={"a": "1", "b": "2"})
    assert await served(storage, queue=UP) == ["parent"]


async def test_a_parent_of_completed_jobs_only_runs_at_once(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    for _ in range(2):
        await run_through(storage, Completed("1"))
    await storage.add(flow(child("a"), child("b")), now=T0)
    assert await served(storage, queue=UP) == ["parent"]
    assert (await storage.children(UP, "parent")).completed == {"a": "1", "b": "1"}


@pytest.mark.parametrize("policy", list(ParentPolicy))
async def test_a_failed_job_is_waited_for_until_it_is_retried(storage: Storage, policy: ParentPolicy) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed("no"))
    await storage.add(flow(child("a", policy=policy)), now=T0)
    assert await parent_state(storage) is JobState.WAITING_CHILDREN
    assert await children_of(storage, "parent", queue=UP) == Children(pending=((QUEUE, "a"),))
    await storage.retry(QUEUE, these("a"), now=T0)
    await run_through(storage, Completed("1"))
    assert await served(storage, queue=UP) == ["parent"]


async def test_a_failed_job_that_is_removed_is_no_longer_waited_for(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed("no"))
    await storage.add(flow(child("a")), now=T0)
    await storage.remove(QUEUE, these("a"), now=T0)
    assert await served(storage, queue=UP) == ["parent"]


async def test_the_same_parent_again_changes_nothing(storage: Storage) -> None:
    await storage.add(flow(child("a"), child("b")), now=T0)
    await storage.add(flow(child("a"), child("b")), now=T0)
    assert (await the(storage, "parent", queue=UP)).pending_children == 2
    await run_through(storage, Completed("1"))
    await storage.add(flow(child("a"), child("b")), now=T0)
    assert (await the(storage, "parent", queue=UP)).pending_children == 1
    await run_through(storage, Completed("2"))
    assert await served(storage, queue=UP) == ["parent"]
    assert (await storage.children(UP, "parent")).completed == {"a": "1", "b": "2"}


async def test_a_job_of_another_living_parent_stays_with_it(storage: Storage) -> None:
    await storage.add(flow(child("a", "first"), parent="first"), now=T0)
    answers = await storage.add(flow(child("a", "second"), child("b", "second"), parent="second"), now=T0)
    assert answers[1] == Added("a", False)
    assert (await the(storage, "a")).parent == ParentRef(UP, "first")
    assert (await the(storage, "second", queue=UP)).pending_children == 1
    assert await children_of(storage, "second", queue=UP) == Children(pending=((QUEUE, "b"),))
    for _ in range(2):
        await run_through(storage, Completed("1"))
    assert sorted(await served(storage, queue=UP)) == ["first", "second"]


async def test_a_parent_that_gets_none_of_its_children_runs_at_once(storage: Storage) -> None:
    await storage.add(flow(child("a", "first"), parent="first"), now=T0)
    await storage.add(flow(child("a", "second"), parent="second"), now=T0)
    assert await served(storage, queue=UP) == ["second"]


async def test_a_job_whose_parent_is_gone_gets_the_new_one(storage: Storage) -> None:
    await storage.add(flow(child("a", "first"), parent="first"), now=T0)
    await storage.remove(UP, these("first"), now=T0)
    await storage.add(flow(child("a", "second"), parent="second"), now=T0)
    assert (await the(storage, "a")).parent == ParentRef(UP, "second")
    assert await parent_state(storage, "second") is JobState.WAITING_CHILDREN
    await run_through(storage, Completed("1"))
    assert await served(storage, queue=UP) == ["second"]


async def test_a_parent_that_is_not_there_changes_nothing(storage: Storage) -> None:
    await add_ids(storage, "a")
    [added] = await storage.add([child("a", "ghost")], now=T0)
    assert added == Added("a", False)
    assert await run_through(storage, Completed()) == "a"


async def test_a_running_parent_may_take_a_job_that_is_there(storage: Storage) -> None:
    await add_ids(storage, "a")
    await add(storage, new_job("parent", queue=UP))
    run = await start_one(storage, queue=UP)
    await add(storage, child("a"))
    await end(storage, run, Parked())
    assert await parent_state(storage) is JobState.WAITING_CHILDREN
    await run_through(storage, Completed("1"))
    assert await served(storage, queue=UP) == ["parent"]


async def test_the_new_parents_policy_counts(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.add(flow(child("a", policy=ParentPolicy.FAIL)), now=T0)
    await run_through(storage, Failed("no"))
    assert await parent_state(storage) is JobState.FAILED


async def test_a_job_never_becomes_its_own_ancestor(storage: Storage) -> None:
    await add(storage, new_job("a", children=1), new_job("b", children=1, parent=ParentRef(QUEUE, "a")))
    await add(storage, new_job("c", parent=ParentRef(QUEUE, "b")))
    await add(storage, new_job("a", parent=ParentRef(QUEUE, "b")), new_job("a", parent=ParentRef(QUEUE, "a")))
    assert (await the(storage, "a")).parent is None
    for id in ("c", "b", "a"):
        assert await run_through(storage, Completed()) == id
