"""What the platform's jobs do: each queue's processor, taken in with what it needs."""

from collections.abc import Sequence

from pydantic import SecretStr

from corral import Corral
from corral.handlers.alerts import AlertSettings
from corral.handlers.email import EmailSettings, Transport
from corral.handlers.insights import InsightsSettings
from corral.handlers.kit.database import Database
from corral.handlers.reports import FolderShelf, ReportSettings
from corral.handlers.sync import Integrations, SyncSettings
from corral.handlers.webhooks import Receiver, WebhooksSettings

from .facts import BusinessBook
from .organizations import Organizations
from .processors import alert, data_sync, email, insights_generation, report, webhook


def register_mail(app: Corral, settings: EmailSettings, transport: Transport | None) -> None:
    """The mails: before all others, which send some."""
    email.register(app, settings, transport)


def register_data(app: Corral, sync: SyncSettings, insights: InsightsSettings, database: Database) -> None:
    """What fetches figures, and what looks at them."""
    data_sync.register(app, sync, database)
    insights_generation.register(app, insights, database)


def register_reports(
    app: Corral, settings: ReportSettings, database: Database, book: BusinessBook, shelf: FolderShelf
) -> None:
    """What is written about them."""
    report.register(app, settings, database, book, shelf)


def register_events(
    app: Corral, hooks: WebhooksSettings, alerts: AlertSettings, database: Database, organizations: Organizations,
    integrations: Integrations, *, quota: float, operators: Sequence[str], woocommerce: SecretStr | None,
) -> Receiver:  # fmt: skip
    """What comes in from outside, and what goes out to people."""
    alert.register(app, alerts, database, organizations, integrations, quota=quota, operators=operators)
    return webhook.register(app, hooks, integrations, woocommerce)
