"""The API itself, all queues together, what wants attention, marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from corral.admin.objects import Mark as MarkRow
from corral.http.models.base import Body, Time, config, moment, when
from corral.http.models.queues import Percentiles, RateInfo
from corral.monitor.objects import Finding as FindingRow
from corral.timing import Millis


@dataclass(frozen=True, kw_only=True)
class Root:
    """What this is, and where to go from here."""

    __pydantic_config__ = config(
        {"name": "corral", "version": "0.9.0", "engine": "redis", "features": ["jobs", "flows", "schedules"],
         "links": {"queues": "/api/v1/queues"}}
    )  # fmt: skip
    name: str
    version: str
    engine: str
    features: Sequence[str]
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ProblemInfo:
    """What a code of a problem means, and what to do about it."""

    __pydantic_config__ = config(
        {"type": "urn:corral:problem:job-active", "code": "job-active", "status": 409, "title": "The job is running",
         "meaning": "The job runs.", "remedy": "Wait for its end, or cancel it."}
    )  # fmt: skip
    type: str
    code: str
    status: int
    title: str
    meaning: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class TotalsInfo:
    """Jobs by state, over all queues that may be seen."""

    __pydantic_config__ = config()
    waiting: int
    active: int
    delayed: int
    waiting_children: int
    completed: int
    failed: int
    completed_total: int
    failed_total: int


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The same window so long ago, from what workers recorded."""

    __pydantic_config__ = config()
    ago_ms: int
    rates: RateInfo
    failure_ratio: float | None
    wait_ms: Percentiles
    run_ms: Percentiles
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Stats:
    """All queues together, at most a second old."""

    __pydantic_config__ = config(
        {
            "at": "2026-11-23T05:13:25.000Z",
            "totals": {"waiting": 12, "active": 5, "delayed": 9, "waiting_children": 0, "completed": 1234, "failed": 3,
                       "completed_total": 812345, "failed_total": 403},
            "failure_ratio": 0.002, "oldest_waiting_seconds": 0.8, "oldest_waiting_queue": "email",
            "workers": 2, "slots": 10, "busy": 5, "queues": 4, "schedules": 3, "overdue": 0,
        }
    )  # fmt: skip
    at: Time
    window_ms: int
    totals: TotalsInfo
    rates: RateInfo
    failure_ratio: float | None
    wait_ms: Percentiles
    run_ms: Percentiles
    oldest_waiting_seconds: float | None
    oldest_waiting_queue: str | None
    workers: int
    slots: int
    busy: int
    queues: int
    schedules: int | None
    overdue: int | None
    took_ms: float
    complete: bool | None = None
    """With `window`: whether every queue was asked, for which there is half a second."""
    earlier: Earlier | None = None
    """With `compare`: the same window so long ago."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to do, and with which request."""

    __pydantic_config__ = config()
    text: str
    method: str | None = None
    href: str | None = None


@dataclass(frozen=True, kw_only=True)
class FindingInfo:
    """Something that wants attention. `id` stays the same while it lasts."""

    __pydantic_config__ = config(
        {
            "id": "no-worker/email", "rule": "no-worker", "severity": "critical", "queue": "email", "subject": None,
            "message": "12 jobs wait and nobody serves the queue", "since": "2026-11-23T05:03:25.000Z", "value": 12,
            "threshold": None, "remedy": {"text": "start a worker", "method": None, "href": None},
            "muted_until": None,
        }
    )  # fmt: skip
    id: str
    rule: str
    severity: str
    """`note`, `warning` or `critical`."""
    queue: str | None
    subject: str | None
    message: str
    since: Time | None
    value: float | None
    threshold: float | None
    remedy: Remedy
    muted_until: Time | None


@dataclass(frozen=True, kw_only=True)
class MarkInfo:
    """A mark on the charts: a deployment, an incident."""

    __pydantic_config__ = config(
        {"id": "01jd8m3x5y6z7a8b9c0d1e2f3g", "label": "v2.3.1", "at": "2026-11-23T04:30:00.000Z", "url": None,
         "color": None, "by": "ana", "queues": ["*"]}
    )  # fmt: skip
    id: str
    label: str
    at: Time
    url: str | None
    color: str | None
    by: str | None
    queues: Sequence[str]
    """Patterns of the queues on whose charts it stands."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """Something that could be typed next, and what it would replace."""

    __pydantic_config__ = config()
    text: str
    kind: str
    start: int
    end: int


class MarkBody(Body):
    """A mark on the charts."""

    label: str = Field(min_length=1, max_length=200)
    at: AwareDatetime | None = None
    """Now, unless it says otherwise."""
    url: str = Field(default="", max_length=2_000)
    color: str = Field(default="", max_length=32)


def finding_of(row: FindingRow, remedy: Remedy, muted_until: Millis | None) -> FindingInfo:
    """Something that wants attention."""
    return FindingInfo(
        id=row.id, rule=row.rule, severity=row.severity, queue=row.queue or None, subject=row.subject or None,
        message=row.message, since=when(row.since), value=row.value, threshold=row.threshold, remedy=remedy,
        muted_until=when(muted_until),
    )  # fmt: skip


def mark_of(mark: MarkRow) -> MarkInfo:
    """A mark on the charts."""
    return MarkInfo(
        id=mark.id, label=mark.label, at=moment(mark.at), url=mark.url or None, color=mark.color or None,
        by=mark.by or None, queues=mark.queues,
    )  # fmt: skip
