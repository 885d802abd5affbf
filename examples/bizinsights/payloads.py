"""The queues, and what their jobs carry. JSON says `organizationId`, code may say `organization_id`."""

from enum import StrEnum

from pydantic import AliasChoices, Field

from corral.handlers.alerts import RaiseAlert, Severity
from corral.handlers.email import SendEmail
from corral.handlers.insights import GenerateInsights
from corral.handlers.reports import BusinessReport
from corral.handlers.sync import SyncData
from corral.handlers.webhooks import WebhookEvent


class QueueName(StrEnum):
    """The six queues. Jobs that are added without a name get the name of their queue."""

    DATA_SYNC = "data-sync"
    INSIGHTS_GENERATION = "insights-generation"
    WEBHOOK_PROCESSING = "webhook-processing"
    REPORT_GENERATION = "report-generation"
    EMAIL_SENDING = "email-sending"
    ALERTS = "alerts"


class EmailJob(SendEmail):
    """A mail, and whose business it is about."""

    organization_id: str | None = Field(
        default=None, max_length=100, validation_alias=AliasChoices("organizationId", "organization_id")
    )


__all__ = [
    "BusinessReport",
    "EmailJob",
    "GenerateInsights",
    "QueueName",
    "RaiseAlert",
    "Severity",
    "SyncData",
    "WebhookEvent",
]
