"""The options of a job as requests bring them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from corral.http.models.base import Body

Millis = Annotated[int, Field(ge=0, le=316_224_000_000)]


class BackoffBody(Body):
    """How long to wait before a retry."""

    type: Literal["fixed", "exponential"]
    delay_ms: Millis
    maximum_ms: Millis | None = None
    jitter: float | None = Field(default=None, ge=0, le=10)
    """The share by which a delay may be longer."""


class KeepBody(Body):
    """How many finished jobs stay, and for how long; null is no bound."""

    count: int | None = Field(default=None, ge=0, le=1_000_000_000)
    age_ms: Millis | None = None


class LimitBody(Body):
    """At most so many starts in each window."""

    max: int = Field(ge=1, le=1_000_000_000)
    duration_ms: int = Field(ge=1, le=316_224_000_000)


class DedupBody(Body):
    """Keeps the job out while another one with this id is there."""

    id: str = Field(min_length=1, max_length=512)
    ttl_ms: int | None = Field(default=None, ge=1, le=316_224_000_000)
    extend: bool = False
    replace: bool = False
    keep_last: bool = False
    reschedule: bool = False


class AfterBody(Body):
    """A job that has to end first."""

    queue: str = Field(min_length=1, max_length=128)
    id: str = Field(min_length=1, max_length=256)
    on_failure: str = "fail"


class JobOpts(Body):
    """Options of a job. What is left out, its handler or queue says."""

    id: str | None = Field(default=None, max_length=256)
    """An id of your own; a job that has it already stays as it is."""
    delay_ms: Millis | None = None
    run_at: AwareDatetime | None = None
    priority: int | None = Field(default=None, ge=0, le=2_097_151)
    lifo: bool = False
    attempts: int | None = Field(default=None, ge=1, le=1_000)
    backoff: BackoffBody | None = None
    timeout_ms: int | None = Field(default=None, ge=1, le=316_224_000_000)
    lifespan_ms: int | None = Field(default=None, ge=1, le=316_224_000_000)
    keep_completed: KeepBody | None = None
    keep_failed: KeepBody | None = None
    keep_logs: int | None = Field(default=None, ge=0, le=100_000)
    max_crashes: int | None = Field(default=None, ge=1, le=100)
    sensitive: list[str] = Field(default_factory=list, max_length=100)
    dead_letter: str | None = Field(default=None, max_length=128)
    tags: list[str] = Field(default_factory=list, max_length=20)
    group: str | None = Field(default=None, max_length=256)
    limit: LimitBody | None = None
    """Starts of its group, or of the jobs with its name."""
    dedup: DedupBody | None = None
    after: list[AfterBody] = Field(default_factory=list, max_length=1_000)
