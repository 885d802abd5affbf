"""The port of one queue as a few dicts: what an adapter must do, short enough to be read.

The model is told the time and the ids an adapter gave, and computes everything else. Where the port leaves an adapter a
choice (when an expired job is dropped, the wording of a reason, who goes first of jobs that one claim started and whose
priority changed while they ran) the model takes over what the adapter chose.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from msgspec import convert

from corral.event import EventType
from corral.job import FINISHED, JobId, JobState, NewJob
from corral.options import Keep, RateLimit
from corral.outcome import Completed, Crashed, Failed, Outcome, Retried, Snoozed
from corral.storage.port import Claim, JobPatch, Lease, QueueCounts, Refusal, Settlement
from corral.timing import Millis

from .record import Record

WAITING, DELAYED, ACTIVE = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE
COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED
ALL = Keep()


class Model:
    """All jobs of one queue, its settings, and the events of the step at hand."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, Record] = {}
        self.events: list[tuple[EventType, JobId | None]] = []
        self.paused = False
        self.rate_limit: RateLimit | None = None
        self.concurrency: int | None = None
        self.name_concurrency: dict[str, int] = {}
        self.window_at, self.window_used = 0, 0
        self.ended: Counter[JobState] = Counter()
        self.undecided: list[list[Record]] = []
        self._places = 0

    def among(self, *states: JobState) -> list[Record]:
        return [job for job in self.jobs.values() if job.state in states]

    def waiting(self) -> list[Record]:
        return sorted(self.among(WAITING), key=lambda job: job.order)

    def holds(self, lease: Lease) -> bool:
        return lease.job_id in self.jobs and self.jobs[lease.job_id].token == lease.token

    def counts(self, queue: str) -> QueueCounts:
        number = {state.replace("-", "_"): len(self.among(state)) for state in JobState}
        totals = {f"{state}_total": self.ended[state] for state in FINISHED}
        return convert({"queue": queue, "paused": number["waiting"] * self.paused, **number, **totals}, QueueCounts)

    def window(self, now: Millis) -> tuple[int, Millis | None]:
        """How many the rate limit still lets start, and when it lets more."""
        if self.rate_limit is None:
            return 1_000, None
        end = self.window_at + self.rate_limit.per_ms
        left = self.rate_limit.count - (self.window_used if now < end else 0)
        return left, None if left else end

    def tell(self, kind: EventType, job: Record | None = None) -> None:
        self.events.append((kind, None if job is None else job.id))

    def _next(self) -> int:
        self._places += 1
        return self._places

    def _back(self, job: Record, run_at: Millis | None = None) -> None:
        """To the end of its rank, or for later."""
        job.state, job.run_at, job.token, job.place = DELAYED if run_at else WAITING, run_at, None, self._next()

    def _front(self, jobs: Sequence[Record]) -> None:
        """Those that were started first go first of their rank."""
        for job in sorted(jobs, key=lambda job: (job.rank, job.started_at or 0, job.place), reverse=True):
            self._back(job)
            job.place = -job.place
        started: dict[tuple[int, Millis | None], list[Record]] = {}
        for job in jobs:
            started.setdefault((job.rank, job.started_at), []).append(job)
        self.undecided = [group for group in started.values() if any(job.reranked for job in group)]

    def follow(self, order: Sequence[JobId]) -> None:
        """Decide what the port leaves open as the adapter did, which has served or shows jobs in this order."""
        for group in self.undecided:
            places = sorted(job.place for job in group)
            group.sort(key=lambda job: (order.index(job.id) if job.id in order else len(order), job.place))
            for job, place in zip(group, places, strict=True):
                job.place = place

    def _finish(self, job: Record, state: JobState, now: Millis, keep: Keep = ALL) -> None:
        job.state, job.run_at, job.token, job.finished_at, job.place = state, None, None, now, self._next()
        self.ended[state] += 1
        self.tell(EventType(state), job)
        ended = sorted(self.among(state), key=lambda one: (one.finished_at or 0, one.place))
        for one in [job] if keep.count == 0 else ended[: -keep.count] if keep.count else []:
            del self.jobs[one.id]

    def _crash(self, job: Record, limit: int, now: Millis, keep: Keep = ALL) -> bool:
        """One more crash; True when the job may try again."""
        job.crashes, job.reason = job.crashes + 1, None
        self.tell(EventType.STALLED, job)
        if job.crashes >= limit:
            self._finish(job, FAILED, now, keep)
        return job.crashes < limit

    def _ended(self, runs: int, front: Sequence[Record]) -> None:
        self._front(front)
        if runs and not self.among(ACTIVE, WAITING):
            self.tell(EventType.IDLE)

    # -- the hot path ------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob], ids: Sequence[JobId], now: Millis) -> list[bool]:
        """`ids` are those the adapter answered; which of them are fresh is answered here."""
        fresh = [job_id not in (*self.jobs, *ids[:index]) for index, job_id in enumerate(ids)]
        for new, job_id, is_fresh in zip(jobs, ids, fresh, strict=True):
            if is_fresh:
                place = -self._next() if new.lifo else self._next()
                job = Record(job_id, new.name, new.data, new.priority, now, new.options.lifespan_ms, place)
                if new.delay_ms:
                    job.state, job.run_at, job.place = DELAYED, now + new.delay_ms, abs(place)
                self.jobs[job_id] = job
            self.tell(EventType.ADDED if is_fresh else EventType.DUPLICATED, self.jobs[job_id])
        return fresh

    def claim(self, wish: Claim, now: Millis, dropped: Collection[JobId]) -> list[JobId]:
        """`dropped` are the expired jobs the adapter chose to drop; those on the way must be among them."""
        if self.paused:
            return []
        for job in sorted(self.among(DELAYED), key=lambda one: (one.run_at or 0, one.place)):
            if job.run_at is not None and job.run_at <= now:
                self._back(job)
        running = Counter(job.name for job in self.among(ACTIVE))
        free = wish.count if self.concurrency is None else self.concurrency - running.total()
        room = min(wish.count, free, self.window(now)[0])
        taken: list[Record] = []
        for job in self.waiting():
            on_the_way = len(taken) < room and running[job.name] < self.name_concurrency.get(job.name, 1_000)
            if job.expired(now) and (on_the_way or job.id in dropped):
                self.tell(EventType.EXPIRED, job)
                job.reason = "expired"
                self._finish(job, FAILED, now)
            elif on_the_way:
                running[job.name] += 1
                taken.append(job)
        for job in taken:
            job.state, job.token, job.lease_until, job.cancelled = ACTIVE, wish.token, now + wish.lease_ms, False
            job.started, job.started_at, job.reranked = job.started + 1, now, False
            self.tell(EventType.ACTIVE, job)
        if taken and self.rate_limit and now >= self.window_at + self.rate_limit.per_ms:
            self.window_at, self.window_used = now, 0
        self.window_used += len(taken)
        if taken and not self.among(WAITING):
            self.tell(EventType.DRAINED)
        return [job.id for job in taken]

    def settle(self, settlements: Sequence[Settlement], now: Millis) -> dict[JobId, Refusal]:
        refused: dict[JobId, Refusal] = {}
        front: list[Record] = []
        for verdict in settlements:
            job = self.jobs.get(verdict.job_id)
            if job is None or job.token != verdict.token:
                refused[verdict.job_id] = Refusal.LEASE_LOST if job else Refusal.JOB_MISSING
            elif self._apply(job, verdict.outcome, now):
                front.append(job)
        self._ended(len(settlements) - len(refused), front)
        return refused

    def _apply(self, job: Record, outcome: Outcome, now: Millis) -> bool:
        """One verdict; True when the job is to go back to the front."""
        if job.cancelled and not isinstance(outcome, Completed):  # asked to stop: it does not come back
            outcome = outcome if isinstance(outcome, Failed) else Failed("cancelled")
        job.made += isinstance(outcome, Completed | Failed | Retried)
        match outcome:
            case Completed(result, keep):
                job.result = result
                self._finish(job, COMPLETED, now, keep)
            case Failed(reason, _, keep):
                job.reason = reason
                self._finish(job, FAILED, now, keep)
            case Retried(after_ms, reason):
                job.reason = reason
                self._back(job, now + after_ms)
                self.tell(EventType.RETRYING, job)
            case Snoozed(after_ms):
                self._back(job, now + after_ms)
                self.tell(EventType.SNOOZED, job)
            case Crashed(_, limit, keep):
                return self._crash(job, limit, now, keep)
            case _:
                self.tell(EventType.RELEASED, job)
                return True
        return False

    def heartbeat(self, leases: Sequence[Lease], lease_ms: Millis, now: Millis) -> tuple[set[Lease], set[Lease]]:
        """The lost leases and the cancelled ones."""
        held = {lease: self.jobs[lease.job_id] for lease in leases if self.holds(lease)}
        for job in held.values():
            if job.lease_until - now <= lease_ms // 2:
                job.lease_until = now + lease_ms
        return set(leases) - held.keys(), {lease for lease, job in held.items() if job.cancelled}

    def recover(self, max_crashes: int, now: Millis) -> tuple[set[JobId], set[JobId]]:
        """The requeued jobs and the quarantined ones."""
        dead = [job for job in self.among(ACTIVE) if job.lease_until <= now]
        front = [job for job in dead if self._crash(job, 0 if job.cancelled else max_crashes, now)]
        self._ended(len(dead), front)
        return {job.id for job in front}, {job.id for job in dead if job not in front}

    # -- commands: each is told the jobs that exist, and answers those it touched --------------------------------------

    def retry(self, job: Record, reset: bool) -> list[JobId]:
        if job.state not in FINISHED:
            return []
        self._back(job)
        job.started_at = job.finished_at = job.result = None
        job.crashes, job.made = 0, 0 if reset else job.made
        job.lifespan_ms = None  # whoever runs it again wants it run, however late
        return [job.id]

    def promote(self, job: Record) -> list[JobId]:
        if job.state is DELAYED:
            self._back(job)
            return [job.id]
        return []

    def cancel(self, jobs: Sequence[Record], now: Millis) -> list[JobId]:
        touched = [job for job in jobs if job.state not in FINISHED]
        for job in touched:
            self.tell(EventType.CANCELLED, job)
            if job.state is ACTIVE:
                job.cancelled = True
            else:
                job.reason = None
                self._finish(job, FAILED, now)
        return [job.id for job in touched]

    def remove(self, jobs: Sequence[Record]) -> list[JobId]:
        touched = [job.id for job in jobs if job.state is not ACTIVE]
        for job_id in touched:
            self.tell(EventType.REMOVED, self.jobs.pop(job_id))
        return touched

    def update(self, job: Record, patch: JobPatch, now: Millis) -> list[JobId]:
        if patch.token is not None and job.token != patch.token:
            return []
        if isinstance(patch.data, str):
            job.data = patch.data
        if isinstance(patch.progress, str):
            job.progress = patch.progress
            self.tell(EventType.PROGRESS, job)
        if isinstance(patch.priority, int):
            job.priority, job.place = patch.priority, self._next() if job.state is WAITING else job.place
            job.reranked = job.state is ACTIVE
        if isinstance(patch.delay_ms, int) and job.state is DELAYED:
            self._back(job, now + patch.delay_ms)
        return [job.id]

    def pause(self, paused: bool) -> None:
        if paused is not self.paused:
            self.tell(EventType.PAUSED if paused else EventType.RESUMED)
        self.paused = paused

    def configure(self, rate_limit: RateLimit | None, concurrency: int | None, names: dict[str, int]) -> None:
        if rate_limit != self.rate_limit:
            self.window_at = self.window_used = 0
        self.rate_limit, self.concurrency, self.name_concurrency = rate_limit, concurrency, names
