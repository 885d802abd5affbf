"""The port of one queue as a few dicts: what an adapter must do, short enough to be read.

The model is told the time and the ids an adapter gave, and computes everything else. Where the port leaves an adapter a
choice (when an expired job is dropped, the wording of a reason, who goes first of jobs that one claim started and whose
priority changed while they ran) the model takes over what the adapter chose.
"""

from collections.abc import Sequence

from msgspec import UNSET, convert
from msgspec.structs import asdict

from corral.event import EventType
from corral.job import FINISHED, JobId, JobState, NewJob
from corral.options import Keep, QueueSettings
from corral.outcome import Completed, Crashed, Failed, Limited, Outcome, Retried, Snoozed
from corral.storage.insight import GroupInfo
from corral.storage.port import JobPatch, Lease, QueueCounts, Refusal, Settlement
from corral.timing import Millis

from .model_claim import ACTIVE, ALL, COMPLETED, DELAYED, FAILED, WAITING, Claiming
from .record import Record, lifespan_of


class Model(Claiming):
    """All jobs of one queue, its settings, and the events of the step at hand."""

    def __init__(self) -> None:
        super().__init__()
        self.undecided: list[list[Record]] = []

    def holds(self, lease: Lease) -> bool:
        return lease.job_id in self.jobs and self.jobs[lease.job_id].token == lease.token

    def counts(self, queue: str) -> QueueCounts:
        number = {state.replace("-", "_"): len(self.among(state)) for state in JobState}
        totals = {f"{state}_total": self.ended[state] for state in FINISHED}
        return convert({"queue": queue, "paused": number["waiting"] * self.paused, **number, **totals}, QueueCounts)

    def infos(self, now: Millis) -> dict[str, GroupInfo]:
        """The groups that are to be seen; when their windows are over is left out."""
        seen = {}
        for name, group in self.groups.items():
            waiting, active = len(self.waiting_of(name)), self.running_of(name)
            if waiting or active or not group.plain:
                until, reason, probing = group.held.seen
                seen[name] = GroupInfo(
                    id=name, waiting=waiting, active=active, paused=group.paused, limits=group.limits, held_until=until,
                    hold_reason=reason, probing=probing,
                )  # fmt: skip
        return seen

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

    def _crash(self, job: Record, limit: int, now: Millis, keep: Keep = ALL) -> bool:
        """One more crash; True when the job may try again."""
        job.crashes, job.reason = job.crashes + 1, None
        job.note("crashed", job.made + 1, now)
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
                job = Record(job_id, new.name, new.data, new.priority, now, lifespan_of(new), place, new.group)
                if new.group is not None:
                    self.groups[new.group].set_rates(new.group_rates)
                if new.delay_ms:
                    job.state, job.run_at, job.place = DELAYED, now + new.delay_ms, abs(place)
                self.jobs[job_id] = job
            self.tell(EventType.ADDED if is_fresh else EventType.DUPLICATED, self.jobs[job_id])
        return fresh

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
        if isinstance(outcome, Failed | Retried):
            job.note("failed" if isinstance(outcome, Failed) else "retried", job.made, now)
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
            case Limited(after_ms, of_group, reason):
                held = self.groups[job.group].held if of_group and job.group is not None else self.held
                held.lengthen(now + after_ms, reason)
                self.tell(EventType.LIMITED, job)
                return True
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

    def recover(self, max_crashes: int, now: Millis, ended: Sequence[JobId]) -> tuple[set[JobId], set[JobId]]:
        """The requeued jobs and the quarantined ones; in which order those ended is the adapter's choice."""
        dead = [job for job in self.among(ACTIVE) if job.lease_until <= now]
        dead.sort(key=lambda job: ended.index(job.id) if job.id in ended else len(ended))
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

    def configure(self, settings: QueueSettings, now: Millis) -> None:
        said = {key: value for key, value in asdict(settings).items() if value is not UNSET}
        if "paused" in said and said["paused"] is not self.paused:
            self.tell(EventType.PAUSED if said["paused"] else EventType.RESUMED)
        if "rate_limit" in said and said["rate_limit"] != self.rate_limit:
            self.window_at = self.window_used = 0
        if settings.hold is not UNSET:
            self.held.set(settings.hold, now)
        for name, change in ({} if settings.groups is UNSET else settings.groups).items():
            self.groups[name].change(change, now)
        for key in said.keys() - {"hold", "groups"}:
            setattr(self, key, said[key])
        self.loose |= bool(self.name_concurrency or self.name_limits)
