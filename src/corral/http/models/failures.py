"""Kinds of failures as the API shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from corral.http.models.base import Body, Listing, Time, config, moment, when
from corral.http.models.jobs import JobRef, JobSummary
from corral.monitor.objects import FailureRow
from corral.timing import Millis


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """One kind of failure, in all queues that may be seen."""

    __pydantic_config__ = config(
        {
            "fingerprint": "9f31c2a07b1e44d0", "type": "SMTPTimeout", "message": "connection timed out",
            "queues": {"email": 409}, "count": 409, "attempts": 1227, "recent": 409,
            "buckets": [0, 0, 0, 1, 2, 8, 20, 60, 80, 100, 98, 40], "first_at": "2026-11-23T04:36:00.000Z",
            "last_at": "2026-11-23T05:13:25.000Z", "state": "open", "muted_until": None, "new_since_mark": "v2.3.1",
            "example": {"queue": "email", "id": "12345"},
        }
    )  # fmt: skip
    fingerprint: str
    type: str
    message: str
    queues: Mapping[str, int]
    """Jobs that failed for good so, by queue."""
    count: int
    """The same, together."""
    attempts: int
    """Attempts that ended so."""
    recent: int
    """Failed jobs of it that are kept, within the window."""
    buckets: Sequence[int]
    """These, by twelve equal stretches of the window, oldest first."""
    first_at: Time
    last_at: Time
    state: str
    """`open` or `muted`."""
    muted_until: Time | None
    new_since_mark: str | None
    """The newest mark that is older than the first failure of this kind."""
    example: JobRef | None


@dataclass(frozen=True, kw_only=True)
class FailureList(Listing[FailureGroup]):
    """Kinds of failures."""

    __pydantic_config__ = config()
    items: Sequence[FailureGroup]
    window_ms: int = 0
    examined: int = 0
    """Failed jobs that the trend was made from."""
    complete: bool = True
    """Whether those are all of the window."""


@dataclass(frozen=True, kw_only=True)
class FailureDetail(FailureGroup):
    """One kind of failure with its newest jobs."""

    __pydantic_config__ = config()
    newest: Sequence[JobSummary] = ()
    complete: bool = True


class FailureRetryBody(Body):
    """Where, and how fast."""

    queue: str | None = Field(default=None, max_length=256)
    every_ms: int = Field(default=0, ge=0, le=3_600_000)
    """One job each so many milliseconds, so that what has just come back is not run over."""
    reason: str = Field(default="", max_length=1_000)


class FailureRemoveBody(Body):
    """Where."""

    queue: str | None = Field(default=None, max_length=256)
    reason: str = Field(default="", max_length=1_000)


class MuteBody(Body):
    """Until when it is not to be spoken of."""

    until: AwareDatetime
    reason: str = Field(default="", max_length=1_000)


def group_of(rows: Sequence[FailureRow], *, muted_until: Millis | None = None, mark: str | None = None) -> FailureGroup:
    """One kind of failure of several queues."""
    newest = max(rows, key=lambda row: row.group.last_at)
    return FailureGroup(
        fingerprint=newest.group.fingerprint,
        type=newest.group.type,
        message=newest.group.message,
        queues={row.queue: row.group.jobs for row in rows},
        count=sum(row.group.jobs for row in rows),
        attempts=sum(row.group.attempts for row in rows),
        recent=sum(row.recent for row in rows),
        buckets=[sum(column) for column in zip(*(row.trend for row in rows), strict=False)],
        first_at=moment(min(row.group.first_at for row in rows)),
        last_at=moment(newest.group.last_at),
        state="open" if muted_until is None else "muted",
        muted_until=when(muted_until),
        new_since_mark=mark,
        example=JobRef(queue=newest.queue, id=newest.group.last_job_id) if newest.group.last_job_id else None,
    )
