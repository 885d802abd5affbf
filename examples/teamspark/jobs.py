"""What the platform's jobs do. The e-mail jobs are corral's own; `build.py` takes them in.

Every handler may run twice: a worker can die between doing the work and saying so. What each of them does about that is
said in its docstring.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, TypedDict

from corral import AppQueue, Discard, JobContext, SyncJobContext

from .payloads import (
    CalculateMetricsJobData,
    CleanupOldDataJobData,
    GenerateReportJobData,
    ProcessCheckinJobData,
    SendEmailJobData,
    SendKudosNotificationJobData,
)
from .team import Person, Span, Summary, Team

DAYS = {"daily": 1, "weekly": 7, "monthly": 30, "quarterly": 91}

#: Adds a mail under an id of its own: a second one with that id is the first one.
SendMail = Callable[[str, SendEmailJobData], Awaitable[object]]


def day_of(ctx: JobContext | SyncJobContext) -> date:
    """The day a job is for: its slot's, when a schedule made it, however late it runs."""
    return (ctx.scheduled_for or datetime.now(UTC)).date()


# -- calculate-metrics -------------------------------------------------------------------------------------------------


class Metrics(TypedDict):
    """A figure, and the days it is about. `value` is None when there was nothing to calculate it from."""

    metricType: str
    period: str
    firstDay: str
    value: float | None
    checkins: int


def figure(kind: Literal["engagement", "performance", "satisfaction"], summary: Summary) -> float | None:
    """Engagement and performance are shares from 0 to 1, satisfaction is a mean mood from 1 to 5."""
    if kind == "engagement":
        return round(summary.active / summary.people, 3) if summary.people else None
    if kind == "performance":
        return round(summary.done / summary.planned, 3) if summary.planned else None
    return None if summary.mood is None else round(summary.mood, 2)


def metrics_jobs(queue: AppQueue, team: Team) -> None:
    """Engagement, performance and satisfaction of a team."""

    def calculate(ctx: SyncJobContext, data: CalculateMetricsJobData) -> Metrics:
        """Calculate a figure. It only reads: twice is as good as once."""
        span = Span.before(day_of(ctx), DAYS[data.period])
        summary = team.summary(span)
        return {
            "metricType": data.metric_type,
            "period": data.period,
            "firstDay": span.first.isoformat(),
            "value": figure(data.metric_type, summary),
            "checkins": summary.checkins,
        }

    for name in ("engagement-metrics", "performance-metrics", "satisfaction-metrics"):
        queue.job(name, timeout=60)(calculate)


# -- generate-report ---------------------------------------------------------------------------------------------------


class Report(TypedDict):
    """What became of a report."""

    title: str
    mails: int


def report_jobs(queue: AppQueue, team: Team, send: SendMail) -> None:
    """Reports, mailed to the people who are to read them."""

    async def report(ctx: JobContext, data: GenerateReportJobData) -> Report:
        """Make a report and add a mail for each reader, under an id made of this job's: a second run adds none."""
        readers = await asyncio.to_thread(team.people, data.recipient_ids)
        if not readers:
            raise Discard(f"nobody has one of the ids {', '.join(data.recipient_ids)}")
        await ctx.progress(10)
        title, content = await asyncio.to_thread(write_report, team, data.report_type, day_of(ctx))
        await ctx.progress(50)
        for reader in readers:
            mail = SendEmailJobData(to=reader.email, subject=title, template="report", data=content)
            await send(f"report-{ctx.id.replace(':', '.')}-{reader.id}", mail)
        await ctx.progress(100)
        return {"title": title, "mails": len(readers)}

    for name in ("weekly-report", "monthly-report", "quarterly-report"):
        queue.job(name, timeout=120)(report)


