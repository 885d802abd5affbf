"""One queue on its way: its jobs, their logs and families, slice by slice."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from corral.job import JobId, JobState
from corral.move.verdict import Moved, Sides, Verdict, decide
from corral.storage.port import Selection
from corral.storage.transfer import SLICE, Item, Movable, Packed

#: Lines of a log written at once.
LINES = 1_000
#: Parents whose children are asked for at once.
FAMILIES = 50


class _Pair(Struct, frozen=True):
    """A job as both stores have it."""

    here: Packed
    there: Packed | None
    verdict: Verdict

    @property
    def id(self) -> JobId:
        return self.here.stored.job.id

    def item(self, mark: str, *, place_only: bool = False) -> Item:
        over = None if self.there is None else (self.there.stored.job.state, self.there.stored.job.attempts_started)
        return Item(stored=self.here.stored, tied=self.here.tied, mark=mark, over=over, place_only=place_only)


class _Places:
    """Where order was disturbed: a job that is the same on both sides goes behind what was written before it."""

    def __init__(self) -> None:
        self._priorities: set[int] = set()
        self._due: int | None = None

    def wrote(self, here: Packed) -> None:
        """A job was put behind all others of its kind."""
        job = here.stored.job
        if job.state is JobState.WAITING:
            self._priorities.add(job.priority)
        elif job.state is JobState.DELAYED:
            self._due = job.run_at

    def follows(self, here: Packed) -> bool:
        """Whether this one stood behind such a job."""
        job = here.stored.job
        if job.state is JobState.WAITING:
            return job.priority in self._priorities
        return job.state is JobState.DELAYED and job.run_at == self._due


class Cargo:
    """Copies the jobs of one queue, round after round."""

    def __init__(
        self, source: Movable, target: Movable, queue: str, sides: Sides, selected: frozenset[str], *, dry_run: bool
    ) -> None:
        self.queue = queue
        self.sides = sides
        self.done = Moved(queue=queue)
        self.total = 0  #: jobs to look at, for whoever watches
        self.seen = 0
        self.elsewhere: set[str] = set()  #: queues of relatives that do not move along
        self._source = source
        self._target = target
        self._selected = selected
        self._dry_run = dry_run
        self._first = True
        self._parents: set[JobId] = set()
        self._places = _Places()

    def count(self, **more: int) -> None:
        """Add to what was done."""
        self.done = replace(self.done, **{key: getattr(self.done, key) + value for key, value in more.items()})

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def begin(self, running: int) -> None:
        """Start a round: what is only seen is counted anew."""
        self.done = replace(self.done, newer=0, running=running, conflicts=(), unreadable=())
        self.seen = 0
        self._parents.clear()
        self._places = _Places()

    async def slice(self, after: str) -> tuple[str | None, int]:
        """Copy the next slice; answers where to go on, and how many jobs were to be written."""
        parcel = await self._source.pack(self.queue, after=after, limit=SLICE)
        self.seen += len(parcel.jobs) + len(parcel.unreadable)
        self.done = replace(self.done, unreadable=self.done.unreadable + parcel.unreadable)
        pairs = await self._compare([one for one in parcel.jobs if not one.stays])
        self.count(running=sum(one.stays for one in parcel.jobs))
        for pair in pairs:
            self._tally(pair)
            parent = pair.here.stored.job.parent
            if parent is not None and pair.here.tied and not pair.here.stored.job.state.finished:
                self.elsewhere |= {parent.queue} - self._selected
        changes = sum(pair.verdict in (Verdict.NEW, Verdict.UPDATE) for pair in pairs)
        if not self._dry_run:
            await self._write(pairs)
        if parcel.next is None:
            self._first = False
        return parcel.next, changes

    async def _compare(self, jobs: Sequence[Packed]) -> list[_Pair]:
        asked = [one for one in jobs if not self.sides.handed_over(one)]
        there = await self._target.look(self.queue, [one.stored.job.id for one in asked]) if asked else []
        pairs = [_Pair(one, other, decide(one, other, self.sides)) for one, other in zip(asked, there, strict=True)]
        return [*pairs, *(_Pair(one, None, Verdict.BEFORE) for one in jobs if self.sides.handed_over(one))]

    def _tally(self, pair: _Pair) -> None:
        match pair.verdict:
            case Verdict.NEW:
                self.count(new=1)
            case Verdict.UPDATE:
                self.count(updated=1)
            case Verdict.NEWER:
                self.count(newer=1)
            case Verdict.CONFLICT:
                self.done = replace(self.done, conflicts=(*self.done.conflicts, pair.id))
            case Verdict.SAME | Verdict.BEFORE if self._first:
                self.count(there=1)

    async def _write(self, pairs: Sequence[_Pair]) -> None:
        items: list[Item] = []
        for pair in pairs:
            if pair.verdict in (Verdict.NEW, Verdict.UPDATE):
                self._places.wrote(pair.here)
                items.append(pair.item(self.sides.copied(pair.here)))
            elif pair.verdict is Verdict.SAME and self._places.follows(pair.here):
                items.append(pair.item("", place_only=True))
        happened = await self._target.unpack(self.queue, items) if items else []
        refused = {item.stored.job.id for item, done in zip(items, happened, strict=True) if not done}
        same = [pair for pair in pairs if pair.verdict is Verdict.SAME]
        fresh = [p for p in pairs if p.verdict in (Verdict.NEW, Verdict.UPDATE) and p.id not in refused]
        for pair in [*fresh, *same]:
            if pair.here.is_parent or (pair.there is not None and pair.there.is_parent):
                self._parents.add(pair.id)
        for pair in fresh:
            if pair.here.lines or (pair.there is not None and pair.there.lines):
                await self._copy_log(pair.id)
        for pair in same:
            if pair.there is not None and pair.here.lines != pair.there.lines:
                await self._copy_log(pair.id)
        await self._mark([*fresh, *same])

    async def _mark(self, pairs: Sequence[_Pair]) -> None:
        """Note on both sides that they have the same now. What was just written has its mark."""
        given = {p.id: self.sides.given(p.here) for p in pairs if p.here.mark != self.sides.given(p.here)}
        if given:
            await self._source.mark(self.queue, given)
        copied = {
            pair.id: self.sides.copied(pair.here)
            for pair in pairs
            if pair.verdict is Verdict.SAME and pair.there and pair.there.mark != self.sides.copied(pair.here)
        }
        if copied:
            await self._target.mark(self.queue, copied)

    async def _copy_log(self, job_id: JobId) -> None:
        start = 0
        while True:
            page = await self._source.logs(self.queue, job_id, start=start, limit=LINES)
            await self._target.unpack_log(self.queue, job_id, page.items, first=start == 0)
            start += len(page.items)
            if start >= page.total or not page.items:
                return

    # -- families ------------------------------------------------------------------------------------------------------

    async def families(self) -> None:
        """Tell the parents of this round of their children."""
        parents = sorted(self._parents)
        for begin in range(0, len(parents), FAMILIES):
            some = parents[begin : begin + FAMILIES]
            for parent, ties in zip(some, await self._source.pack_ties(self.queue, some), strict=True):
                for start in range(0, len(ties) or 1, SLICE):
                    part = ties[start : start + SLICE]
                    await self._target.unpack_ties(self.queue, parent, part, first=start == 0)
                self.elsewhere |= {tie.queue for tie in ties if tie.state is JobState.WAITING} - self._selected

    # -- the other way round -------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Remove copies of jobs that the source has run, and keeps no longer: they must not run again.

        They stand in the target since an earlier pass, or since the queue was moved away from there.
        """
        after: str | None = ""
        while after is not None:
            parcel = await self._target.pack(self.queue, after=after, limit=SLICE)
            old = [one.stored.job.id for one in parcel.jobs if self.sides.untouched(one)]
            left = await self._source.look(self.queue, old) if old else []
            gone = tuple(job_id for job_id, one in zip(old, left, strict=True) if one is None)
            if gone:
                removed = await self._target.remove(self.queue, Selection(ids=gone))
                self.count(stale=len(removed))
            after = parcel.next
