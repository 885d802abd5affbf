"""TeamSpark's demo: a platform's everyday jobs, two that get into trouble, and more mails than may leave at once.

`python -m examples.demo teamspark`; the stage it plays on is every platform's.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import jwt

from corral import Corral, CorralError, Cron, Priority
from corral.handlers.email import EmailSettings
from examples.demo.stage import Stage, Web
from examples.demo.transport import BUSY, GONE, note_attempt, unreliable_mail

from .api import make_api
from .build import add_job, database_of, make_app
from .payloads import (
    CalculateMetricsJobData,
    CleanupOldDataJobData,
    JobType,
    ProcessCheckinJobData,
    SendEmailJobData,
    SendKudosNotificationJobData,
    SyncSlackJobData,
)
from .schedules import ORGANIZATION
from .seed import fill
from .settings import Settings

Note = Callable[[str], None]

#: Seconds until the reminder. In real life it would be a day; nobody wants to watch that.
REMINDER = 3
UPDATE = {"kudosCount": 25, "topPerformers": ["Alice", "Bob"]}


def prepare(folder: Path) -> None:
    """The samples are of the last days: begin with fresh ones."""
    for name in ("team.db", "team.db-wal", "team.db-shm"):
        (folder / name).unlink(missing_ok=True)


async def build(stage: Stage) -> Corral:
    """The platform, with mails that stay on this machine whatever the environment says."""
    settings = settings_of(stage)
    email = EmailSettings(email_transport="dry-run", email_from="TeamSpark <team@example.com>")
    database = database_of(settings, stage.url)
    app = make_app(settings, email=email, transport=unreliable_mail(stage.mails), database=database)
    app.middleware(note_attempt)
    async with database:
        await fill(database)
    return app


def api(app: Corral, stage: Stage) -> Web:
    """What `GET /api/jobs` answers, while the demo runs."""
    return cast(Web, make_api(app, settings_of(stage)))


def settings_of(stage: Stage) -> Settings:
    """The platform's settings on a stage: its data and files lie beside the demo's."""
    return Settings(url=stage.url, teamspark_home=stage.folder, database_url=None, jwt_secret=stage.secret or None)


async def life(app: Corral, stage: Stage) -> None:
    """A day at the platform."""
    await add_mails(app, stage)
    await add_others(app, stage.folder, stage.note)
    await run_schedules(app, stage.note)
    if stage.site is not None:
        claims = {"sub": "visitor", "roles": ["viewer"], "exp": int(time.time()) + 3_600}
        token = jwt.encode(claims, stage.secret, algorithm="HS256")
        stage.note(f'how it stands: curl -H "Authorization: Bearer {token}" {stage.site}/api/jobs')


def mail(to: str, subject: str, template: str, **data: object) -> SendEmailJobData:
    """A mail's payload."""
    return SendEmailJobData.model_validate({"to": to, "subject": subject, "template": template, "data": data})


async def add_mails(app: Corral, stage: Stage) -> None:
    """Add the mails: what goes well, what does not, and the burst."""
    burst, note = stage.burst, stage.note
    queue = app.queues[JobType.SEND_EMAIL]
    await add_job(queue, "welcome-email", mail("user@example.com", "Welcome to TeamSpark!", "welcome", name="John"))
    await add_job(queue, "team-update", mail("team@example.com", "Weekly Team Update", "team-update", **UPDATE))
    note("added a welcome mail and a team update")

    reminder = mail("user@example.com", "Your check-in is due", "reminder", message="It takes a minute.")
    await add_job(queue, "reminder", reminder, delay=REMINDER)
    note(f"added a reminder for {REMINDER} s from now, so that you need not wait a day for it")

    await add_job(queue, "send-email", mail(BUSY, "To a busy mailbox", "notification", message="Third time lucky."))
    note("added a mail to a mailbox that will be busy twice: it is tried again after 2 s, then after 4 s")
    stage.fails(await add_job(queue, "send-email", mail(GONE, "To nobody", "notification", message="Never read.")))
    note("added a mail to a mailbox that is gone: trying again cannot help, so it fails at once")
    try:
        await add_job(queue, "send-email", {"to": "user@example.com", "subject": "Typo", "template": "welcom"})
    except CorralError as error:
        note(f"a mistake is refused when it is made: {error}")

    members = [
        mail(f"member-{n}@example.com", "Weekly Team Update", "team-update", **UPDATE) for n in range(1, burst + 1)
    ]
    stage.many(await queue.definition("team-update").add_bulk(members, priority=Priority.LOW))
    note(f"added {burst} team updates in one step, with low priority: other mails overtake them; 10 a second may leave")
    urgent = mail("ops@example.com", "The site is down", "urgent", message="All hands, please.")
    await add_job(queue, "urgent", urgent, priority=1)
    note("added an urgent mail after all of them: it goes first")


async def add_others(app: Corral, home: Path, note: Note) -> None:
    """Add work for the other queues."""
    make_old_files(home / "tmp")
    await add_job(app.queues[JobType.CLEANUP_OLD_DATA], "temp-files", CleanupOldDataJobData(older_than_hours=24))
    await add_job(
        app.queues[JobType.PROCESS_CHECKIN], "checkin",
        ProcessCheckinJobData(
            organization_id=ORGANIZATION, person_id="user-3", day=datetime.now(UTC).date(), mood=4, goals_planned=3,
            goals_done=2,
        ),
    )  # fmt: skip
    await add_job(
        app.queues[JobType.SEND_KUDOS_NOTIFICATION], "kudos",
        SendKudosNotificationJobData(
            organization_id=ORGANIZATION, sender_id="user-1", recipient_id="user-2", message="Thank you for the demo!"
        ),
    )  # fmt: skip
    await add_job(
        app.queues[JobType.CALCULATE_METRICS], "engagement-metrics",
        CalculateMetricsJobData(organization_id=ORGANIZATION, metric_type="engagement", period="weekly"),
    )  # fmt: skip
    await add_job(
        app.queues[JobType.SYNC_SLACK], "sync-users", SyncSlackJobData(workspace_id="workspace-123", sync_type="users")
    )
    note("added a clean-up, a check-in, kudos, a calculation, and a look into Slack that needs a token to see anything")


async def run_schedules(app: Corral, note: Note) -> None:
    """Bring the store in line with the table of schedules, tell when they run, and run one of them now."""
    await app.sync_schedules()
    storage = await app.open()
    for entry in (await storage.schedules()).items:
        if isinstance(entry.timing, Cron) and entry.next_at is not None:
            due = datetime.fromtimestamp(entry.next_at / 1000, UTC)
            note(f"schedule {entry.key} ({entry.timing.expression}) runs next on {due:%a %d %b at %H:%M} UTC")
    await app.scheduler(storage).run_now(JobType.GENERATE_REPORT, "weekly-team-reports")
    note("added a job of weekly-team-reports now, without waiting for Monday")


def make_old_files(folder: Path) -> None:
    """Three files of two days ago, for the clean-up to find."""
    folder.mkdir(parents=True, exist_ok=True)
    then = time.time() - 2 * 86_400
    for number in range(1, 4):
        path = folder / f"export-{number}.csv"
        path.write_text("day,mood\n", encoding="utf-8")
        os.utime(path, (then, then))
