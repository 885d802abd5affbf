"""The team report: check-ins, kudos, mood and goals, for the whole team and each of its members."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import TypeAlias

from msgspec import Struct

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.period import Period
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.days import Buckets, buckets
from corral.handlers.reports.words import apart, show_number, signed
from corral.plurals import plural
from corral.signals import Discard

_TITLES = {"weekly": "Weekly team report", "monthly": "Monthly team report", "quarterly": "Quarterly team report"}
_MOST_APPRECIATED = 8
#: Moods go from 1 to 5. A smaller change is within what a few answers more or less make.
_NOTICEABLE = 0.2


class TeamDay(Struct, frozen=True, kw_only=True):
    """What a team did on one day. `mood` is a mean from 1 to 5, `active` how many took part."""

    day: date
    checkins: int = 0
    kudos: int = 0
    mood: float | None = None
    goals_planned: int = 0
    goals_done: int = 0
    active: int = 0


class Member(Struct, frozen=True, kw_only=True):
    """What one member did over the whole period."""

    name: str
    checkins: int = 0
    kudos_given: int = 0
    kudos_received: int = 0
    goals_planned: int = 0
    goals_done: int = 0
    mood: float | None = None

    @property
    def took_part(self) -> bool:
        return bool(self.checkins or self.kudos_given)


class TeamFacts(Struct, frozen=True, kw_only=True):
    """What is known of a team in a period. `people` counts those who could have taken part."""

    name: str
    people: int
    days: tuple[TeamDay, ...] = ()
    members: tuple[Member, ...] = ()
    highlights: tuple[str, ...] = ()

    @property
    def checkins(self) -> int:
        return sum(one.checkins for one in self.days)

    @property
    def kudos(self) -> int:
        return sum(one.kudos for one in self.days)

    @property
    def active(self) -> int:
        """How many members took part; without members, the most on one day."""
        if self.members:
            return sum(one.took_part for one in self.members)
        return max((one.active for one in self.days), default=0)

    @property
    def mood(self) -> float | None:
        """The mean, each day weighing as much as it has check-ins."""
        known = [(one.mood, max(one.checkins, 1)) for one in self.days if one.mood is not None]
        return sum(mood * weight for mood, weight in known) / sum(weight for _, weight in known) if known else None

    @property
    def reached(self) -> float | None:
        planned = sum(one.goals_planned for one in self.days)
        return 100 * sum(one.goals_done for one in self.days) / planned if planned else None


#: The facts of an organization's team over a period; None when there is no such organization.
FindTeam: TypeAlias = Callable[[str, Period], Awaitable[TeamFacts | None]]


class TeamSource:
    """Makes the weekly, monthly and quarterly team report of facts, asked for the period and the one before."""

    def __init__(self, facts: FindTeam) -> None:
        self._facts = facts

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Ask for the facts and make the document.

        Raises:
            Discard: there is no such organization.
        """
        now = await self._facts(request.about, request.period)
        if now is None:
            raise Discard(f"there is no organization {request.about[:80]!r}")
        before = await self._facts(request.about, request.previous)
        kind = str(getattr(request.payload, "report_type", ""))
        return Document(
            title=_TITLES.get(kind, "Team report"),
            subject=now.name,
            period=request.period.words,
            summary=_summary(now, before),
            figures=_figures(now, before),
            charts=_charts(now, buckets(request.period)),
            tables=(_people(now.members),) if now.members else (),
            notes=(f"Compared with {request.previous.words}.",) if before is not None else (),
        )


def _summary(now: TeamFacts, before: TeamFacts | None) -> tuple[str, ...]:
    if not now.checkins and not now.kudos:
        return ("Nobody checked in and no kudos were given in this period.", *now.highlights)
    first = (
        f"{now.active:,} of {plural(now.people, 'person', 'people')} took part, "
        f"with {plural(now.checkins, 'check-in')} and {plural(now.kudos, 'kudos', 'kudos')}."
    )
    said = [part for part in (_mood_in_words(now, before), _goals_in_words(now)) if part]
    stars = most_appreciated(now.members)
    if stars:
        names = ", ".join(f"{apart(one.name)} ({one.kudos_received})" for one in stars[:3])
        said.append(f"Most appreciated: {names}.")
    return (first, " ".join(said), *now.highlights)


