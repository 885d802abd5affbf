"""The part of the model about jobs that know of each other: deduplication, families, jobs after jobs, what ends bring.

Who waits for whom is kept on the one that waits: a table of `Tie`s by id. How many are pending is counted, not kept.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corral.event import EventType
from corral.job import FINISHED, JobId, JobState, NewJob
from corral.options import Keep, ParentPolicy
from corral.outcome import Completed, Failed, Failure, Outcome, Parked, Retried
from corral.storage.port import Added
from corral.timing import Millis

from .model import Model
from .model_claim import ACTIVE, ALL, COMPLETED, DELAYED, FAILED, WAITING
from .record import Record, Tie, lifespan_of

PARKED = JobState.WAITING_CHILDREN


@dataclass
class Key:
    """A deduplication id that is taken."""

    owner: JobId
    until: Millis | None = None
    kept: NewJob | None = None


@dataclass
class Kind:
    """Failures of one kind."""

    first_at: Millis
    attempts: int = 0
    jobs: int = 0
    last_at: Millis = 0
    last: tuple[JobId, str] = ("", "")


class TiedModel(Model):
    """The model of a queue whose jobs know of each other."""

    def __init__(self, clock: Callable[[], Millis]) -> None:
        super().__init__()
        self.clock = clock
        self.keys: dict[str, Key] = {}
        self.kinds: dict[str, Kind] = {}
        self.brings: list[NewJob] = []
        self.news: deque[tuple[Record, Record]] = deque()  #: who is still to hear of whose end
        self.telling = False
        self.fallen: list[Record] = []  #: what retention drops for those that have failed
        self.kept: set[JobId] = set()  #: of those: what deduplication kept
        self.let_go: list[Record] = []  #: in this step

    def leave_open(self) -> None:
        """In which order the jobs stand that one step let go is the adapter's choice."""
        waiting = [job for job in self.let_go if job.state is WAITING]
        delayed = [job for job in self.let_go if job.state is DELAYED]
        self.undecided += [[job for job in waiting if job.rank == rank] for rank in {job.rank for job in waiting}]
        self.undecided += [[job for job in delayed if job.run_at == at] for at in {job.run_at for job in delayed}]

    def owner(self, dedup_id: str, at: Millis | None = None) -> JobId | None:
        """Who keeps others out, now or then."""
        key = self.keys.get(dedup_id)
        now = self.clock() if at is None else at
        return None if key is None or (key.until is not None and key.until <= now) else key.owner

    # -- adding --------------------------------------------------------------------------------------------------------

    def add(self, jobs: Sequence[NewJob], ids: Sequence[JobId], now: Millis) -> list[bool]:
        return [added.fresh for added in self.add_tied(jobs, ids, now)]

    def add_tied(self, jobs: Sequence[NewJob], ids: Sequence[JobId], now: Millis) -> list[Added]:
        """`ids` are those the adapter answered: what it numbered is taken over from there."""
        answers = [self._add(new, job_id, now) for new, job_id in zip(jobs, ids, strict=True)]
        for parent in {new.parent.id for new in jobs if new.parent is not None}:
            self._look_at(self.jobs[parent], now)
        self.bring(now)
        return answers

    def _add(self, new: NewJob, job_id: JobId, now: Millis) -> Added:
        if new.id in self.jobs:
            job = self.jobs[new.id]
            self.tell(EventType.DUPLICATED, job)
            self._reattach(job, new)
            return Added(job.id, False)
        if new.dedup is not None and (owner := self._kept_out(new, now)) is not None:
            return Added(owner, False, True)
        job_id = new.id or job_id
        place = -self._next() if new.lifo else self._next()
        job = Record(job_id, new.name, new.data, new.priority, now, lifespan_of(new), place, new.group)
        job.max_crashes = new.options.max_crashes
        job.dedup = None if new.dedup is None else new.dedup.id
        if new.group is not None:
            self.groups[new.group].set_rates(new.group_rates)
        self.jobs[job_id] = job
        self.tell(EventType.ADDED, job)
        if new.parent is not None and new.parent.id in self.jobs:
            job.parent = self.jobs[new.parent.id]
            job.parent.ties[job_id] = Tie(job, new.parent.policy)
        if new.children or new.after:
            job.state, job.later = PARKED, new.delay_ms
            self._come_after(job, new, now)
        elif new.delay_ms:
            job.state, job.run_at, job.place = DELAYED, now + new.delay_ms, abs(place)
        return Added(job_id, True)

    def _come_after(self, job: Record, new: NewJob, now: Millis) -> None:
        for one in new.after:
            before = self.jobs.get(one.id)
            if before is None or (before.state is FAILED and one.policy is ParentPolicy.REMOVE):
                continue
            state = before.state if before.state in FINISHED else None
            job.ties.setdefault(one.id, Tie(before, one.policy, state, before.result if state is COMPLETED else None))
        self._hear(job, now)
        if not new.children:
            self._look_at(job, now)

    def _reattach(self, job: Record, new: NewJob) -> None:
        parent = None if new.parent is None else self.jobs[new.parent.id]
        if new.parent is None or parent is None or self._is_above(job, parent):
            return
        if job.parent not in (None, parent) and job.parent is self.jobs.get(job.parent.id):
            return
        job.parent = parent
        done = job.state is COMPLETED
        tie = Tie(job, new.parent.policy, COMPLETED if done else None, job.result if done else None)
        parent.ties.setdefault(job.id, tie)

    def _is_above(self, job: Record, below: Record | None) -> bool:
        while below is not None and below is self.jobs.get(below.id):
            if below is job:
                return True
            below = below.parent
        return False

    def _kept_out(self, new: NewJob, now: Millis) -> JobId | None:
        """Who keeps it out; None when it is let in and owns the id."""
        wish = new.dedup
        assert wish is not None
        assert new.id is not None  # the machine names them all
        until = None if wish.ttl_ms is None or wish.keep_last else now + wish.ttl_ms
        key = self.keys.get(wish.id)
        if key is None or self.owner(wish.id) is None:
            self.keys[wish.id] = Key(new.id, until)
            return None
        owner = self.jobs.get(key.owner)
        state = None if owner is None else owner.state
        if wish.keep_last and (state is ACTIVE or key.kept is not None):
            key.kept, key.until = new, None
        elif wish.replace:
            if owner is None or state is not DELAYED:
                return key.owner
            self.tell(EventType.REMOVED, owner)
            self._forget(owner, now)
            self.events.append((EventType.DEDUPLICATED, new.id))
            self.keys[wish.id] = Key(new.id, until if wish.extend and until is not None else key.until)
            return None
        else:
            if wish.extend and until is not None:
                key.until = until
            if wish.reschedule and owner is not None and state is DELAYED:
                owner.run_at, owner.place = now + new.delay_ms, self._next()
        self.events.append((EventType.DEDUPLICATED, key.owner))
        return key.owner

    def bring(self, now: Millis) -> None:
        """Add what verdicts and freed ids left to be added."""
        while self.brings:
            new = self.brings.pop(0)
            added = self._add(new, "", now)
            if added.fresh and added.id in self.kept:  # when within the step it comes is the adapter's choice
                self.let_go.append(self.jobs[added.id])
            self.kept.discard(new.id or "")

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _finish(self, job: Record, state: JobState, now: Millis, keep: Keep = ALL) -> None:
        before = list(self.jobs.values())
        super()._finish(job, state, now, keep)
        dropped = [one for one in before if one.id not in self.jobs]
        self._free(job, now)
        self.news += [(other, job) for other in self._waiting_for(job)]
        self.fallen += dropped if state is FAILED else []
        if self.telling:
            return  # those who hear of it at first hand come before those who hear of what it brings about
        self.telling = True
        while self.news:
            self._hear_of(*self.news.popleft(), now)
        self.telling = False
        fallen, self.fallen = self.fallen, []
        for one in fallen:
            self._dropped(one, now)

    def _hear_of(self, other: Record, job: Record, now: Millis) -> None:
        tie = other.ties[job.id]
        if tie.state is not None:
            return
        if job.state is FAILED and tie.policy is ParentPolicy.REMOVE:
            del other.ties[job.id]
        else:
            tie.state, tie.value = job.state, job.result if job.state is COMPLETED else None
        self._look_at(other, now)
        self._hear(other, now)

    def _forget(self, job: Record, now: Millis) -> None:
        """A job is deleted by somebody: nobody waits for it, and its id is free."""
        del self.jobs[job.id]
        key = self.keys.get(job.dedup or "")
        if job.dedup is not None and key is not None and key.owner == job.id:
            del self.keys[job.dedup]
        self._dropped(job, now)

    def _dropped(self, job: Record, now: Millis) -> None:
        """A job is gone, by somebody's hand or by retention."""
        for other in self._waiting_for(job):
            tie = other.ties[job.id]
            if tie.state is None:
                del other.ties[job.id]
            elif tie.state is FAILED and tie.policy is ParentPolicy.WAIT:
                tie.policy = ParentPolicy.IGNORE
            else:
                continue
            self._look_at(other, now)

    def _free(self, job: Record, now: Millis) -> None:
        key = self.keys.get(job.dedup or "")
        if job.dedup is None or key is None or key.owner != job.id:
            return
        if key.until is not None and key.until > now and key.kept is None:
            return
        del self.keys[job.dedup]
        if key.kept is not None:
            self.brings.append(key.kept)
            self.kept.add(key.kept.id or "")

    def _waiting_for(self, job: Record) -> list[Record]:
        """The parent first, then those that come after it, in the order they were added in."""
        found = [one for one in self.jobs.values() if job.id in one.ties and one.ties[job.id].job is job]
        return sorted(found, key=lambda one: (one is not job.parent, one.number))

    def _hear(self, job: Record, now: Millis) -> None:
        """Failures that a job must hear of while it waits."""
        failed = [tie for tie in job.ties.values() if tie.state is FAILED]
        if job.state is not PARKED:
            return
        if any(tie.policy is ParentPolicy.FAIL for tie in failed):
            job.reason = None  # its wording is the adapter's
            self._finish(job, FAILED, now)
            return
        if any(tie.policy is ParentPolicy.CONTINUE for tie in failed):
            self._let_go(job, now)

    def _look_at(self, job: Record, now: Millis) -> None:
        if job.state is PARKED and not job.pending:
            self._let_go(job, now)

    def _spend(self, job: Record) -> None:
        """Failures that have let a job go on do not do so again."""
        for tie in job.ties.values():
            if tie.state is FAILED and tie.policy is ParentPolicy.CONTINUE:
                tie.policy = ParentPolicy.IGNORE

    def _let_go(self, job: Record, now: Millis) -> None:
        self._spend(job)
        self._back(job, now + job.later if job.later else None)
        job.later = 0
        self.let_go.append(job)

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def _apply(self, job: Record, outcome: Outcome, now: Millis) -> bool:
        stopped = job.cancelled and not isinstance(outcome, Completed | Failed)
        if isinstance(outcome, Parked) and not stopped:
            self.tell(EventType.WAITING_CHILDREN, job)
            if job.pending:
                job.state, job.token = PARKED, None
                self._hear(job, now)
            else:
                self._spend(job)
                self._back(job)
            return False
        if stopped or isinstance(outcome, Failed | Retried):
            failure = outcome.failure if isinstance(outcome, Failed | Retried) and not stopped else None
            self._count(job, failure, now, final=isinstance(outcome, Failed))
        front = super()._apply(job, outcome, now)
        if isinstance(outcome, Completed | Failed):
            self.brings += outcome.adds
        return front

    def _count(self, job: Record, failure: Failure | None, now: Millis, *, final: bool) -> None:
        job.fingerprint = None if failure is None else failure.fingerprint
        if failure is not None:
            kind = self.kinds.setdefault(failure.fingerprint, Kind(now))
            kind.attempts, kind.jobs, kind.last_at = kind.attempts + 1, kind.jobs + final, now
            kind.last = (job.id, job.name)

    def _crash(self, job: Record, limit: int, now: Millis, keep: Keep = ALL) -> bool:
        own = job.max_crashes if limit else None  # 0: it was cancelled
        return super()._crash(job, limit if own is None else own, now, keep)

    def _ended(self, runs: int, front: Sequence[Record]) -> None:
        self._front(front)
        self.bring(self.clock())
        self.leave_open()
        if runs and not self.among(ACTIVE, WAITING):
            self.tell(EventType.IDLE)

    # -- commands ------------------------------------------------------------------------------------------------------

    def retry(self, job: Record, reset: bool, after_ms: Millis = 0, together: Sequence[Record] = ()) -> list[JobId]:
        """`together` are those that are retried with it, itself among them."""
        if job.state not in FINISHED:
            return []
        for one in (job, *together):
            for other in self._waiting_for(one) if one.state in FINISHED else ():
                tie = other.ties[one.id]
                if tie.state is not None:
                    tie.state, tie.value, tie.policy = None, None, tie.asked
        parks = self._waits_again(job, together)
        super().retry(job, reset)
        if parks:
            job.state, job.later = PARKED, after_ms
            self.tell(EventType.WAITING_CHILDREN, job)
        elif after_ms:
            job.state, job.run_at = DELAYED, self.clock() + after_ms
        return [job.id]

    def _waits_again(self, job: Record, together: Sequence[Record]) -> bool:
        """Whether a job that is to run again has somebody to wait for: failures that nobody retried are spent."""
        if job.pending:
            for tie in job.ties.values():
                failed = tie.job.state is FAILED and self.jobs.get(tie.job.id) is tie.job
                if tie.state is None and failed and tie.job not in together:
                    tie.state = FAILED
                if tie.state is FAILED:
                    tie.policy = ParentPolicy.IGNORE
        return job.pending > 0

    def cancel(self, jobs: Sequence[Record], now: Millis) -> list[JobId]:
        touched = []
        for job in jobs:  # one may have failed with the one before it
            touched += super().cancel([job], now)
        self.bring(now)
        return touched

    def remove(self, jobs: Sequence[Record]) -> list[JobId]:
        touched = [job for job in jobs if job.state is not ACTIVE]
        for job in touched:
            self.tell(EventType.REMOVED, job)
            self._forget(job, self.clock())
        return [job.id for job in touched]
