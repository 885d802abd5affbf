"""Ready-made data sync: Shopify, WooCommerce, Stripe, Google Analytics and Facebook Ads into the database.

`app.include(bundle(database=…))` serves the queue `data-sync`: see `docs/handlers/sync.md`.
"""

from corral.handlers.kit.extra import need

need("sync", "sqlalchemy", "aiosqlite", "alembic", "httpx2", "jwt", "cryptography")

from corral.handlers.sync.bundle import bundle, by_integration, web_for  # noqa: E402
from corral.handlers.sync.connector import Quota  # noqa: E402
from corral.handlers.sync.daily import METRICS  # noqa: E402
from corral.handlers.sync.integrations import Integration, Integrations, Status  # noqa: E402
from corral.handlers.sync.payload import Platform, SyncData, SyncType  # noqa: E402
from corral.handlers.sync.settings import SyncSettings  # noqa: E402
from corral.handlers.sync.syncer import CONNECTORS, OnProblem, Problem, Synced  # noqa: E402
from corral.handlers.sync.tables import DAILY, METADATA, SCHEMA  # noqa: E402

PLATFORMS = tuple(CONNECTORS)  #: their names

__all__ = [
    "DAILY",
    "METADATA",
    "METRICS",
    "PLATFORMS",
    "SCHEMA",
    "Integration",
    "Integrations",
    "OnProblem",
    "Platform",
    "Problem",
    "Quota",
    "Status",
    "SyncData",
    "SyncSettings",
    "SyncType",
    "Synced",
    "bundle",
    "by_integration",
    "web_for",
]
