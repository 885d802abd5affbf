"""The pipeline report: how often runs succeed, how long they take, what breaks them."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from statistics import median, quantiles
from typing import Literal, TypeAlias

from msgspec import Struct

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.period import Period
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.days import buckets
from corral.handlers.reports.words import apart, show_number
from corral.plurals import plural


class PipelineRun(Struct, frozen=True, kw_only=True):
    """One run. `started_at` is in milliseconds since the epoch."""

    id: str
    pipeline: str
    status: Literal["success", "failed", "cancelled"]
    started_at: int
    seconds: float
    trigger: str = ""
    branch: str = ""
    failed_step: str = ""


#: The runs that a report is about, that started in a period.
FindRuns: TypeAlias = Callable[[Request[ReportPayload], Period], Awaitable[Sequence[PipelineRun]]]


class PipelineSource:
    """Makes the pipeline report of runs, which are asked for the period and the one before."""

    def __init__(self, runs: FindRuns, *, title: str = "Pipeline report") -> None:
        self._runs = runs
        self._title = title

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Ask for the runs and make the document."""
        runs = sorted(await self._runs(request, request.period), key=lambda one: (one.started_at, one.id))
        before = list(await self._runs(request, request.previous))
        names = list(dict.fromkeys(one.pipeline for one in runs))
        return Document(
            title=self._title,
            subject=names[0] if len(names) == 1 else request.about,
            period=request.period.words,
            summary=_summary(runs),
            figures=_figures(runs, before),
            charts=_charts(request.period, runs),
            tables=_tables(request.period, runs),
            notes=(f"Compared with {request.previous.words}. Cancelled runs count neither as good nor as bad.",),
        )


def rate(runs: Sequence[PipelineRun]) -> float | None:
    """The share of runs that succeeded, of those that came to an end of their own."""
    ended = [one for one in runs if one.status != "cancelled"]
    return 100 * sum(one.status == "success" for one in ended) / len(ended) if ended else None


def _times(runs: Sequence[PipelineRun]) -> list[float]:
    return [one.seconds for one in runs if one.status != "cancelled"]


def _high(times: Sequence[float]) -> float | None:
    """What 19 of 20 stay below."""
    if len(times) < 2:
        return times[0] if times else None
    return min(quantiles(times, n=20, method="inclusive")[-1], max(times))


def _summary(runs: Sequence[PipelineRun]) -> tuple[str, ...]:
    good = rate(runs)
    if good is None:
        return ("No run came to its end in this period.",)
    text = f"{plural(len(runs), 'run')}, of which {show_number(good, 'percent')} succeeded."
    times = _times(runs)
    text += f" Half of them took less than {show_number(median(times), 'seconds')}."
    steps = Counter(one.failed_step for one in runs if one.failed_step).most_common(1)
    if steps:
        step, count = steps[0]
        text += f" Most often it was the step {apart(step)} that failed: {plural(count, 'time')}."
    return (text,)


def _figures(runs: Sequence[PipelineRun], before: Sequence[PipelineRun]) -> tuple[Figure, ...]:
    times, old = _times(runs), _times(before)
    failed = sum(one.status == "failed" for one in runs)
    return (
        Figure(label="Runs", value=len(runs), before=len(before) if before else None),
        Figure(label="Succeeded", value=rate(runs), kind="percent", better="up", before=rate(before)),
        Figure(
            label="Failed",
            value=failed,
            better="down",
            before=sum(one.status == "failed" for one in before) if before else None,
        ),
        Figure(
            label="Usual time",
            value=median(times) if times else None,
            kind="seconds",
            better="down",
            before=median(old) if old else None,
            hint="half take less",
        ),
        Figure(
            label="Long time",
            value=_high(times),
            kind="seconds",
            better="down",
            before=_high(old),
            hint="19 of 20 take less",
        ),
        Figure(
            label="Repaired after", value=repair_time(runs), kind="seconds", better="down", before=repair_time(before)
        ),
    )


