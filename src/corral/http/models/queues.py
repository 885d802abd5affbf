"""Queues as the API shows and takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corral.http.models.base import Time, config, moment, seconds
from corral.monitor.objects import Autoscale as AutoscaleRow
from corral.monitor.objects import Limit, QueueDetail, QueueRow, Rates, Setting, Spread
from corral.storage.port import QueueInfo
from corral.timing import Millis


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """How long attempts took, in milliseconds; null: nobody knows, or there were none."""

    __pydantic_config__ = config()
    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, kw_only=True)
class RateInfo:
    """Attempts that ended lately."""

    __pydantic_config__ = config()
    window_ms: int
    completed: int
    failed: int
    retried: int
    done_per_min: float
    failed_per_min: float
    failure_ratio: float | None
    """Of the jobs that ended; null when none did."""
    source: str
    """`metrics`: all were counted. `sample`: worked out from the newest finished jobs. `none`: nothing ended."""
    exact: bool


@dataclass(frozen=True, kw_only=True)
class PauseInfo:
    """Whether the queue stands, and why."""

    __pydantic_config__ = config()
    value: bool
    reason: str | None = None
    by: str | None = None
    since: Time | None = None
    until: Time | None = None
    """When it is resumed by itself."""


@dataclass(frozen=True, kw_only=True)
class HoldInfo:
    """A stop that somebody's answer or the breaker asked for."""

    __pydantic_config__ = config()
    until: Time
    reason: str


@dataclass(frozen=True, kw_only=True)
class Window:
    """So many starts in each window."""

    __pydantic_config__ = config()
    max: int
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class RateLimitInfo(Window):
    """The rate limit of a queue."""

    limited_for_ms: int | None = None
    """Nothing starts for so long: the window is used up. Null: it has room."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How many finished jobs stay, and for how long."""

    __pydantic_config__ = config()
    count: int | None = None
    age_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Jobs by state. `waiting` are all that wait, whatever their priority."""

    __pydantic_config__ = config()
    waiting: int
    active: int
    delayed: int
    waiting_children: int
    completed: int
    """That are kept."""
    failed: int
    """That are kept."""
    paused: int
    """Of the waiting ones, while the queue is paused: all of them."""
    completed_total: int
    """Ever."""
    failed_total: int
    """Ever."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Where the backlog is going."""

    __pydantic_config__ = config()
    trend: str
    """`growing`, `shrinking`, `steady` or `unknown`."""
    per_min: float | None
    empty_in_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Groups:
    """A queue's groups in numbers."""

    __pydantic_config__ = config()
    total: int
    waiting: int
    paused: int
    held: int
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Details:
    """What is there of one queue beyond its row."""

    __pydantic_config__ = config()
    more_limits: Sequence[Window] = ()
    name_concurrency: Mapping[str, int] = field(default_factory=dict)
    name_limits: Mapping[str, Sequence[Window]] = field(default_factory=dict)
    add_limit: Window | None = None
    group_concurrency: int | None = None
    group_max_size: int | None = None
    group_limits: Sequence[Window] = ()
    groups: Groups | None = None
    keep_completed: Retention | None = None
    keep_failed: Retention | None = None
    schedules: int = 0
    worker_ids: Sequence[str] = ()
    priorities: Mapping[str, int] | None = None
    """Waiting jobs by priority, best first; at most the first 20."""
    priorities_complete: bool | None = None
    defaults: Mapping[str, object] | None = None
    """What its declaration says about its jobs, where the application is known (`include=defaults`)."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue."""

    __pydantic_config__ = config(
        {
            "name": "email",
            "engine": "redis",
            "state": "active",
            "attention": 0,
            "paused": {"value": False, "reason": None, "by": None, "since": None, "until": None},
            "hold": None,
            "counts": {
                "waiting": 16, "active": 5, "delayed": 9, "waiting_children": 0, "completed": 1000, "failed": 3,
                "paused": 0, "completed_total": 812345, "failed_total": 403,
            },
            "oldest_waiting_seconds": 0.8,
            "global_concurrency": 5,
            "rate_limit": {"max": 10, "duration_ms": 1000, "limited_for_ms": 320},
            "workers": 2,
            "slots": 10,
            "busy": 5,
            "description": "letters to customers",
            "slo_seconds": 30.0,
            "sampled_at": "2026-11-23T05:13:25.000Z",
        }
    )  # fmt: skip
    name: str
    engine: str
    state: str
    """`active`, `paused`, `held` or `probing`."""
    attention: int
    """0 nothing, 1 a note, 2 a warning, 3 critical."""
    paused: PauseInfo
    hold: HoldInfo | None
    counts: Counts
    oldest_waiting_seconds: float | None
    rates: RateInfo
    wait_ms: Percentiles
    run_ms: Percentiles
    global_concurrency: int | None
    rate_limit: RateLimitInfo | None
    workers: int
    slots: int
    busy: int
    forecast: Forecast
    description: str | None
    slo_seconds: float | None
    """How long its oldest job may wait before that wants attention; null: as the thresholds say."""
    sampled_at: Time
    details: Details | None = None
    """Of one queue; not in lists."""
    trend: Sequence[int] | None = None
    """Jobs that ended in each of the last 24 hours, this hour last (`include=trend`); null: nobody knows yet."""


