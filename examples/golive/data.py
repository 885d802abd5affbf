"""The platform's database, as its jobs read and write it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

import sqlalchemy as sa

from corral.handlers.kit.database import Database
from corral.handlers.pipelines import DeploymentRun, PipelineRun, SuiteRun
from corral.handlers.reports import AuditEvent, Measure, Period, ReportPayload, Request
from corral.handlers.reports import PipelineRun as ReportedRun

from .tables import (
    SCHEMA,
    audit_events,
    daily_figures,
    deployments,
    pipeline_runs,
    test_runs,
    users,
)

#: A day's figures: name, unit, whether more is better, and how days add up.
FIGURES: tuple[tuple[str, str, Literal["up", "down"], Literal["sum", "mean"]], ...] = (
    ("Pipeline runs", "", "up", "sum"),
    ("Failed runs", "", "down", "sum"),
    ("Tests run", "", "up", "sum"),
    ("Deployments", "", "up", "sum"),
    ("Build minutes", "min", "down", "sum"),
    ("Active people", "", "up", "mean"),
)
_STATUS = {"passed": "success", "failed": "failed", "cancelled": "cancelled"}


class GoLive:
    """What is asked of the database, and told to it. Whatever is written has a key: a second time changes nothing."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.needs(SCHEMA)

    # -- what ran ------------------------------------------------------------------------------------------------------

    async def pipeline_ended(self, job_id: str, run: PipelineRun) -> None:
        """Note a pipeline's end."""
        failed = next((step.name for step in run.steps if step.status == "failed"), "")
        await self._put(
            pipeline_runs, id=run.key, pipeline_id=run.pipeline_id, pipeline=run.pipeline_name,
            project=run.project_id or run.project_name, status=_STATUS[run.status], started_at=run.started_at,
            seconds=(run.finished_at - run.started_at) / 1000, triggered_by=run.triggered_by or "",
            failed_step=failed if run.status == "failed" else "",
        )  # fmt: skip
        await self.note(
            f"pipeline-{run.key}", run.finished_at, run.triggered_by, "pipeline.run", run.pipeline_name, run.status
        )

    async def suite_ended(self, job_id: str, run: SuiteRun) -> None:
        """Note a test suite's end."""
        await self._put(
            test_runs, id=run.key, project=run.project_id or run.project_name, suite=run.suite_name, status=run.status,
            started_at=run.started_at, tests=run.results.tests, failed=run.results.bad, skipped=run.results.skipped,
        )  # fmt: skip

    async def deployment_ended(self, job_id: str, run: DeploymentRun) -> None:
        """Note a deployment's end."""
        await self._put(
            deployments, id=run.key, project=run.project_id or run.project_name, environment=run.environment,
            version=run.version, status=run.status, started_at=run.started_at,
            seconds=(run.finished_at - run.started_at) / 1000,
        )  # fmt: skip
        target = f"{run.project_name} {run.version} on {run.environment}"
        await self.note(f"deploy-{run.key}", run.finished_at, run.triggered_by, "deployment", target, run.status)

    async def note(self, id: str, at: int, actor: str | None, action: str, target: str, outcome: str) -> None:
        """Note who did what, for the audit log."""
        await self._put(
            audit_events, id=id, at=at, actor=actor or "system", action=action, target=target, outcome=outcome
        )

    async def _put(self, table: sa.Table, **row: object) -> None:
        async with self.database.begin() as connection:
            await self.database.upsert(connection, table, [row], key=["id"])

    # -- what reports ask ----------------------------------------------------------------------------------------------

    async def runs(self, request: Request[ReportPayload], period: Period) -> Sequence[ReportedRun]:
        """The runs of a pipeline that began in a period."""
        query = sa.select(pipeline_runs).where(
            pipeline_runs.c.pipeline_id == request.about, _within(pipeline_runs.c.started_at, period)
        )
        return [
            ReportedRun(
                id=row.id, pipeline=row.pipeline, status=row.status, started_at=row.started_at, seconds=row.seconds,
                trigger=row.triggered_by, failed_step=row.failed_step,
            )
            for row in await self._rows(query)
        ]  # fmt: skip

    async def measures(self, request: Request[ReportPayload], period: Period) -> Sequence[Measure]:
        """The figures of each day of a period."""
        query = sa.select(daily_figures).where(daily_figures.c.day.between(period.first, period.last))
        found: dict[str, dict[date, float]] = {}
        for row in await self._rows(query):
            found.setdefault(row.name, {})[row.day] = row.value
        return [
            Measure(name=name, unit=unit, better=better, total=total, points=tuple(sorted(found.get(name, {}).items())))
            for name, unit, better, total in FIGURES
        ]

    async def audit(self, request: Request[ReportPayload], period: Period) -> Sequence[AuditEvent]:
        """What was done in a period."""
        query = sa.select(audit_events).where(_within(audit_events.c.at, period)).order_by(audit_events.c.at)
        return [
            AuditEvent(at=row.at, actor=row.actor, action=row.action, target=row.target, outcome=row.outcome)
            for row in await self._rows(query)
        ]

    async def addresses(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Who is behind these ids, and where mail reaches them."""
        rows = await self._rows(sa.select(users).where(users.c.id.in_(ids)))
        return {row.id: f"{row.name} <{row.email}>" for row in rows}

    async def _rows(self, query: sa.Select[tuple[object, ...]]) -> Sequence[sa.Row[tuple[object, ...]]]:
        async with self.database.connect() as connection:
            return (await connection.execute(query)).all()

    # -- a day's figures -----------------------------------------------------------------------------------------------

    async def roll_up(self, day: date) -> dict[str, float]:
        """Calculate a day's figures and keep them in place of what was there."""
        begin, end = (_ms(day), _ms(day + timedelta(1)))
        async with self.database.begin() as connection:

            async def count(
                of: sa.Function[int] | sa.Function[float], table: sa.Table, *where: sa.ColumnElement[bool]
            ) -> float:
                when = table.c.started_at if "started_at" in table.c else table.c.at
                query = sa.select(of).select_from(table).where(when >= begin, when < end, *where)
                return float((await connection.execute(query)).scalar() or 0)

            figures = {
                "Pipeline runs": await count(sa.func.count(), pipeline_runs),
                "Failed runs": await count(sa.func.count(), pipeline_runs, pipeline_runs.c.status == "failed"),
                "Tests run": await count(sa.func.sum(test_runs.c.tests), test_runs),
                "Deployments": await count(sa.func.count(), deployments),
                "Build minutes": round(await count(sa.func.sum(pipeline_runs.c.seconds), pipeline_runs) / 60, 1),
                "Active people": await count(sa.func.count(audit_events.c.actor.distinct()), audit_events),
            }
            rows = [{"day": day, "name": name, "value": value} for name, value in figures.items()]
            await self.database.upsert(connection, daily_figures, rows, key=["day", "name"])
        return figures


def _within(column: sa.Column[object], period: Period) -> sa.ColumnElement[bool]:
    return sa.and_(column >= period.begin_ms, column < period.end_ms)


def _ms(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp() * 1000)
