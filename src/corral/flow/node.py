"""Nodes: jobs that are not added yet, with the children that go before them."""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar, Unpack, cast, overload

from msgspec import Struct, field
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.job import NewJob, check_name
from corral.keywords import AddKeywords, NodeKeywords, new_job
from corral.options import ParentPolicy, policy_of
from corral.payload import to_json

R = TypeVar("R")


class Node(Struct, Generic[R], frozen=True, eq=False):
    """One job of a flow: it runs when its children have completed. Made by `definition.node(…)` or `node(…)`.

    `R` is what its handler returns: `handle.job(this_node).result()` has that type.
    """

    job: NewJob
    children: tuple["Node[Any]", ...] = ()
    on_failure: ParentPolicy = ParentPolicy.FAIL  #: what its failure means for the job that waits for it
    key: str | None = None  #: its name in the flow
    mark: object = field(default_factory=object)  #: the same in every node that was made from this one

    def __repr__(self) -> str:
        key = "" if self.key is None else f" {self.key!r}"
        return f"Node({self.job.queue}/{self.job.name}{key}, {len(self.children)} children)"

    def over(self, *children: "Node[Any]") -> "Node[R]":
        """This node with these children besides those it has."""
        return replace(self, children=(*self.children, *_nodes(children)))


def make_node(
    job: NewJob, children: Iterable[Node[Any]] = (), on_failure: ParentPolicy | str = ParentPolicy.FAIL,
    key: str | None = None,
) -> Node[Any]:  # fmt: skip
    """A node around a job that is checked already.

    Raises:
        ConfigError: deduplication (a job that is kept out cannot be waited for), or a policy that does not exist.
    """
    if job.dedup is not None:
        raise ConfigError(
            "a node of a flow cannot be deduplicated: what waits for it would wait for another job", key="dedup"
        )
    return Node(
        job,
        _nodes(children),
        policy_of(on_failure),
        None if key is None else check_name(key, "node key"),
    )


def node(
    queue: str, name: str, data: object = None, /, *, children: Iterable[Node[Any]] = (),
    on_failure: ParentPolicy | str = ParentPolicy.FAIL, key: str | None = None, **options: Unpack[NodeKeywords],
) -> Node[object]:  # fmt: skip
    """A node by its queue's and its job's name, for flows without an application.

    Raises:
        ConfigError: a bad option. PayloadError: data that is not JSON.
    """
    text = to_json({} if data is None else data, "payload")
    job = new_job(check_name(queue, "queue name"), check_name(name, "job name"), text, cast(AddKeywords, options))
    return make_node(job, children, on_failure, key)


def fan_in(parent: Node[R], *children: Node[Any]) -> Node[R]:
    """A node that runs when all of `children` have completed, and reads their results."""
    return parent.over(*children)


A = Node[Any]


@overload
def chain(first: Node[R], /) -> Node[R]:
    """One step."""


@overload
def chain(first: A, last: Node[R], /) -> Node[R]:
    """Two steps."""


@overload
def chain(first: A, second: A, last: Node[R], /) -> Node[R]:
    """Three steps."""


@overload
def chain(first: A, second: A, third: A, last: Node[R], /) -> Node[R]:
    """Four steps."""


@overload
def chain(first: A, second: A, third: A, fourth: A, last: Node[R], /) -> Node[R]:
    """Five steps."""


@overload
def chain(*steps: A) -> A:
    """Any number; their types are not followed."""


def chain(*steps: A) -> A:
    """One job after the other: each is the only child of the next one, which reads its result. Gives the last.

    Raises:
        ConfigError: no steps.
    """
    if not steps:
        raise ConfigError("a chain needs a step at least", key="chain")
    before: A | None = None
    for step in _nodes(steps):
        before = step if before is None else step.over(before)
    assert before is not None
    return before


def _nodes(given: Iterable[Node[Any]]) -> tuple[Node[Any], ...]:
    if not isinstance(given, Iterable):
        raise ConfigError(f"children must be several nodes such as [{given!r}], not one alone", key="children")
    return tuple(check_node(one, "children") for one in given)


def check_node(value: object, key: str) -> Node[Any]:
    """A job of a flow as callers give it. Raises: ConfigError: it is no node."""
    if not isinstance(value, Node):
        raise ConfigError(f"flows are made of nodes: write definition.node(…), not {value!r}", key=key)
    return value
