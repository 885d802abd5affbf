"""What happens to a demo's jobs, read from the store: nothing here comes from the worker itself."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from corral import Corral, Event, EventType, Job, JobState

from .stage import Ref, Stage

#: Where a queue's log of events ends at this moment.
NOW = "$"
#: What the rate is taken over.
RATE_MS = 3_000

END = {EventType.COMPLETED: JobState.COMPLETED, EventType.FAILED: JobState.FAILED}


@dataclass(slots=True)
class Line:
    """One queue, as it was at the last look."""

    name: str
    waiting: int = 0
    active: int = 0
    delayed: int = 0
    completed: int = 0  #: since the demo began
    failed: int = 0
    starts: deque[int] = field(default_factory=lambda: deque(maxlen=10_000))  #: instants, in milliseconds

    @property
    def pending(self) -> int:
        return self.waiting + self.active + self.delayed

    def rate(self, now: int) -> float:
        """Starts a second, lately."""
        lately = [at for at in self.starts if at > now - RATE_MS]
        span = min(RATE_MS, max(1_000, now - self.starts[0])) if self.starts else RATE_MS
        return len(lately) * 1_000 / span


class Watch:
    """Looks at the store whenever asked. Knows every job that was added since `begin`."""

    def __init__(self, app: Corral, stage: Stage) -> None:
        self._app = app
        self._stage = stage
        self._cursors: dict[str, str] = {}
        self._before: dict[str, tuple[int, int]] = {}
        self.lines = {name: Line(str(name)) for name in app.queues}
        self.added: dict[Ref, str] = {}
        self.ended: dict[Ref, JobState] = {}
        self.retries: dict[Ref, int] = {}
        self.left_over = 0  #: jobs of an earlier run

    async def begin(self) -> None:
        """Remember how things stand before anything is added."""
        storage = await self._app.open()
        for counts in await storage.counts(list(self.lines)):
            self._before[counts.queue] = counts.completed_total, counts.failed_total
            self.left_over += counts.waiting + counts.active + counts.delayed
        for name in self.lines:
            _, self._cursors[name] = await storage.events(name, after=NOW)

    async def look(self) -> list[Event]:
        """Read what is new; answers the events, queue by queue."""
        storage = await self._app.open()
        for counts in await storage.counts(list(self.lines)):  # all queues as they were at one moment
            line, (completed, failed) = self.lines[counts.queue], self._before[counts.queue]
            line.waiting, line.active, line.delayed = counts.waiting, counts.active, counts.delayed
            line.completed, line.failed = counts.completed_total - completed, counts.failed_total - failed
        seen: list[Event] = []
        for name in self.lines:
            while True:
                events, self._cursors[name] = await storage.events(name, after=self._cursors[name])
                seen += events
                if not events:
                    break
        for event in seen:
            self._observe(event)
        return seen

    def _observe(self, event: Event) -> None:
        if event.job_id is None:
            return
        ref = event.queue, event.job_id
        if event.type is EventType.ADDED:
            self.added[ref] = event.name or ""
        elif event.type is EventType.ACTIVE:
            self.lines[event.queue].starts.append(event.at)
        elif event.type is EventType.RETRYING:
            self.retries[ref] = self.retries.get(ref, 0) + 1
        elif event.type in END:
            self.ended[ref] = END[event.type]

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do, and every job that was added has ended."""
        return not any(line.pending for line in self.lines.values()) and self.added.keys() <= self.ended.keys()

    async def result(self) -> "Result":
        """How it went, job by job, from the store."""
        result = Result(retried=sum(count for ref, count in self.retries.items() if ref in self.added))
        for ref, job in zip(self.added, await self._jobs(), strict=True):
            state = self.ended.get(ref) if job is None else job.state  # None: retention was quicker
            if state is JobState.COMPLETED and self._meant(ref):
                result.spared.append("/".join(ref))
            elif state is JobState.COMPLETED:
                result.completed += 1
            elif state is JobState.FAILED and self._meant(ref):
                result.intended += 1
            elif state is JobState.FAILED:
                result.failed.append(f"{ref[0]}/{ref[1]} {job.failed_reason if job else ''}")
            elif job is None:
                result.gone.append("/".join(ref))
            else:
                result.pending.append("/".join(ref))
        return result

    def _meant(self, ref: Ref) -> bool:
        return ref in self._stage.meant or (ref[0], self.added[ref]) in self._stage.meant_names

    async def _jobs(self) -> list[Job | None]:
        storage = await self._app.open()
        found: dict[Ref, Job | None] = {}
        for name in self.lines:
            ids = [id for queue, id in self.added if queue == name]
            found |= {(name, id): job for id, job in zip(ids, await storage.get(name, ids), strict=True)}
        return [found[ref] for ref in self.added]


@dataclass(slots=True)
class Result:
    """What became of the jobs that were added."""

    completed: int = 0
    retried: int = 0  #: attempts that failed and were followed by another
    intended: int = 0  #: failed for good, and were meant to
    failed: list[str] = field(default_factory=list)  #: failed for good, and were not
    spared: list[str] = field(default_factory=list)  #: were meant to fail, and did not
    pending: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  #: nowhere to be found


def windows(starts: Iterable[int], length_ms: int = 1_000) -> list[int]:
    """How many starts fell into each window of a limit. A window begins with its first start."""
    counts: list[int] = []
    end = 0
    for at in starts:
        if at >= end:
            counts.append(0)
            end = at + length_ms
        counts[-1] += 1
    return counts


def now_ms() -> int:
    """The machine's clock, as events tell the time."""
    return time.time_ns() // 1_000_000
