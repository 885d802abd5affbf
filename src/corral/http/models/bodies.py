"""What requests about jobs bring."""

from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from corral.http.models.base import Body
from corral.http.models.options import JobOpts


class AddBody(Body):
    """A job to be added."""

    name: str = Field(min_length=1, max_length=128)
    data: JsonValue = Field(default_factory=dict)
    """The payload; it is stored exactly as it is sent."""
    opts: JobOpts = JobOpts()
    idempotency: str | None = Field(default=None, min_length=1, max_length=128)
    """The same as the header `Idempotency-Key`."""


class RetryBody(Body):
    """How a job is to run again."""

    reset_attempts: bool = True
    data: JsonValue = None
    """Another payload, from now on."""
    reason: str = Field(default="", max_length=1_000)


class RerunBody(Body):
    """How a new job is to be made from an old one. What is left out is taken from it."""

    data: JsonValue = None
    name: str | None = Field(default=None, min_length=1, max_length=128)
    queue: str | None = Field(default=None, min_length=1, max_length=128)
    opts: JobOpts | None = None
    remove_old: bool = False
    reason: str = Field(default="", max_length=1_000)


class EditBody(Body):
    """A change to a pending job. What is left out stays as it is."""

    data: JsonValue = None
    priority: int | None = Field(default=None, ge=0, le=2_097_151)
    delay_ms: int | None = Field(default=None, ge=0, le=316_224_000_000)
    """From now on."""
    run_at: AwareDatetime | None = None
    reason: str = Field(default="", max_length=1_000)


class NoteBody(Body):
    """An operator's note in a job's log."""

    message: str = Field(min_length=1, max_length=10_000)


class RefBody(Body):
    """A job."""

    queue: str = Field(min_length=1, max_length=256)
    id: str = Field(min_length=1, max_length=512)


class SelectBody(Body):
    """Which jobs: these, or those that a search finds."""

    ids: list[RefBody] | None = Field(default=None, max_length=10_000)
    q: str | None = Field(default=None, max_length=2_000)
    max: int | None = Field(default=None, ge=1, le=10_000_000)
    """At most so many of what the search finds."""


class BulkBody(Body):
    """One verb for many jobs."""

    action: Literal["retry", "promote", "cancel", "remove", "edit_priority"]
    select: SelectBody
    expect: int | None = Field(default=None, ge=0)
    """How many jobs you think a search finds: when it is over a tenth more or fewer now, nothing is done."""
    dry_run: bool = False
    value: int | None = Field(default=None, ge=0, le=2_097_151)
    """Of `edit_priority`: the priority."""
    reset_attempts: bool = True
    reason: str = Field(default="", max_length=1_000)


class SearchBody(Body):
    """A search that is too long for an address."""

    q: str = Field(default="", max_length=2_000)
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=4_096)
    background: bool = False
    """Look through everything that is there, as an operation."""
    max: int = Field(default=20_000, ge=1, le=20_000)
    """Of a search in the background: it ends when it has found so many."""
    reason: str = Field(default="", max_length=1_000)