def _mood_in_words(now: TeamFacts, before: TeamFacts | None) -> str:
    if now.mood is None:
        return ""
    text = f"The mood is {show_number(round(now.mood, 1))} of 5"
    if before is None or before.mood is None:
        return f"{text}."
    moved = round(now.mood, 1) - round(before.mood, 1)  # of what the figures show
    if abs(moved) < _NOTICEABLE - 0.01:
        return f"{text}, much as before."
    return f"{text}, {signed(moved, 1)} since the period before."


def _goals_in_words(now: TeamFacts) -> str:
    planned = sum(one.goals_planned for one in now.days)
    done = sum(one.goals_done for one in now.days)
    return f"{done:,} of {plural(planned, 'goal')} {'was' if done == 1 else 'were'} reached." if planned else ""


def _figures(now: TeamFacts, before: TeamFacts | None) -> tuple[Figure, ...]:
    return (
        Figure(
            label="Active people",
            value=now.active,
            better="up",
            before=before.active if before else None,
            hint=f"of {now.people:,}",
        ),
        Figure(label="Check-ins", value=now.checkins, better="up", before=before.checkins if before else None),
        Figure(label="Kudos", value=now.kudos, better="up", before=before.kudos if before else None),
        Figure(
            label="Mood",
            value=None if now.mood is None else round(now.mood, 1),
            better="up",
            hint="from 1 to 5",
            before=None if before is None or before.mood is None else round(before.mood, 1),
        ),
        Figure(
            label="Goals reached",
            value=now.reached,
            kind="percent",
            better="up",
            before=before.reached if before else None,
        ),
    )


def _charts(now: TeamFacts, stretches: Buckets) -> tuple[Chart, ...]:
    days = now.days
    charts = [
        Chart(
            title=f"Check-ins and kudos by {stretches.each}",
            labels=stretches.labels,
            kind="bar",
            series=(
                Series(name="Check-ins", values=stretches.add_up((one.day, float(one.checkins)) for one in days)),
                Series(name="Kudos", values=stretches.add_up((one.day, float(one.kudos)) for one in days)),
            ),
        ),
        Chart(
            title=f"Mood by {stretches.each}",
            labels=stretches.labels,
            series=(Series(name="Mood", values=stretches.mean((one.day, one.mood) for one in days)),),
        ),
    ]
    planned = stretches.add_up((one.day, float(one.goals_planned)) for one in days)
    done = stretches.add_up((one.day, float(one.goals_done)) for one in days)
    if any(planned):
        series = (
            Series(name="Reached", values=done, tone="good"),
            Series(
                name="Not reached",
                tone="calm",
                values=tuple(max(0.0, wanted - had) for wanted, had in zip(planned, done, strict=True)),
            ),
        )
        charts.append(Chart(title=f"Goals by {stretches.each}", labels=stretches.labels, series=series, kind="stacked"))
    if stars := most_appreciated(now.members):
        labels = tuple(one.name for one in stars)
        values = tuple(float(one.kudos_received) for one in stars)
        charts.append(
            Chart(title="Most appreciated", labels=labels, series=(Series(name="Kudos", values=values),), kind="rank")
        )
    return tuple(charts)


def most_appreciated(members: Sequence[Member]) -> list[Member]:
    """Who got the most kudos, and more than none."""
    stars = sorted((one for one in members if one.kudos_received), key=lambda one: (-one.kudos_received, one.name))
    return stars[:_MOST_APPRECIATED]


def _people(members: Sequence[Member]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for one in sorted(members, key=lambda one: (-one.checkins - one.kudos_given, one.name)):
        reached = 100 * one.goals_done / one.goals_planned if one.goals_planned else None
        mood = None if one.mood is None else round(one.mood, 1)
        rows.append((one.name, one.checkins, one.kudos_given, one.kudos_received, mood, one.goals_planned, reached))
    columns = (
        Column("Person", wide=True),
        Column("Check-ins", "number"),
        Column("Kudos given", "number"),
        Column("Kudos received", "number"),
        Column("Mood", "number"),
        Column("Goals", "number"),
        Column("Reached", "percent"),
    )
    return Table(title="People", columns=columns, rows=tuple(rows), main=True)
