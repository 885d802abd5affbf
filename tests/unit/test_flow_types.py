"""What a type checker knows of flows. `make check` reads this file; running it shows that the calls are real."""

from typing import Any, assert_type

from pydantic import BaseModel

from corral import Corral, Dag, FlowHandle, JobHandle, Node, chain, fan_in, node


class Page(BaseModel):
    url: str


app = Corral("sqlite:///:memory:")
work = app.queue("work")


@work.job("fetch")
async def fetch(page: Page) -> bytes:
    return b""


@work.job("count")
async def count() -> int:
    return 0


async def handles(tree: Node[int]) -> None:
    flow = await app.flow.add(tree)
    assert_type(flow, FlowHandle[int])
    assert_type(await flow.result(), int)
    assert_type(flow.root, JobHandle[int])
    part = fetch.node(Page(url="https://example.com"))
    assert_type(await flow.job(part).result(), bytes)
    assert_type(await app.flow.add_bulk([tree]), list[FlowHandle[int]])
    assert_type(await app.flow.add(Dag()), FlowHandle[Any])


def test_a_node_has_the_type_of_its_handler_s_result() -> None:
    assert_type(fetch.node(Page(url="https://example.com")), Node[bytes])
    assert_type(count.node(children=[fetch.node(Page(url="https://example.com"))]), Node[int])
    assert_type(node("work", "anything"), Node[object])


def test_a_chain_has_the_type_of_its_last_step_and_fan_in_that_of_its_parent() -> None:
    part = fetch.node(Page(url="https://example.com"))
    assert_type(chain(part, count.node()), Node[int])
    assert_type(chain(count.node(), part, part), Node[bytes])
    assert_type(fan_in(count.node(), part, part), Node[int])


def test_a_graph_gives_back_the_node_with_its_type() -> None:
    assert_type(Dag().add("count", count.node()), Node[int])
