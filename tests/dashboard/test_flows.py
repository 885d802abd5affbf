"""Flows: the picture, the tree, and those that are finished."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import fromstring

import pytest

from corral import Corral
from corral.dashboard.graph import graph

from .surfing import Surfer

one_engine = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
Node = Mapping[str, object]


def job(id: str, state: str, children: Sequence[Node] = (), run_ms: int | None = None) -> Node:
    return {
        "queue": "mail", "id": id, "name": id, "state": state, "job": {"run_ms": run_ms}, "children": list(children),
    }  # fmt: skip


def edges(root: Node) -> list[str]:
    svg = graph(root, "")
    assert svg is not None
    return [one.get("class", "") for one in fromstring(str(svg)).iter("path")]


def test_the_way_from_a_failure_up_to_the_top_is_marked() -> None:
    middle = job("middle", "waiting-children", [job("leaf", "failed")])
    assert edges(job("top", "waiting-children", [middle, job("other", "completed")])) == ["failed", "failed", ""]


def test_a_failure_that_nobody_waited_for_is_marked_alone() -> None:
    middle = job("middle", "completed", [job("leaf", "failed")])
    assert edges(job("top", "waiting-children", [middle])) == ["", "failed"]


def test_the_chain_that_took_longest_is_drawn_bold() -> None:
    slow = job("slow", "completed", [job("first", "completed", run_ms=500)], run_ms=10)
    assert edges(job("top", "completed", [job("quick", "completed", run_ms=400), slow])) == ["", "critical", "critical"]


def test_a_job_that_is_gone_has_a_box_like_the_others() -> None:
    gone: Node = {"queue": "mail", "id": "x", "name": None, "state": None, "job": None, "children": []}
    assert edges(job("top", "waiting-children", [gone])) == [""]


@one_engine
async def test_a_picture_points_to_the_tree_below_it(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/flows/report/{ids['flow']}")
    assert "the tree below says the same" in page.answer.text
    assert page.words.index("2 jobs of the flow") < page.words.index("Tree")


@one_engine
async def test_many_children_are_folded_by_queue(admin: Surfer, shop: Corral) -> None:
    welcome, weekly = shop.queues["mail"].definition("welcome"), shop.queues["report"].definition("weekly")
    root = weekly.node({}, children=[welcome.node({"n": n}) for n in range(8)])
    flow = await shop.flow.add(root)
    page = await admin.get(f"/flows/report/{flow.job(root).id}")
    assert "mail 8 jobs, 0 completed" in page.words
    assert sum(text.startswith("welcome #") for _, text in page.links) == 8


@one_engine
async def test_flows_that_have_finished_can_be_found(admin: Surfer, shop: Corral) -> None:
    welcome, weekly = shop.queues["mail"].definition("welcome"), shop.queues["report"].definition("weekly")
    root = weekly.node({}, children=[welcome.node({})])
    flow = await shop.flow.add(root)
    async with await shop.worker():
        await flow.job(root).result(timeout=60)
    assert "No flow is under way" in (await admin.get("/flows")).words
    page = await admin.follow(await admin.get("/flows"), "finished")
    assert f"#{flow.job(root).id}" in page.words


@one_engine
async def test_where_no_flow_has_finished_it_says_so(admin: Surfer, shop: Corral) -> None:
    assert "No flow is among" in (await admin.get("/flows?state=finished")).words
