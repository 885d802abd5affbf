"""Looking for jobs: in slices, as far as a budget goes, and saying how far that was."""

import base64
import binascii
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.errors import QueryError
from corral.job import Job, JobId, JobState
from corral.monitor.grammar import Query
from corral.monitor.match import fits, fits_inside, looks_inside
from corral.monitor.objects import Jobs, Scan
from corral.monitor.plan import Plan, check_paths, make_plan
from corral.monitor.preview import job_row
from corral.storage.port import LOOK, QueueCounts, Storage
from corral.timing import Millis

#: What one request may look at, and for how long (milliseconds).
EXAMINED, BUDGET_MS = 5_000, 200
SLICE = 250
#: Whole payloads read at once: 20 of 64 KB are 1.3 MB.
TOGETHER = 20

#: Jobs of one state of one queue.
Way: TypeAlias = tuple[str, JobState]


class Spot(Struct, frozen=True, array_like=True):
    """Where a search goes on: behind the job `after`, which stood before `offset` in a state of a queue."""

    mark: str  #: of the search it belongs to
    examined: int  #: by all requests so far
    queue: str
    state: JobState
    offset: int
    after: JobId = ""
    after_at: Millis = 0  #: when that job ended


class Found(Struct):
    """What a request has got so far."""

    jobs: list[Job] = []
    examined: int = 0
    unread: int = 0
    spot: Spot | None = None


_decode_spot = msgspec.json.Decoder(Spot).decode


