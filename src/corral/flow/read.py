"""Reading a flow back from the store: a bounded walk down from one job."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from corral.job import Job, JobId, JobState
from corral.sensitive import shown_repr
from corral.storage.port import Children, Storage

#: Queue and id.
Ref: TypeAlias = tuple[str, JobId]
#: Questions asked at a time.
TOGETHER = 32
SLICE = 500


class FlowTree(Struct, frozen=True, kw_only=True):
    """A job of a flow with what is below it: its children, and the jobs it comes after."""

    queue: str
    id: JobId
    job: Job | None = None  #: None: it is gone; what its parent was told of it is in `result` and `reason`
    result: str | None = None  #: JSON text
    reason: str | None = None  #: why it failed
    children: tuple["FlowTree", ...] = ()
    left_out: int = 0  #: children that are not shown, because of `depth` or `limit`
    repeated: bool = False  #: it stands elsewhere in the tree, with its children

    def __repr__(self) -> str:
        return shown_repr(self, ("result",), ("",) if self.job is None else self.job.options.sensitive)

    @property
    def state(self) -> JobState | None:
        """Where the job is; of one that is gone, how it ended."""
        if self.job is not None:
            return self.job.state
        if self.result is not None:
            return JobState.COMPLETED
        return None if self.reason is None else JobState.FAILED

    def __iter__(self) -> Iterator["FlowTree"]:
        """This job and all below it, from the top, each once."""
        stack = [self]
        while stack:
            one = stack.pop()
            if not one.repeated:
                yield one
                stack += reversed(one.children)


class Level(Struct, frozen=True, kw_only=True):
    """How the jobs of one level of a flow stand."""

    done: int = 0
    failed: int = 0
    pending: int = 0

    @property
    def total(self) -> int:
        return self.done + self.failed + self.pending


class Progress(Struct, frozen=True, kw_only=True):
    """How far a flow is, from its top (level 0) down."""

    levels: tuple[Level, ...]
    complete: bool = True  #: False: some jobs were not looked at

    @property
    def done(self) -> int:
        return sum(level.done for level in self.levels)

    @property
    def failed(self) -> int:
        return sum(level.failed for level in self.levels)

    @property
    def pending(self) -> int:
        return sum(level.pending for level in self.levels)

    @property
    def total(self) -> int:
        return sum(level.total for level in self.levels)


class Found(Struct):
    """One job of a walk."""

    job: Job | None
    level: int
    children: Children = Children()
    below: tuple[Ref, ...] = ()
    looked: bool = False  #: whether it was asked for its children


class Walk:
    """The part of a flow that was looked at: at most `limit` jobs, at most `depth` levels below the tops."""

    def __init__(self, storage: Storage, *, depth: int, limit: int) -> None:
        self.found: dict[Ref, Found] = {}
        self.complete = True
        self._storage = storage
        self._depth = depth
        self._limit = limit

    async def down(self, tops: Sequence[Ref]) -> "Walk":
        """Look at these and, level by level, at all below them."""
        refs, level = list(dict.fromkeys(tops)), 0
        while refs:
            room = self._limit - len(self.found)
            self.complete = self.complete and len(refs) <= room
            refs = refs[:room]
            for ref, job in zip(refs, await get_all(self._storage, refs), strict=True):
                self.found[ref] = Found(job, level)
            present = [ref for ref in refs if self.found[ref].job is not None]
            if level == self._depth:
                self.complete = self.complete and not any(self._has_more(ref) for ref in present)
                break
            await self._look_below(present)
            below = dict.fromkeys(child for ref in present for child in self.found[ref].below)
            refs, level = [child for child in below if child not in self.found], level + 1
        return self

    def _has_more(self, ref: Ref) -> bool:
        job = self.found[ref].job
        return job is not None and job.pending_children > 0

    async def _look_below(self, refs: Sequence[Ref]) -> None:
        for begin in range(0, len(refs), TOGETHER):
            some = refs[begin : begin + TOGETHER]
            for ref, children in zip(
                some, await asyncio.gather(*(self._storage.children(*ref) for ref in some)), strict=True
            ):
                one = self.found[ref]
                one.children, one.below, one.looked = children, refs_of(children, ref[0]), True

    def tree(self, top: Ref) -> FlowTree:
        """What was found, as a tree: a job that several others come after is shown in full once."""
        shown: set[Ref] = set()
        made: dict[Ref, FlowTree] = {}
        # Children first, without recursion: a chain may be thousands of jobs deep.
        for ref in self._children_first(top):
            one = self.found[ref]
            children, left_out = [], 0
            for child in one.below:
                if child not in self.found:
                    left_out += 1
                elif child in shown:
                    children.append(self._told(child, one, repeated=True))
                else:
                    shown.add(child)
                    children.append(self._told(child, one, below=made[child]))
            if not one.looked and one.job is not None:
                left_out = one.job.pending_children
            queue, job_id = ref
            made[ref] = FlowTree(queue=queue, id=job_id, job=one.job, children=tuple(children), left_out=left_out)
        return made[top]

    def _told(self, ref: Ref, parent: Found, *, below: FlowTree | None = None, repeated: bool = False) -> FlowTree:
        queue, job_id = ref
        return FlowTree(
            queue=queue,
            id=job_id,
            job=self.found[ref].job,
            result=parent.children.completed.get(job_id),
            reason=parent.children.failed.get(job_id),
            children=() if below is None else below.children,
            left_out=0 if below is None else below.left_out,
            repeated=repeated,
        )

    def _children_first(self, top: Ref) -> list[Ref]:
        order: list[Ref] = []
        seen = {top}
        stack: list[tuple[Ref, Iterator[Ref]]] = [(top, iter(self.found[top].below))]
        while stack:
            ref, rest = stack[-1]
            child = next((one for one in rest if one in self.found and one not in seen), None)
            if child is None:
                order.append(ref)
                stack.pop()
            else:
                seen.add(child)
                stack.append((child, iter(self.found[child].below)))
        return order

    def top_down(self, tops: Iterable[Ref]) -> list[Ref]:
        """All that was found, each behind everything that waits for it."""
        order: dict[Ref, None] = {}
        for top in tops:
            if top in self.found:
                order.update(dict.fromkeys(one for one in self._children_first(top) if one not in order))
        return list(reversed(order))

    def progress(self) -> Progress:
        """How many of each level are done, failed and pending. Jobs that are gone stand as their parent remembers."""
        levels: list[dict[Ref, JobState | None]] = []
        known: set[Ref] = set()
        for ref, one in self.found.items():  # in the order they were found: from the top
            self._count(levels, known, one.level, ref, None if one.job is None else one.job.state)
        for one in self.found.values():
            for child in one.below:  # what was not looked at itself
                state = JobState.COMPLETED if child[1] in one.children.completed else None
                state = JobState.FAILED if child[1] in one.children.failed else state
                self._count(levels, known, one.level + 1, child, state)
                if child in self.found and self.found[child].job is None:
                    levels[self.found[child].level][child] = state
        return Progress(levels=tuple(_level(one.values()) for one in levels), complete=self.complete)

    @staticmethod
    def _count(
        levels: list[dict[Ref, JobState | None]], known: set[Ref], level: int, ref: Ref, state: JobState | None
    ) -> None:
        if ref not in known:
            known.add(ref)
            while len(levels) <= level:
                levels.append({})
            levels[level][ref] = state


def _level(states: Iterable[JobState | None]) -> Level:
    found = list(states)
    done, failed = found.count(JobState.COMPLETED), found.count(JobState.FAILED)
    return Level(done=done, failed=failed, pending=len(found) - done - failed)


async def get_all(storage: Storage, refs: Sequence[Ref]) -> list[Job | None]:
    """Jobs of several queues, in order."""
    found: dict[Ref, Job | None] = {}
    for queue in dict.fromkeys(queue for queue, _ in refs):
        ids = [job_id for home, job_id in refs if home == queue]
        for begin in range(0, len(ids), SLICE):
            some = ids[begin : begin + SLICE]
            for job_id, job in zip(some, await storage.get(queue, some), strict=True):
                found[queue, job_id] = job
    return [found[ref] for ref in refs]


def refs_of(children: Children, queue: str) -> tuple[Ref, ...]:
    """Queue and id of all of a job's children, in whatever state; `queue` is where the job itself is."""
    ended = [(children.queues.get(one, queue), one) for one in (*children.completed, *children.failed)]
    return tuple(dict.fromkeys((*children.pending, *ended)))
