"""Graphs: a job may come after several others, and several after one."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from corral.errors import ConfigError, closest
from corral.flow.node import Node
from corral.job import check_name
from corral.options import ParentPolicy, policy_of

R = TypeVar("R")


class Dag:
    """A graph of nodes by name, in any queues. `flow.add(dag)` adds all of them in one step.

    Example:
        dag = Dag()
        dag.add("extract", extract.node(Source(id=7)))
        dag.add("clean", clean.node(), after=["extract"])
        dag.add("index", index.node(), after=["extract"])
        dag.add("publish", publish.node(), after={"clean": "fail", "index": "ignore"})
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Node[Any]] = {}
        self.after: dict[str, dict[str, ParentPolicy]] = {}

    def __repr__(self) -> str:
        return f"Dag({', '.join(self.nodes)})"

    def add(
        self, key: str, node: Node[R], /, *, after: str | Iterable[str] | Mapping[str, ParentPolicy | str] = ()
    ) -> Node[R]:
        """Put in a node under a name. `after` names those that have to end first, known already or later.

        As a mapping it says what the failure of each means for this one; otherwise this one fails, too.

        Raises:
            ConfigError: the name is taken, or a policy does not exist.
        """
        key = check_name(key, "node key")
        if key in self.nodes:
            raise ConfigError(f"the graph has a node {key!r} already", key="key")
        if not isinstance(node, Node):
            raise ConfigError(f"graphs are made of nodes: write definition.node(…), not {node!r}", key=key)
        names = [after] if isinstance(after, str) else after
        if not isinstance(names, Iterable):
            raise ConfigError(f"after must be names of the graph's nodes, not {after!r}", key="after")
        policies = names if isinstance(names, Mapping) else dict.fromkeys(names, ParentPolicy.FAIL)
        self.nodes[key] = node
        self.after[key] = {name: policy_of(policy) for name, policy in policies.items()}
        return node

    def order(self) -> list[str]:
        """The names, each behind those it comes after.

        Raises:
            ConfigError: a name that no node has, or a cycle (the message spells it out).
        """
        for key, names in self.after.items():
            for name in names:
                if name not in self.nodes:
                    near = closest(name, self.nodes)
                    hint = f"; did you mean {near!r}?" if near else ""
                    raise ConfigError(f"{key!r} comes after {name!r}, which the graph does not have{hint}", key="after")
        try:
            return list(TopologicalSorter(self.after).static_order())
        except CycleError as error:
            path = " → ".join(error.args[1])  # in the order in which they would run
            raise ConfigError(f"the graph goes in a circle: {path}", key="after") from None

    def ends(self) -> list[str]:
        """The names that nothing comes after."""
        waited_for = {name for names in self.after.values() for name in names}
        return [key for key in self.nodes if key not in waited_for]