def repair_time(runs: Sequence[PipelineRun]) -> float | None:
    """How long a pipeline stays broken on average: from a first failure to the end of the next success, in seconds."""
    broken: dict[tuple[str, str], int] = {}
    spans = []
    for one in sorted(runs, key=lambda one: one.started_at):
        line = (one.pipeline, one.branch)
        if one.status == "failed":
            broken.setdefault(line, one.started_at)
        elif one.status == "success" and line in broken:
            spans.append(one.started_at / 1000 + one.seconds - broken.pop(line) / 1000)
    return sum(spans) / len(spans) if spans else None


def _charts(period: Period, runs: Sequence[PipelineRun]) -> tuple[Chart, ...]:
    stretches = buckets(period)
    days = [(period.day_of(one.started_at), one) for one in runs]
    tones: tuple[tuple[str, str, Literal["good", "bad", "calm"]], ...] = (
        ("Success", "success", "good"),
        ("Failed", "failed", "bad"),
        ("Cancelled", "cancelled", "calm"),
    )
    series = [
        Series(name=name, values=stretches.add_up((day, 1.0) for day, one in days if one.status == status), tone=tone)
        for name, status, tone in tones
    ]
    by = f"by {stretches.each}"
    labels = stretches.labels
    times = stretches.mean((day, one.seconds) for day, one in days if one.status != "cancelled")
    charts = [
        Chart(
            title=f"Runs {by}", labels=labels, series=tuple(one for one in series if any(one.values)), kind="stacked"
        ),
        Chart(title=f"Mean time of a run {by}", labels=labels, series=(Series(name="Time", values=times),), unit="s"),
    ]
    steps = Counter(one.failed_step for one in runs if one.failed_step).most_common(8)
    if len(steps) > 1:
        values = tuple(float(count) for _, count in steps)
        names = tuple(name for name, _ in steps)
        charts.append(
            Chart(title="Steps that failed", labels=names, series=(Series(name="Runs", values=values),), kind="rank")
        )
    return tuple(charts)


def _tables(period: Period, runs: Sequence[PipelineRun]) -> tuple[Table, ...]:
    failures: list[tuple[Cell, ...]] = []
    every: list[tuple[Cell, ...]] = []
    for one in reversed(runs):
        at = datetime.fromtimestamp(one.started_at // 1000, period.zone)
        every.append((at, one.pipeline, one.id, one.status, one.seconds, one.branch, one.trigger, one.failed_step))
        if one.status == "failed":
            failures.append((at, one.pipeline, one.id, one.failed_step, one.branch, one.trigger, one.seconds))
    time, run = Column("Started", "time"), Column("Run", "code")
    failed = Table(
        title="Failures",
        rows=tuple(failures),
        empty="No run failed.",
        columns=(
            time,
            Column("Pipeline", wide=True),
            run,
            Column("Step"),
            Column("Branch"),
            Column("By"),
            Column("Time", "seconds"),
        ),
    )
    tables = [failed]
    names = sorted({one.pipeline for one in runs})
    if len(names) > 1:
        tables.append(_by_pipeline(names, runs))
    whole = Table(
        title="All runs",
        rows=tuple(every),
        main=True,
        columns=(
            time,
            Column("Pipeline", wide=True),
            run,
            Column("Status", "status"),
            Column("Time", "seconds"),
            Column("Branch"),
            Column("By"),
            Column("Failed step"),
        ),
    )
    return (*tables, whole)


def _by_pipeline(names: Sequence[str], runs: Sequence[PipelineRun]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        some = [one for one in runs if one.pipeline == name]
        times = _times(some)
        failed = sum(one.status == "failed" for one in some)
        rows.append((name, len(some), rate(some), failed, median(times) if times else None))
    columns = (
        Column("Pipeline", wide=True),
        Column("Runs", "number"),
        Column("Succeeded", "percent"),
        Column("Failed", "number"),
        Column("Usual time", "seconds"),
    )
    return Table(title="Pipelines", columns=columns, rows=tuple(rows))
