"""Figures over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corral.http.models.base import Time, config
from corral.http.models.queues import Percentiles


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart. A point is `[epoch milliseconds, value, number of attempts]`.

    Of `added`, `waiting`, `oldest_waiting` and `busy` the last number says how often somebody looked.
    """

    __pydantic_config__ = config()
    labels: Mapping[str, str]
    points: Sequence[Sequence[float | None]]


@dataclass(frozen=True, kw_only=True)
class SeriesInfo:
    """A chart. Stretches in which nothing ended are left out."""

    __pydantic_config__ = config(
        {
            "metric": "run_ms", "unit": "ms", "step": "1m", "step_ms": 60000, "from": "2026-11-23T04:13:00.000Z",
            "to": "2026-11-23T05:13:25.000Z",
            "series": [{"labels": {"queue": "email", "agg": "p95"}, "points": [[1795497180000, 840, 850]]}],
            "partial_last": True, "source": "series", "complete": True, "names": ["welcome"],
        }
    )  # fmt: skip
    metric: str
    unit: str
    step: str
    step_ms: int
    since: Time
    until: Time
    series: Sequence[Line]
    partial_last: bool
    """Whether the last stretch is still filling."""
    source: str
    """`series`: recorded by workers. `sample`: worked out from the newest finished jobs."""
    complete: bool
    names: Sequence[str]
    """Job names that occur."""


@dataclass(frozen=True, kw_only=True)
class NameInfo:
    """What the jobs of one name cost."""

    __pydantic_config__ = config()
    queue: str
    name: str
    completed: int
    failed: int
    retried: int
    failure_ratio: float | None
    total_ms: float
    wait_ms: Percentiles
    run_ms: Percentiles


@dataclass(frozen=True, kw_only=True)
class TopList:
    """Job names, the most expensive first."""

    __pydantic_config__ = config()
    by: str
    since: Time
    until: Time
    items: Sequence[NameInfo]
    total: int
    complete: bool
