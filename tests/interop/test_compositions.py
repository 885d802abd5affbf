"""Flows as corral's callers write them, beside Node's workers and readers; and events of one's own."""

from typing import Any

from corral.flow.dag import Dag
from corral.flow.flow import Flow
from corral.flow.node import chain, fan_in, node
from corral.job import JobState
from corral.queue import Queue
from corral.storage.port import Storage
from corral.worker.context import JobContext

from .node import Bull
from .work import GUARD, until, working

SCRIPT = {name: {"return": name} for name in ("first", "second", "last", "part", "whole")}


def ids(tree: dict[str, Any]) -> list[str]:
    """The ids of a tree as Node reads it, from the top."""
    return [tree["job"]["id"], *(one for child in tree.get("children", []) for one in ids(child))]


async def test_a_chain_is_a_nested_flow_to_node(bull: Bull, mail: Queue, storage: Storage, major: int) -> None:
    steps = [node("mail", name, id=name) for name in ("first", "second", "last")]
    flow = await Flow(storage).add(chain(*steps))
    tree = await (await bull.flow(major=major)).call("getFlow", {"id": "last", "queueName": "mail"})
    assert ids(tree) == ["last", "second", "first"]
    worker = await bull.worker(script=SCRIPT, major=major)
    assert await flow.result(timeout=GUARD) == "last"
    assert [run["id"] for run in await worker.runs(3)] == ["first", "second", "last"]


async def test_a_parent_with_many_children_runs_once_when_both_sides_work_on_them(
    bull: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    children = [node("mail", "part", id=f"part-{number}") for number in range(60)]
    flow = await Flow(storage).add(fan_in(node("mail", "whole", id="whole"), *children))
    wholes: list[str] = []

    async def act(ctx: JobContext, data: Any) -> object:
        wholes.extend([ctx.name] * (ctx.name == "whole"))
        return ctx.name

    worker = await bull.worker(script=SCRIPT, major=major)
    async with working(mail, act):
        assert await flow.result(timeout=GUARD) == "whole"
    theirs = [run["name"] for run in await worker.runs()]
    assert wholes.count("whole") + theirs.count("whole") == 1
    assert len((await flow.root.children()).completed) == 60
    assert (await flow.progress()).done == 61


async def test_a_job_of_a_graph_runs_after_one_that_node_has_worked_off(
    bull: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    dag = Dag()
    dag.add("first", node("other", "first", id="first"))
    dag.add("last", node("mail", "last", id="last"), after=["first"])
    flow = await Flow(storage).add(dag)
    await bull.worker("other", script=SCRIPT, major=major)
    await flow["first"].result(timeout=GUARD)

    async def ready() -> bool:
        await storage.recover("other")
        await storage.recover("mail")
        return (await mail.get("last")).state is JobState.WAITING

    await until(ready)
    assert (await mail.children("last")).completed == {"first": '"first"'}


async def test_an_event_of_one_s_own_reaches_node_under_its_name(bull: Bull, mail: Queue, major: int) -> None:
    events = await bull.events(major=major)
    await mail.publish("shipped", {"parcel": 7})
    told = await events.wait(event="shipped")
    assert told["detail"] == '{"parcel":7}'
