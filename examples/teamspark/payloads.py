"""The kinds of work there are, and what a job of each carries: payloads of corral's handlers, as they are called here.

Code says `organization_id`, JSON says `organizationId`; both are understood when a job is added.
"""

from enum import StrEnum

from corral.handlers.checkins import CheckinInsights, MoodTrends, ProcessCheckin
from corral.handlers.cleanup import Clean
from corral.handlers.email import SendEmail
from corral.handlers.metrics import CalculateMetrics
from corral.handlers.notifications import Achievement, Kudos, Notify, TeamUpdate
from corral.handlers.reports import CustomReport, TeamReport
from corral.handlers.slack import PostMessage, SyncSlack

__all__ = [
    "AchievementJobData",
    "CalculateMetricsJobData",
    "CheckinInsightsJobData",
    "CleanupOldDataJobData",
    "CustomReportJobData",
    "GenerateReportJobData",
    "JobType",
    "MoodTrendsJobData",
    "NotificationJobData",
    "PostMessageJobData",
    "ProcessCheckinJobData",
    "SendEmailJobData",
    "SendKudosNotificationJobData",
    "SyncSlackJobData",
    "TeamUpdateJobData",
]


class JobType(StrEnum):
    """The seven queues, by the names they have in the store."""

    SEND_EMAIL = "send-email"
    SYNC_SLACK = "sync-slack"
    GENERATE_REPORT = "generate-report"
    CLEANUP_OLD_DATA = "cleanup-old-data"
    SEND_KUDOS_NOTIFICATION = "send-kudos-notification"
    PROCESS_CHECKIN = "process-checkin"
    CALCULATE_METRICS = "calculate-metrics"


SendEmailJobData = SendEmail
SyncSlackJobData = SyncSlack
PostMessageJobData = PostMessage
GenerateReportJobData = TeamReport
CustomReportJobData = CustomReport
CleanupOldDataJobData = Clean
SendKudosNotificationJobData = Kudos
AchievementJobData = Achievement
TeamUpdateJobData = TeamUpdate
NotificationJobData = Notify
ProcessCheckinJobData = ProcessCheckin
MoodTrendsJobData = MoodTrends
CheckinInsightsJobData = CheckinInsights
CalculateMetricsJobData = CalculateMetrics
