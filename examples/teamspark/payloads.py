"""The kinds of work there are, and what a job of each carries.

Code says `organization_id`, JSON says `organizationId`; both are understood when a job is added.
"""

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from corral.handlers.email import SendEmail


class JobType(StrEnum):
    """The seven queues, by the names they have in the store."""

    SEND_EMAIL = "send-email"
    SYNC_SLACK = "sync-slack"
    GENERATE_REPORT = "generate-report"
    CLEANUP_OLD_DATA = "cleanup-old-data"
    SEND_KUDOS_NOTIFICATION = "send-kudos-notification"
    PROCESS_CHECKIN = "process-checkin"
    CALCULATE_METRICS = "calculate-metrics"


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


#: `to`, `subject`, `template` and `data`, and what else a mail may have.
SendEmailJobData = SendEmail


class SyncSlackJobData(Payload):
    """What to fetch from a Slack workspace."""

    workspace_id: str = Field(min_length=1)
    sync_type: Literal["users", "channels", "messages"]


class GenerateReportJobData(Payload):
    """Which report to make, and whom it goes to."""

    organization_id: str = Field(min_length=1)
    report_type: Literal["weekly", "monthly", "quarterly"]
    recipient_ids: list[str] = Field(min_length=1)


class CalculateMetricsJobData(Payload):
    """Which figure to calculate, over how many days."""

    organization_id: str = Field(min_length=1)
    metric_type: Literal["engagement", "performance", "satisfaction"]
    period: Literal["daily", "weekly", "monthly"]


class CleanupOldDataJobData(Payload):
    """What counts as old."""

    older_than_hours: float = Field(default=24, gt=0)


class SendKudosNotificationJobData(Payload):
    """Praise for somebody, who is told about it."""

    organization_id: str = Field(min_length=1)
    sender_id: str
    recipient_id: str
    message: str = Field(min_length=1, max_length=500)


class ProcessCheckinJobData(Payload):
    """How somebody's day went."""

    organization_id: str = Field(min_length=1)
    person_id: str
    day: date
    mood: int = Field(ge=1, le=5)
    goals_planned: int = Field(default=0, ge=0, le=50)
    goals_done: int = Field(default=0, ge=0, le=50)
