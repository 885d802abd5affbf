"""What requests about queues bring."""

from typing import Annotated

from pydantic import Field

from corral.http.models.base import Body


class WindowBody(Body):
    """So many starts in each window."""

    max: int = Field(ge=1, le=1_000_000_000)
    duration_ms: int = Field(ge=1, le=31_622_400_000)


class RetentionBody(Body):
    """How many finished jobs stay, and for how long; null is no bound."""

    count: int | None = Field(default=None, ge=0, le=1_000_000_000)
    age_ms: int | None = Field(default=None, ge=0, le=31_622_400_000)


class QueueBody(Body):
    """A change to a queue's settings. What is left out stays as it is; null lifts a limit."""

    global_concurrency: int | None = Field(default=None, ge=1, le=1_000_000)
    """Its jobs at once over all workers."""
    rate_limit: WindowBody | None = None
    add_limit: WindowBody | None = None
    """How many jobs producers may add."""
    keep_completed: RetentionBody = RetentionBody()
    keep_failed: RetentionBody = RetentionBody()
    description: str | None = Field(default=None, max_length=500)
    """What the queue is for; null removes it."""
    slo_seconds: float | None = Field(default=None, ge=0.001, le=31_622_400)
    """How long its oldest job may wait before that wants attention; null: as the thresholds say."""


class PauseBody(Body):
    """Why, and for how long."""

    reason: str = Field(default="", max_length=1_000)
    for_seconds: float | None = Field(default=None, gt=0, le=31_622_400)
    """Resumed by itself after that."""


class ReasonBody(Body):
    """Why."""

    reason: str = Field(default="", max_length=1_000)


class MatchBody(Body):
    """Which queues, and why."""

    match: list[Annotated[str, Field(max_length=256)]] = Field(min_length=1, max_length=100)
    """Patterns: `email`, `email*`."""
    reason: str = Field(default="", max_length=1_000)


class DrainBody(Body):
    """What is to go. `confirm` is the queue's name, typed once more; a dry run needs none."""

    delayed: bool = False
    dry_run: bool = False
    confirm: str | None = None


class CleanBody(Body):
    """Which finished or pending jobs are to go."""

    state: str
    """`completed`, `failed`, `waiting`, `delayed`."""
    grace_ms: int = Field(default=0, ge=0, le=316_224_000_000)
    """Only jobs that are older."""
    limit: int = Field(default=1_000, ge=1, le=1_000_000)
    """At most so many; beyond 10,000 it is an operation."""
    dry_run: bool = False


class ObliterateBody(Body):
    """`confirm` is the queue's name, typed once more; `force` takes running jobs too."""

    force: bool = False
    confirm: str | None = None


class RetryQueueBody(Body):
    """Which finished jobs are to run again."""

    state: str = "failed"
    """`failed` or `completed`."""
    q: str = Field(default="", max_length=2_000)
    limit: int | None = Field(default=None, ge=1, le=10_000_000)
    reset_attempts: bool = True


class PromoteQueueBody(Body):
    """How many delayed jobs are to run now; null: all of them."""

    limit: int | None = Field(default=None, ge=1, le=10_000_000)
