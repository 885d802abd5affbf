"""The ledger: what the demo's watch sees, and besides how many jobs ran at once and how often each slot was served."""

from collections import Counter

from corral import Corral, Event, EventType, JobState, RateLimit
from examples.demo.stage import Ref, Stage
from examples.demo.watch import Result, Watch, windows

#: With one of these a run is over, whatever becomes of the job.
RUN_ENDS = frozenset(
    {
        EventType.COMPLETED, EventType.FAILED, EventType.RETRYING, EventType.SNOOZED, EventType.LIMITED,
        EventType.RELEASED, EventType.STALLED, EventType.WAITING_CHILDREN,
    }
)  # fmt: skip


class Ledger(Watch):
    """Everything that happened in the queues of one platform, counted."""

    def __init__(self, app: Corral, stage: Stage) -> None:
        super().__init__(app, stage)
        self._queues = app.queues
        self._running: dict[str, dict[str, str]] = {str(name): {} for name in app.queues}
        self.busiest: Counter[str] = Counter()
        self.busiest_names: Counter[Ref] = Counter()
        self.completions: Counter[str] = Counter()
        self.ran: Counter[Ref] = Counter()  #: how often each job was started
        self.groups: dict[Ref, str] = {}
        self._course: list[tuple[Ref, bool]] = []  #: who began and ended, in order

    async def look(self) -> list[Event]:
        """Read what is new, and whose groups the new jobs are."""
        events = await super().look()
        storage = await self._app.open()
        for name in self._grouped():
            new = [event.job_id for event in events if event.queue == name and event.type is EventType.ADDED]
            for job in await storage.get(name, [job_id for job_id in new if job_id is not None]):
                if job is not None and job.group is not None:
                    self.groups[name, job.id] = job.group
        return events

    async def result(self) -> Result:
        """How it went. What a schedule does again is meant to fail where the demo meant it to."""
        storage = await self._app.open()
        meant = {(queue, job.data) for queue, id in self._stage.meant for job in await storage.get(queue, [id]) if job}
        failed = [ref for ref, state in self.ended.items() if state is JobState.FAILED and ref not in self._stage.meant]
        for queue, id in failed:
            if any((queue, job.data) in meant for job in await storage.get(queue, [id]) if job):
                self._stage.meant.add((queue, id))
        return await super().result()

    def _grouped(self) -> dict[str, int]:
        """How many jobs of one group may run at once, by queue."""
        limits = {str(name): queue.group_limits for name, queue in self._queues.items()}
        return {name: limit.concurrency for name, limit in limits.items() if limit is not None and limit.concurrency}

    def _observe(self, event: Event) -> None:
        super()._observe(event)
        if event.job_id is None:
            return
        running = self._running[event.queue]
        if event.type is EventType.ACTIVE:
            name = event.name or self.added.get((event.queue, event.job_id), "")
            running[event.job_id] = name
            self.ran[event.queue, event.job_id] += 1
            self._course.append(((event.queue, event.job_id), True))
            self.busiest[event.queue] = max(self.busiest[event.queue], len(running))
            alike = sum(other == name for other in running.values())
            self.busiest_names[event.queue, name] = max(self.busiest_names[event.queue, name], alike)
        elif event.type in RUN_ENDS:
            running.pop(event.job_id, None)
            self._course.append(((event.queue, event.job_id), False))
        if event.type is EventType.COMPLETED:
            self.completions[event.queue] += 1

    def fullest(self) -> dict[str, int]:
        """The most starts in one window, of each queue with a rate limit."""
        return {
            str(name): max(windows(self.lines[name].starts, limit.per_ms))
            for name, limit in self._limits().items()
            if self.lines[name].starts
        }

    def _limits(self) -> dict[str, RateLimit]:
        return {name: queue.rate_limit for name, queue in self._queues.items() if queue.rate_limit is not None}

    def problems(self, workers: int) -> list[str]:
        """Limits that were not kept. `workers` is how many processes worked."""
        found: list[str] = []
        for name, limit in self._limits().items():
            starts = list(self.lines[name].starts)
            # A window may meet its neighbour, so any stretch of its length may see the limit twice, and never more.
            most = fullest_stretch(starts, limit.per_ms)
            if most > 2 * limit.count:
                found.append(f"{name}: {most} starts within {limit.per:g} s, of {limit.count}")
        for name, queue in self._queues.items():
            slots = min(queue.concurrency * workers, queue.max_active or queue.concurrency * workers)
            if self.busiest[name] > slots:
                found.append(f"{name}: {self.busiest[name]} jobs at once, of {slots}")
            for job, definition in queue.definitions.items():
                allowed = definition.handler.concurrency
                if allowed is not None and self.busiest_names[str(name), job] > allowed:
                    found.append(f"{name}/{job}: {self.busiest_names[str(name), job]} at once, of {allowed}")
        return found + self._crowded_groups()

    def _crowded_groups(self) -> list[str]:
        allowed = self._grouped()
        running: dict[Ref, set[Ref]] = {}
        most: Counter[Ref] = Counter()
        for ref, began in self._course:
            if ref[0] in allowed and ref in self.groups:
                group = ref[0], self.groups[ref]
                inside = running.setdefault(group, set())
                inside.add(ref) if began else inside.discard(ref)
                most[group] = max(most[group], len(inside))
        return [
            f"{queue}: {count} jobs of group {group} at once, of {allowed[queue]}"
            for (queue, group), count in most.items()
            if count > allowed[queue]
        ]


def fullest_stretch(starts: list[int], per_ms: int) -> int:
    """The most starts in any stretch of this length. `starts` are in order."""
    most = first = 0
    for last, start in enumerate(starts):
        while start - starts[first] >= per_ms:
            first += 1
        most = max(most, last - first + 1)
    return most
