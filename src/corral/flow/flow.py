"""`Flow`: adding compositions in one step, and steering them as a whole."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from corral.errors import ConfigError, JobNotFoundError, closest
from corral.flow.dag import Dag
from corral.flow.node import Node, check_node
from corral.flow.plan import MAX_FLOW, Planned, plan_dag, plan_trees
from corral.flow.read import FlowTree, Level, Progress, Ref, Walk, get_all
from corral.intake import OPEN, Intake
from corral.job import JobId, JobState, ParentRef
from corral.keywords import JobRef, reference
from corral.options import ParentPolicy, policy_of
from corral.plurals import plural
from corral.queue import JobHandle, Queue
from corral.queue.adding import add_all
from corral.queue.base import these
from corral.storage.port import Selection, Storage
from corral.timing import Seconds, to_seconds

R = TypeVar("R")
T = TypeVar("T")
Verb = Callable[[str, Selection], Awaitable[list[JobId]]]


class FlowHandle(Generic[R]):
    """What adding a flow answers: its jobs by name, by node and in order, and verbs for the whole of it."""

    def __init__(self, flow: "Flow", planned: Planned, handles: Sequence[JobHandle[Any]]) -> None:
        self.jobs = tuple(handles)  #: in the order they were added
        self._flow = flow
        self._planned = planned

    def __repr__(self) -> str:
        return f"FlowHandle({plural(len(self.jobs), 'job')}, {', '.join(self._planned.keys) or 'unnamed'})"

    def __getitem__(self, key: str) -> JobHandle[Any]:
        """A job by its name in the flow. Raises: KeyError."""
        place = self._planned.keys.get(key)
        if place is None:
            near = closest(key, self._planned.keys)
            raise KeyError(f"{key!r} is no name in this flow" + (f"; did you mean {near!r}?" if near else ""))
        return self.jobs[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._planned.keys)

    def job(self, node: Node[T]) -> JobHandle[T]:
        """The job that was made from a node; of one that was used several times, the first. Raises: KeyError."""
        return self.jobs[self._planned.marks[node.mark]]

    @property
    def tops(self) -> tuple[JobHandle[Any], ...]:
        """The root of a tree; of a graph, the jobs that nothing comes after."""
        return tuple(self.jobs[place] for place in self._planned.tops)

    @property
    def root(self) -> JobHandle[R]:
        """The job that runs last. Raises: ConfigError: a graph with several ends has none."""
        if len(self.tops) != 1:
            raise ConfigError(f"the flow has {len(self.tops)} ends: look at `tops`", key="root")
        return self.tops[0]

    async def result(self, timeout: Seconds | None = None) -> R:
        """The result of the job that runs last, once it has. Raises as `JobHandle.result`."""
        return await self.root.result(timeout=timeout)

    async def progress(self) -> Progress:
        """How many of its jobs are done, failed and pending, level by level from its top."""
        states = await get_all(await self._flow.storage(), self._refs())
        levels = [[0, 0, 0] for _ in range(max(self._planned.levels) + 1)]
        for job, level in zip(states, self._planned.levels, strict=True):
            # A job that retention removed has completed: failed ones are kept longer.
            state = JobState.COMPLETED if job is None else job.state
            levels[level][_COLUMN.get(state, 2)] += 1
        return Progress(levels=tuple(Level(done=one[0], failed=one[1], pending=one[2]) for one in levels))

    async def retry(self) -> list[Ref]:
        """Run its failed jobs again; those that wait for others wait again. Answers (queue, id)."""
        return await self._flow.retry_all(self._top_refs())

    async def cancel(self, reason: str = "") -> list[Ref]:
        """Stop what has not ended: pending jobs fail as cancelled, running ones are told to stop."""
        return await self._flow.cancel_all(self._top_refs(), reason)

    async def remove(self) -> list[Ref]:
        """Delete its jobs; those that run are spared. Answers (queue, id)."""
        return await self._flow.remove_all(self._top_refs())

    def _refs(self) -> list[Ref]:
        return [(one.queue.name, one.id) for one in self.jobs]

    def _top_refs(self) -> list[Ref]:
        return [(one.queue.name, one.id) for one in self.tops]


_COLUMN = {JobState.COMPLETED: 0, JobState.FAILED: 1}


class Flow:
    """Adds flows to a store, and looks at those that are there: BullMQ's flow producer, and more.

    Trees are stored as BullMQ stores them. All jobs of a flow are added in one step: all of them or none.

    Args:
        storage: an open store, or a function that opens it (an application's).
        intake: what every job passes before it is added.
    """

    def __init__(self, storage: Storage | Callable[[], Awaitable[Storage]], *, intake: Intake = OPEN) -> None:
        self._given = storage
        self._intake = intake
        self._queues: dict[str, Queue] = {}

    async def storage(self) -> Storage:
        """The open store."""
        return await self._given() if callable(self._given) else self._given

    # -- adding --------------------------------------------------------------------------------------------------

    @overload
    async def add(
        self, what: Node[R], /, *, parent: JobRef | ParentRef | None = None,
        on_failure: ParentPolicy | str | None = None, wait: Seconds = 0,
    ) -> FlowHandle[R]: ...  # fmt: skip
    @overload
    async def add(self, what: Node[Any] | Dag, /, *, wait: Seconds = 0) -> FlowHandle[Any]: ...
    async def add(
        self, what: Node[Any] | Dag, /, *, parent: JobRef | ParentRef | None = None,
        on_failure: ParentPolicy | str | None = None, wait: Seconds = 0,
    ) -> FlowHandle[Any]:  # fmt: skip
        """Add a tree or a graph, all of it in one step.

        Args:
            parent: the job that waits for the root: a running handler passes its own context.
            on_failure: what the root's failure means for that job.
            wait: seconds to wait for room in a full queue.

        Raises:
            ConfigError: more than 20,000 jobs, a cycle, or a name or id given twice. QueueFullError: no room.
        """
        if isinstance(what, Dag):
            if parent is not None:
                raise ConfigError("a graph has no root that could have a parent: give it to a node", key="parent")
            planned = plan_dag(what)
        else:
            root = check_node(what, "flow")
            planned = plan_trees([root], self._parent(root, parent, on_failure))
        handles = await self._add(planned, wait)
        return FlowHandle(self, planned, handles)

    async def add_bulk(self, trees: Sequence[Node[R]], /, *, wait: Seconds = 0) -> list[FlowHandle[R]]:
        """Add several trees, all of them or none; a handle for each."""
        if not isinstance(trees, Iterable):
            raise ConfigError(f"trees must be several nodes, not {trees!r}: a single one is for add", key="trees")
        planned = [plan_trees([check_node(tree, "trees")]) for tree in trees]
        jobs = [job for one in planned for job in one.jobs]
        together = Planned(tuple(jobs), (), {}, {}, ())
        handles = await self._add(together, wait)
        answers, begin = [], 0
        for one in planned:
            answers.append(FlowHandle[R](self, one, handles[begin : begin + len(one.jobs)]))
            begin += len(one.jobs)
        return answers

    async def _add(self, planned: Planned, wait: Seconds) -> list[JobHandle[Any]]:
        storage = await self.storage()
        patience = to_seconds(wait, "wait")
        added = await add_all(storage, planned.jobs, self._intake, patience=patience, limit=MAX_FLOW)
        return [
            JobHandle(self._queue(job.queue, storage), answer.id, answer.fresh)
            for job, answer in zip(planned.jobs, added, strict=True)
        ]

    @staticmethod
    def _parent(
        root: Node[Any], parent: JobRef | ParentRef | None, on_failure: ParentPolicy | str | None
    ) -> ParentRef | None:
        if parent is None:
            return None
        policy = parent.policy if isinstance(parent, ParentRef) else root.on_failure
        return ParentRef(*reference(parent, "parent"), policy if on_failure is None else policy_of(on_failure))

    def _queue(self, name: str, storage: Storage) -> Queue:
        known = self._queues.get(name)
        if known is None or known.storage is not storage:
            known = self._queues[name] = Queue(name, storage, intake=self._intake)
        return known

    # -- looking -------------------------------------------------------------------------------------------------

    async def tree(self, queue: str, job_id: JobId, *, depth: int = 10, limit: int = 1000) -> FlowTree:
        """The job and all below it: its children, what they wait for, and so on.

        At most `limit` jobs and `depth` levels below it; each job says how many of its children are left out.

        Raises:
            JobNotFoundError: no job has this id. ConfigError: no room for the job itself.
        """
        _check_bounds(depth, limit)
        return (await self._walk([(queue, job_id)], depth, limit)).tree((queue, job_id))

    async def progress(self, queue: str, job_id: JobId, *, depth: int = 10, limit: int = 1000) -> Progress:
        """How many jobs of each level below this one are done, failed and pending, itself included.

        The children of at most `limit` jobs are counted; `complete` says whether these were all.

        Raises:
            JobNotFoundError: no job has this id. ConfigError: no room for the job itself.
        """
        _check_bounds(depth, limit)
        return (await self._walk([(queue, job_id)], depth, limit)).progress()

    async def _walk(self, tops: Sequence[Ref], depth: int = MAX_FLOW, limit: int = MAX_FLOW) -> Walk:
        walk = await Walk(await self.storage(), depth=depth, limit=limit).down(tops)
        for top in tops:
            if walk.found[top].job is None and len(tops) == 1:
                raise JobNotFoundError(*top)
        return walk

    # -- the whole of it -----------------------------------------------------------------------------------------

    async def retry(self, queue: str, job_id: JobId) -> list[Ref]:
        """Run the failed jobs at and below this one again; those that wait for others wait again.

        Raises:
            JobNotFoundError: no job has this id.
        """
        return await self.retry_all([(queue, job_id)])

    async def cancel(self, queue: str, job_id: JobId, reason: str = "") -> list[Ref]:
        """Stop this job and all below it: pending ones fail as cancelled, running ones are told to stop.

        Raises:
            JobNotFoundError: no job has this id.
        """
        return await self.cancel_all([(queue, job_id)], reason)

    async def remove(self, queue: str, job_id: JobId) -> list[Ref]:
        """Delete this job and all below it; those that run are spared.

        Raises:
            JobNotFoundError: no job has this id.
        """
        return await self.remove_all([(queue, job_id)])

    async def retry_all(self, tops: Sequence[Ref]) -> list[Ref]:
        """`retry` for several ends of one graph."""
        storage = await self.storage()
        walk = await self._walk(tops)
        failed = [ref for ref in walk.top_down(tops) if _state(walk, ref) is JobState.FAILED]
        # From below: a parent then finds its children pending, and waits.
        return await self._each(list(reversed(failed)), storage.retry)

    async def cancel_all(self, tops: Sequence[Ref], reason: str = "") -> list[Ref]:
        """`cancel` for several ends of one graph."""
        storage = await self.storage()
        walk = await self._walk(tops)

        async def cancel(queue: str, which: Selection) -> list[JobId]:
            return await storage.cancel(queue, which, reason=reason)

        # From above: a child that fails could let a job run that is to be cancelled too.
        alive = [ref for ref in walk.top_down(tops) if not (_state(walk, ref) or JobState.FAILED).finished]
        return await self._each(alive, cancel)

    async def remove_all(self, tops: Sequence[Ref]) -> list[Ref]:
        """`remove` for several ends of one graph."""
        storage = await self.storage()
        walk = await self._walk(tops)
        there = [ref for ref in walk.top_down(tops) if _state(walk, ref) is not None]
        return await self._each(there, storage.remove)  # from above, as for `cancel`

    @staticmethod
    async def _each(refs: Sequence[Ref], verb: Verb) -> list[Ref]:
        """Call a verb for neighbours of one queue together, keeping the order."""
        done: list[Ref] = []
        begin = 0
        while begin < len(refs):
            queue = refs[begin][0]
            end = begin
            while end < len(refs) and refs[end][0] == queue and end - begin < 1000:
                end += 1
            done += [(queue, job_id) for job_id in await verb(queue, these([one for _, one in refs[begin:end]]))]
            begin = end
        return done


def _check_bounds(depth: int, limit: int) -> None:
    for key, value, least in (("depth", depth, 0), ("limit", limit, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{key} must be a whole number of {least} or more, not {value!r}", key=key)


def _state(walk: Walk, ref: Ref) -> JobState | None:
    job = walk.found[ref].job
    return None if job is None else job.state
