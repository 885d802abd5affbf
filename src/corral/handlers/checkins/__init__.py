"""Ready-made check-in jobs: kept once for each person and day, followed over time, looked at for what wants attention.

See `docs/handlers/checkins.md`.
"""

from corral.handlers.kit.extra import need

need("db", "sqlalchemy", "aiosqlite", "alembic")  # before anything below imports what the extra brings

from corral.handlers.checkins.bundle import (  # noqa: E402
    CHECKIN_JOBS,
    Checked,
    Looked,
    Moods,
    TellInsight,
    WeekMood,
    bundle,
)
from corral.handlers.checkins.insight import Finding, Kind, about_all, about_group, about_person  # noqa: E402
from corral.handlers.checkins.payload import Answer, CheckinInsights, MoodTrends, ProcessCheckin  # noqa: E402
from corral.handlers.checkins.settings import CheckinsSettings  # noqa: E402
from corral.handlers.checkins.store import Checkins, Insight  # noqa: E402
from corral.handlers.checkins.tables import SCHEMA  # noqa: E402
from corral.handlers.checkins.trend import Reply, Trend, Week, slope, trend, weeks  # noqa: E402

__all__ = [
    "CHECKIN_JOBS",
    "SCHEMA",
    "Answer",
    "Checked",
    "CheckinInsights",
    "Checkins",
    "CheckinsSettings",
    "Finding",
    "Insight",
    "Kind",
    "Looked",
    "MoodTrends",
    "Moods",
    "ProcessCheckin",
    "Reply",
    "TellInsight",
    "Trend",
    "Week",
    "WeekMood",
    "about_all",
    "about_group",
    "about_person",
    "bundle",
    "slope",
    "trend",
    "weeks",
]
