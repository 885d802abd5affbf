"""One job of the model."""

from dataclasses import dataclass, field
from itertools import count

from corral.job import MAX_PAST, JobId, JobState, NewJob
from corral.options import ParentPolicy, priority_rank
from corral.storage.port import Token
from corral.timing import Millis

_numbers = count()


def lifespan_of(new: NewJob) -> Millis | None:
    """How long a job may wait for its start, from when it was added: the time it is to wait anyway does not count."""
    lifespan = new.options.lifespan_ms
    return None if lifespan is None else lifespan + new.delay_ms


@dataclass(eq=False)
class Tie:
    """What a job knows of one that it waits for."""

    job: "Record"
    policy: ParentPolicy  #: what is left of it
    state: JobState | None = None  #: how it ended
    value: str | None = None
    asked: ParentPolicy = ParentPolicy.WAIT

    def __post_init__(self) -> None:
        self.asked = self.policy

    @property
    def pending(self) -> bool:
        undecided = self.policy in (ParentPolicy.WAIT, ParentPolicy.FAIL)
        return self.state is None or (self.state is JobState.FAILED and undecided)


@dataclass(eq=False)
class Record:
    """One job. `place` orders jobs of one rank, the front ones below zero; it stays while a job runs."""

    id: JobId
    name: str
    data: str
    priority: int
    created_at: Millis
    lifespan_ms: Millis | None
    place: int
    group: str | None = None
    state: JobState = JobState.WAITING
    run_at: Millis | None = None
    started_at: Millis | None = None
    finished_at: Millis | None = None
    started: int = 0
    made: int = 0
    crashes: int = 0
    progress: str | None = None
    result: str | None = None
    reason: str | None = None  #: None while the wording is the adapter's
    token: Token | None = None
    lease_until: Millis = 0
    cancelled: bool = False
    reranked: bool = False  #: its priority changed while it ran
    max_crashes: int | None = None
    dedup: str | None = None
    fingerprint: str | None = None
    parent: "Record | None" = None
    past: tuple[tuple[int, str, Millis | None, Millis], ...] = ()  #: number, outcome, start and end
    ties: dict[JobId, Tie] = field(default_factory=dict)  #: its children and the jobs it comes after
    later: Millis = 0  #: its delay, once they have ended
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def pending(self) -> int:
        return sum(tie.pending for tie in self.ties.values())

    def note(self, outcome: str, number: int, now: Millis) -> None:
        """An attempt has ended that did not complete the job."""
        self.past = (*self.past, (number, outcome, self.started_at, now))[-MAX_PAST:]

    @property
    def failing(self) -> int:
        """Those whose failure fails this job: whether they count as pending is the adapter's choice."""
        ties = self.ties.values()
        return sum(tie.state is JobState.FAILED and tie.policy is ParentPolicy.FAIL for tie in ties)

    @property
    def rank(self) -> int:
        return priority_rank(self.priority)

    @property
    def order(self) -> tuple[int, int]:
        return self.rank, self.place

    def expired(self, now: Millis) -> bool:
        return self.started == 0 and self.lifespan_ms is not None and self.created_at + self.lifespan_ms <= now
