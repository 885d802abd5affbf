"""Figures over time."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from corral.admin.rights import Permission
from corral.http.deps import allow, problem
from corral.http.models.base import moment
from corral.http.models.documented import shown
from corral.http.models.queues import percentiles
from corral.http.models.series import Line, NameInfo, SeriesInfo, TopList
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.queues import exists
from corral.http.spans import instant_of, span_of
from corral.monitor.objects import Level, Point, Series
from corral.storage.insight import Tier

router = Router(tags=["Metrics"])

#: What a step is called: the tier that it is made from, and its length.
STEPS = {
    "1m": (Tier.MINUTE, 60_000),
    "10m": (Tier.MINUTE, 600_000),
    "1h": (Tier.HOUR, 3_600_000),
    "1d": (Tier.DAY, 86_400_000),
}
AGGREGATES = ("p50", "p95", "p99", "mean")
Metric = Literal[
    "throughput", "completed", "failed", "retried", "failure_ratio", "run_ms", "wait_ms", "added", "waiting",
    "oldest_waiting", "busy",
]  # fmt: skip
#: Of queues, not of attempts: they have no name and no percentiles.
LEVELS = ("added", "waiting", "oldest_waiting", "busy")
Step = Literal["1m", "10m", "1h", "1d"]
UNITS = {"run_ms": "ms", "wait_ms": "ms", "failure_ratio": "share", "oldest_waiting": "s"}
Moment = Annotated[str | None, Query(max_length=40, description="A time, or an age such as `2h`.")]
Aggregates = Annotated[str, Query(max_length=60, description="Of durations: `p50,p95,p99,mean`.")]


@router.get(
    "/metrics/series", operation_id="get_series", response_model=shown(SeriesInfo), responses=told("queue-not-found"),
    dependencies=[allow(Permission.METRICS_READ, queue=None)],
)  # fmt: skip
async def get_series(
    call: Called, metric: Metric = "throughput", queue: Annotated[str | None, Query(max_length=256)] = None,
    name: Annotated[str | None, Query(max_length=128, description="Only jobs of this name.")] = None,
    since: Annotated[str | None, Query(alias="from", max_length=40)] = None,
    to: Moment = None, step: Step = "1m", agg: Aggregates = "p50,p95,p99",
) -> Response:  # fmt: skip
    """A chart of one queue, or of all together."""
    return await _chart(call, metric, queue, name, since, to, step, agg)


@router.get(
    "/queues/{q}/metrics", operation_id="get_queue_series", response_model=shown(SeriesInfo),
    responses=told("queue-not-found"), dependencies=[allow(Permission.METRICS_READ)],
)  # fmt: skip
async def get_queue_series(
    call: Called, q: str, metric: Metric = "throughput",
    name: Annotated[str | None, Query(max_length=128)] = None,
    since: Annotated[str | None, Query(alias="from", max_length=40)] = None,
    to: Moment = None, step: Step = "1m", agg: Aggregates = "p50,p95,p99",
) -> Response:  # fmt: skip
    """A chart of one queue."""
    return await _chart(call, metric, q, name, since, to, step, agg)


async def _chart(
    call: Caller, metric: str, queue: str | None, name: str | None, since: str | None, until: str | None, step: str,
    agg: str,
) -> Response:  # fmt: skip
    if queue is not None:
        if not call.sees(queue):
            problem("queue-not-found", f"There is no queue {queue!r}.")
        await exists(call, queue)
    chosen = tuple(dict.fromkeys(one.strip() for one in agg.split(",") if one.strip()))
    for one in chosen:
        if one not in AGGREGATES:
            problem("invalid-parameter", f"There is no {one!r}; there are {', '.join(AGGREGATES)}.", parameter="agg")
    monitor = call.api.monitor
    now = monitor.at()
    begin, end = instant_of(since, "from", now), instant_of(until, "to", now)
    if begin is not None and begin >= (now + 1 if end is None else end):
        problem("invalid-parameter", "from must lie before to.", parameter="from")
    tier, length = STEPS[step]
    if metric in LEVELS:
        if name is not None:
            problem("invalid-parameter", f"{metric} is of a queue, not of a job name.", parameter="name")
        return await _levels(call, metric, queue, begin, end, step, length)
    found = await monitor.series(
        queue, tier, since=begin, until=end, name=name, visible=call.globs, step_ms=length
    )  # fmt: skip
    labels = {key: value for key, value in (("queue", queue), ("name", name)) if value is not None}
    return answer(
        SeriesInfo(
            metric=metric, unit=UNITS.get(metric, "jobs"), step=step, step_ms=found.step_ms, since=moment(found.since),
            until=moment(found.until), series=_lines(found, metric, chosen, labels),
            partial_last=found.until > now - now % found.step_ms, source=found.source, complete=found.complete,
            names=found.names,
        )
    )  # fmt: skip


async def _levels(
    call: Caller, metric: str, queue: str | None, begin: int | None, end: int | None, step: str, length: int
) -> Response:
    monitor = call.api.monitor
    found = await monitor.levels(queue, since=begin, until=end, visible=call.globs, step_ms=length)
    points: list[list[float | None]] = [[one.at, _level(one, metric), one.looks] for one in found.points]
    now = monitor.at()
    return answer(
        SeriesInfo(
            metric=metric, unit=UNITS.get(metric, "jobs"), step=step, step_ms=length, since=moment(found.since),
            until=moment(found.until), series=[Line(labels={} if queue is None else {"queue": queue}, points=points)],
            partial_last=found.until > now - now % length, source="series", complete=found.complete, names=(),
        )
    )  # fmt: skip


def _level(point: Level, metric: str) -> float | None:
    if metric == "oldest_waiting":
        return point.oldest_ms / 1000
    value: float | None = getattr(point, metric)
    return value


def _lines(found: Series, metric: str, aggregates: Sequence[str], labels: dict[str, str]) -> list[Line]:
    points = found.points
    if metric in ("run_ms", "wait_ms"):
        return [
            Line(labels={**labels, "agg": one}, points=[_duration(point, metric, one) for point in points])
            for one in aggregates
        ]
    if metric == "throughput":
        return [
            Line(labels={**labels, "state": state}, points=[_count(point, state) for point in points])
            for state in ("completed", "failed")
        ]
    return [Line(labels=labels, points=[_count(point, metric) for point in points])]


def _duration(point: Point, metric: str, aggregate: str) -> list[float | None]:
    spread = point.run if metric == "run_ms" else point.wait
    value: float | None = getattr(spread, aggregate)
    return [point.at, value, spread.count]


def _count(point: Point, metric: str) -> list[float | None]:
    ended = point.completed + point.failed
    if metric == "failure_ratio":
        return [point.at, point.failed / ended if ended else None, ended]
    value: int = getattr(point, metric)
    return [point.at, value, ended + point.retried]


@router.get(
    "/metrics/top", operation_id="get_top", response_model=shown(TopList), responses=told("queue-not-found"),
    dependencies=[allow(Permission.METRICS_READ, queue=None)],
)  # fmt: skip
async def get_top(
    call: Called, by: Literal["total_time", "p95", "failures", "count"] = "total_time",
    window: Annotated[str, Query(max_length=20)] = "1h",
    queue: Annotated[str | None, Query(max_length=256)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 20,
) -> Response:  # fmt: skip
    """Job names by what they cost."""
    if queue is not None:
        if not call.sees(queue):
            problem("queue-not-found", f"There is no queue {queue!r}.")
        await exists(call, queue)
    found = await call.api.monitor.top(
        by=by, window=span_of(window, "window"), queue=queue, limit=limit, visible=call.globs
    )
    items = [
        NameInfo(
            queue=row.queue, name=row.name, completed=row.completed, failed=row.failed, retried=row.retried,
            failure_ratio=row.failure_share, total_ms=row.total_ms, wait_ms=percentiles(row.wait),
            run_ms=percentiles(row.run),
        )
        for row in found.items
    ]  # fmt: skip
    return answer(
        TopList(by=by, since=moment(found.since), until=moment(found.until), items=items, total=found.total,
                complete=found.complete)
    )  # fmt: skip
