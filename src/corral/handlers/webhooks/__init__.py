"""Ready-made webhooks, in both directions.

Coming in, `Receiver`: signatures of Shopify, Stripe, GitHub, Slack, Standard Webhooks and any HMAC are checked over the
raw bytes, then a job is stored and the sender answered. Going out, `Outgoing`: endpoints that others register, signed
deliveries, three days of patience. See `docs/handlers/webhooks.md`.
"""

from corral.handlers.kit.extra import need

need("webhooks", "sqlalchemy", "aiosqlite", "alembic", "httpx2")  # before anything below imports what the extra brings

from corral.handlers.webhooks.bundle import bundle, web_for  # noqa: E402
from corral.handlers.webhooks.delivery import (  # noqa: E402
    SCHEDULE,
    Delivered,
    DeliveryFailedError,
    Pruned,
    TellDisabled,
)
from corral.handlers.webhooks.dispatch import Handled  # noqa: E402
from corral.handlers.webhooks.endpoints import Delivery, Endpoint, Event  # noqa: E402
from corral.handlers.webhooks.outgoing import Outgoing, Told  # noqa: E402
from corral.handlers.webhooks.payload import DeliverWebhook, PruneWebhooks, WebhookEvent  # noqa: E402
from corral.handlers.webhooks.receiver import Receiver, Reply, Sources  # noqa: E402
from corral.handlers.webhooks.schemes import (  # noqa: E402
    Scheme,
    SignatureError,
    Source,
    generic,
    github,
    shopify,
    slack,
    source,
    standard,
    stripe,
    verify,
)
from corral.handlers.webhooks.settings import WebhooksSettings, sources_of  # noqa: E402
from corral.handlers.webhooks.signing import sign  # noqa: E402
from corral.handlers.webhooks.tables import SCHEMA  # noqa: E402

__all__ = [
    "SCHEDULE",
    "SCHEMA",
    "DeliverWebhook",
    "Delivered",
    "Delivery",
    "DeliveryFailedError",
    "Endpoint",
    "Event",
    "Handled",
    "Outgoing",
    "PruneWebhooks",
    "Pruned",
    "Receiver",
    "Reply",
    "Scheme",
    "SignatureError",
    "Source",
    "Sources",
    "TellDisabled",
    "Told",
    "WebhookEvent",
    "WebhooksSettings",
    "bundle",
    "generic",
    "github",
    "shopify",
    "sign",
    "slack",
    "source",
    "sources_of",
    "standard",
    "stripe",
    "verify",
    "web_for",
]
