"""What the platform knows of its people, told to whoever asks: notifications, metrics and reports."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import fmean
from typing import NamedTuple

import sqlalchemy as sa

from corral.handlers.checkins import Checkins, Reply
from corral.handlers.kit.database import Database
from corral.handlers.metrics import Activity, Facts, Span
from corral.handlers.notifications import KudosBook, Person, Praise
from corral.handlers.reports import Member, Period, ReportPayload, Request, TeamDay, TeamFacts

from .tables import SCHEMA, people


class Colleague(NamedTuple):
    """Somebody in a team."""

    id: str
    name: str
    email: str
    team: str
    lead: bool


class Team:
    """The people of all organizations, with what they answered and whom they praised."""

    def __init__(self, database: Database) -> None:
        database.needs(SCHEMA)
        self.database = database
        self.checkins = Checkins(database)
        self.book = KudosBook(database)

    async def people(self, organization: str | None = None, *, team: str | None = None) -> list[Colleague]:
        """The people of an organization, or of a team of it, by id."""
        columns = people.c
        wanted = sa.select(columns.id, columns.name, columns.email, columns.team, columns.lead)
        if organization is not None:
            wanted = wanted.where(columns.organization == organization)
        if team is not None:
            wanted = wanted.where(columns.team == team)
        async with self.database.connect() as connection:
            return [Colleague(*row) for row in await connection.execute(wanted.order_by(columns.id))]

    async def leads(self, organization: str) -> list[str]:
        """Who hears of what wants attention."""
        return [one.id for one in await self.people(organization) if one.lead]

    # -- for notifications and reports -------------------------------------------------------------------------------

    async def find(self, organization: str, ids: Sequence[str]) -> Mapping[str, Person]:
        """Whom to tell: corral's notifications ask this."""
        wanted = set(ids)
        return {
            one.id: Person(one.id, one.name, one.email) for one in await self.people(organization) if one.id in wanted
        }

    async def addresses(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Whom to mail reports to."""
        wanted = set(ids)
        return {one.id: f"{one.name} <{one.email}>" for one in await self.people() if one.id in wanted}

    # -- for metrics -------------------------------------------------------------------------------------------------

    async def facts(self, organization: str, team: str | None, span: Span) -> Facts:
        """What people did: corral's metrics ask this."""
        staff = {one.id for one in await self.people(organization, team=team)}
        replies = await self.checkins.replies(organization, span.last, span.days)
        praise = await self.book.kudos(organization, span.first, span.last)
        done: list[Activity] = []
        for one in replies:
            done.append(Activity(one.person, "check-in", 1, float(one.mood)))
            done += [Activity(one.person, "goal-planned", one.planned)] if one.planned else []
            done += [Activity(one.person, "goal-done", one.done)] if one.done else []
        for note in praise:
            done += [Activity(note.sender, "kudos-given"), Activity(note.recipient, "kudos-received")]
        return Facts(span, len(staff), [one for one in done if one.person in staff])

    # -- for reports -------------------------------------------------------------------------------------------------

    async def report(self, organization: str, period: Period) -> TeamFacts | None:
        """What a report about the team says; None for an organization that has nobody."""
        staff = await self.people(organization)
        if not staff:
            return None
        replies = await self.checkins.replies(organization, period.last, period.days)
        praise = await self.book.kudos(organization, period.first, period.last)
        names = {one.id: one.name for one in staff}
        stars = Counter(note.recipient for note in praise).most_common(3)
        highlights = tuple(f"{names.get(id, id)} was praised {count} times" for id, count in stars if count > 1)
        return TeamFacts(
            name="TeamSpark",
            people=len(staff),
            days=tuple(_days(period, replies, praise)),
            members=tuple(_member(one, replies, praise) for one in staff),
            highlights=highlights,
        )

    async def praise(self, request: Request[ReportPayload]) -> list[Mapping[str, str | date]]:
        """The rows of a custom report: who praised whom, and for what."""
        organization = getattr(request.payload, "organization_id", None) or ""
        names = {one.id: one.name for one in await self.people(organization)}
        found = await self.book.kudos(organization, request.period.first, request.period.last)
        return [
            {
                "day": note.day,
                "from": names.get(note.sender, note.sender),
                "to": names.get(note.recipient, note.recipient),
                "message": note.message,
            }
            for note in found
        ]


def _days(period: Period, replies: Sequence[Reply], praise: Sequence[Praise]) -> list[TeamDay]:
    answered: defaultdict[date, list[Reply]] = defaultdict(list)
    praised: defaultdict[date, list[Praise]] = defaultdict(list)
    for one in replies:
        answered[one.day].append(one)
    for note in praise:
        praised[note.day].append(note)
    found = []
    for day in (period.first + timedelta(at) for at in range(period.days)):
        theirs, notes = answered[day], praised[day]
        active = {one.person for one in theirs} | {note.sender for note in notes}
        found.append(
            TeamDay(
                day=day,
                checkins=len(theirs),
                kudos=len(notes),
                mood=fmean(one.mood for one in theirs) if theirs else None,
                goals_planned=sum(one.planned for one in theirs),
                goals_done=sum(one.done for one in theirs),
                active=len(active),
            )
        )
    return found


def _member(person: Colleague, replies: Sequence[Reply], praise: Sequence[Praise]) -> Member:
    theirs = [one for one in replies if one.person == person.id]
    return Member(
        name=person.name,
        checkins=len(theirs),
        kudos_given=sum(note.sender == person.id for note in praise),
        kudos_received=sum(note.recipient == person.id for note in praise),
        goals_planned=sum(one.planned for one in theirs),
        goals_done=sum(one.done for one in theirs),
        mood=fmean(one.mood for one in theirs) if theirs else None,
    )
