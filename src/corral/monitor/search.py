"""Looking for jobs: in slices, as far as a budget goes, and saying how far that was."""

import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

from corral.errors import QueryError
from corral.job import Job, JobId, JobState
from corral.monitor.grammar import Query, written
from corral.monitor.match import fits, fits_inside, looks_inside
from corral.monitor.objects import Jobs, Scan
from corral.monitor.plan import Plan, check_paths, make_plan
from corral.monitor.preview import job_row
from corral.storage.port import LOOK, PREVIEW, Storage
from corral.timing import Millis

#: What one request may look at, and for how long (seconds).
EXAMINED, SECONDS = 5_000, 0.2
SLICE = 250
#: Whole payloads read at once: 20 of 64 KB are 1.3 MB.
TOGETHER = 20


class Spot(Struct, frozen=True, array_like=True):
    """Where a search stopped: behind the job `after`, which stood at `offset` - 1 of a state of a queue."""

    mark: str  #: of the search it belongs to
    queue: str
    state: JobState
    offset: int
    after: JobId = ""
    after_at: Millis = 0  #: when that job ended
    examined: int = 0  #: so far, by all requests


class Found(Struct):
    """What a search has got so far."""

    jobs: list[Job]
    examined: int = 0
    unread: int = 0
    spot: Spot | None = None


_read_spot = msgspec.json.Decoder(Spot).decode


class Search:
    """One request. `clock` tells seconds, for tests."""

    def __init__(
        self, storage: Storage, query: Query, *, now: Millis, limit: int, reveal: bool,
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

    async def run(self, queues: Sequence[str], cursor: str | None) -> Jobs:
        """Look through these queues, from the cursor of an earlier answer on.

        Raises:
            QueryError: a cursor that belongs to another search.
        """
        plan = make_plan(self._query, queues)
        mark = sha256(msgspec.json.encode((plan.queues, plan.states, written(self._pinned())))).hexdigest()[:12]
        if plan.ids:
            return await self._by_id(plan)
        spot = None if cursor is None else _spot(cursor, mark)
        found = Found([])
        sizes = await self._sizes(plan)
        for queue, state in self._ways(plan, spot):
            if sizes[queue, state]:
                await self._walk(found, plan, mark, queue, state, spot)
                if found.spot is not None:
                    break
            spot = None
        return self._answer(plan, found, sum(sizes.values()))

    def _pinned(self) -> list[msgspec.Struct]:
        # Ages move on between two requests of one search: the cursor must not depend on them.
        return []

    def _ways(self, plan: Plan, spot: Spot | None) -> list[tuple[str, JobState]]:
        ways = [(queue, state) for state in plan.states for queue in plan.queues]
        if spot is not None and (spot.queue, spot.state) in ways:
            return ways[ways.index((spot.queue, spot.state)) :]
        return ways