@dataclass(frozen=True, kw_only=True)
class Priorities:
    """Waiting jobs by priority."""

    __pydantic_config__ = config(
        {"items": [{"priority": 1, "count": 4}, {"priority": 0, "count": 12}], "complete": True}
    )
    items: Sequence["PriorityCount"]
    complete: bool
    """Whether these are all: the first 20 that occur are told apart."""


@dataclass(frozen=True, kw_only=True)
class PriorityCount:
    """How many wait with one priority. 0 is the plain list."""

    __pydantic_config__ = config()
    priority: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Deduplication:
    """The job that keeps others out."""

    __pydantic_config__ = config({"key": "report-7", "job_id": "12345"})
    key: str
    job_id: str


@dataclass(frozen=True, kw_only=True)
class Autoscale:
    """How many workers a queue wants. KEDA's `metrics-api` scaler reads it as it is."""

    __pydantic_config__ = config(
        {
            "queue": "email", "backlog": 16, "active": 5, "oldest_waiting_seconds": 0.8, "arrivals_per_second": 14.2,
            "service_seconds_mean": 0.09, "slots_per_worker": 5.0, "workers": 2, "utilization": 1.0,
            "desired_workers": 3, "load": 1.3, "target_seconds": 30.0,
        }
    )  # fmt: skip
    queue: str
    backlog: int
    active: int
    oldest_waiting_seconds: float | None
    arrivals_per_second: float
    service_seconds_mean: float | None
    """Null: nothing ended lately, so nobody knows."""
    slots_per_worker: float
    workers: int
    utilization: float
    desired_workers: int
    load: float
    target_seconds: float


