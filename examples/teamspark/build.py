"""Puts the platform together, for whoever says where it lives: `app.py`, the demo and the tests."""

from typing import TypedDict, Unpack

from corral import AddKeywords, AppQueue, Corral, Exponential, JobHandle, Keep, RateLimit
from corral.handlers.email import EmailSettings, Transport
from corral.handlers.kit.database import Database

from . import jobs, schedules
from .payloads import JobType
from .settings import Settings
from .team import Team


class Common(TypedDict):
    """What holds for every queue."""

    concurrency: int
    attempts: int
    backoff: Exponential
    keep_completed: Keep
    keep_failed: Keep


def database_of(settings: Settings, url: str) -> Database:
    """The platform's own data: where the settings say, else a file in its folder. Opens nothing."""
    if settings.database_url is not None:
        return Database(settings.database_url)
    return Database(f"sqlite:///{settings.home(url) / 'team.db'}")


def make_app(
    settings: Settings, *, email: EmailSettings | None = None, transport: Transport | None = None,
    database: Database | None = None,
) -> Corral:  # fmt: skip
    """The application with its queues, handlers and schedules. Opens nothing.

    Args:
        email: how mails leave; by default what the environment says, which may be into files.
        transport: another way for mails to leave.
        database: the platform's data; by default what the settings say.

    Raises:
        ConfigError: settings that cannot be meant, or a store that this version of corral has no engine for.
    """
    app = Corral(settings.url, name="teamspark")
    home = settings.home(app.url)
    database = database or database_of(settings, app.url)
    kept = Keep(age=settings.job_retention_hours * 3_600)
    common: Common = {
        "concurrency": settings.worker_concurrency,
        "attempts": 3,
        "backoff": Exponential(2),  # 2 s, then 4 s
        "keep_completed": kept,
        "keep_failed": kept,
    }
    app.queue(JobType.SEND_EMAIL, rate_limit=RateLimit(10, per=1), **common)  # over all workers together
    for job_type in JobType:
        if job_type is not JobType.SEND_EMAIL:
            app.queue(job_type, **common)
    email = email or EmailSettings(mail_dir=settings.mail_dir or home / "mail")
    for bundle in jobs.bundles(app, database, Team(database), home, email, transport):
        app.include(bundle)
    app.on_startup(lambda: home.mkdir(mode=0o700, parents=True, exist_ok=True))
    database.attach(app)
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
