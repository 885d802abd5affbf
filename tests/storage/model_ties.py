"""The part of the model about jobs that know of each other: deduplication, families, jobs after jobs, what ends bring.

Who waits for whom is kept on the one that waits: a table of `Tie`s by id. How many are pending is counted, not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from corral.event import EventType
from corral.job import JobId, JobState, NewJob
from corral.options import ParentPolicy
from corral.outcome import Failure
from corral.storage.port import Added, Children
from corral.timing import Millis

from .record import Record, Tie

WAITING, DELAYED, ACTIVE, PARKED = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE, JobState.WAITING_CHILDREN
COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED
LASTING = (ParentPolicy.WAIT, ParentPolicy.FAIL)


@dataclass
class Key:
    """A deduplication id that is taken."""

    owner: JobId
    until: Millis | None = None
    kept: NewJob | None = None


@dataclass
class Kind:
    """Failures of one kind."""

    attempts: int = 0
    jobs: int = 0
    at: list[Millis] = field(default_factory=list)
    last: tuple[JobId, str] = ("", "")


class Ties:
    """What `Model` is, beside what one job alone may do."""

    jobs: dict[JobId, Record]

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.kinds: dict[str, Kind] = {}
        self.brings: list[NewJob] = []

    # -- what the rest of the model offers -------------------------------------------------------------------------------

    def tell(self, kind: EventType, job: Record | None = None) -> None:
        raise NotImplementedError

    def _next(self) -> int:
        raise NotImplementedError

    def _back(self, job: Record, run_at: Millis | None = None) -> None:
        raise NotImplementedError

    def _finish(self, job: Record, state: JobState, now: Millis) -> None:
        raise NotImplementedError

    # -- adding ----------------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob], ids: Sequence[JobId], now: Millis) -> list[Added]:
        """`ids` are those the adapter answered: what it numbered is taken over from there."""
        answers = [self._add(new, job_id, now) for new, job_id in zip(jobs, ids, strict=True)]
        for parent in {new.parent.id for new in jobs if new.parent is not None}:
            self._look_at(self.jobs[parent], now)
        return answers

    def _add(self, new: NewJob, job_id: JobId, now: Millis) -> Added:
        if new.id in self.jobs:
            job = self.jobs[new.id]
            self.tell(EventType.DUPLICATED, job)
            self._reattach(job, new)
            return Added(job.id, False)
        if new.dedup is not None and (owner := self._admit(new, now)) is not None:
            return Added(owner, False, True)
        job_id = new.id or job_id
        place = -self._next() if new.lifo else self._next()
        job = Record(job_id, new.name, new.data, new.priority, now, new.options.lifespan_ms, place)
        job.max_crashes = new.options.max_crashes
        job.dedup = None if new.dedup is None else new.dedup.id
        self.jobs[job_id] = job
        self.tell(EventType.ADDED, job)
        if new.parent is not None:
            job.parent = self.jobs[new.parent.id]
            job.parent.ties[job_id] = Tie(job, new.parent.policy)
        if new.children or new.after:
            job.state, job.later = PARKED, new.delay_ms
            self._follow(job, new, now)
        elif new.delay_ms:
            job.state, job.run_at, job.place = DELAYED, now + new.delay_ms, abs(place)
        return Added(job_id, True)

    def _follow(self, job: Record, new: NewJob, now: Millis) -> None:
        for one in new.after:
            before = self.jobs[one.id]
            if before.state is FAILED and one.policy is ParentPolicy.REMOVE:
                continue
            ended = {COMPLETED: before.result, FAILED: before.reason}.get(before.state)
            if one.id not in job.ties:
                state = before.state if before.state.finished else None
                job.ties[one.id] = Tie(before, one.policy, state=state, value=ended)
        self._hear(job, now)
        if not new.children:
            self._look_at(job, now)

    def _reattach(self, job: Record, new: NewJob) -> None:
        if new.parent is None:
            return
        parent = self.jobs[new.parent.id]
        if job.parent not in (None, parent) and job.parent is self.jobs.get(job.parent.id):
            return
        if parent.is_below(job):
            return
        job.parent = parent
        if job.id not in parent.ties:
            done = job.state is COMPLETED
            parent.ties[job.id] = Tie(job, new.parent.policy, COMPLETED if done else None, job.result if done else None)

    def _admit(self, new: NewJob, now: Millis) -> JobId | None:
        """Who keeps it out; None when it is let in and owns the id."""
        wish = new.dedup
        assert wish is not None
        assert new.id is not None  # the machine names them all
        until = None if wish.ttl_ms is None or wish.keep_last else now + wish.ttl_ms
        key = self.keys.get(wish.id)
        if key is None or (key.until is not None and key.until <= now):
            self.keys[wish.id] = Key(new.id, until)
            return None
        owner = self.jobs.get(key.owner)
        state = None if owner is None else owner.state
        if wish.keep_last and state is ACTIVE:
            key.kept, key.until = new, None
        elif wish.replace:
            if owner is None or state is not DELAYED:
                return key.owner
            self.forget(owner, now)
            self.tell(EventType.REMOVED, owner)
            self.events_of(EventType.DEDUPLICATED, new.id)
            self.keys[wish.id] = Key(new.id, until if wish.extend or key.until is None else key.until)
            return None
        else:
            if wish.extend and until is not None:
                key.until = until
            if wish.reschedule and owner is not None and state is DELAYED:
                owner.run_at, owner.place = now + new.delay_ms, self._next()
        self.events_of(EventType.DEDUPLICATED, key.owner)
        return key.owner

    def events_of(self, kind: EventType, job_id: JobId) -> None:
        """An event of a job that need not be there."""
        raise NotImplementedError

    def bring(self, now: Millis) -> None:
        """Add what verdicts and freed ids left to be added."""
        while self.brings:
            self.add([self.brings.pop(0)], [""], now)

    # -- ends ------------------------------------------------------------------------------------------------------------

    def ended(self, job: Record, now: Millis) -> None:
        """A job has completed or failed for good: whoever waits for it hears of that."""
        self._free(job, now)
        for other in self._waiting_for(job):
            tie = other.ties[job.id]
            if tie.state is not None:
                continue
            if job.state is FAILED and tie.policy is ParentPolicy.REMOVE:
                del other.ties[job.id]
            else:
                tie.state, tie.value = job.state, job.result if job.state is COMPLETED else job.reason
            self._hear(other, now)
            self._look_at(other, now)

    def forget(self, job: Record, now: Millis) -> None:
        """A job is deleted by somebody: nobody waits for it, and its id is free."""
        del self.jobs[job.id]
        key = self.keys.get(job.dedup or "")
        if key is not None and key.owner == job.id and job.dedup is not None:
            del self.keys[job.dedup]
        self.dropped(job, now)

    def dropped(self, job: Record, now: Millis) -> None:
        """A job is gone, by somebody's hand or by retention: nobody waits for it."""
        for other in self._waiting_for(job):
            tie = other.ties[job.id]
            if tie.state is None:
                del other.ties[job.id]
                self._look_at(other, now)
            elif tie.state is FAILED and tie.policy is ParentPolicy.WAIT:
                tie.policy = ParentPolicy.IGNORE
                self._look_at(other, now)

    def again(self, job: Record) -> None:
        """A finished job runs again: whoever waited for it does so again."""
        for other in self._waiting_for(job):
            tie = other.ties[job.id]
            if tie.state is not None:
                tie.state, tie.value, tie.policy = None, None, tie.asked

    def wait_again(self, job: Record) -> bool:
        """Whether a job that is to run again has somebody to wait for."""
        for tie in job.ties.values():
            if tie.state is None and tie.job.state is FAILED and self.jobs.get(tie.job.id) is tie.job:
                tie.state, tie.value = FAILED, tie.job.reason
            if tie.state is FAILED:
                tie.policy = ParentPolicy.IGNORE
        return job.pending > 0

    def _free(self, job: Record, now: Millis) -> None:
        key = self.keys.get(job.dedup or "")
        if job.dedup is None or key is None or key.owner != job.id or (key.until is not None and key.until > now):
            return
        del self.keys[job.dedup]
        if key.kept is not None:
            self.brings.append(key.kept)

    def _waiting_for(self, job: Record) -> list[Record]:
        """The parent first, then those that come after it, in the order they were added in."""
        found = [one for one in self.jobs.values() if job.id in one.ties and one.ties[job.id].job is job]
        return sorted(found, key=lambda one: (one is not job.parent, one.number))

    def _hear(self, job: Record, now: Millis) -> None:
        """Failures that a job must hear of while it waits."""
        if job.state is not PARKED:
            return
        for tie in job.ties.values():
            if tie.state is FAILED and tie.policy is ParentPolicy.FAIL:
                job.reason = None
                self._finish(job, FAILED, now)
                return
            if tie.state is FAILED and tie.policy is ParentPolicy.CONTINUE:
                tie.policy = ParentPolicy.IGNORE
                self._let_go(job, now)
                return

    def _look_at(self, job: Record, now: Millis) -> None:
        if job.state is PARKED and not job.pending:
            self._let_go(job, now)

    def park(self, job: Record, now: Millis) -> None:
        """A running job waits for its children."""
        self.tell(EventType.WAITING_CHILDREN, job)
        if not job.pending:
            self._back(job)
            return
        job.state, job.token = PARKED, None
        self._hear(job, now)

    def _let_go(self, job: Record, now: Millis) -> None:
        self._back(job, now + job.later if job.later else None)
        job.later = 0

    # -- looking ---------------------------------------------------------------------------------------------------------

    def children(self, job: Record) -> Children:
        """What the port tells of those a job waits for, in whatever order."""
        ties = job.ties.items()
        return Children(
            pending=tuple(sorted(("", id) for id, tie in ties if tie.state is None)),
            completed={id: tie.value or "" for id, tie in ties if tie.state is COMPLETED},
            failed={id: tie.value or "" for id, tie in ties if tie.state is FAILED},
        )

    def count_failure(self, job: Record, failure: Failure | None, now: Millis, *, final: bool) -> None:
        """A failed attempt, of a kind or of none."""
        job.fingerprint = None if failure is None else failure.fingerprint
        if failure is not None:
            kind = self.kinds.setdefault(failure.fingerprint, Kind())
            kind.attempts, kind.jobs = kind.attempts + 1, kind.jobs + final
            kind.at.append(now)
            kind.last = (job.id, job.name)
