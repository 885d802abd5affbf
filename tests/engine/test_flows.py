"""Flows on each engine: added in one step, run in order, looked at, and steered as a whole."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from corral import Corral, Dag, Discard, JobContext, JobHandle, JobState, Node, chain, fan_in, node
from corral.errors import ConfigError, JobFailedError, JobNotFoundError
from corral.flow.read import Level
from corral.signals import WaitForChildren
from tests.engine.helpers import GUARD, ending, work_off, working


@pytest.fixture
def shop(app: Corral) -> SimpleNamespace:
    """An application whose jobs square numbers, add up what their children gave, and fail when told to."""
    parts, sums = app.queue("parts"), app.queue("sums")
    ran: list[str] = []
    broken: set[str] = set()

    @parts.job("square")
    async def square(ctx: JobContext, number: int) -> int:
        ran.append(f"square {number}")
        if f"square {number}" in broken:
            raise Discard("out of order")
        return number * number

    @sums.job("total")
    async def total(ctx: JobContext, label: str) -> int:
        ran.append(f"total {label}")
        children = await ctx.children()
        return sum(int(value) for value in children.completed.values())

    return SimpleNamespace(app=app, square=square, total=total, ran=ran, broken=broken)


def tree(shop: SimpleNamespace, *numbers: int, **options: object) -> Node[int]:
    children = [shop.square.node(number, key=f"n{number}", **options) for number in numbers]
    root: Node[int] = shop.total.node("all", children=children)
    return root


async def run(shop: SimpleNamespace, *handles: JobHandle[Any]) -> None:
    """Work until these have ended. A burst would end when each queue had been empty for a moment, one by one."""
    async with working(shop.app):
        for handle in handles:
            await ending(handle)


# -- running -----------------------------------------------------------------------------------------------------------


async def test_a_parent_runs_once_when_all_of_its_children_have_and_reads_their_results(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(tree(shop, 1, 2, 3))
    assert (await flow.root.get()).state is JobState.WAITING_CHILDREN
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 14
    assert await flow["n3"].result(timeout=GUARD) == 9
    assert shop.ran.count("total all") == 1


async def test_the_steps_of_a_chain_run_one_after_the_other(shop: SimpleNamespace) -> None:
    first, second = shop.square.node(3), shop.total.node("second")
    flow = await shop.app.flow.add(chain(first, second, shop.total.node("third")))
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 9
    assert await flow.job(first).result(timeout=GUARD) == 9
    assert shop.ran == ["square 3", "total second", "total third"]


async def test_a_job_of_a_graph_runs_after_all_it_comes_after(shop: SimpleNamespace) -> None:
    dag = Dag()
    one = dag.add("one", shop.square.node(2))
    dag.add("left", shop.total.node("left"), after=["one"])
    dag.add("right", shop.total.node("right"), after=["one"])
    dag.add("end", shop.total.node("end"), after=["left", "right"])
    flow = await shop.app.flow.add(dag)
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 8
    assert await flow.job(one).result(timeout=GUARD) == 4
    assert shop.ran[0] == "square 2"
    assert shop.ran[3] == "total end"


async def test_a_job_added_alone_may_come_after_others_of_any_queue(shop: SimpleNamespace) -> None:
    first = await shop.square.add(2)
    second = await shop.square.add(3)
    last = await shop.total.add("last", after=[first, ("parts", second.id)])
    assert (await last.get()).state is JobState.WAITING_CHILDREN
    await run(shop, last)
    assert await last.result(timeout=GUARD) == 13
    with pytest.raises(JobNotFoundError):
        await shop.total.add("never", after=("parts", "nobody"))


async def test_a_failed_child_fails_its_parent(shop: SimpleNamespace) -> None:
    shop.broken.add("square 2")
    flow = await shop.app.flow.add(tree(shop, 1, 2))
    await run(shop, flow.root)
    with pytest.raises(JobFailedError, match="out of order"):
        await flow.result(timeout=GUARD)
    assert "total all" not in shop.ran


async def test_a_child_whose_failure_is_ignored_does_not(shop: SimpleNamespace) -> None:
    shop.broken.add("square 2")
    flow = await shop.app.flow.add(tree(shop, 1, 2, 3, on_failure="ignore"))
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 10
    children = await flow.root.children()
    assert list(children.failed) == [flow["n2"].id]
    assert set(children.queues.values()) == {"parts"}


async def test_a_running_job_adds_children_of_its_own_and_waits_for_them(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("part")
    async def part(number: int) -> int:
        return number

    @queue.job("whole")
    async def whole(ctx: JobContext) -> int:
        if await ctx.recall("split") is None:
            await ctx.note("split", "yes")
            await app.flow.add(part.node(5), parent=ctx)
            raise WaitForChildren
        return sum(int(value) for value in (await ctx.children()).completed.values())

    handle = await whole.add()
    async with working(app):
        assert await handle.result(timeout=GUARD) == 5


# -- all or none -------------------------------------------------------------------------------------------------------


async def test_a_flow_that_is_refused_leaves_nothing_behind(shop: SimpleNamespace) -> None:
    def nothing_negative(job: object) -> None:
        raise ConfigError("no")

    shop.app.before_add(nothing_negative)
    with pytest.raises(ConfigError, match="no"):
        await shop.app.flow.add(tree(shop, 1, 2))
    for name in ("parts", "sums"):
        counts = await (await shop.app.open_queue(name)).counts()
        assert (counts.waiting, counts.waiting_children) == (0, 0)


async def test_several_trees_are_added_together(shop: SimpleNamespace) -> None:
    one, two = await shop.app.flow.add_bulk([tree(shop, 1, 2), tree(shop, 3)])
    await run(shop, one.root, two.root)
    assert (await one.result(timeout=GUARD), await two.result(timeout=GUARD)) == (5, 9)
    assert await two["n3"].result(timeout=GUARD) == 9


async def test_a_thread_without_an_event_loop_adds_a_flow(shop: SimpleNamespace) -> None:
    ids = await asyncio.to_thread(shop.app.flow.add_sync, tree(shop, 1, 2))
    sums = await shop.app.open_queue("sums")
    await run(shop, sums.handle(ids[0]))
    assert await sums.result(ids[0], timeout=GUARD) == 5


async def test_nodes_can_be_made_by_name(app: Corral) -> None:
    app.queue("a")
    flow = await app.flow.add(fan_in(node("a", "sum", {"n": 1}), node("a", "part", key="part")))
    assert (await flow["part"].get()).parent is not None
    with pytest.raises(KeyError, match="did you mean 'part'"):
        flow["parts"]


# -- looking -----------------------------------------------------------------------------------------------------------


async def test_progress_is_counted_level_by_level(shop: SimpleNamespace) -> None:
    shop.broken.add("square 2")
    flow = await shop.app.flow.add(fan_in(shop.total.node("top"), tree(shop, 1, 2, 3, on_failure="wait")))
    before = await flow.progress()
    assert [level.total for level in before.levels] == [1, 1, 3]
    assert before.pending == 5
    await run(shop, *(job for job in flow.jobs if job.queue.name == "parts"))
    assert (await flow.progress()).levels == (Level(pending=1), Level(pending=1), Level(done=2, failed=1))
    seen = await shop.app.flow.progress("sums", flow.root.id)
    assert (seen.levels, seen.complete) == ((Level(pending=1), Level(pending=1), Level(done=2, failed=1)), True)


async def test_a_flow_is_read_back_as_a_tree(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(fan_in(shop.total.node("top"), tree(shop, 1, 2, 3)))
    await run(shop, flow.root)
    top = await shop.app.flow.tree("sums", flow.root.id)
    assert (top.state, top.left_out) == (JobState.COMPLETED, 0)
    assert sorted(one.result or "" for one in top.children[0].children) == ["1", "4", "9"]
    assert [one.job is not None for one in top] == [True] * 5


async def test_what_the_tree_leaves_out_is_counted(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(fan_in(shop.total.node("top"), tree(shop, 1, 2, 3)))
    shallow = await shop.app.flow.tree("sums", flow.root.id, depth=1)
    assert (len(shallow.children), shallow.children[0].left_out) == (1, 3)
    small = await shop.app.flow.tree("sums", flow.root.id, limit=3)
    assert (len(small.children[0].children), small.children[0].left_out) == (1, 2)
    assert not (await shop.app.flow.progress("sums", flow.root.id, limit=2)).complete
    with pytest.raises(JobNotFoundError):
        await shop.app.flow.tree("sums", "nobody")


async def test_a_job_that_two_others_come_after_is_shown_in_full_once(shop: SimpleNamespace) -> None:
    dag = Dag()
    dag.add("one", shop.total.node("one", children=[shop.square.node(2)]))
    dag.add("left", shop.total.node("left"), after=["one"])
    dag.add("right", shop.total.node("right"), after=["one"])
    dag.add("end", shop.total.node("end"), after=["left", "right"])
    flow = await shop.app.flow.add(dag)
    top = await shop.app.flow.tree("sums", flow.root.id)
    ones = [child for side in top.children for child in side.children]
    assert sorted((one.repeated, len(one.children)) for one in ones) == [(False, 1), (True, 0)]
    assert len(list(top)) == 5
    assert [level.total for level in (await flow.progress()).levels] == [1, 2, 1, 1]


# -- the whole of it ---------------------------------------------------------------------------------------------------


async def test_the_failed_jobs_of_a_flow_run_again_and_then_those_that_waited_for_them(shop: SimpleNamespace) -> None:
    shop.broken.add("square 2")
    flow = await shop.app.flow.add(fan_in(shop.total.node("top"), tree(shop, 1, 2, 3)))
    await run(shop, *flow.jobs)
    assert (await flow.root.get()).state is JobState.FAILED
    shop.broken.clear()
    retried = await flow.retry()
    assert retried[0] == ("parts", flow["n2"].id)
    assert retried[-1] == ("sums", flow.root.id)
    assert len(retried) == 3
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 14
    assert (shop.ran.count("square 1"), shop.ran.count("square 2"), shop.ran.count("total top")) == (1, 2, 1)


async def test_a_graph_runs_again_from_where_it_failed(shop: SimpleNamespace) -> None:
    shop.broken.add("square 2")
    dag = Dag()
    dag.add("one", shop.square.node(2))
    dag.add("left", shop.total.node("left"), after=["one"])
    dag.add("end", shop.total.node("end"), after=["left"])
    flow = await shop.app.flow.add(dag)
    await run(shop, *flow.jobs)
    assert (await flow.progress()).failed == 3
    shop.broken.clear()
    assert len(await flow.retry()) == 3
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 4


async def test_a_whole_flow_is_cancelled_and_nothing_of_it_runs(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(fan_in(shop.total.node("top"), tree(shop, 1, 2, on_failure="ignore")))
    assert len(await shop.app.flow.cancel("sums", flow.root.id, "no need")) == 4
    await work_off(shop.app)
    assert shop.ran == []
    reasons = {(await job.get()).failed_reason for job in flow.jobs}
    assert reasons == {"cancelled: no need"}
    assert await flow.cancel() == []


async def test_a_whole_flow_is_removed(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(fan_in(shop.total.node("top"), tree(shop, 1, 2)))
    assert len(await flow.remove()) == 4
    assert [len((await (await shop.app.open_queue(name)).page()).items) for name in ("parts", "sums")] == [0, 0]
    with pytest.raises(JobNotFoundError):
        await flow.cancel()


async def test_children_that_have_not_started_are_removed_and_the_parent_goes_on(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(tree(shop, 1, 2))
    sums = await shop.app.open_queue("sums")
    assert sorted(await sums.remove_pending_children(flow.root.id)) == sorted(
        [("parts", flow["n1"].id), ("parts", flow["n2"].id)]
    )
    await run(shop, flow.root)
    assert await flow.result(timeout=GUARD) == 0


async def test_a_detached_child_is_not_waited_for_and_runs_all_the_same(shop: SimpleNamespace) -> None:
    flow = await shop.app.flow.add(tree(shop, 1, 2))
    parts = await shop.app.open_queue("parts")
    await parts.detach(flow["n2"].id)
    assert (await flow["n2"].get()).parent is None
    await run(shop, *flow.jobs)
    assert await flow.result(timeout=GUARD) == 1
    assert await flow["n2"].result(timeout=GUARD) == 4
