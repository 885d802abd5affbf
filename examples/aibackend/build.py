"""Puts the platform together, for whoever says where it lives: `app.py`, the demo and the tests."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from corral import Corral, Exponential, Keep
from corral.handlers import backup, cleanup, health
from corral.handlers.ai import AiSettings, Completions, Embeddings, Model, SqlConversations, Vectors, model_for
from corral.handlers.email import EmailSettings, Mailer, Templates, Transport, transport_for
from corral.handlers.kit.database import Database

from .data import Data
from .failures import FailedJobs, LogTracker, Tracker
from .jobs import AiTaskProcessor, EmailProcessor, HouseKeeper, lifecycle
from .payloads import QueueName
from .schedules import register
from .settings import Settings
from .tables import tokens

#: The e-mail that comes from nobody in particular is for the dry run: mails into files.
SENDER = "AI Backend <noreply@example.com>"


def home_of(settings: Settings, url: str) -> Path:
    """Where the platform's own files are: next to the store, for whoever may write the one may write the other."""
    if settings.aibackend_home is not None:
        return settings.aibackend_home
    parts = urlsplit(url)
    folder = Path(unquote(parts.path)[1:]).parent if parts.scheme == "sqlite" else Path()
    return folder / "aibackend-data"


def database_of(settings: Settings, url: str) -> Database:
    """The application's own database: the one that is named, or a file at home."""
    if settings.database_url is not None:
        return Database(settings.database_url)
    return Database(f"sqlite:///{home_of(settings, url) / 'aibackend.db'}")


def make_home(settings: Settings, url: str) -> None:
    """Make the folder, which nobody else may read: before the database is opened."""
    home_of(settings, url).mkdir(mode=0o700, parents=True, exist_ok=True)


def make_app(
    settings: Settings, *, ai: AiSettings | None = None, model: Model | None = None, email: EmailSettings | None = None,
    transport: Transport | None = None, tracker: Tracker | None = None, database: Database | None = None,
) -> Corral:  # fmt: skip
    """The application with its queues, handlers and schedules. Opens nothing.

    Args:
        ai: where the models are; by default what the environment says, which may be nowhere: then nobody is asked.
        model: another way to ask.
        email: how mails leave; by default what the environment says, which may be into files.
        transport: another way for mails to leave.
        tracker: who hears of what failed for good; by default the log.

    Raises:
        ConfigError: settings that cannot be meant.
    """
    app = Corral(settings.url, name="aibackend")
    home = home_of(settings, app.url)
    ai = ai or AiSettings.load()
    email = email or EmailSettings(email_from=SENDER, mail_dir=home / "mail")
    database = database or database_of(settings, app.url)
    data = Data(database)
    app.on_startup(lambda: make_home(settings, app.url))
    database.attach(app)

    slots = settings.worker_concurrency
    app.queue(QueueName.AI_TASKS, concurrency=slots, attempts=3, backoff=Exponential(5), timeout=ai.ai_timeout + 10)
    app.queue(QueueName.EMAIL, concurrency=slots, attempts=5, backoff=Exponential(5), timeout=60)
    kept = Keep(count=100)
    app.queue(QueueName.MAINTENANCE, concurrency=2, attempts=3, backoff=Exponential(60), keep_completed=kept)

    asked = model or model_for(ai)
    app.provide(AiSettings, ai)
    app.provide(Settings, settings)
    app.provide(Data, data)
    app.provide(Model, lambda: asked)
    app.provide(Completions, Completions(ai, asked, SqlConversations(database)))
    app.provide(Embeddings, Embeddings(ai, asked, Vectors(database)))
    app.provide(Mailer, Mailer(email, transport or transport_for(email), Templates()))

    app.middleware(lifecycle)
    app.include(own(AiTaskProcessor), queue=QueueName.AI_TASKS)
    app.include(own(EmailProcessor), queue=QueueName.EMAIL)
    app.include(own(HouseKeeper), queue=QueueName.MAINTENANCE)
    keep_house(app, settings, home, database)
    FailedJobs(app, data, tracker or LogTracker())
    register(app)
    return app


def own(processor: type) -> type:
    """A class of handlers for one application: a class serves one queue, and this process may have several of each."""
    return type(processor.__name__, (processor,), {})


def keep_house(app: Corral, settings: Settings, home: Path, database: Database) -> None:
    """Clean-up, backups and health checks: corral's own, on the platform's files, tables and queues."""
    queue = QueueName.MAINTENANCE
    rules: list[cleanup.Rule] = [
        cleanup.FileRule("cleanup", home / "tmp", older_than=3_600),
        cleanup.RowRule("expired-tokens", tokens.c.expires_at),
    ]
    app.include(cleanup.bundle(cleanup.CleanupSettings(), rules=rules, database=database, jobs=()), queue=queue)
    shelf = backup.Shelf(home / "backups")
    app.include(backup.bundle(sources=[source_of(settings, home)], shelf=shelf), queue=queue)
    app.include(health.bundle(checks=checks_of(app, home, database), database=database), queue=queue)


def source_of(settings: Settings, home: Path) -> backup.Source:
    """What is backed up: the application's data, wherever they are."""
    url = settings.database_url
    return backup.source_of(url or f"sqlite:///{home / 'aibackend.db'}", name="aibackend")


def checks_of(app: Corral, home: Path, database: Database) -> list[health.Check]:
    """What is looked at: the store, the data, the queues, the disk."""
    queues = [health.QueueCheck(app, queue) for queue in (QueueName.AI_TASKS, QueueName.EMAIL)]
    return [health.StoreCheck(app), health.DatabaseCheck(database), *queues, health.DiskCheck(existing(home), free=5)]


def existing(path: Path) -> Path:
    """The nearest folder that is there: a file system is looked at before the platform has written to it."""
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
