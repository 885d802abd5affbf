"""Looking for jobs: in slices, as far as a budget goes, and saying how far that was."""

import base64
import binascii
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.errors import QueryError
from corral.flow.read import get_all
from corral.job import Job, JobId, JobState
from corral.monitor.deep import Deep, flow_of
from corral.monitor.gather import ALIVE_MS
from corral.monitor.grammar import Query, Text
from corral.monitor.index import asked, coverages, look_up
from corral.monitor.lean import LeanStorage
from corral.monitor.match import Known, Ref, fits
from corral.monitor.objects import Jobs, Scan
from corral.monitor.plan import Plan, check_paths, make_plan
from corral.monitor.preview import job_row
from corral.storage.port import QueueCounts, Storage
from corral.timing import Millis

#: What one request may look at, and for how long (milliseconds).
EXAMINED, BUDGET_MS = 5_000, 200
SLICE = 250
#: Jobs of which more is read at once: 20 payloads of 64 KB are 1.3 MB.
TOGETHER = 20
#: For how long the jobs of a flow are looked for: all of them have to be known before the first is judged.
FLOW_MS = 500
#: Jobs that ended in one millisecond among which the cursor's is looked for: a command ends a thousand at once.
BESIDE = 10_000
#: No cursor of ours names a number beyond: a store could not take it.
FURTHEST = 2**53
#: A worker that was silent for longer is forgotten by the store.
REMEMBERED_MS: Millis = 3_600_000

#: Jobs of one state of one queue.
Way: TypeAlias = tuple[str, JobState]


class Spot(Struct, frozen=True, array_like=True):
    """Where a search goes on: behind the job `after` in a state of a queue."""

    mark: str  #: of the search it belongs to
    examined: int  #: by all requests so far
    queue: str
    state: JobState
    offset: int  #: of the place behind that job, among those that ended no later than it if it has ended
    after: JobId = ""
    after_at: Millis = 0  #: when that job ended


class Course(Struct):
    """How far a state of a queue has been looked through."""

    begin: int = 0  #: jobs passed …
    ended_by: Millis | None = None  #: … of those that ended by then
    last: JobId = ""
    last_at: Millis = 0  #: when that one ended
    beside: int = 0  #: jobs passed that ended when it did

    def passed(self, jobs: Sequence[Job]) -> None:
        """These have been looked at."""
        self.begin += len(jobs)
        for job in jobs:
            at = job.finished_at or 0
            self.last, self.last_at, self.beside = job.id, at, self.beside + 1 if at == self.last_at else 1


class Indexed(Struct, frozen=True):
    """What an index has of the jobs that a search looks for."""

    field: str
    until: dict[str, Millis]  #: by queue: of jobs that had ended by then it has all
    refs: tuple[Ref, ...]
    mark: str  #: of this index: another one has its jobs at other places


class Found(Struct):
    """What a request has got so far."""

    jobs: list[Job] = []
    examined: int = 0
    spot: Spot | None = None


_decode_spot = msgspec.json.Decoder(Spot).decode