@dataclass(frozen=True, kw_only=True)
class Drained:
    """How many jobs are gone, or would be."""

    __pydantic_config__ = config({"removed": 12, "dry_run": False})
    removed: int
    dry_run: bool


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """How many jobs are gone, or would be, and some of them."""

    __pydantic_config__ = config({"removed": 2, "dry_run": True, "sample": ["12345", "12346"]})
    removed: int
    dry_run: bool
    sample: Sequence[str]
    exact: bool = True
    """False: there are at least so many."""


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The queues that were changed."""

    __pydantic_config__ = config({"changed": ["email", "email-bulk"]})
    changed: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class NameSchema:
    """How the payload of one job name looks."""

    __pydantic_config__ = config()
    schema: Mapping[str, object]
    """JSON Schema."""
    sensitive: Sequence[str]
    """Fields that are never shown."""
    defaults: Mapping[str, object]
    """The options that its jobs have unless they say otherwise."""


@dataclass(frozen=True, kw_only=True)
class Schemas:
    """The job names of a queue that the application declares."""

    __pydantic_config__ = config()
    names: Mapping[str, NameSchema]


# -- from the monitor ----------------------------------------------------------------------------------------------


def percentiles(spread: Spread) -> Percentiles:
    """How long attempts took."""
    return Percentiles(count=spread.count, mean=spread.mean, p50=spread.p50, p95=spread.p95, p99=spread.p99)


def rates_of(rates: Rates) -> RateInfo:
    """Attempts that ended lately, each minute."""
    minutes = (rates.window_ms or 60_000) / 60_000
    share = rates.failure_share
    ended = rates.completed + rates.failed
    per_min = rates.per_second * 60 if ended else 0.0
    return RateInfo(
        window_ms=rates.window_ms,
        completed=rates.completed,
        failed=rates.failed,
        retried=rates.retried,
        done_per_min=round(per_min * rates.completed / ended, 3) if ended else 0.0,
        failed_per_min=round(per_min * rates.failed / ended, 3) if ended else round(rates.failed / minutes, 3),
        failure_ratio=None if share is None else round(share, 6),
        source=rates.source,
        exact=rates.exact,
    )


def window(limit: Limit | None) -> Window | None:
    """One window of a rate limit."""
    return None if limit is None else Window(max=limit.count, duration_ms=limit.per_ms)


def rate_limit_of(row: QueueRow, at: Millis) -> RateLimitInfo | None:
    """The rate limit of a queue, and for how long it lets nothing start."""
    limit, until = row.rate_limit, row.limited_until
    if limit is None:
        return None
    left = None if until is None else max(0, until - at)
    return RateLimitInfo(max=limit.count, duration_ms=limit.per_ms, limited_for_ms=left)


def windows(limits: Sequence[Limit]) -> tuple[Window, ...]:
    """Several of them."""
    return tuple(Window(max=one.count, duration_ms=one.per_ms) for one in limits)


def retention(keep: Setting | None) -> Retention | None:
    """How long finished jobs stay."""
    return None if keep is None else Retention(count=keep.count, age_ms=keep.age_ms)


def forecast(row: QueueRow) -> Forecast:
    """Where the backlog is going."""
    grows = row.grows_per_minute
    trend = "unknown" if grows is None else "growing" if grows > 0 else "shrinking" if grows < 0 else "steady"
    return Forecast(trend=trend, per_min=grows, empty_in_seconds=seconds(row.empty_in_ms))


def queue_of(
    row: QueueRow, engine: str, at: Millis, *, pause: PauseInfo | None = None, details: Details | None = None,
    trend: Sequence[int] | None = None,
) -> Queue:  # fmt: skip
    """A queue as it is shown."""
    paused = row.state == "paused"
    return Queue(
        name=row.name,
        engine=engine,
        state=row.state,
        attention=row.attention,
        paused=pause or PauseInfo(value=paused, reason=row.pause_reason or None if paused else None),
        hold=None if row.held_until is None else HoldInfo(until=moment(row.held_until), reason=row.hold_reason),
        counts=Counts(
            waiting=row.waiting, active=row.active, delayed=row.delayed, waiting_children=row.waiting_children,
            completed=row.completed, failed=row.failed, paused=row.paused_jobs, completed_total=row.completed_total,
            failed_total=row.failed_total,
        ),
        oldest_waiting_seconds=seconds(row.oldest_waiting_ms),
        rates=rates_of(row.rates),
        wait_ms=percentiles(row.wait),
        run_ms=percentiles(row.run),
        global_concurrency=row.concurrency,
        rate_limit=rate_limit_of(row, at),
        workers=row.workers,
        slots=row.slots,
        busy=row.busy,
        forecast=forecast(row),
        description=row.description or None,
        slo_seconds=seconds(row.slo_ms),
        sampled_at=moment(at),
        details=details,
        trend=trend,
    )  # fmt: skip


def details_of(
    detail: QueueDetail, *, priorities: bool = False, defaults: Mapping[str, object] | None = None
) -> Details:
    """What is there of one queue beyond its row."""
    groups = detail.groups
    return Details(
        more_limits=windows(detail.limits),
        name_concurrency=detail.name_concurrency,
        name_limits={name: windows(some) for name, some in detail.name_limits.items()},
        add_limit=window(detail.add_limit),
        group_concurrency=detail.group_concurrency,
        group_max_size=detail.group_max_size,
        group_limits=windows(detail.group_limits),
        groups=Groups(
            total=groups.total, waiting=groups.waiting, paused=groups.paused, held=groups.held,
            complete=groups.complete,
        ),
        keep_completed=retention(detail.keep_completed),
        keep_failed=retention(detail.keep_failed),
        schedules=detail.schedules,
        worker_ids=detail.workers,
        priorities={str(one): count for one, count in detail.priorities.items()} if priorities else None,
        priorities_complete=detail.priorities_complete if priorities else None,
        defaults=defaults,
    )  # fmt: skip


def settings_key(info: QueueInfo, row: QueueRow) -> tuple[object, ...]:
    """What the settings of a queue are known by: what PATCH changes."""
    return (
        info.concurrency, info.rate_limit, info.add_limit, info.keep_completed, info.keep_failed, row.description,
        row.slo_ms,
    )  # fmt: skip


def autoscale_of(row: AutoscaleRow) -> Autoscale:
    """The figures that a scaler reads."""
    return Autoscale(
        queue=row.queue, backlog=row.backlog, active=row.active,
        oldest_waiting_seconds=seconds(row.oldest_waiting_ms), arrivals_per_second=row.arrivals_per_second,
        service_seconds_mean=None if row.service_ms_mean is None else row.service_ms_mean / 1000,
        slots_per_worker=row.slots_per_worker, workers=row.workers, utilization=row.utilization,
        desired_workers=row.desired_workers, load=row.load, target_seconds=row.target_ms / 1000,
    )  # fmt: skip
