"""Puts the platform together, for whoever says where it lives: `app.py`, the demo and the tests."""

from pathlib import Path
from typing import TypedDict, Unpack
from urllib.parse import unquote, urlsplit

from corral import AddKeywords, AppQueue, Corral, Exponential, JobHandle, Keep, RateLimit
from corral.handlers.email import EmailSettings, Transport, bundle

from . import jobs, schedules
from .payloads import JobType, SendEmailJobData
from .settings import Settings
from .team import Team


def beside(url: str) -> Path:
    """A folder next to the store: whoever may write the one may write the other. Beside a server, it is here."""
    parts = urlsplit(url)
    folder = Path(unquote(parts.path)[1:]).parent if parts.scheme == "sqlite" else Path()
    return folder / "teamspark-data"


class Common(TypedDict):
    """What holds for every queue."""

    concurrency: int
    attempts: int
    backoff: Exponential
    keep_completed: Keep
    keep_failed: Keep


def make_app(settings: Settings, *, email: EmailSettings | None = None, transport: Transport | None = None) -> Corral:
    """The application with its queues, handlers and schedules. Opens nothing.

    Args:
        email: how mails leave; by default what the environment says, which may be into files.
        transport: another way for mails to leave.

    Raises:
        ConfigError: a store that this version of corral has no engine for.
    """
    app = Corral(settings.url, name="teamspark")
    home = settings.teamspark_home or beside(app.url)
    kept = Keep(age=settings.job_retention_hours * 3_600)
    common: Common = {
        "concurrency": settings.worker_concurrency,
        "attempts": 3,
        "backoff": Exponential(2),  # 2 s, then 4 s
        "keep_completed": kept,
        "keep_failed": kept,
    }
    mail = app.queue(JobType.SEND_EMAIL, rate_limit=RateLimit(10, per=1), **common)  # over all workers together
    for job_type in JobType:
        if job_type is not JobType.SEND_EMAIL:
            app.queue(job_type, **common)
    app.include(bundle(email or EmailSettings(mail_dir=settings.mail_dir or home / "mail"), transport=transport))

    async def send(id: str, data: SendEmailJobData) -> JobHandle[object]:
        return await mail.definition("send-email").add(data, id=id)

    team = Team(home / "team.db")
    jobs.metrics_jobs(app.queues[JobType.CALCULATE_METRICS], team)
    jobs.report_jobs(app.queues[JobType.GENERATE_REPORT], team, send)
    jobs.cleanup_jobs(app.queues[JobType.CLEANUP_OLD_DATA], home / "tmp")
    jobs.kudos_jobs(app.queues[JobType.SEND_KUDOS_NOTIFICATION], team, send)
    jobs.checkin_jobs(app.queues[JobType.PROCESS_CHECKIN], team)
    schedules.register(app)
    return app


async def add_job(queue: AppQueue, name: str, data: object, **options: Unpack[AddKeywords]) -> JobHandle[object]:
    """Add a job; when this returns, it is stored durably and will be run. `delay` and other durations are seconds.

    Raises:
        UnknownJobError: the queue has no such job. PayloadError: the data is refused, with every complaint.
        ConfigError: a bad option.
    """
    handle: JobHandle[object] = await queue.definition(name).add(data, **options)
    return handle
