"""Ready-made metrics jobs: engagement, performance and satisfaction per day, week and month, with their history.

See `docs/handlers/metrics.md`.
"""

from corral.handlers.kit.extra import need

need("db", "sqlalchemy", "aiosqlite", "alembic")  # before anything below imports what the extra brings

from corral.handlers.metrics.bundle import METRIC_JOBS, Metric, bundle  # noqa: E402
from corral.handlers.metrics.figures import (  # noqa: E402
    Activity,
    Facts,
    Figure,
    engagement,
    performance,
    satisfaction,
)
from corral.handlers.metrics.payload import CalculateMetrics, RecordActivity  # noqa: E402
from corral.handlers.metrics.periods import Span, before, last_over, span_of  # noqa: E402
from corral.handlers.metrics.settings import MetricsSettings  # noqa: E402
from corral.handlers.metrics.store import ActivityLog, Figures, HeadCount, Kept, Source  # noqa: E402
from corral.handlers.metrics.tables import SCHEMA  # noqa: E402

__all__ = [
    "METRIC_JOBS",
    "SCHEMA",
    "Activity",
    "ActivityLog",
    "CalculateMetrics",
    "Facts",
    "Figure",
    "Figures",
    "HeadCount",
    "Kept",
    "Metric",
    "MetricsSettings",
    "RecordActivity",
    "Source",
    "Span",
    "before",
    "bundle",
    "engagement",
    "last_over",
    "performance",
    "satisfaction",
    "span_of",
]
