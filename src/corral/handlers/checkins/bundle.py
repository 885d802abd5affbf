"""The bundle: check-ins as an application takes them in."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol, TypedDict

from corral.app.bundle import Bundle
from corral.handlers.checkins.insight import NEEDED_DAYS, Finding, about_all, about_person
from corral.handlers.checkins.payload import CheckinInsights, MoodTrends, ProcessCheckin
from corral.handlers.checkins.settings import CheckinsSettings
from corral.handlers.checkins.store import Checkins, Insight
from corral.handlers.checkins.trend import Direction, slope, trend, weeks
from corral.handlers.kit.database import Database
from corral.options import Exponential
from corral.signals import Discard
from corral.timing import Clock, now_ms
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.checkins")

#: The names under which a check-in can be added; they do the same.
CHECKIN_JOBS = ("checkin", "process-checkin")
#: A line that moves by less than this a week is level.
_LEVEL = 0.05

#: Tells somebody about an insight. The id is the same in every attempt: a second call with it is the first one.
TellInsight = Callable[[str, Insight], Awaitable[object]]


class Checked(TypedDict):
    """What a check-in came to: the person's mean mood over the week, how it compares, and what it brought to light."""

    mood: float
    trend: Direction
    insights: list[str]


class WeekMood(TypedDict):
    """One week of a trend. `mood` is None when too few people answered."""

    firstDay: str
    mood: float | None
    people: int
    replies: int


class Moods(TypedDict):
    """A group's moods, and where they are heading: `perWeek` is how much they move in a week."""

    trend: Direction
    perWeek: float | None
    weeks: list[WeekMood]


class Looked(TypedDict):
    """How many check-ins were looked at, and what was found that had not been said lately."""

    replies: int
    insights: list[str]


class _Job(Protocol):
    @property
    def created_at(self) -> int: ...


def bundle(
    settings: CheckinsSettings | None = None, *, database: Database, tell: TellInsight | None = None,
    queue: str = "process-checkin", clock: Clock = now_ms,
) -> Bundle:  # fmt: skip
    """The check-in jobs, for `app.include(bundle(database=…))`. Reads the settings; connects to nothing.

    Args:
        settings: what counts as low, and so on; by default what the environment, `.env` and `corral.toml` say.
        database: where check-ins are kept. Attach it to the application: `database.attach(app)`.
        tell: gets each new insight. Without it they are kept and nobody is told.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    desk = _Desk(CheckinsSettings.load() if settings is None else settings, Checkins(database, clock=clock), tell)
    made = Bundle("checkins", queue=queue, attempts=3, backoff=Exponential(2), timeout=60)
    for name in CHECKIN_JOBS:
        made.job(name)(desk.checkin)
    made.job("mood-trends")(desk.moods)
    made.job("checkin-insights", timeout=300)(desk.look)
    return made


class _Desk:
    """The handlers, with what they work on."""

    def __init__(self, settings: CheckinsSettings, store: Checkins, tell: TellInsight | None) -> None:
        self._settings = settings
        self._store = store
        self._tell = tell

    async def checkin(self, ctx: JobContext, data: ProcessCheckin) -> Checked:
        """Keep a check-in, compare the week with the one before, and look whether it wants attention.

        Twice is as good as once: there is one row for each person and day, and a finding is made once in its time.
        """
        sent = self._day(ctx.job)
        day = sent if data.day is None else data.day
        if day > sent + timedelta(1):  # a day, for people east of the time zone
            raise Discard(f"the check-in is about {day}, which was still to come when it was sent on {sent}")
        await self._store.record(data, day, job=ctx.id, sent_at=ctx.job.created_at)
        replies = await self._store.replies(data.organization_id, day, NEEDED_DAYS, person=data.person_id)
        found = trend(replies, day, steady=self._settings.checkins_steady)
        assert found.mood is not None  # there is at least this one
        findings = list(about_person(data.person_id, replies, day, self._settings))
        return {
            "mood": round(found.mood, 2),
            "trend": found.direction,
            "insights": await self._publish(ctx, data.organization_id, findings),
        }

    async def moods(self, ctx: JobContext, data: MoodTrends) -> Moods:
        """Follow a group's mood week by week, and keep it. A second time replaces the first."""
        last = self._slot(ctx) if data.day is None else data.day
        replies = await self._store.replies(data.organization_id, last, 7 * data.weeks, team=data.team_id)
        found = weeks(replies, last, data.weeks, least=self._settings.checkins_min_group)
        await self._store.store_moods(data.organization_id, data.team_id, found)
        line = slope([week.mood for week in found])
        return {
            "trend": _heading(line),
            "perWeek": None if line is None else round(line, 3),
            "weeks": [
                {"firstDay": one.first.isoformat(), "mood": one.mood, "people": one.people, "replies": one.replies}
                for one in found
            ],
        }

    async def look(self, ctx: JobContext, data: CheckinInsights) -> Looked:
        """Look at everybody's check-ins for what wants attention, also for what is missing.

        Twice is as good as once: a finding is made once in its time, and told about under an id of its own.
        """
        last = self._slot(ctx) - timedelta(1) if data.day is None else data.day
        replies = await self._store.replies(data.organization_id, last, NEEDED_DAYS, team=data.team_id)
        await ctx.progress(30)
        findings = list(about_all(replies, last, self._settings, group=data.team_id))
        await ctx.progress(60)
        told = await self._publish(ctx, data.organization_id, findings)
        await ctx.progress(100)
        return {"replies": len(replies), "insights": told}

    async def _publish(self, ctx: JobContext, organization: str, findings: Sequence[Finding]) -> list[str]:
        fresh = await self._store.discover(
            organization, findings, quiet_days=self._settings.checkins_quiet_days, job=ctx.id
        )
        for insight in fresh:
            logger.info("Insight found", extra={"jobId": ctx.id, "insight": insight.kind, "subject": insight.subject})
            if self._tell is not None:
                await self._tell(f"insight-{insight.id}", insight)
                await self._store.told(insight)
        return [insight.kind for insight in fresh]

    def _day(self, job: _Job) -> date:
        return datetime.fromtimestamp(job.created_at / 1000, self._settings.zone).date()

    def _slot(self, ctx: JobContext) -> date:
        """The day a job is for: its slot's, when a schedule made it, however late it runs."""
        return (
            self._day(ctx.job)
            if ctx.scheduled_for is None
            else ctx.scheduled_for.astimezone(self._settings.zone).date()
        )


def _heading(line: float | None) -> Direction:
    if line is None:
        return "unknown"
    return "steady" if abs(line) < _LEVEL else "up" if line > 0 else "down"
