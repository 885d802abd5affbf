"""Where check-ins are kept, and what was found in them."""

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.checkins.insight import Finding, Kind
from corral.handlers.checkins.payload import ProcessCheckin
from corral.handlers.checkins.tables import SCHEMA, insights, moods, responses
from corral.handlers.checkins.trend import Reply, Week
from corral.handlers.kit.database import Database
from corral.timing import Clock, now_ms


class Insight(Struct, frozen=True, kw_only=True):
    """A finding as it is kept. `id` is the same for whoever is told about it, however often."""

    id: str
    organization: str
    kind: Kind
    subject: str
    day: date
    level: str
    text: str


class Checkins:
    """The check-ins of all organizations, in the application's database. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    async def record(self, checkin: ProcessCheckin, day: date, *, job: str, sent_at: int) -> bool:
        """Keep a check-in, in place of an earlier one of that person and day; False when a later one is there already.

        A job that runs late, or again, must not undo the correction that was sent after it.
        """
        row = {
            "organization": checkin.organization_id, "person": checkin.person_id, "day": day,
            "team": checkin.team_id or "", "mood": checkin.mood, "planned": checkin.goals_planned,
            "done": checkin.goals_done, "answers": [one.model_dump() for one in checkin.answers],
            "comment": checkin.comment, "job": job, "sent_at": sent_at, "stored_at": self._clock(),
        }  # fmt: skip
        async with self.database.begin() as connection:
            statement = (sqlite if self.database.dialect == "sqlite" else postgresql).insert(responses)
            new = statement.excluded
            changes = {name: new[name] for name in row if name not in ("organization", "person", "day")}
            upsert = statement.on_conflict_do_update(
                index_elements=["organization", "person", "day"], set_=changes,
                where=new.sent_at >= responses.c.sent_at,
            )  # fmt: skip
            written = await connection.execute(upsert.returning(responses.c.day), row)
            return written.first() is not None

    async def replies(
        self, organization: str, last: date, days: int, *, person: str | None = None, team: str | None = None
    ) -> list[Reply]:
        """The check-ins of the `days` days that end with `last`, of everybody, one person or one team."""
        table = responses.c
        wanted = sa.select(table.person, table.day, table.mood, table.planned, table.done, table.team).where(
            table.organization == organization, table.day > last - timedelta(days), table.day <= last
        )
        if person is not None:
            wanted = wanted.where(table.person == person)
        if team is not None:
            wanted = wanted.where(table.team == team)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(table.day, table.person))
            return [Reply(*row) for row in rows]

    # -- moods -------------------------------------------------------------------------------------------------------

    async def store_moods(self, organization: str, team: str | None, weeks: Sequence[Week]) -> None:
        """Keep what the weeks were like; a second time replaces the first."""
        now = self._clock()
        rows = [
            {
                "organization": organization, "team": team or "", "last_day": week.first + timedelta(6),
                "mood": week.mood, "people": week.people, "replies": week.replies, "stored_at": now,
            }
            for week in weeks
        ]  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, moods, rows, key=("organization", "team", "last_day"))

    async def moods(self, organization: str, team: str | None = None, *, limit: int = 52) -> list[Week]:
        """The weeks that are kept, oldest first."""
        wanted = (
            sa.select(moods).where(moods.c.organization == organization, moods.c.team == (team or ""))
            .order_by(moods.c.last_day.desc()).limit(limit)
        )  # fmt: skip
        async with self.database.connect() as connection:
            rows = (await connection.execute(wanted)).all()
        return [Week(row.last_day - timedelta(6), row.mood, row.people, row.replies) for row in reversed(rows)]

    # -- insights ----------------------------------------------------------------------------------------------------

    async def discover(
        self, organization: str, findings: Sequence[Finding], *, quiet_days: int, job: str
    ) -> list[Insight]:
        """Keep findings that were not made in the last `quiet_days` days; answers those of this job nobody knows yet.

        A job that runs again gets what its first run found and told nobody about, and nothing a second time.
        """
        async with self.database.begin() as connection:
            for finding in findings:
                if not await _said_lately(connection, organization, finding, quiet_days):
                    await self._keep(connection, organization, finding, job)
            open_ = sa.select(insights).where(
                insights.c.organization == organization, insights.c.job == job, insights.c.told_at.is_(None)
            )
            return [_insight(row) for row in await connection.execute(open_.order_by(insights.c.id))]

    async def _keep(self, connection: AsyncConnection, organization: str, finding: Finding, job: str) -> None:
        facts = "\0".join((organization, finding.kind, finding.subject, finding.day.isoformat()))
        row = {
            "id": hashlib.sha256(facts.encode()).hexdigest()[:32], "organization": organization,
            "kind": finding.kind, "subject": finding.subject, "day": finding.day, "level": finding.level,
            "text": finding.text, "job": job, "found_at": self._clock(), "told_at": None,
        }  # fmt: skip
        statement = (sqlite if self.database.dialect == "sqlite" else postgresql).insert(insights)
        await connection.execute(statement.on_conflict_do_nothing(), row)

    async def told(self, insight: Insight) -> None:
        """Note that somebody knows."""
        change = sa.update(insights).where(insights.c.id == insight.id).values(told_at=self._clock())
        async with self.database.begin() as connection:
            await connection.execute(change)

    async def insights(
        self, organization: str, *, since: date | None = None, subject: str | None = None, limit: int = 100
    ) -> list[Insight]:
        """What was found, newest first."""
        wanted = sa.select(insights).where(insights.c.organization == organization)
        if since is not None:
            wanted = wanted.where(insights.c.day >= since)
        if subject is not None:
            wanted = wanted.where(insights.c.subject == subject)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(insights.c.day.desc(), insights.c.id).limit(limit))
            return [_insight(row) for row in rows]


async def _said_lately(connection: AsyncConnection, organization: str, finding: Finding, quiet_days: int) -> bool:
    table = insights.c
    quiet = timedelta(max(1, quiet_days))  # on both sides: check-ins do not come in the order of their days
    said = sa.select(table.id).where(
        table.organization == organization, table.kind == finding.kind, table.subject == finding.subject,
        table.day > finding.day - quiet, table.day < finding.day + quiet,
    )  # fmt: skip
    return (await connection.execute(said.limit(1))).first() is not None


def _insight(row: sa.Row[tuple[object, ...]]) -> Insight:
    facts = row._mapping
    return Insight(**{name: facts[name] for name in Insight.__struct_fields__})
