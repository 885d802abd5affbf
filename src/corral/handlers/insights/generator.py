"""From figures to insights: read, look, sum up, keep, and tell whoever must know."""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from corral.handlers.insights.findings import Finding, Rules, analyse, ranked
from corral.handlers.insights.payload import DAYS, GenerateInsights
from corral.handlers.insights.series import Series, Source
from corral.handlers.insights.settings import InsightsSettings
from corral.handlers.insights.summary import Summarizer, Summary
from corral.handlers.insights.tables import ALARMS, REPORTS, SCHEMA
from corral.handlers.kit.database import Database
from corral.timing import Clock, Millis, to_datetime
from corral.worker.context import JobContext

log = logging.getLogger("corral.handlers.insights")
#: Days before the period that are looked at: enough of each weekday to know what is usual.
_BEFORE = 70
#: An alarm about a day further back than this is no news.
_RECENT = 3


class Insights(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What there is to say about an organization's figures in a period."""

    organization_id: str
    period: str
    first_day: str
    last_day: str
    summary: str
    summary_by: str  #: `findings`, or the model's name
    findings: tuple[Finding, ...] = ()
    generated_at: Millis = 0
    cached: bool = False  #: the figures are those of the last time
    summary_problem: str | None = None  #: why the model did not write it


class Alarm(Struct, frozen=True, kw_only=True):
    """A finding that somebody should know about now. `id` is the same however often it is found."""

    id: str
    organization_id: str
    finding: Finding


#: Told about alarms, each once.
OnAlarm = Callable[[Alarm], Awaitable[object]]


class Generator:
    """Makes insights from a source of figures."""

    def __init__(
        self, settings: InsightsSettings, database: Database, source: Source, summarizer: Summarizer, *, clock: Clock,
        on_alarm: OnAlarm | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._store = InsightStore(database)
        self._source = source
        self._summarizer = summarizer
        self._clock = clock
        self._on_alarm = on_alarm
        self._rules = Rules(
            score=settings.insights_anomaly_score, smallest=settings.insights_smallest_change,
            alarm=settings.insights_alarm_change,
        )  # fmt: skip

    async def run(self, ctx: JobContext, data: GenerateInsights) -> Insights:
        """The insights of one organization.

        It may run twice: there is one row for each organization, period and day, an alarm has the same id whenever it
        is found, and figures that did not change give the insights that are there.
        """
        last = to_datetime(self._clock()).date() - timedelta(days=1)  # today is not over: it would look like a drop
        days = DAYS[data.period]
        first = last - timedelta(days=days - 1)
        series = await self._source(data.organization_id, first - timedelta(days=max(days, _BEFORE)), last)
        mark = _fingerprint(series, first, self._settings)
        known = None if data.force_regenerate else await self._store.find(data.organization_id, data.period, last, mark)
        if known is not None:
            await self._alarm(known)  # the run that found it may have died before it told anybody
            return msgspec.structs.replace(known, cached=True)
        await ctx.progress({"series": len(series)})
        made = await self._made(data, series, first, last)
        await self._store.save(made, mark)
        await self._alarm(made)
        log.info("Insights generated organization=%s period=%s findings=%d", data.organization_id, data.period,
                 len(made.findings))  # fmt: skip
        return made

    async def _made(self, data: GenerateInsights, series: Sequence[Series], first: date, last: date) -> Insights:
        findings = ranked(
            [one for each in series for one in analyse(each, first, last, self._rules)], self._settings.insights_most
        )
        summary: Summary = await self._summarizer.write(findings, data.period)
        if summary.problem is not None:
            log.warning("No summary by the model organization=%s reason=%s", data.organization_id, summary.problem)
        return Insights(
            organization_id=data.organization_id, period=data.period, first_day=first.isoformat(),
            last_day=last.isoformat(), summary=summary.text, summary_by=summary.by, findings=tuple(findings),
            generated_at=self._clock(), summary_problem=summary.problem,
        )  # fmt: skip

    async def _alarm(self, made: Insights) -> None:
        if self._on_alarm is None:
            return
        since = (to_datetime(self._clock()).date() - timedelta(days=_RECENT)).isoformat()
        for one in made.findings:
            if one.severity != "critical" or one.day is None or one.day < since:
                continue
            id = f"insight-{one.kind}-{one.metric}-{one.day}"
            if not await self._store.was_told(made.organization_id, id):
                await self._on_alarm(
                    Alarm(id=f"{id}-{made.organization_id}", organization_id=made.organization_id, finding=one)
                )
                await self._store.told(made.organization_id, id, self._clock())


class InsightStore:
    """The insights that were made."""

    def __init__(self, database: Database) -> None:
        database.needs(SCHEMA)
        self._database = database

    async def latest(self, organization_id: str, period: str) -> Insights | None:
        """The newest insights of an organization; None before there are any."""
        query = sa.select(REPORTS).where(REPORTS.c.organization_id == organization_id, REPORTS.c.period == period)
        return await self._one(query.order_by(REPORTS.c.last_day.desc()).limit(1))

    async def find(self, organization_id: str, period: str, last: date, fingerprint: str) -> Insights | None:
        """Those of just these figures."""
        query = sa.select(REPORTS).where(
            REPORTS.c.organization_id == organization_id, REPORTS.c.period == period,
            REPORTS.c.last_day == last.isoformat(), REPORTS.c.fingerprint == fingerprint,
        )  # fmt: skip
        return await self._one(query)

    async def _one(self, query: sa.Select[tuple[object, ...]]) -> Insights | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Insights(
            organization_id=row.organization_id, period=row.period, first_day=row.first_day, last_day=row.last_day,
            summary=row.summary, summary_by=row.summary_by, generated_at=row.generated_at,
            findings=msgspec.convert(row.findings, tuple[Finding, ...]),
        )  # fmt: skip

    async def save(self, made: Insights, fingerprint: str) -> None:
        """Keep insights, in place of those of the same day."""
        row = {
            "organization_id": made.organization_id, "period": made.period, "last_day": made.last_day,
            "first_day": made.first_day, "fingerprint": fingerprint, "findings": msgspec.to_builtins(made.findings),
            "summary": made.summary, "summary_by": made.summary_by, "generated_at": made.generated_at,
        }  # fmt: skip
        async with self._database.begin() as connection:
            key = ["organization_id", "period", "last_day"]
            await self._database.upsert(connection, REPORTS, [row], key=key)

    async def was_told(self, organization_id: str, alarm: str) -> bool:
        """Whether somebody knows of an alarm."""
        query = sa.select(ALARMS.c.told_at).where(ALARMS.c.organization_id == organization_id, ALARMS.c.alarm == alarm)
        async with self._database.connect() as connection:
            return await connection.scalar(query) is not None

    async def told(self, organization_id: str, alarm: str, at: Millis) -> None:
        """Note that somebody knows of it."""
        row = {"organization_id": organization_id, "alarm": alarm, "told_at": at}
        async with self._database.begin() as connection:
            await self._database.upsert(connection, ALARMS, [row], key=["organization_id", "alarm"], keep=["told_at"])

    async def forget(self, *, before: Millis) -> int:
        """Delete insights and alarms from before an instant; answers how many."""
        async with self._database.begin() as connection:
            old = await connection.execute(sa.delete(REPORTS).where(REPORTS.c.generated_at < before))
            done = await connection.execute(sa.delete(ALARMS).where(ALARMS.c.told_at < before))
        return old.rowcount + done.rowcount


def _fingerprint(series: Sequence[Series], first: date, settings: InsightsSettings) -> str:
    """What the insights depend on. A model's key is no part of it, its name is."""
    facts = [
        first.isoformat(), settings.insights_most, settings.insights_anomaly_score, settings.insights_smallest_change,
        settings.insights_alarm_change, settings.insights_ai_model,
        *([one.metric, one.unit, sorted((day.isoformat(), value) for day, value in one.values.items())]
          for one in series),
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()
