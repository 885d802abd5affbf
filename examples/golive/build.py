"""Puts the platform together, for whoever says where it lives: `app.py`, the demo and the tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from pydantic import SecretStr

from corral import AlertOptions, Corral
from corral.handlers import backup, cleanup, health, notifications, pipelines, reports
from corral.handlers.email import EmailSettings, Transport
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web

from .data import GoLive
from .health import MAX_FAILED, MAX_WAITING, watching
from .jobs import analytics_jobs, lifecycle
from .processors import initialize_email_processor, initialize_report_processor, sender
from .queues import QueueName, declare_queues
from .schedules import register
from .service import JobService
from .settings import Settings
from .tables import refresh_tokens, users


@dataclass(frozen=True)
class Platform:
    """The parts that others need."""

    app: Corral
    home: Path
    golive: GoLive
    service: JobService
    shelf: reports.FolderShelf
    pipelines: pipelines.PipelineSettings

    def make_home(self) -> None:
        """Make the platform's folder, which its database is in."""
        self.home.mkdir(parents=True, exist_ok=True)


def beside(url: str) -> Path:
    """A folder next to the store: whoever may write the one may write the other. Beside a server, it is here."""
    parts = urlsplit(url)
    folder = Path(unquote(parts.path)[1:]).parent if parts.scheme == "sqlite" else Path()
    return folder / "golive-data"


def make_app(settings: Settings) -> Corral:
    """The application with its queues, handlers and schedules. Opens nothing. Raises: ConfigError."""
    return make_platform(settings).app


def make_platform(
    settings: Settings, *, email: EmailSettings | None = None, transport: Transport | None = None,
    pipeline_settings: pipelines.PipelineSettings | None = None, tools: pipelines.Tools | None = None,
    web: Web | None = None,
) -> Platform:  # fmt: skip
    """The application and its parts. Opens nothing.

    Args:
        email: how mails leave; by default what the environment says, which may be into files.
        transport: another way for mails to leave.
        pipeline_settings, tools: what pipelines may run; by default what the environment says.
        web: how health checks of deployments ask addresses.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    worth: AlertOptions = {"waiting": MAX_WAITING, "failed": MAX_FAILED}
    app = Corral(settings.url, name="golive", lifespan=watching(settings.health_interval), alerts=worth)
    home = (settings.golive_home or beside(app.url)).absolute()
    url = settings.database_url or SecretStr(f"sqlite:///{home / 'golive.db'}")
    database = Database(url)
    app.on_startup(lambda: home.mkdir(parents=True, exist_ok=True))  # before the database, which is in it
    database.attach(app)
    golive = GoLive(database)
    declare_queues(app)
    app.middleware(lifecycle)

    mail_dir = settings.mail_dir or home / "mail"
    initialize_email_processor(app, email or EmailSettings(mail_dir=mail_dir), transport=transport)
    kept = reports.ReportSettings.load(**_unless_set(reports.ReportSettings, reports_folder=home / "reports"))
    shelf = reports.shelf_for(kept, database)
    initialize_report_processor(app, golive, kept, shelf=shelf, inputs=home / "inputs")
    runs = pipeline_settings or pipelines.PipelineSettings.load(
        **_unless_set(pipelines.PipelineSettings, pipeline_folder=home / "pipelines")
    )
    _include_pipelines(app, golive, runs, tools, web)
    _include_upkeep(app, home, golive, url, runs)
    register(app)
    return Platform(app, home, golive, JobService(app), shelf, runs)


def _include_pipelines(
    app: Corral, golive: GoLive, settings: pipelines.PipelineSettings, tools: pipelines.Tools | None, web: Web | None
) -> None:
    send = sender(app)
    app.include(
        pipelines.bundle(settings, tools=tools, send=send, ended=golive.pipeline_ended, queue=QueueName.PIPELINE)
    )
    app.include(
        pipelines.suite_bundle(settings, tools=tools, send=send, ended=golive.suite_ended, queue=QueueName.TEST)
    )
    app.include(
        pipelines.deployment_bundle(
            settings, tools=tools, send=send, ended=golive.deployment_ended, web=web or Web(),
            queue=QueueName.DEPLOYMENT,
        )
    )  # fmt: skip


def _include_upkeep(app: Corral, home: Path, golive: GoLive, url: SecretStr, runs: pipelines.PipelineSettings) -> None:
    """Notifications, clean-up, backup, health checks, figures."""
    send, database = sender(app), golive.database
    people = People(database)
    app.include(
        notifications.bundle(
            database=database, people=people, send=send, queue=QueueName.NOTIFICATION,
            jobs=("send-notification", "announce"),
        )
    )  # fmt: skip
    clean = cleanup.CleanupSettings.load(
        **_unless_set(
            cleanup.CleanupSettings, cleanup_temp_dir=home / "tmp", cleanup_logs_dir=home / "logs",
            cleanup_logs_archive=home / "archive", cleanup_artifacts_dir=runs.pipeline_folder / "artifacts",
        )
    )  # fmt: skip
    tokens = cleanup.RowRule("expired-tokens", refresh_tokens.c.expires_at)
    names = ("expired-tokens", "old-logs", "temp-files", "old-artifacts")
    app.include(cleanup.bundle(clean, rules=[tokens], database=database, queue=QueueName.CLEANUP, jobs=names))
    stored = backup.BackupSettings.load(**_unless_set(backup.BackupSettings, backup_dir=home / "backups"))
    source = backup.source_of(url, pg_dump=stored.backup_pg_dump)
    app.include(backup.bundle(stored, sources=[source], queue=QueueName.ANALYTICS))
    checks: list[health.Check] = [health.DatabaseCheck(database), health.StoreCheck(app), health.DiskCheck(home)]
    checks += [health.QueueCheck(app, name) for name in QueueName]
    app.include(
        health.bundle(checks=checks, database=database, send=send, queue=QueueName.ANALYTICS, jobs=("health-check",))
    )
    analytics_jobs(app.queues[QueueName.ANALYTICS], golive)


class People:
    """The platform's users, for notifications."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, organization: str, ids: Sequence[str]) -> Mapping[str, notifications.Person]:
        """The people with these ids; there is one organization."""
        async with self._database.connect() as connection:
            rows = (await connection.execute(sa.select(users).where(users.c.id.in_(ids)))).all()
        return {row.id: notifications.Person(row.id, row.name, row.email) for row in rows}


def _unless_set(model: type, **folders: Path) -> dict[str, object]:
    """The platform's own folders, for settings that neither the environment nor a file says."""
    said = model.load().model_fields_set  # type: ignore[attr-defined]  # they are all families' settings
    return {name: folder for name, folder in folders.items() if name not in said}
