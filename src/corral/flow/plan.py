"""From nodes to the jobs of one `add`: ids given, parents before their children, prerequisites before what follows."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.flow.dag import Dag
from corral.flow.node import Node
from corral.job import After, JobId, NewJob, ParentRef
from corral.options import ParentPolicy

#: One flow is one atomic step.
MAX_FLOW = 20_000


class Planned(Struct, frozen=True):
    """The jobs of a flow in the order they are added, and how to find them again."""

    jobs: tuple[NewJob, ...]
    levels: tuple[int, ...]  #: of each job: how many steps it is below the nearest top
    keys: dict[str, int]  #: name -> place in `jobs`
    marks: dict[object, int]  #: node -> place in `jobs`, the first one
    tops: tuple[int, ...]  #: the root of a tree; in a graph those that nothing comes after


class _Plan:
    """A `Planned` in the making."""

    def __init__(self) -> None:
        self.jobs: list[NewJob] = []
        self.keys: dict[str, int] = {}
        self.marks: dict[object, int] = {}
        self._ids: set[tuple[str, JobId]] = set()

    def tree(self, root: Node[Any], parent: ParentRef | None, after: tuple[After, ...] = ()) -> int:
        """Put in a node and all below it, each before its children; answers its place."""
        place = len(self.jobs)
        # A list in place of recursion: a chain may be 20,000 nodes deep.
        stack: list[tuple[Node[Any], ParentRef | None, tuple[After, ...]]] = [(root, parent, after)]
        while stack:
            one, above, before = stack.pop()
            job = self._put(one, above, before)
            assert job.id is not None
            for child in reversed(one.children):
                if child.job.parent is not None:
                    raise ConfigError(f"{child!r} has a parent already: give it to the root only", key="parent")
                stack.append((child, ParentRef(job.queue, job.id, child.on_failure), ()))
        return place

    def _put(self, one: Node[Any], parent: ParentRef | None, after: tuple[After, ...]) -> NewJob:
        if len(self.jobs) == MAX_FLOW:
            raise ConfigError(f"a flow is at most {MAX_FLOW:,} jobs: add it in parts", key="flow")
        job = replace(
            one.job,
            id=one.job.id or str(uuid4()),  # as BullMQ does: a child must know its parent's before either is stored
            parent=parent or one.job.parent,
            children=len(one.children),
            after=(*one.job.after, *after),
        )
        assert job.id is not None
        if (job.queue, job.id) in self._ids:
            raise ConfigError(f"two jobs of the flow have the id {job.id!r} in queue {job.queue!r}", key="id")
        self._ids.add((job.queue, job.id))
        if one.key is not None:
            if one.key in self.keys:
                raise ConfigError(f"two nodes of the flow are named {one.key!r}", key="key")
            self.keys[one.key] = len(self.jobs)
        self.marks.setdefault(one.mark, len(self.jobs))
        self.jobs.append(job)
        return job

    def done(self, tops: Sequence[int]) -> Planned:
        return Planned(tuple(self.jobs), self._levels(tops), self.keys, self.marks, tuple(tops))

    def _levels(self, tops: Sequence[int]) -> tuple[int, ...]:
        places = {(job.queue, job.id): place for place, job in enumerate(self.jobs)}
        below: list[list[int]] = [[] for _ in self.jobs]
        for place, job in enumerate(self.jobs):
            if job.parent is not None and (job.parent.queue, job.parent.id) in places:
                below[places[job.parent.queue, job.parent.id]].append(place)
            below[place] += [places[one.queue, one.id] for one in job.after if (one.queue, one.id) in places]
        levels = [-1] * len(self.jobs)
        row, level = list(tops), 0
        while row:
            for place in row:
                levels[place] = level
            row = [child for child in dict.fromkeys(one for place in row for one in below[place]) if levels[child] < 0]
            level += 1
        return tuple(levels)


def plan_trees(roots: Sequence[Node[Any]], parent: ParentRef | None = None) -> Planned:
    """Trees, the jobs of all of them in one list.

    Raises:
        ConfigError: more than 20,000 jobs, or an id, a name or a parent given twice.
    """
    plan = _Plan()
    return plan.done([plan.tree(root, parent) for root in roots])


def plan_dag(dag: Dag) -> Planned:
    """A graph; each of its nodes may be a tree of its own.

    Raises:
        ConfigError: as for trees; a cycle, or nothing to add.
    """
    plan = _Plan()
    places: dict[str, int] = {}
    for key in dag.order():
        after = tuple(_after(plan.jobs[places[name]], policy) for name, policy in dag.after[key].items())
        places[key] = plan.tree(dag.nodes[key], None, after)
        if plan.keys.setdefault(key, places[key]) != places[key]:
            raise ConfigError(f"two nodes of the flow are named {key!r}", key="key")
    if not places:
        raise ConfigError("the graph has no nodes", key="flow")
    return plan.done([places[key] for key in dag.ends()])


def _after(job: NewJob, policy: ParentPolicy) -> After:
    assert job.id is not None
    return After(job.queue, job.id, policy)
