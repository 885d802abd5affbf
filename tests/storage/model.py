"""The port of one queue as a few dicts: what an adapter must do, short enough to be read.

The model is told the time and the ids an adapter gave, and computes everything else. Where the port leaves an adapter a
choice (when an expired job is dropped, the wording of a reason) the model takes over what the adapter chose.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from msgspec import convert

from corral.event import EventType
from corral.job import FINISHED, PENDING, JobId, JobState, NewJob
from corral.options import Keep, RateLimit, priority_rank
from corral.outcome import Completed, Crashed, Failed, Outcome, Retried, Snoozed
from corral.storage.port import Claim, JobPatch, Lease, QueueCounts, Refusal, Settlement, Token
from corral.timing import Millis

WAITING, DELAYED, ACTIVE = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE


@dataclass
class Record:
    """One job. `place` orders jobs of one rank; it stays while a job runs."""

    id: JobId
    name: str
    data: str
    priority: int
    created_at: Millis
    lifespan_ms: Millis | None
    place: int
    state: JobState = WAITING
    run_at: Millis | None = None
    started_at: Millis | None = None
    finished_at: Millis | None = None
    started: int = 0
    made: int = 0
    crashes: int = 0
    progress: str | None = None
    result: str | None = None
    reason: str | None = None  #: None while the wording is the adapter's
    traces: tuple[str, ...] = ()
    token: Token | None = None
    lease_until: Millis = 0
    cancelled: bool = False

    @property
    def order(self) -> tuple[int, int]:
        return priority_rank(self.priority), self.place

    @property
    def since(self) -> Millis:
        return self.created_at if self.finished_at is None else self.finished_at

    def expired(self, now: Millis) -> bool:
        return self.started == 0 and self.lifespan_ms is not None and self.created_at + self.lifespan_ms <= now


class Model:
    """All jobs of one queue, its settings, and the events since they were last read."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Record] = {}
        self.events: list[tuple[EventType, JobId | None]] = []
        self.paused = False
        self.concurrency: int | None = None
        self.name_concurrency: dict[str, int] = {}
        self.rate_limit: RateLimit | None = None
        self.window_at: Millis | None = None
        self.window_used = 0
        self.completed_total = self.failed_total = 0
        self._places = 0

    # -- looking -----------------------------------------------------------------------------------------------------

    def among(self, *states: JobState) -> list[Record]:
        return [job for job in self.jobs.values() if job.state in states]

    def waiting(self) -> list[Record]:
        return sorted(self.among(WAITING), key=lambda job: job.order)

    def counts(self, queue: str) -> QueueCounts:
        number = {state.replace("-", "_"): len(self.among(state)) for state in JobState}
        totals = {"completed_total": self.completed_total, "failed_total": self.failed_total}
        return convert({"queue": queue, "paused": number["waiting"] * self.paused, **number, **totals}, QueueCounts)

    def window_ends(self, now: Millis) -> Millis | None:
        """When the rate limit lets the next job pass; None when it lets one pass now."""
        if self.rate_limit is None or self.window_at is None:
            return None
        end = self.window_at + self.rate_limit.per_ms
        return end if now < end and self.window_used >= self.rate_limit.count else None

    # -- moving ------------------------------------------------------------------------------------------------------

    def tell(self, kind: EventType, job: Record | None = None) -> None:
        self.events.append((kind, None if job is None else job.id))

    def _next(self) -> int:
        self._places += 1
        return self._places

    def _put(self, job: Record, place: int, run_at: Millis | None = None) -> None:
        """Back into the queue: among the waiting, or for later."""
        job.state, job.place, job.run_at, job.token = DELAYED if run_at else WAITING, place, run_at, None

    def _front(self, jobs: Iterable[Record]) -> None:
        for job in sorted(jobs, key=lambda job: job.order, reverse=True):
            self._put(job, -self._next())

    def _finish(self, job: Record, state: JobState, kind: EventType, now: Millis, keep: Keep) -> None:
        job.state, job.run_at, job.place, job.token, job.finished_at = state, None, self._next(), None, now
        self.completed_total += state is JobState.COMPLETED
        self.failed_total += state is JobState.FAILED
        self.tell(kind, job)
        if keep.count == 0:
            del self.jobs[job.id]
        elif keep.count is not None:
            ended = sorted(self.among(state), key=lambda one: (one.finished_at or 0, one.place))
            for one in ended[: -keep.count]:
                del self.jobs[one.id]

    def _fail(self, job: Record, now: Millis, reason: str | None, keep: Keep = Keep()) -> None:  # noqa: B008  # frozen
        job.reason = reason
        self._finish(job, JobState.FAILED, EventType.FAILED, now, keep)

    def _idle(self) -> None:
        if not self.among(ACTIVE, WAITING):
            self.tell(EventType.IDLE)

    # -- the verbs ---------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob], ids: Sequence[JobId], now: Millis) -> list[bool]:
        """`ids` are those the adapter answered; which of them are fresh is answered here."""
        fresh = []
        for new, job_id in zip(jobs, ids, strict=True):
            fresh.append(job_id not in self.jobs)
            if not fresh[-1]:
                self.tell(EventType.DUPLICATED, self.jobs[job_id])
                continue
            place = self._next()
            job = Record(job_id, new.name, new.data, new.priority, now, new.options.lifespan_ms, place)
            if new.delay_ms:
                job.state, job.run_at = DELAYED, now + new.delay_ms
            elif new.lifo:
                job.place = -place
            self.jobs[job_id] = job
            self.tell(EventType.ADDED, job)
        return fresh

    def claim(self, wish: Claim, now: Millis, dropped: Collection[JobId]) -> list[JobId]:
        """`dropped` are the expired jobs the adapter chose to drop; those on the way must be among them."""
        if self.paused:
            return []
        for job in sorted(self.among(DELAYED), key=lambda one: (one.run_at or 0, one.place)):
            if job.run_at is not None and job.run_at <= now:
                self._put(job, self._next())
        room = wish.count
        if self.concurrency is not None:
            room = min(room, self.concurrency - len(self.among(ACTIVE)))
        if self.rate_limit is not None:
            open_window = self.window_at is not None and now < self.window_at + self.rate_limit.per_ms
            room = min(room, self.rate_limit.count - (self.window_used if open_window else 0))
        running = Counter(job.name for job in self.among(ACTIVE))
        taken: list[Record] = []
        for job in self.waiting():
            capped = running[job.name] >= self.name_concurrency.get(job.name, 1_000)
            if job.expired(now) and (job.id in dropped or (len(taken) < room and not capped)):
                self.tell(EventType.EXPIRED, job)
                self._fail(job, now, "expired")
            elif len(taken) < room and not capped:
                running[job.name] += 1
                taken.append(job)
        for job in taken:
            job.state, job.token, job.lease_until, job.cancelled = ACTIVE, wish.token, now + wish.lease_ms, False
            job.started, job.started_at = job.started + 1, now
            self.tell(EventType.ACTIVE, job)
        self._count_starts(len(taken), now)
        if taken and not self.among(WAITING):
            self.tell(EventType.DRAINED)
        return [job.id for job in taken]

    def _count_starts(self, starts: int, now: Millis) -> None:
        if self.rate_limit is None or not starts:
            return
        if self.window_at is None or now >= self.window_at + self.rate_limit.per_ms:
            self.window_at, self.window_used = now, 0
        self.window_used += starts

    def settle(self, settlements: Sequence[Settlement], now: Millis) -> dict[JobId, Refusal]:
        refused: dict[JobId, Refusal] = {}
        front: list[Record] = []
        for verdict in settlements:
            job = self.jobs.get(verdict.job_id)
            if job is None:
                refused[verdict.job_id] = Refusal.JOB_MISSING
            elif job.token != verdict.token:
                refused[verdict.job_id] = Refusal.LEASE_LOST
            elif self._apply(job, verdict.outcome, now):
                front.append(job)
        self._front(front)
        if len(refused) < len(settlements):
            self._idle()
        return refused

    def _apply(self, job: Record, outcome: Outcome, now: Millis) -> bool:
        """One verdict; True when the job is to go back to the front."""
        if isinstance(outcome, Completed | Failed | Retried):
            job.made += 1
        if isinstance(outcome, Failed | Retried) and outcome.trace is not None:
            job.traces = (*job.traces, outcome.trace)[-10:]
        match outcome:
            case Completed(result, keep):
                job.result = result
                self._finish(job, JobState.COMPLETED, EventType.COMPLETED, now, keep)
            case Failed(reason, _, keep):
                self._fail(job, now, reason, keep)
            case Retried(after_ms, reason, _):
                job.reason = reason
                self._put(job, self._next(), now + after_ms)
                self.tell(EventType.RETRYING, job)
            case Snoozed(after_ms):
                self._put(job, self._next(), now + after_ms)
                self.tell(EventType.SNOOZED, job)
            case Crashed(_, limit, keep):
                return self._crash(job, limit, now, keep)
            case _:
                self.tell(EventType.RELEASED, job)
                return True
        return False

    def _crash(self, job: Record, limit: int, now: Millis, keep: Keep = Keep()) -> bool:  # noqa: B008  # frozen
        job.crashes, job.reason = job.crashes + 1, None
        self.tell(EventType.STALLED, job)
        if job.crashes >= limit:
            self._fail(job, now, None, keep)
            return False
        return True

    def heartbeat(self, leases: Sequence[Lease], lease_ms: Millis, now: Millis) -> tuple[list[Lease], list[Lease]]:
        """The lost leases and the cancelled ones."""
        lost, cancelled = [], []
        for lease in leases:
            job = self.jobs.get(lease.job_id)
            if job is None or job.token != lease.token:
                lost.append(lease)
                continue
            if job.cancelled:
                cancelled.append(lease)
            if job.lease_until - now <= lease_ms // 2:
                job.lease_until = now + lease_ms
        return lost, cancelled

    def recover(self, max_crashes: int, now: Millis) -> tuple[set[JobId], set[JobId]]:
        """The requeued jobs and the quarantined ones."""
        dead = [job for job in self.among(ACTIVE) if job.lease_until <= now]
        front = [job for job in dead if self._crash(job, max_crashes, now)]
        self._front(front)
        if dead:
            self._idle()
        requeued = {job.id for job in front}
        return requeued, {job.id for job in dead} - requeued

    def retry(self, job_id: JobId, reset: bool) -> list[JobId]:
        def act(job: Record) -> None:
            self._put(job, self._next())
            job.finished_at, job.result, job.crashes = None, None, 0
            job.made = 0 if reset else job.made

        return self._each([job_id], FINISHED, act)

    def promote(self, job_id: JobId) -> list[JobId]:
        return self._each([job_id], {DELAYED}, lambda job: self._put(job, self._next()))

    def cancel(self, ids: Collection[JobId], now: Millis) -> list[JobId]:
        def act(job: Record) -> None:
            self.tell(EventType.CANCELLED, job)
            if job.state is ACTIVE:
                job.cancelled = True
            else:
                self._fail(job, now, None)

        return self._each(ids, PENDING | {ACTIVE}, act)

    def remove(self, ids: Collection[JobId]) -> list[JobId]:
        def act(job: Record) -> None:
            self.tell(EventType.REMOVED, job)
            del self.jobs[job.id]

        return self._each(ids, PENDING | FINISHED, act)

    def _each(self, ids: Collection[JobId], states: Collection[JobState], act: Callable[[Record], None]) -> list[JobId]:
        touched = [self.jobs[id] for id in ids if id in self.jobs and self.jobs[id].state in states]
        for job in touched:
            act(job)
        return [job.id for job in touched]

    def update(self, patch: JobPatch, now: Millis) -> list[JobId]:
        job = self.jobs.get(patch.job_id)
        if job is None or (patch.token is not None and job.token != patch.token):
            return []
        if isinstance(patch.data, str):
            job.data = patch.data
        if isinstance(patch.progress, str):
            job.progress = patch.progress
            self.tell(EventType.PROGRESS, job)
        if isinstance(patch.priority, int):
            job.priority = patch.priority
            job.place = self._next() if job.state is WAITING else job.place
        if isinstance(patch.delay_ms, int) and job.state is DELAYED:
            job.run_at, job.place = now + patch.delay_ms, self._next()
        return [job.id]

    def configure(
        self, paused: bool, rate_limit: RateLimit | None, concurrency: int | None, name_concurrency: dict[str, int]
    ) -> None:
        if paused != self.paused:
            self.tell(EventType.PAUSED if paused else EventType.RESUMED)
        if rate_limit != self.rate_limit:
            self.window_at, self.window_used = None, 0
        self.paused, self.rate_limit = paused, rate_limit
        self.concurrency, self.name_concurrency = concurrency, name_concurrency
