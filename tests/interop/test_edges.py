"""Jobs that come after others, big families and deep ones, made by corral: Node workers and corral workers end them."""

from typing import Any

import pytest

from corral.job import After, JobState, NewJob, ParentRef
from corral.options import Keep, ParentPolicy
from corral.outcome import Completed
from corral.queue import Queue
from corral.storage.port import Claim, Settlement, Storage, Token
from corral.worker.context import JobContext

from .node import Bull
from .work import GUARD, working


def after(id: str, *others: str, policy: ParentPolicy = ParentPolicy.FAIL) -> NewJob:
    return NewJob(queue="mail", name=id, id=id, after=tuple(After("mail", other, policy) for other in others))


async def state(storage: Storage, job_id: str) -> JobState | None:
    [job] = await storage.get("mail", [job_id])
    return None if job is None else job.state


async def test_what_a_node_worker_completes_releases_what_comes_after_it(
    bull: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    await storage.add([after("first"), after("second"), after("last", "first", "second")])
    worker = await bull.hand(script={"first": {"return": [1]}}, major=major)
    assert await worker.serve(2) == 2
    assert await state(storage, "last") is JobState.WAITING_CHILDREN
    await storage.recover("mail")
    assert await state(storage, "last") is JobState.WAITING
    assert dict((await storage.children("mail", "last")).completed) == {"first": "[1]", "second": "null"}
    script = {"last": {"children": True}}
    assert await (await bull.hand(script=script, major=major)).serve(1) == 1
    values = {f"{bull.prefix}:mail:first": [1], f"{bull.prefix}:mail:second": None}
    assert await mail.result("last", timeout=GUARD) == values
    assert await bull.keys.faults("mail", idle=True) == []


@pytest.mark.parametrize(
    ("policy", "end"),
    [
        (ParentPolicy.FAIL, JobState.FAILED),
        (ParentPolicy.IGNORE, JobState.WAITING),
        (ParentPolicy.CONTINUE, JobState.WAITING),
        (ParentPolicy.REMOVE, JobState.WAITING),
        (ParentPolicy.WAIT, JobState.WAITING_CHILDREN),
    ],
)
async def test_what_a_node_worker_fails_decides_what_comes_after_it(
    bull: Bull, storage: Storage, policy: ParentPolicy, end: JobState, major: int
) -> None:
    await storage.add([after("first"), after("last", "first", policy=policy)])
    await (await bull.hand(script={"first": {"throw": "boom"}}, major=major)).serve(1)
    await storage.recover("mail")
    assert await state(storage, "last") is end
    await storage.recover("mail")
    assert await state(storage, "last") is end


async def test_what_node_removed_is_waited_for_no_longer(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    await storage.add([after("gone"), after("last", "gone")])
    assert await queue.call("remove", "gone") == 1
    await storage.recover("mail")
    assert await state(storage, "last") is JobState.WAITING


async def test_what_a_node_worker_completed_and_did_not_keep_is_waited_for_no_longer(
    bull: Bull, storage: Storage, major: int
) -> None:
    await storage.add([after("first"), after("last", "first")])
    worker = await bull.hand(major=major, removeOnComplete={"count": 0})
    await worker.serve(1)
    assert await state(storage, "first") is None
    await storage.recover("mail")
    assert await state(storage, "last") is JobState.WAITING


async def test_what_comes_after_a_job_is_released_by_the_corral_worker_that_completes_it_at_once(
    bull: Bull, storage: Storage, major: int
) -> None:
    """No sweep is needed, and a job may have a parent of its own beside those that come after it."""
    events = await bull.events(major=major)
    await storage.add(
        [
            NewJob(queue="mail", name="top", id="top", children=1),
            NewJob(queue="mail", name="first", id="first", parent=ParentRef("mail", "top")),
            after("last", "first"),
        ]
    )
    claimed = await storage.claim("mail", Claim(count=1, token=Token("here"), lease_ms=600_000))
    verdict = Settlement(job_id=claimed.jobs[0].id, token=Token("here"), outcome=Completed("[2]", Keep(count=0)))
    assert (await storage.settle("mail", [verdict])).refused == {}
    for job_id in ("top", "last"):
        assert await state(storage, job_id) is JobState.WAITING
        assert dict((await storage.children("mail", job_id)).completed) == {"first": "[2]"}
        await events.wait(event="waiting", jobId=job_id, prev="waiting-children")


async def act(ctx: JobContext, data: Any) -> object:
    return ctx.name


async def test_a_family_of_ten_thousand_ends_once_with_workers_of_both_kinds(
    bull: Bull, mail: Queue, storage: Storage
) -> None:
    children = 10_000
    jobs = [NewJob(queue="mail", name="top", id="top", children=children)]
    jobs += [NewJob(queue="mail", name="part", parent=ParentRef("mail", "top")) for _ in range(children)]
    added = await storage.add(jobs)
    assert len({one.id for one in added}) == children + 1
    worker = await bull.worker(concurrency=50)
    async with working(mail, act, concurrency=50) as notes:
        await mail.result("top", timeout=4 * GUARD)
    runs = [job.name for job in notes.runs] + [run["name"] for run in await worker.runs()]
    assert sorted(runs) == ["part"] * children + ["top"]
    assert len((await storage.children("mail", "top")).completed) == children
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_family_of_five_levels_ends_with_workers_of_both_kinds(
    bull: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    jobs = [NewJob(queue="mail", name="level-1", id="root", children=2)]
    level = ["root"]
    for depth in range(2, 6):
        leaf = depth == 5
        level = [f"{parent}-{side}" for parent in level for side in "ab"]
        for job_id in level:
            up = ParentRef("mail", job_id.rpartition("-")[0])
            jobs.append(NewJob(queue="mail", name=f"level-{depth}", id=job_id, parent=up, children=0 if leaf else 2))
    await storage.add(jobs)
    tree = await (await bull.flow(major=major)).call("getFlow", {"id": "root", "queueName": "mail", "depth": 10})
    assert len(tree["children"]) == 2
    worker = await bull.worker(major=major)
    async with working(mail, act) as notes:
        await mail.result("root", timeout=GUARD)
    runs = [job.id for job in notes.runs] + [run["id"] for run in await worker.runs()]
    assert sorted(runs) == sorted(job.id or "" for job in jobs)
    assert len(runs) == 31
    assert await bull.keys.faults("mail", idle=True) == []