def write_report(team: Team, kind: str, day: date) -> tuple[str, dict[str, object]]:
    """A report's title, and the data of its template."""
    span = Span.before(day, DAYS[kind])
    now, before = team.summary(span), team.summary(Span.before(span.first, DAYS[kind]))
    stars = ", ".join(f"{name} ({count})" for name, count in team.most_appreciated(span)) or "nobody yet"
    active = f"{now.active} of {now.people}"
    rows: list[dict[str, object]] = [
        {"label": "Active people", "value": active, "change": f"{now.active - before.active:+d}"},
        {"label": "Check-ins", "value": now.checkins, "change": f"{now.checkins - before.checkins:+d}"},
        {"label": "Kudos", "value": now.kudos, "change": f"{now.kudos - before.kudos:+d}"},
        {"label": "Goals reached", "value": f"{now.done} of {now.planned}"},
        {"label": "Mood", "value": "–" if now.mood is None else f"{now.mood:.1f} of 5"},
    ]
    title = f"{kind.capitalize()} team report"
    period = f"{span.first:%d %b} to {span.end - timedelta(1):%d %b %Y}"
    return title, {"title": title, "period": period, "summary": f"Most appreciated: {stars}.", "metrics": rows}


# -- cleanup-old-data, send-kudos-notification, process-checkin --------------------------------------------------------


class Cleaned(TypedDict):
    """How much was deleted."""

    files: int
    bytes: int


def cleanup_jobs(queue: AppQueue, folder: Path) -> None:
    """Removal of what nobody needs any more."""

    @queue.job("temp-files", timeout=300)
    def temp_files(ctx: SyncJobContext, data: CleanupOldDataJobData) -> Cleaned:
        """Delete old files from the platform's own temporary folder. What is gone already is no error."""
        before = time.time() - data.older_than_hours * 3_600
        files = size = 0
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            ctx.check()  # stop between two files when the job is cancelled or out of time
            facts = path.lstat()
            if path.is_file() and not path.is_symlink() and facts.st_mtime < before:
                path.unlink(missing_ok=True)
                files, size = files + 1, size + facts.st_size
        return {"files": files, "bytes": size}


class Told(TypedDict):
    """Who was told about kudos."""

    recipient: str


def kudos_jobs(queue: AppQueue, team: Team, send: SendMail) -> None:
    """Kudos, noted and passed on."""

    @queue.job("kudos", timeout=30)
    async def kudos(ctx: JobContext, data: SendKudosNotificationJobData) -> Told:
        """Note kudos and add a mail about them, both under this job's id: a second run changes nothing."""
        people = await asyncio.to_thread(team.people, [data.sender_id, data.recipient_id])
        if len({person.id for person in people}) != 2:
            raise Discard(f"{data.sender_id!r} and {data.recipient_id!r} must be two people of the team")
        sender, recipient = people
        await asyncio.to_thread(team.add_kudos, ctx.id, sender.id, recipient.id, day_of(ctx), data.message)
        await send(f"kudos-{ctx.id}", kudos_mail(sender, recipient, data.message))
        return {"recipient": recipient.id}


def kudos_mail(sender: Person, recipient: Person, message: str) -> SendEmailJobData:
    """The mail about kudos."""
    return SendEmailJobData(
        to=recipient.email, subject=f"{sender.name} gave you kudos", template="notification",
        data={"name": recipient.name, "title": f"Kudos from {sender.name}", "message": message},
    )  # fmt: skip


class Trend(TypedDict):
    """Somebody's mean mood over a week, and how it compares with the week before."""

    mood: float
    trend: Literal["up", "down", "steady", "new"]


def checkin_jobs(queue: AppQueue, team: Team) -> None:
    """Check-ins and what they say."""

    @queue.job("checkin", timeout=30)
    def checkin(data: ProcessCheckinJobData) -> Trend:
        """Note a check-in, once for each person and day, and compare the week with the one before."""
        team.check_in(data.person_id, data.day, data.mood, data.goals_planned, data.goals_done)
        week = Span.before(data.day + timedelta(1), 7)
        mood, before = team.mood(data.person_id, week), team.mood(data.person_id, Span.before(week.first, 7))
        assert mood is not None  # there is at least today's
        if before is None:
            return {"mood": round(mood, 2), "trend": "new"}
        change = mood - before
        return {"mood": round(mood, 2), "trend": "up" if change > 0.25 else "down" if change < -0.25 else "steady"}
