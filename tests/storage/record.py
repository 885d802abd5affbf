"""One job of the model."""

from dataclasses import dataclass

from corral.job import JobId, JobState
from corral.options import priority_rank
from corral.storage.port import Token
from corral.timing import Millis


@dataclass
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

    @property
    def rank(self) -> int:
        return priority_rank(self.priority)

    @property
    def order(self) -> tuple[int, int]:
        return self.rank, self.place

    def expired(self, now: Millis) -> bool:
        return self.started == 0 and self.lifespan_ms is not None and self.created_at + self.lifespan_ms <= now