class Search:
    """One request. `clock` tells seconds, for tests; `sensitive` are paths that are hidden whatever their names.

    Raises:
        RedactedFieldError: without `reveal`, a filter on what is hidden.
    """

    def __init__(
        self, storage: Storage, query: Query, *, now: Millis, limit: int = 50, reveal: bool = False,
        sensitive: Sequence[str] = (), clock: Callable[[], float] = time.monotonic, store_now: Millis | None = None,
        counting: bool = False,
    ) -> None:  # fmt: skip
        if not reveal:
            check_paths(query, sensitive)
        self._storage = storage
        self._query = query
        self._deep = Deep(storage, query, reveal=reveal, sensitive=sensitive)
        self._sensitive = tuple(sensitive)
        self._now = now
        self._store_now = store_now  #: of the records; None: as the store's own clock says
        self._known = Known(now=now)
        self._counting = counting  #: all that fit, of which only the number is wanted
        self._limit = EXAMINED + 1 if counting else limit
        self._reveal = reveal
        self._clock = clock
        self._began = clock()
        self._mark = sha256(query.text.encode("utf-8", "replace")).hexdigest()[:12]

    async def run(
        self, queues: Sequence[str], cursor: str | None = None, *, around: Sequence[str] | None = None
    ) -> Jobs:
        """Look through these queues, on from the cursor of an earlier answer.

        `around`: queues in which other jobs of a flow may be, for a search that asks for one.

        Raises:
            QueryError: a cursor that is none, or of another search.
        """
        self._began = self._clock()
        spot = None if cursor is None else self._read(cursor)
        before = 0 if spot is None else spot.examined
        plan = make_plan(self._query, queues)
        found = Found()
        members, whole = await self._learn(plan, queues if around is None else around)
        if plan.ids:
            await self._by_id(found, plan)
            return self._answer("id", found, len(plan.ids) * len(plan.queues), len(found.jobs), found.examined)
        if plan.flows:
            await self._through(found, plan, members, 0 if spot is None else spot.offset)
            answer = self._answer("flow", found, len(members), None, before + found.examined)
            return answer if whole else replace(answer, scan=replace(answer.scan, complete=False))
        counts = {one.queue: one for one in await self._storage.counts(plan.queues)}
        index = await self._indexed(plan)
        total = sum(
            _size(counts[queue], state)
            for queue in plan.queues
            for state in plan.states
            if index is None or queue not in index.until or not state.finished
        )
        if index is None or spot is None or spot.queue or spot.after != index.mark:
            await self._over(found, plan, counts, None if spot is not None and not spot.queue else spot, index)
            spot = None
        if index is not None:
            if found.spot is None:
                await self._from_index(found, plan, index, 0 if spot is None else spot.offset)
            return self._answer(f"index:{index.field}", found, total + len(index.refs), None, before + found.examined)
        if plan.filtered:
            return self._answer("scan", found, total, None, before + found.examined)
        return self._answer("list", found, total, total, before + found.examined)

    async def _learn(self, plan: Plan, around: Sequence[str]) -> tuple[list[Ref], bool]:
        """Ask for what the terms need beside the jobs; answers the jobs that a flow brings, and if those are all."""
        names = {test.value for term in self._query.of("flow") for test in term.tests if isinstance(test, Text)}
        flows = {name: await flow_of(self._storage, name, around, spent=self._walked) for name in sorted(names)}
        silent: set[str] = set()
        if any(Text("stalled") in term.tests for term in self._query.of("is")):
            for one in await self._storage.workers(stale_ms=REMEMBERED_MS, now=self._now):
                if self._now - one.seen_at > ALIVE_MS:
                    silent |= {one.id, one.name}
        self._known = Known(
            now=self._now, silent=frozenset(silent), flows={name: frozenset(refs) for name, (refs, _) in flows.items()}
        )
        members = dict.fromkeys(ref for name in plan.flows for ref in flows[name][0] if ref[0] in plan.queues)
        return list(members), all(whole for _, whole in flows.values())

    async def _indexed(self, plan: Plan) -> Indexed | None:
        """What an index has, where there is one that helps."""
        wanted = asked(self._query)
        if wanted is None or not any(state.finished for state in plan.states):
            return None
        covered = await coverages(self._storage, plan.queues, now=self._store_now)
        if not covered:
            return None
        refs: list[Ref] = []
        for queue, coverage in covered.items():
            ids = await look_up(self._storage, queue, coverage, wanted, now=self._store_now)
            refs += [(queue, job_id) for job_id in ids]
        made = "\n".join(f"{queue} {coverage.made}" for queue, coverage in covered.items())
        until = {queue: coverage.at for queue, coverage in covered.items()}
        return Indexed(wanted.field, until, tuple(refs), sha256(made.encode("utf-8", "replace")).hexdigest()[:16])

    def _walked(self) -> bool:
        return self._took_ms() >= FLOW_MS

    def _answer(self, strategy: str, found: Found, candidates: int, total: int | None, examined: int) -> Jobs:
        spot = None if found.spot is None else replace(found.spot, examined=examined)
        scan = Scan(
            strategy=strategy, examined=examined, candidates=candidates, unread=self._deep.unread,
            complete=spot is None and not self._deep.unread, cursor=None if spot is None else _write(spot),
            took_ms=round(self._took_ms(), 1),
        )  # fmt: skip
        if self._counting:
            return Jobs(items=(), scan=scan, total=len(found.jobs) if total is None else total)
        rows = tuple(job_row(job, self._now, reveal=self._reveal, sensitive=self._sensitive) for job in found.jobs)
        return Jobs(items=rows, scan=scan, total=total)

    def _spent(self, found: Found) -> bool:
        """Whether enough has been found or done."""
        return len(found.jobs) >= self._limit or found.examined >= EXAMINED or self._took_ms() >= BUDGET_MS

    def _took_ms(self) -> float:
        return (self._clock() - self._began) * 1000

    # -- looking ---------------------------------------------------------------------------------------------------

    async def _over(
        self, found: Found, plan: Plan, counts: Mapping[str, QueueCounts], spot: Spot | None, index: Indexed | None
    ) -> None:  # fmt: skip
        """Look through all states of all queues; of jobs that an index has only at what it cannot know."""
        for way in _ways(plan, spot):
            if not _size(counts[way[0]], way[1]):
                continue
            if found.examined and self._spent(found):  # whatever it takes, each request gets on
                found.spot = Spot(self._mark, 0, *way, 0)
            else:
                since = None if index is None or way[0] not in index.until else index.until[way[0]] + 1
                await self._walk(found, plan if since is None else _ended_after(plan, since), way, spot)
            if found.spot is not None:
                return

    async def _from_index(self, found: Found, plan: Plan, index: Indexed, begin: int) -> None:
        """Look at the jobs that an index has; whatever has happened to one since, it was found by walking."""
        lean = LeanStorage(self._storage)
        while begin < len(index.refs):
            if found.examined and self._spent(found):
                found.spot = Spot(self._mark, 0, "", JobState.COMPLETED, begin, index.mark)
                return
            some = index.refs[begin : begin + SLICE]
            jobs = [job for job in await get_all(lean, some) if job is not None and job.state in plan.states]
            still = [job for job in jobs if job.state.finished and (job.finished_at or 0) <= index.until[job.queue]]
            looked = await self._look(found, still)
            begin += len(some) if looked == len(still) else some.index((still[looked].queue, still[looked].id))

    async def _by_id(self, found: Found, plan: Plan) -> None:
        for queue in plan.queues:
            jobs = [job for job in await self._storage.get(queue, plan.ids, lean=True) if job is not None]
            await self._look(found, [job for job in jobs if job.state in plan.states])

    async def _through(self, found: Found, plan: Plan, members: Sequence[Ref], begin: int) -> None:
        """Look at the jobs of flows."""
        lean = LeanStorage(self._storage)
        while begin < len(members):
            some = members[begin : begin + SLICE]
            jobs = [job for job in await get_all(lean, some) if job is not None and job.state in plan.states]
            looked = await self._look(found, jobs)
            begin += len(some) if looked == len(jobs) else some.index((jobs[looked].queue, jobs[looked].id))
            if begin < len(members) and self._spent(found):
                found.spot = Spot(self._mark, 0, "", JobState.WAITING, begin)
                return

    async def _walk(self, found: Found, plan: Plan, way: Way, spot: Spot | None) -> None:
        """Look through one state of one queue, until it ends or the budget does."""
        queue, state = way
        if spot is not None and spot.offset and (spot.queue, spot.state) == way:
            course = await self._resumed(way, spot)
        else:
            ended_by = plan.finished_before if state.finished else None
            course = Course(ended_by=None if ended_by is None else int(ended_by))
        while True:
            room = self._limit - len(found.jobs)
            size = min(SLICE, EXAMINED - found.examined) if plan.filtered else min(SLICE, room)
            jobs = await self._stretch(way, course, size + 1)  # one more tells whether there is a next one
            inside = [job for job in jobs[:size] if not _is_before(job, plan.finished_after)]
            looked = await self._look(found, inside)
            course.passed(inside[:looked])
            if looked == len(inside) and (len(jobs) <= size or len(inside) < size):
                return  # that was all of it
            if self._spent(found):
                offset = course.beside if state.finished else course.begin
                found.spot = Spot(self._mark, 0, queue, state, offset, course.last, course.last_at)
                return

    async def _stretch(self, way: Way, course: Course, size: int) -> Sequence[Job]:
        page = await self._storage.page(
            way[0], [way[1]], start=course.begin, limit=size, ended_by=course.ended_by, lean=True
        )
        return page.items

    async def _look(self, found: Found, jobs: Sequence[Job]) -> int:
        """Take what fits of these; answers how many were looked at, which are fewer when enough have been found."""
        if not self._deep:
            for number, job in enumerate(jobs, start=1):
                found.examined += 1
                if fits(job, self._query, self._known):
                    found.jobs.append(job)
                    if len(found.jobs) >= self._limit:
                        return number
            return len(jobs)
        for begin in range(0, len(jobs), TOGETHER):
            some = jobs[begin : begin + TOGETHER]
            likely = [job for job in some if fits(job, self._query, self._known)]
            fitting = await self._deep.fitting(likely, self._known) if likely else []
            room = self._limit - len(found.jobs)
            found.jobs += fitting[:room]
            looked = len(some) if len(fitting) < room else some.index(fitting[room - 1]) + 1
            found.examined += looked
            if len(found.jobs) >= self._limit or self._took_ms() >= BUDGET_MS:
                return begin + looked
        return len(jobs)

    # -- where to go on --------------------------------------------------------------------------------------------

    async def _resumed(self, way: Way, spot: Spot) -> Course:
        """The course from behind the cursor's job.

        Pending ones are asked for their place. Finished jobs come to the front and go at the end, or anywhere by hand:
        what counts is when the job ended, and its place among those that ended with it.
        """
        if not way[1].finished:
            place = await self._storage.place(way[0], spot.after)
            known = place is not None and not place.groups and place.exact
            return Course(begin=place.ahead + 1 if known and place is not None else spot.offset, last=spot.after)
        course = Course(ended_by=spot.after_at, last=spot.after, last_at=spot.after_at)
        if await self._is_at(way, spot.offset - 1, spot):
            course.begin = course.beside = spot.offset
            return course
        while course.begin < BESIDE:
            jobs = await self._stretch(way, course, SLICE)
            for number, job in enumerate(jobs, start=1):
                if job.id == spot.after:
                    course.begin = course.beside = course.begin + number
                    return course
            course.begin += len(jobs)
            if not jobs or (jobs[-1].finished_at or 0) < spot.after_at:
                break
        course.begin = course.beside = 0  # it is gone: rather show some twice than not at all
        return course

    async def _is_at(self, way: Way, offset: int, spot: Spot) -> bool:
        jobs = await self._stretch(way, Course(begin=offset, ended_by=spot.after_at), 1)
        return bool(jobs) and jobs[0].id == spot.after

    def _read(self, cursor: str) -> Spot:
        try:
            spot = _decode_spot(base64.urlsafe_b64decode(cursor.encode()))
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            raise QueryError("the cursor is none that a search has given") from None
        if not (0 <= spot.offset <= FURTHEST and 0 <= spot.after_at <= FURTHEST):
            raise QueryError("the cursor is none that a search has given")
        if spot.mark != self._mark:
            raise QueryError("the cursor belongs to another search")
        return spot


def _write(spot: Spot) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(spot)).decode()


def _ways(plan: Plan, spot: Spot | None) -> list[Way]:
    """State by state and queue by queue, from the cursor's on."""
    ways = [(queue, state) for state in plan.states for queue in plan.queues]
    if spot is None or spot.state not in plan.states:
        return ways
    begin = (plan.states.index(spot.state), spot.queue)  # the queue itself may be gone
    return [way for way in ways if (plan.states.index(way[1]), way[0]) >= begin]


def _size(counts: QueueCounts, state: JobState) -> int:
    match state:
        case JobState.WAITING:
            return counts.waiting
        case JobState.ACTIVE:
            return counts.active
        case JobState.DELAYED:
            return counts.delayed
        case JobState.WAITING_CHILDREN:
            return counts.waiting_children
        case JobState.COMPLETED:
            return counts.completed
    return counts.failed


def _ended_after(plan: Plan, instant: float) -> Plan:
    low = plan.finished_after
    return replace(plan, finished_after=instant if low is None else max(low, instant))


def _is_before(job: Job, instant: float | None) -> bool:
    return instant is not None and job.finished_at is not None and job.finished_at < instant
