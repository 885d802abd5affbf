"""Flows before they are added: what nodes, chains and graphs become."""

from itertools import pairwise
from typing import Any

import pytest

from corral.errors import ConfigError
from corral.flow.dag import Dag
from corral.flow.node import Node, chain, fan_in, make_node, node
from corral.flow.plan import MAX_FLOW, Planned, plan_dag, plan_trees
from corral.job import After, NewJob, ParentRef
from corral.options import Dedup, ParentPolicy


def step(name: str, **options: Any) -> Node[object]:
    return node("work", name, id=f"id-{name}", **options)


def names(plan: Planned) -> list[str]:
    return [job.name for job in plan.jobs]


def test_parents_stand_before_their_children_and_know_how_many_there_are() -> None:
    plan = plan_trees([step("a", children=[step("b", children=[step("c"), step("d")]), step("e")])])
    assert names(plan) == ["a", "b", "c", "d", "e"]
    assert [job.children for job in plan.jobs] == [2, 2, 0, 0, 0]
    assert plan.levels == (0, 1, 2, 2, 1)
    assert [job.parent and job.parent.id for job in plan.jobs] == [None, "id-a", "id-b", "id-b", "id-a"]


def test_a_failed_child_fails_its_parent_unless_the_node_says_otherwise() -> None:
    plan = plan_trees([step("a", children=[step("b"), step("c", on_failure="ignore")])])
    assert [job.parent.policy for job in plan.jobs if job.parent] == [ParentPolicy.FAIL, ParentPolicy.IGNORE]
    with pytest.raises(ConfigError, match="on_failure must be one of"):
        step("b", on_failure="explode")


def test_jobs_without_an_id_get_one_that_no_other_has() -> None:
    plan = plan_trees([node("work", "a", children=[node("work", "b") for _ in range(100)])])
    assert len({job.id for job in plan.jobs}) == 101
    assert all(job.id and not job.id.isdigit() for job in plan.jobs)


def test_in_a_chain_each_step_is_the_only_child_of_the_next() -> None:
    last = chain(step("a"), step("b"), step("c"))
    assert names(plan_trees([last])) == ["c", "b", "a"]
    assert [len(one.children) for one in (last, last.children[0], last.children[0].children[0])] == [1, 1, 0]
    with pytest.raises(ConfigError, match="a chain needs a step"):
        chain()


def test_fan_in_adds_children_to_those_a_node_has() -> None:
    assert names(plan_trees([fan_in(step("sum", children=[step("a")]), step("b"), step("c"))])) == [
        "sum",
        "a",
        "b",
        "c",
    ]


def test_a_chain_of_thousands_is_planned_without_recursion() -> None:
    plan = plan_trees([chain(*(node("work", "step") for _ in range(MAX_FLOW)))])
    assert len(plan.jobs) == MAX_FLOW
    assert plan.levels[-1] == MAX_FLOW - 1


def test_a_flow_that_is_too_large_is_refused() -> None:
    with pytest.raises(ConfigError, match="a flow is at most 20,000 jobs"):
        plan_trees([node("work", "a", children=[node("work", "b")] * MAX_FLOW)])


def test_a_node_is_found_again_however_it_was_wrapped() -> None:
    first, last = step("a"), step("b")
    plan = plan_trees([chain(first, last)])
    assert plan.jobs[plan.marks[first.mark]].name == "a"
    assert plan.jobs[plan.marks[last.mark]].name == "b"


def test_names_and_ids_are_given_once() -> None:
    with pytest.raises(ConfigError, match="two nodes of the flow are named 'x'"):
        plan_trees([step("a", key="x", children=[step("b", key="x")])])
    with pytest.raises(ConfigError, match="two jobs of the flow have the id 'id-a' in queue 'work'"):
        plan_trees([step("a", children=[step("a")])])


def test_a_parent_is_for_the_root_only() -> None:
    child = make_node(NewJob(queue="work", name="b", parent=ParentRef("work", "p")))
    assert plan_trees([child]).jobs[0].parent == ParentRef("work", "p")
    with pytest.raises(ConfigError, match="has a parent already"):
        plan_trees([step("a", children=[child])])


def test_a_deduplicated_job_cannot_be_waited_for() -> None:
    with pytest.raises(ConfigError, match="cannot be deduplicated"):
        make_node(NewJob(queue="work", name="b", dedup=Dedup("x")))


def test_what_is_no_node_is_refused() -> None:
    with pytest.raises(ConfigError, match="flows are made of nodes"):
        step("a", children=["b"])
    with pytest.raises(ConfigError, match="graphs are made of nodes"):
        Dag().add("a", "b")  # type: ignore[arg-type]  # what is tested


# -- graphs ------------------------------------------------------------------------------------------------------------


def diamond() -> Dag:
    dag = Dag()
    dag.add("publish", step("publish"), after={"clean": "fail", "index": ParentPolicy.IGNORE})  # known later
    dag.add("extract", step("extract"))
    dag.add("clean", step("clean"), after=["extract"])
    dag.add("index", step("index"), after="extract")
    return dag


def test_a_job_stands_behind_all_it_comes_after() -> None:
    plan = plan_dag(diamond())
    order = names(plan)
    assert order[0] == "extract"
    assert order[3] == "publish"
    assert plan.jobs[3].after == (After("work", "id-clean"), After("work", "id-index", ParentPolicy.IGNORE))
    assert [order[place] for place in plan.tops] == ["publish"]
    assert (plan.levels[0], plan.levels[3]) == (2, 0)


def test_a_node_of_a_graph_may_be_a_tree() -> None:
    dag = Dag()
    dag.add("sum", step("sum", children=[step("part")]))
    dag.add("mail", step("mail"), after="sum")
    plan = plan_dag(dag)
    assert names(plan) == ["sum", "part", "mail"]
    assert plan.jobs[1].parent == ParentRef("work", "id-sum", ParentPolicy.FAIL)
    assert plan.keys == {"sum": 0, "mail": 2}


def test_a_circle_is_spelled_out() -> None:
    dag = Dag()
    dag.add("a", step("a"), after=["c"])
    dag.add("b", step("b"), after=["a"])
    dag.add("c", step("c"), after=["b"])
    with pytest.raises(ConfigError, match="the graph goes in a circle: ") as caught:
        plan_dag(dag)
    circle = str(caught.value).rpartition(": ")[2].split(" → ")
    assert circle[0] == circle[-1]
    assert set(pairwise(circle)) == {("a", "b"), ("b", "c"), ("c", "a")}


def test_a_name_that_no_node_has_is_refused_with_the_nearest() -> None:
    dag = Dag()
    dag.add("extract", step("extract"))
    dag.add("clean", step("clean"), after=["extrakt"])
    with pytest.raises(ConfigError, match=r"'clean' comes after 'extrakt', .*; did you mean 'extract'"):
        plan_dag(dag)
    with pytest.raises(ConfigError, match="the graph has a node 'clean' already"):
        dag.add("clean", step("clean"))
    with pytest.raises(ConfigError, match="the graph has no nodes"):
        plan_dag(Dag())