class Search:
    """One request. `clock` tells seconds, for tests; `sensitive` are paths that are hidden whatever their names.

    Raises:
        RedactedFieldError: without `reveal`, a filter on what is hidden.
    """

    def __init__(
        self, storage: Storage, query: Query, *, now: Millis, limit: int = 50, reveal: bool = False,
        sensitive: Sequence[str] = (), clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        if not reveal:
            check_paths(query, sensitive)
        self._storage = storage
        self._query = query
        self._inside = looks_inside(query)
        self._now = now
        self._limit = limit
        self._reveal = reveal
        self._clock = clock
        self._began = clock()
        self._mark = sha256(query.text.encode("utf-8", "replace")).hexdigest()[:12]

    async def run(self, queues: Sequence[str], cursor: str | None = None) -> Jobs:
        """Look through these queues, on from the cursor of an earlier answer.

        Raises:
            QueryError: a cursor that is none, or of another search.
        """
        self._began = self._clock()
        spot = None if cursor is None else self._read(cursor)
        plan = make_plan(self._query, queues)
        found = Found()
        if plan.ids:
            await self._by_id(found, plan)
            return self._answer("id", found, len(plan.ids) * len(plan.queues), len(found.jobs), found.examined)
        counts = {one.queue: one for one in await self._storage.counts(plan.queues)}
        total = sum(_size(counts[queue], state) for queue in plan.queues for state in plan.states)
        for way in _ways(plan, spot):
            if not _size(counts[way[0]], way[1]):
                continue
            if found.examined and self._spent(found):  # whatever it takes, each request gets on
                found.spot = Spot(self._mark, 0, *way, 0)
            else:
                await self._walk(found, plan, way, spot)
            if found.spot is not None:
                break
        before = 0 if cursor is None else self._read(cursor).examined
        if plan.filtered:
            return self._answer("scan", found, total, None, before + found.examined)
        return self._answer("list", found, total, total, before + found.examined)

    def _answer(self, strategy: str, found: Found, candidates: int, total: int | None, examined: int) -> Jobs:
        spot = None if found.spot is None else replace(found.spot, examined=examined)
        scan = Scan(
            strategy=strategy, examined=examined, candidates=candidates, unread=found.unread,
            complete=spot is None and not found.unread, cursor=None if spot is None else _write(spot),
            took_ms=round(self._took_ms(), 1),
        )  # fmt: skip
        rows = tuple(job_row(job, self._now, reveal=self._reveal) for job in found.jobs)
        return Jobs(items=rows, scan=scan, total=total)

    def _spent(self, found: Found) -> bool:
        """Whether enough has been found or done."""
        return len(found.jobs) >= self._limit or found.examined >= EXAMINED or self._took_ms() >= BUDGET_MS

    def _took_ms(self) -> float:
        return (self._clock() - self._began) * 1000

    # -- looking ---------------------------------------------------------------------------------------------------

    async def _by_id(self, found: Found, plan: Plan) -> None:
        for queue in plan.queues:
            jobs = [job for job in await self._storage.get(queue, plan.ids, lean=True) if job is not None]
            await self._look(found, [job for job in jobs if job.state in plan.states])

    async def _walk(self, found: Found, plan: Plan, way: Way, spot: Spot | None) -> None:
        """Look through one state of one queue, until it ends or the budget does."""
        queue, state = way
        if spot is not None and (spot.queue, spot.state) == way:
            begin = await self._resumed(way, spot)
        else:
            begin = await self._first(plan, way)
        while True:
            room = self._limit - len(found.jobs)
            size = min(SLICE, EXAMINED - found.examined) if plan.filtered else min(SLICE, room)
            page = await self._storage.page(queue, [state], start=begin, limit=size, lean=True)
            inside = [job for job in page.items if not _is_before(job, plan.finished_after)]
            looked = await self._look(found, inside)
            begin += looked
            if looked == len(inside) and (begin >= page.total or len(inside) < size):
                return  # that was all of it
            if self._spent(found):
                last = inside[looked - 1]
                found.spot = Spot(self._mark, 0, queue, state, begin, last.id, last.finished_at or 0)
                return

    async def _look(self, found: Found, jobs: Sequence[Job]) -> int:
        """Take what fits of these; answers how many were looked at, which are fewer when enough have been found."""
        if not self._inside:
            for number, job in enumerate(jobs, start=1):
                found.examined += 1
                if fits(job, self._query, self._now):
                    found.jobs.append(job)
                    if len(found.jobs) >= self._limit:
                        return number
            return len(jobs)
        for begin in range(0, len(jobs), TOGETHER):
            some = jobs[begin : begin + TOGETHER]
            fitting = await self._inside_of(found, [job for job in some if fits(job, self._query, self._now)])
            room = self._limit - len(found.jobs)
            found.jobs += fitting[:room]
            looked = len(some) if len(fitting) < room else some.index(fitting[room - 1]) + 1
            found.examined += looked
            if len(found.jobs) >= self._limit or self._took_ms() >= BUDGET_MS:
                return begin + looked
        return len(jobs)

    async def _inside_of(self, found: Found, jobs: Sequence[Job]) -> list[Job]:
        """Those of these jobs whose payload and result are as asked for."""
        small = [job for job in jobs if job.sizes is None or max(job.sizes.data, job.sizes.result) <= LOOK]
        found.unread += len(jobs) - len(small)
        if not small:
            return []
        whole = await self._storage.get(small[0].queue, [job.id for job in small])
        return [
            job
            for job, full in zip(small, whole, strict=True)
            if full is not None and fits_inside(full, self._inside, reveal=self._reveal)
        ]

    # -- where to begin --------------------------------------------------------------------------------------------

    async def _first(self, plan: Plan, way: Way) -> int:
        """The first finished job that is not too young: they stand by when they ended, so halving finds it.

        When the time is up, a place before it: deep places of a million jobs are dear to look at in a file.
        """
        before = plan.finished_before
        if before is None or not way[1].finished:
            return 0
        low, high = 0, await self._length(way)
        while low < high and self._took_ms() < BUDGET_MS:
            middle = (low + high) // 2
            ended = await self._ended(way, middle)
            low, high = (middle + 1, high) if ended is not None and ended > before else (low, middle)
        return low

    async def _resumed(self, way: Way, spot: Spot) -> int:
        """Where the job behind the cursor's one stands now.

        Finished jobs come to the front and go at the end, or anywhere by hand: the place is looked for by time, in
        steps that double. Pending ones are asked for their place.
        """
        if not spot.offset:
            return 0
        if not way[1].finished:
            place = await self._storage.place(way[0], spot.after)
            return spot.offset if place is None or place.groups or not place.exact else place.ahead + 1
        if await self._is_at(way, spot.offset - 1, spot.after):
            return spot.offset
        low = high = spot.offset
        step = 1
        while high and (ended := await self._ended(way, high)) is not None and ended > spot.after_at:
            low, high, step = high, high + step, step * 2
        step = 1
        while low > 0 and ((ended := await self._ended(way, low)) is None or ended <= spot.after_at):
            low, high, step = max(0, low - step), low, step * 2
        while low < high:
            middle = (low + high) // 2
            ended = await self._ended(way, middle)
            low, high = (middle + 1, high) if ended is not None and ended > spot.after_at else (low, middle)
        return await self._behind(way, low, spot)

    async def _behind(self, way: Way, begin: int, spot: Spot) -> int:
        """Of the jobs that ended in the same millisecond, those behind the cursor's one; all of them if it is gone."""
        jobs = (await self._storage.page(way[0], [way[1]], start=begin, limit=SLICE, lean=True)).items
        for number, job in enumerate(jobs):
            if job.id == spot.after:
                return begin + number + 1
            if (job.finished_at or 0) < spot.after_at:
                break
        return begin

    async def _is_at(self, way: Way, offset: int, job_id: JobId) -> bool:
        job = await self._at(way, offset) if offset >= 0 else None
        return job is not None and job.id == job_id

    async def _ended(self, way: Way, offset: int) -> Millis | None:
        """When the finished job at a place ended; None behind the end."""
        job = await self._at(way, offset)
        return None if job is None else job.finished_at or 0

    async def _at(self, way: Way, offset: int) -> Job | None:
        page = await self._storage.page(way[0], [way[1]], start=offset, limit=1, lean=True)
        return page.items[0] if page.items else None

    async def _length(self, way: Way) -> int:
        return (await self._storage.page(way[0], [way[1]], limit=0, lean=True)).total

    def _read(self, cursor: str) -> Spot:
        try:
            spot = _decode_spot(base64.urlsafe_b64decode(cursor.encode()))
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            raise QueryError("the cursor is none that a search has given") from None
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


def _is_before(job: Job, instant: float | None) -> bool:
    return instant is not None and job.finished_at is not None and job.finished_at < instant
