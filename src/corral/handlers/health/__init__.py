"""Ready-made health checks: databases, the store, queues, addresses and disks, and who is told what is news.

See `docs/handlers/health.md`.
"""

from corral.handlers.kit.extra import need

need("health", "sqlalchemy", "aiosqlite", "alembic", "httpx2")  # before anything below imports what the extra brings

from corral.handlers.health.bundle import JOBS, Alert, Doctor, bundle, by_mail, examine  # noqa: E402
from corral.handlers.health.checks import (  # noqa: E402
    Check,
    DatabaseCheck,
    DiskCheck,
    FunctionCheck,
    QueueCheck,
    StoreCheck,
    UrlCheck,
)
from corral.handlers.health.found import Change, Found, Health, Look, Status  # noqa: E402
from corral.handlers.health.payload import CheckHealth  # noqa: E402
from corral.handlers.health.settings import HealthSettings  # noqa: E402
from corral.handlers.health.states import State, States  # noqa: E402
from corral.handlers.health.tables import SCHEMA  # noqa: E402

__all__ = [
    "JOBS",
    "SCHEMA",
    "Alert",
    "Change",
    "Check",
    "CheckHealth",
    "DatabaseCheck",
    "DiskCheck",
    "Doctor",
    "Found",
    "FunctionCheck",
    "Health",
    "HealthSettings",
    "Look",
    "QueueCheck",
    "State",
    "States",
    "Status",
    "StoreCheck",
    "UrlCheck",
    "bundle",
    "by_mail",
    "examine",
]
