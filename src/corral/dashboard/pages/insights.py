"""Insights: charts over all queues or of one, and what job names cost."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

from msgspec import Struct
from starlette.responses import Response

from corral.dashboard.chart import Chart, More, chart
from corral.dashboard.visit import Visit

#: A range, and the step it is drawn in.
RANGES = {"1h": "1m", "6h": "10m", "24h": "10m", "7d": "1h", "30d": "1d"}
TOP = ("total_time", "p95", "failures", "count")
CHARTS = ("throughput", "failure_ratio", "run_ms", "wait_ms", "added", "busy")
#: What is asked for: the charts, and what is drawn into one of them.
METRICS = (*CHARTS, "oldest_waiting")
#: Minutes are kept for two days; the steps of a range of somebody's own, by how long it is at most.
FINE = timedelta(days=2)
STEPS = ((timedelta(hours=2), "1m"), (FINE, "10m"), (timedelta(days=14), "1h"))
#: Over what PromQL takes rates.
RATE = "[5m]"


class Span(Struct, frozen=True):
    """A stretch of time, and in which steps it is drawn."""

    name: str  #: one of RANGES; "" when somebody said from when until when
    step: str
    begin: datetime | None = None
    end: datetime | None = None
    problem: str = ""

    def asked(self) -> dict[str, str]:
        """The API's parameters."""
        if self.begin is None:
            return {"from": self.name, "step": self.step}
        asked = {"from": self.begin.isoformat(), "step": self.step}
        return asked if self.end is None else {**asked, "to": self.end.isoformat()}

    def window(self, now: datetime) -> str:
        """How far back it reaches."""
        return self.name if self.begin is None else f"{max(60, round((now - self.begin).total_seconds()))}s"


def span_of(visit: Visit) -> Span:
    """What an address asks for: a range by its name, or from when until when."""
    name, since, until = visit.parameter("range"), visit.parameter("from"), visit.parameter("to")
    usual = Span(name, RANGES[name]) if name in RANGES else Span("1h", RANGES["1h"])
    if name in RANGES or not since:
        return usual
    begin, end = visit.times.begin(since), visit.times.begin(until) if until else None
    if begin is None or (until and end is None):
        return Span(usual.name, usual.step, problem="Write moments like 2026-11-23T09:00.")
    if begin >= (end or visit.now):
        return Span(usual.name, usual.step, problem="The beginning must lie before the end, and not in the future.")
    length = (end or visit.now) - begin
    step = next((step for most, step in STEPS if length <= most), "1d")
    if visit.now - begin > FINE and step in ("1m", "10m"):
        step = "1h"
    return Span("", step, begin, end)


class Drawn(Struct, frozen=True):
    """Charts, and the marks that stand in them."""

    charts: Mapping[str, Chart]
    marks: Sequence[Mapping[str, object]]


async def drawn(visit: Visit, queue: str, span: Span, *, log: bool = False) -> Drawn:
    """The charts of one queue, or of all that may be seen."""
    asked = [visit.api.get("/marks", limit=500)]
    asked += [visit.api.get("/metrics/series", metric=one, queue=queue or None, **span.asked()) for one in METRICS]
    marks, *found = await asyncio.gather(*asked)
    marked = cast(Mapping[str, Sequence[Mapping[str, object]]], marks)
    answers = {name: cast(Mapping[str, object], one) for name, one in zip(METRICS, found, strict=True)}
    oldest, ended = More("oldest waiting", answers["oldest_waiting"], 1_000.0), More("", answers["throughput"])
    more, names, said = {"wait_ms": (oldest,), "added": (ended,)}, {"busy": "running"}, queries(queue)
    charts = {
        name: chart(
            answers[name], marked, times=visit.times, more=more.get(name, ()), name=names.get(name, ""), log=log,
            query=said[name],
        )
        for name in CHARTS
    }  # fmt: skip
    return Drawn(charts, marked["items"])


def queries(queue: str) -> dict[str, str]:
    """The charts in PromQL, of the series that workers and the API export."""
    one = f"queue={json.dumps(queue, ensure_ascii=False)}" if queue else ""
    where = f"{{{one}}}" if one else ""
    failed = ",".join(part for part in (one, 'outcome=~"failed|timeout"') if part)

    def quantile(metric: str) -> str:
        return f"histogram_quantile(0.95, sum by (le) (rate({metric}_bucket{where}{RATE})))"

    finished = f"rate(corral_jobs_finished_total{where}{RATE})"
    return {
        "throughput": f"sum by (outcome) ({finished})",
        "failure_ratio": f"sum(rate(corral_jobs_finished_total{{{failed}}}{RATE})) / sum({finished})",
        "run_ms": quantile("corral_job_duration_seconds"),
        "wait_ms": quantile("corral_job_wait_seconds"),
        "added": f"sum(rate(corral_jobs_added_total{where}{RATE}))",
        "busy": f"sum(corral_queue_slots_busy{where})",
    }


async def insights(visit: Visit) -> Response:
    """Charts over all queues, or of one."""
    queue, by, span = visit.parameter("queue"), visit.parameter("by", TOP[0]), span_of(visit)
    by, log = by if by in TOP else TOP[0], visit.parameter("scale") == "log"
    found, top, queues = await asyncio.gather(
        drawn(visit, queue, span, log=log),
        visit.api.get("/metrics/top", by=by, window=span.window(visit.now), queue=queue or None, limit=30),
        visit.api.get("/queues", limit=500, sort="name", fields="name"),
    )
    return await visit.page(
        "insights.html", title="Insights", active="insights", charts=found.charts, marks=found.marks, top=top,
        span=span, ranges=tuple(RANGES), queue=queue, queues=queues, by=by, tops=TOP, log=log,
    )  # fmt: skip


PAGES = (("GET", "/insights", insights),)
