"""Puts the platform together, for whoever says where it lives: `app.py`, the demo and the tests."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from corral import Corral
from corral.handlers import alerts, insights, reports, sync, webhooks
from corral.handlers.email import EmailSettings, Transport
from corral.handlers.kit.database import Database

from . import jobs, schedules
from .cache import Cache
from .facts import BusinessBook
from .organizations import Organizations
from .queues import declare_queues
from .schedules import JobScheduler
from .service import QueueService
from .settings import Settings


@dataclass(frozen=True)
class Platform:
    """The parts that others need."""

    app: Corral
    home: Path
    settings: Settings
    database: Database
    organizations: Organizations
    integrations: sync.Integrations
    insights: insights.InsightStore
    queue_service: QueueService
    job_scheduler: JobScheduler
    receiver: webhooks.Receiver
    shelf: reports.FolderShelf
    cache: Cache

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Store and database, for whoever is no worker: the API, the seed, tests."""
        self.home.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.database)
            if not self.app.is_open:
                await stack.enter_async_context(self.app)
            yield


def beside(url: str) -> Path:
    """A folder next to the store: whoever may write the one may write the other. Beside a server, it is here."""
    parts = urlsplit(url)
    folder = Path(unquote(parts.path)[1:]).parent if parts.scheme == "sqlite" else Path()
    return folder / "bizinsights-data"


_PLATFORMS: WeakKeyDictionary[Corral, Platform] = WeakKeyDictionary()


def make_app(settings: Settings) -> Corral:
    """The application with its queues, handlers and schedules. Opens nothing. Raises: ConfigError."""
    return make_platform(settings).app


def platform_of(app: Corral) -> Platform:
    """The parts of an application that was made here."""
    return _PLATFORMS[app]


def make_platform(
    settings: Settings, *, email: EmailSettings | None = None, transport: Transport | None = None,
    sync_settings: sync.SyncSettings | None = None, webhook_settings: webhooks.WebhooksSettings | None = None,
    insights_settings: insights.InsightsSettings | None = None,
) -> Platform:  # fmt: skip
    """The application and its parts. Connects to nothing.

    Args:
        email, sync_settings, webhook_settings, insights_settings: by default what the environment says.
        transport: another way for mails to leave.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    # Whoever starts a worker, from whatever folder: more than a hundred waiting jobs of a queue are worth an alert.
    app = Corral(settings.url, name="bizinsights", alerts={"waiting": 100})
    home = (settings.bizinsights_home or beside(app.url)).absolute()

    @app.on_startup
    def settle() -> None:
        home.mkdir(parents=True, exist_ok=True)  # before the database in it is opened

    database = Database(settings.database_url or SecretStr(f"sqlite:///{home / 'bizinsights.db'}"))
    database.attach(app)
    declare_queues(app)

    sync_settings = sync_settings or sync.SyncSettings.load()
    organizations, integrations = Organizations(database), sync.Integrations(database, sync_settings)
    found = insights.InsightStore(database)
    report_settings = reports.ReportSettings.load(
        **_unless_set(reports.ReportSettings, reports_folder=home / "reports")
    )
    shelf = reports.shelf_for(report_settings, database)
    jobs.register_mail(app, email or EmailSettings(mail_dir=settings.mail_dir or home / "mail"), transport)
    jobs.register_data(app, sync_settings, insights_settings or insights.InsightsSettings.load(), database)
    jobs.register_reports(app, report_settings, database, BusinessBook(database, organizations, found), shelf)
    receiver = jobs.register_events(
        app, webhook_settings or webhooks.WebhooksSettings.load(), alerts.AlertSettings.load(), database,
        organizations, integrations, quota=settings.quota_alert, operators=settings.operators,
        woocommerce=settings.woocommerce_webhook_secret,
    )  # fmt: skip
    schedules.register(app)
    service = QueueService(app)
    scheduler = JobScheduler(service, integrations, organizations)

    @app.on_startup
    async def plan() -> None:
        """Each integration's schedule, as it is in the database now."""
        await scheduler.initialize()

    made = Platform(
        app=app, home=home, settings=settings, database=database, organizations=organizations,
        integrations=integrations, insights=found, queue_service=service, job_scheduler=scheduler, receiver=receiver,
        shelf=shelf, cache=Cache(app),
    )  # fmt: skip
    _PLATFORMS[app] = made
    return made


def _unless_set(settings: type[BaseSettings], **defaults: object) -> Mapping[str, object]:
    """Those of the values that neither the environment nor `.env` gives."""
    said = settings()
    return {name: value for name, value in defaults.items() if name not in said.model_fields_set}
