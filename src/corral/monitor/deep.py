"""Reading more of jobs than a list has, for the terms of a search that need it, and the jobs of a flow."""

import asyncio
from collections.abc import Callable, Sequence

from corral.flow.read import TOGETHER, get_all, refs_of
from corral.job import Job, JobState
from corral.monitor.grammar import DOCUMENTS, Query, Term, Text
from corral.monitor.lean import LeanStorage
from corral.monitor.match import Known, More, Ref, fits_deeply, is_deep
from corral.storage.port import LOOK, Children, Storage

#: Jobs of one flow that a search looks at, and queues that are asked together for its top.
MOST, QUEUES = 5_000, 50


class Deep:
    """The terms of one search for which more must be read, and who reads it."""

    def __init__(self, storage: Storage, query: Query, *, reveal: bool, sensitive: Sequence[str] = ()) -> None:
        self._storage = storage
        self._sensitive = tuple(sensitive)
        self._terms = tuple(term for term in query.terms if is_deep(term))
        self._reveal = reveal
        self._inside = any(term.field in DOCUMENTS for term in self._terms)
        self._logs = _asks(self._terms, "has", "logs")
        self._children = _asks(self._terms, "has", "children")
        self._stuck = _asks(self._terms, "is", "stuck")
        self.unread = 0  #: jobs whose payload or result was too large to be looked into

    def __bool__(self) -> bool:
        return bool(self._terms)

    async def fitting(self, jobs: Sequence[Job], known: Known) -> list[Job]:
        """Those of these jobs that fit such terms."""
        small = [job for job in jobs if not self._inside or _is_small(job)]
        self.unread += len(jobs) - len(small)
        whole, children, logs = await asyncio.gather(self._whole(small), self._below(small), self._lines(small))
        found = (
            (job, More(whole=one, children=two, logs=three))
            for job, one, two, three in zip(small, whole, children, logs, strict=True)
        )
        return [
            job
            for job, more in found
            if fits_deeply(job, more, self._terms, known, reveal=self._reveal, sensitive=self._sensitive)
        ]

    async def _whole(self, jobs: Sequence[Job]) -> Sequence[Job | None]:
        if not self._inside:
            return [None] * len(jobs)
        return await get_all(self._storage, [(job.queue, job.id) for job in jobs])

    async def _below(self, jobs: Sequence[Job]) -> list[Children | None]:
        return list(await asyncio.gather(*(self._children_of(job) for job in jobs)))

    async def _children_of(self, job: Job) -> Children | None:
        wanted = self._children and not job.pending_children
        if wanted or (self._stuck and job.state is JobState.WAITING_CHILDREN):
            return await self._storage.children(job.queue, job.id, lean=True)
        return None

    async def _lines(self, jobs: Sequence[Job]) -> list[int | None]:
        if not self._logs:
            return [None] * len(jobs)
        pages = await asyncio.gather(*(self._storage.logs(job.queue, job.id, limit=0) for job in jobs))
        return [page.total for page in pages]


def _asks(terms: Sequence[Term], field: str, word: str) -> bool:
    return any(term.field == field and Text(word) in term.tests for term in terms)


def _is_small(job: Job) -> bool:
    return job.sizes is None or max(job.sizes.data, job.sizes.result) <= LOOK


async def flow_of(
    storage: Storage, name: str, queues: Sequence[str], *, spent: Callable[[], bool]
) -> tuple[list[Ref], bool]:
    """A job, named by `queue/id` or by its id alone, and all below it, level by level; and whether that is all.

    Jobs in other queues than these are left out, and so is what is below them.
    """
    there = frozenset(queues)
    found: dict[Ref, None] = {}
    level = await _tops(LeanStorage(storage), name, queues)
    while level and not spent():
        room = MOST - len(found)
        found |= dict.fromkeys(level[:room])
        if len(level) > room:
            return list(found), False
        below: dict[Ref, None] = {}
        for begin in range(0, len(level), TOGETHER):
            some = level[begin : begin + TOGETHER]
            told = await asyncio.gather(*(storage.children(*ref, lean=True) for ref in some))
            for ref, children in zip(some, told, strict=True):
                below |= dict.fromkeys(one for one in refs_of(children, ref[0]) if one[0] in there)
            if spent():
                return list(found | below)[:MOST], False
        level = [ref for ref in below if ref not in found]
    return list(found), not level


async def _tops(storage: Storage, name: str, queues: Sequence[str]) -> list[Ref]:
    home, slash, job_id = name.partition("/")
    refs = [(home, job_id)] if slash and home in queues else []
    refs += [(queue, name) for queue in queues]  # an id may have a slash too
    found: list[Ref] = []
    for begin in range(0, len(refs), QUEUES):
        some = refs[begin : begin + QUEUES]
        jobs = await asyncio.gather(*(storage.get(queue, [one]) for queue, one in some))
        found += [ref for ref, [job] in zip(some, jobs, strict=True) if job is not None]
    return found
