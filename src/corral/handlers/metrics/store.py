"""Where activities and figures are kept."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Protocol

import sqlalchemy as sa
from msgspec import Struct

from corral.handlers.kit.database import Database
from corral.handlers.metrics.figures import Activity, Facts, Figure
from corral.handlers.metrics.payload import MetricType, Period, RecordActivity
from corral.handlers.metrics.periods import Span
from corral.handlers.metrics.tables import SCHEMA, activities, figures
from corral.timing import Clock, now_ms

#: How many people an organization, or a team of it, has.
HeadCount = Callable[[str, str | None], Awaitable[int]]


class Source(Protocol):
    """Where figures come from. Anything with this one method will do."""

    async def facts(self, organization: str, team: str | None, span: Span) -> Facts:
        """What the people of an organization, or of a team of it, did in a span."""
        ...


class ActivityLog:
    """A source that is told: `record-activity` jobs write what people did, and figures read it.

    Args:
        people: how many people there are. Without it they are those who were active in the last `people_days` days.
    """

    def __init__(self, database: Database, *, people: HeadCount | None = None, people_days: int = 90) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._people = people
        self._people_days = people_days

    async def record(self, id: str, activity: RecordActivity, day: date) -> None:
        """Keep an activity. A second time with the same id changes nothing."""
        row = {
            "id": id, "organization": activity.organization_id, "person": activity.person_id,
            "team": activity.team_id or "", "day": day, "kind": activity.kind, "count": activity.count,
            "value": activity.value,
        }  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, activities, [row], key=["id"], keep=list(row))

    async def facts(self, organization: str, team: str | None, span: Span) -> Facts:
        """As `Source.facts`."""
        table = activities.c
        mine = [table.organization == organization, table.day <= span.last]
        if team is not None:
            mine.append(table.team == team)
        summed = (
            sa.select(table.person, table.kind, sa.func.sum(table.count).label("count"), table.value)
            .where(*mine, table.day >= span.first).group_by(table.person, table.kind, table.value)
            .order_by(table.person, table.kind)
        )  # fmt: skip
        recent = sa.select(sa.func.count(sa.distinct(table.person))).where(
            *mine, table.day > span.last - timedelta(self._people_days)
        )
        async with self.database.connect() as connection:
            found = [Activity(row.person, row.kind, int(row[2]), row.value) for row in await connection.execute(summed)]
            people: int = await connection.scalar(recent) or 0
        if self._people is not None:
            people = await self._people(organization, team)
        return Facts(span, people, found)


class Kept(Struct, frozen=True):
    """A figure as it is kept."""

    metric: MetricType
    period: Period
    span: Span
    figure: Figure
    previous: float | None


class Figures:
    """The figures of all organizations, in the application's database. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    async def store(self, organization: str, team: str | None, kept: Kept) -> None:
        """Keep a figure, in place of the one there was of that period."""
        row = {
            "organization": organization, "team": team or "", "metric": kept.metric, "period": kept.period,
            "first_day": kept.span.first, "last_day": kept.span.last, "value": kept.figure.value,
            "previous": kept.previous, "parts": dict(kept.figure.parts), "note": kept.figure.note,
            "stored_at": self._clock(),
        }  # fmt: skip
        key = ["organization", "team", "metric", "period", "first_day"]
        async with self.database.begin() as connection:
            await self.database.upsert(connection, figures, [row], key=key)

    async def history(
        self, organization: str, metric: MetricType, period: Period, *, team: str | None = None, limit: int = 52
    ) -> list[Kept]:
        """The last `limit` figures of a kind, oldest first."""
        table = figures.c
        wanted = sa.select(figures).where(
            table.organization == organization, table.team == (team or ""), table.metric == metric,
            table.period == period,
        )  # fmt: skip
        async with self.database.connect() as connection:
            rows = (await connection.execute(wanted.order_by(table.first_day.desc()).limit(limit))).all()
        return [
            Kept(
                row.metric, row.period, Span(row.first_day, row.last_day), Figure(row.value, row.parts, row.note),
                row.previous,
            )
            for row in reversed(rows)
        ]  # fmt: skip
