"""Parents and children: planted on either side, worked off on the other."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from corral.job import JobState, NewJob, ParentRef
from corral.options import ParentPolicy
from corral.queue import Queue
from corral.storage.port import Storage
from corral.worker.context import JobContext

from .node import Bull
from .scenes.flows import POLICIES, node, plant
from .work import GUARD, until, working


async def add_family(
    storage: Storage, parent: str, children: Mapping[str, ParentPolicy], *, queue: str = "mail"
) -> None:
    """A parent with these children, added by corral in one step."""
    jobs = [NewJob(queue="mail", name=parent, id=parent, children=len(children))]
    for child, policy in children.items():
        jobs.append(NewJob(queue=queue, name=child, id=child, parent=ParentRef("mail", parent, policy)))
    await storage.add(jobs)


async def act(ctx: JobContext, data: Any) -> object:
    """Children named `bad` fail; the parent answers with what its children gave."""
    if ctx.name == "bad":
        raise RuntimeError("boom")
    if ctx.name == "top":
        return {job_id: json.loads(text) for job_id, text in (await ctx.children()).completed.items()}
    return {"by": ctx.name}


async def test_a_flow_of_node_is_worked_off_here(bull: Bull, mail: Queue, major: int) -> None:
    await plant(bull, node("top", node("a", node("deep")), node("b", delay=50)), major=major)
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    async with working(mail, act):
        result = await queue.job("top", "waitUntilFinished", events.as_argument)
    assert result == {"a": {"by": "a"}, "b": {"by": "b"}}
    values = await queue.job("top", "getChildrenValues")
    assert sorted(key.rpartition(":")[2] for key in values) == ["a", "b"]
    tree = await (await bull.flow(major=major)).call("getFlow", {"id": "top", "queueName": "mail"})
    assert sorted(child["job"]["id"] for child in tree["children"]) == ["a", "b"]
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_flow_of_corral_is_worked_off_in_node(bull: Bull, mail: Queue, storage: Storage, major: int) -> None:
    await add_family(storage, "top", {"a": ParentPolicy.WAIT, "b": ParentPolicy.WAIT})
    tree = await (await bull.flow(major=major)).call("getFlow", {"id": "top", "queueName": "mail"})
    assert sorted(child["job"]["id"] for child in tree["children"]) == ["a", "b"]
    assert (await mail.get("top")).state is JobState.WAITING_CHILDREN
    script = {"top": {"children": True}, "a": {"return": [1]}, "b": {"return": None}}
    await bull.worker(script=script, major=major)
    result = await mail.result("top", timeout=GUARD)
    assert result == {f"{bull.prefix}:mail:a": [1], f"{bull.prefix}:mail:b": None}
    children = await storage.children("mail", "top")
    assert (dict(children.completed), children.pending) == ({"a": "[1]", "b": "null"}, ())


async def test_parent_and_children_in_different_queues_and_on_different_sides(
    bull: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    await plant(bull, node("top", node("here", queue="corral-parts"), node("there", queue="node-parts")), major=major)
    await bull.worker("node-parts", {"*": {"return": "node"}}, major=major)
    async with working(Queue("corral-parts", storage), act), working(mail, act):
        assert await mail.result("top", timeout=GUARD) == {"here": {"by": "here"}, "there": "node"}


FATES = {policy: (option, end) for policy, (option, _, end) in POLICIES.items()}


@pytest.mark.parametrize("policy", list(FATES))
async def test_what_a_failed_child_means_when_node_plants_and_corral_works(
    bull: Bull, mail: Queue, policy: str, major: int
) -> None:
    option, end = FATES[policy]
    events = await bull.events(major=major)
    await plant(bull, node("top", node("bad", **option)), major=major)
    queue = await bull.queue(major=major)
    async with working(mail, act):
        await events.wait(event="failed", jobId="bad")
        await check_fate(bull, end, events.wait)
    assert await queue.state("top") == end
    await check_failed_child(queue, policy)


@pytest.mark.parametrize("policy", list(ParentPolicy))
async def test_what_a_failed_child_means_when_corral_plants_and_node_works(
    bull: Bull, mail: Queue, storage: Storage, policy: ParentPolicy, major: int
) -> None:
    _, end = FATES[policy.value]
    events = await bull.events(major=major)
    await add_family(storage, "top", {"bad": policy})
    queue = await bull.queue(major=major)
    await bull.worker(script={"bad": {"throw": "boom"}}, major=major)
    await events.wait(event="failed", jobId="bad")
    await check_fate(bull, end, events.wait)
    assert (await mail.get("top")).state is JobState(end)
    await check_failed_child(queue, policy.value)


async def check_fate(bull: Bull, end: str, wait: Any) -> None:
    if end != "waiting-children":
        await wait(event=end, jobId="top")


async def check_failed_child(queue: Any, policy: str) -> None:
    """What Node says about the children of `top`."""
    if policy in ("continue", "ignore"):
        failed = await queue.job("top", "getIgnoredChildrenFailures")
        assert [reason.removeprefix("RuntimeError: ") for reason in failed.values()] == ["boom"]
    if policy == "fail":
        top = await queue.get("top")
        assert re.search(r"^child (\w+:mail:)?bad failed", top["failedReason"])
    if policy == "wait":
        assert (await queue.job("top", "getDependenciesCount"))["unprocessed"] == 1


async def test_a_failed_child_retried_by_corral_frees_the_parent_in_node(bull: Bull, mail: Queue) -> None:
    await plant(bull, node("top", node("bad", failParentOnFailure=True), node("good")))
    await (await bull.hand(script={"bad": {"throw": "boom"}})).serve()
    assert [(await mail.get(job_id)).state.value for job_id in ("top", "bad")] == ["failed", "failed"]
    hand = await bull.hand(script={"bad": {"return": "now"}, "top": {"children": True}})
    assert await mail.retry("bad") == ["bad"]
    assert await hand.serve() == 1
    assert await mail.retry("top") == ["top"]
    assert await hand.serve() == 1
    results = {f"{bull.prefix}:mail:bad": "now", f"{bull.prefix}:mail:good": None}
    assert await mail.result("top", timeout=GUARD) == results


async def test_removing_the_last_pending_child_here_frees_the_parent(bull: Bull, mail: Queue, major: int) -> None:
    await plant(bull, node("top", node("a")), major=major)
    assert await mail.remove("a") == ["a"]
    worker = await bull.worker(major=major)
    assert [run["id"] for run in await worker.runs(1)] == ["top"]


async def test_a_handler_here_waits_for_children_that_node_runs(bull: Bull, mail: Queue, storage: Storage) -> None:
    from corral.signals import WaitForChildren

    async def act(ctx: JobContext, data: Any) -> object:
        children = await ctx.children()
        if not children.completed:
            await storage.add([NewJob(queue="parts", name="part", id="part-1", parent=ParentRef("mail", ctx.id))])
            raise WaitForChildren
        return children.completed["part-1"]

    handle = await mail.add("top")
    async with working(mail, act):
        queue = await bull.queue()

        async def stepped_aside() -> bool:
            return await queue.state(handle.id) == "waiting-children"

        await until(stepped_aside)
        await bull.worker("parts", {"*": {"return": 5}})
        assert await handle.result(timeout=GUARD) == "5"
