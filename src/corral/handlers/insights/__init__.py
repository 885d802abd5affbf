"""Ready-made insights: what stands out in an organization's figures, in words, by plain statistics.

`app.include(bundle(database=…))` serves the queue `insights-generation`: see `docs/handlers/insights.md`.
"""

from corral.handlers.kit.extra import need

need("sync", "sqlalchemy", "aiosqlite", "alembic", "httpx2")

from corral.handlers.insights.bundle import bundle  # noqa: E402
from corral.handlers.insights.findings import Finding, Rules, analyse  # noqa: E402
from corral.handlers.insights.generator import Alarm, Insights, InsightStore, OnAlarm  # noqa: E402
from corral.handlers.insights.payload import DAYS, GenerateInsights, Period  # noqa: E402
from corral.handlers.insights.series import DailyTable, Series, Source  # noqa: E402
from corral.handlers.insights.settings import InsightsSettings  # noqa: E402
from corral.handlers.insights.tables import SCHEMA  # noqa: E402

__all__ = [
    "DAYS",
    "SCHEMA",
    "Alarm",
    "DailyTable",
    "Finding",
    "GenerateInsights",
    "InsightStore",
    "Insights",
    "InsightsSettings",
    "OnAlarm",
    "Period",
    "Rules",
    "Series",
    "Source",
    "analyse",
    "bundle",
]
