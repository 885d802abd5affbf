"""Ready-made alerts: kept, told by severity, told again when nobody takes care of them, and not told a hundred times.

See `docs/handlers/alerts.md`.
"""

from corral.handlers.kit.extra import need

need("webhooks", "httpx2", "sqlalchemy", "aiosqlite", "alembic")  # before anything below imports what the extra brings

from corral.handlers.alerts.bundle import (  # noqa: E402
    ALERT_JOBS,
    Alerted,
    Escalated,
    Resolved,
    alert_on_failure,
    bundle,
)
from corral.handlers.alerts.payload import EscalateAlert, RaiseAlert, ResolveAlert, Severity  # noqa: E402
from corral.handlers.alerts.routes import (  # noqa: E402
    Route,
    Tell,
    by_job,
    by_mail,
    by_slack,
    by_webhook,
    facts,
    headline,
)
from corral.handlers.alerts.settings import AlertSettings  # noqa: E402
from corral.handlers.alerts.store import Alert, Alerts, Delivery, Raised  # noqa: E402
from corral.handlers.alerts.tables import SCHEMA  # noqa: E402

__all__ = [
    "ALERT_JOBS",
    "SCHEMA",
    "Alert",
    "AlertSettings",
    "Alerted",
    "Alerts",
    "Delivery",
    "EscalateAlert",
    "Escalated",
    "RaiseAlert",
    "Raised",
    "ResolveAlert",
    "Resolved",
    "Route",
    "Severity",
    "Tell",
    "alert_on_failure",
    "bundle",
    "by_job",
    "by_mail",
    "by_slack",
    "by_webhook",
    "facts",
    "headline",
]
