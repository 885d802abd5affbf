"""The bundle: metrics as an application takes them in."""

from datetime import date, datetime
from typing import NotRequired, TypedDict

from corral.app.bundle import Bundle
from corral.handlers.kit.database import Database
from corral.handlers.metrics.figures import FIGURES, Figure
from corral.handlers.metrics.payload import CalculateMetrics, RecordActivity
from corral.handlers.metrics.periods import Span, before, last_over, span_of
from corral.handlers.metrics.settings import MetricsSettings
from corral.handlers.metrics.store import ActivityLog, Figures, Kept, Source
from corral.options import Exponential
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

#: The names under which a figure can be asked for. They all do the same: which figure, the payload says.
METRIC_JOBS = ("calculate-metrics", "engagement-metrics", "performance-metrics", "satisfaction-metrics")


class Metric(TypedDict):
    """A figure, the days it is about, and the figure of the period before. `note` says why there is no value."""

    metricType: str
    period: str
    firstDay: str
    lastDay: str
    value: float | None
    previous: float | None
    change: float | None
    parts: dict[str, float | int | None]
    note: NotRequired[str]


def bundle(
    settings: MetricsSettings | None = None, *, database: Database, source: Source | None = None,
    queue: str = "calculate-metrics", clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The metrics jobs, for `app.include(bundle(database=…))`. Reads the settings; connects to nothing.

    Args:
        settings: which days count, and so on; by default what the environment, `.env` and `corral.toml` say.
        database: where figures are kept. Attach it to the application: `database.attach(app)`.
        source: what figures are calculated from; by default what `record-activity` jobs wrote, which are declared then.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    settings = MetricsSettings.load() if settings is None else settings
    log = ActivityLog(database, people_days=settings.metrics_people_days) if source is None else None
    desk = _Desk(settings, Figures(database, clock=clock), source or log)
    made = Bundle("metrics", queue=queue, attempts=3, backoff=Exponential(2), timeout=60)
    for name in METRIC_JOBS:
        made.job(name)(desk.calculate)
    if log is not None:
        kept = log

        async def record(ctx: JobContext, data: RecordActivity) -> None:
            """Keep what somebody did, under an id made of this job's: a second run changes nothing."""
            day = _day(ctx, settings) if data.day is None else data.day
            await kept.record(f"{ctx.id}:{ctx.job.created_at}", data, day)

        made.job("record-activity")(record)
    return made


class _Desk:
    """The handler, with what it works on."""

    def __init__(self, settings: MetricsSettings, figures: Figures, source: Source | None) -> None:
        assert source is not None
        self._settings = settings
        self._figures = figures
        self._source = source

    async def calculate(self, ctx: JobContext, data: CalculateMetrics) -> Metric:
        """Calculate a figure and keep it in place of the one there was: twice is as good as once."""
        today = _day(ctx, self._settings)
        span = last_over(data.period, today) if data.day is None else span_of(data.period, data.day)
        figure = await self._figure(data, span)
        await ctx.progress(60)
        previous = (await self._figure(data, before(data.period, span))).value
        kept = Kept(data.metric_type, data.period, span, figure, previous)
        await self._figures.store(data.organization_id, data.team_id, kept)
        await ctx.progress(100)
        change = None if figure.value is None or previous is None else round(figure.value - previous, 3)
        result: Metric = {
            "metricType": data.metric_type, "period": data.period, "firstDay": span.first.isoformat(),
            "lastDay": span.last.isoformat(), "value": figure.value, "previous": previous, "change": change,
            "parts": dict(figure.parts),
        }  # fmt: skip
        if figure.note:
            result["note"] = figure.note
        return result

    async def _figure(self, data: CalculateMetrics, span: Span) -> Figure:
        facts = await self._source.facts(data.organization_id, data.team_id, span)
        settings = self._settings
        return FIGURES[data.metric_type](facts, work_days=settings.metrics_work_days, least=settings.metrics_min_group)


def _day(ctx: JobContext, settings: MetricsSettings) -> date:
    """The day a job is for: its slot's, when a schedule made it, however late it runs."""
    if ctx.scheduled_for is not None:
        return ctx.scheduled_for.astimezone(settings.zone).date()
    return datetime.fromtimestamp(ctx.job.created_at / 1000, settings.zone).date()
