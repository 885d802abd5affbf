"""The table of schedules. Every worker brings the store in line with it, dropped lines included."""

from typing import NamedTuple

from pydantic import BaseModel

from corral import Corral, Cron

from .payloads import (
    CalculateMetricsJobData,
    CheckinInsightsJobData,
    CleanupOldDataJobData,
    GenerateReportJobData,
    JobType,
)

ORGANIZATION = "org-123"


class Entry(NamedTuple):
    """A line of the table. The pattern is a cron line, in UTC."""

    name: str
    queue: JobType
    job: str
    pattern: str
    data: BaseModel


TABLE = (
    Entry(
        "daily-engagement-metrics", JobType.CALCULATE_METRICS, "engagement-metrics", "0 1 * * *",
        CalculateMetricsJobData(organization_id=ORGANIZATION, metric_type="engagement", period="daily"),
    ),
    Entry(
        "weekly-team-reports", JobType.GENERATE_REPORT, "weekly-report", "0 9 * * 1",
        GenerateReportJobData(
            organization_id=ORGANIZATION, report_type="weekly", recipient_ids=("user-1", "user-2")
        ),
    ),
    Entry(
        "nightly-cleanup", JobType.CLEANUP_OLD_DATA, "temp-files", "30 2 * * *",
        CleanupOldDataJobData(older_than_hours=24),
    ),
    Entry("nightly-sessions", JobType.CLEANUP_OLD_DATA, "sessions", "40 2 * * *", CleanupOldDataJobData()),
    Entry("weekly-logs", JobType.CLEANUP_OLD_DATA, "old-logs", "50 2 * * 0", CleanupOldDataJobData()),
    Entry(
        "morning-insights", JobType.PROCESS_CHECKIN, "checkin-insights", "0 7 * * 1-5",
        CheckinInsightsJobData(organization_id=ORGANIZATION),
    ),
)  # fmt: skip


def register(app: Corral) -> None:
    """Declare every line."""
    for entry in TABLE:
        app.schedule(entry.name, Cron(entry.pattern), app.definition(entry.queue, entry.job), entry.data)
