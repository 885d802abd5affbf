"""The kinds of jobs, and what those carry that are the platform's own.

Code says `start_date`, JSON says `startDate`; both are understood when a job is added.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from corral import PayloadError
from corral.handlers.email import SendEmail

from .queues import JobPriority


class EmailJobType(StrEnum):
    """The mails."""

    WELCOME = "welcome"
    PASSWORD_RESET = "password-reset"  # noqa: S105  # a template's name
    PIPELINE_COMPLETE = "pipeline-complete"
    TEST_RESULTS = "test-results"
    DEPLOYMENT_NOTIFICATION = "deployment-notification"
    ALERT = "alert"


class ReportJobType(StrEnum):
    """The reports."""

    PIPELINE_REPORT = "pipeline-report"
    TEST_COVERAGE = "test-coverage"
    SECURITY_SCAN = "security-scan"
    ANALYTICS = "analytics"
    AUDIT_LOG = "audit-log"


class CleanupJobType(StrEnum):
    """What is cleaned up."""

    EXPIRED_TOKENS = "expired-tokens"
    OLD_LOGS = "old-logs"
    TEMP_FILES = "temp-files"
    OLD_ARTIFACTS = "old-artifacts"


EMAIL_PRIORITIES: Mapping[str, JobPriority] = {
    EmailJobType.WELCOME: JobPriority.NORMAL,
    EmailJobType.PASSWORD_RESET: JobPriority.HIGH,
    EmailJobType.PIPELINE_COMPLETE: JobPriority.NORMAL,
    EmailJobType.TEST_RESULTS: JobPriority.NORMAL,
    EmailJobType.DEPLOYMENT_NOTIFICATION: JobPriority.HIGH,
    EmailJobType.ALERT: JobPriority.CRITICAL,
}

#: A mail's subject, made of its context, and what the context must have; one of several where they stand together.
_MAILS: Mapping[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    EmailJobType.WELCOME: ("Welcome to GoLive", (("username", "name"),)),
    EmailJobType.PASSWORD_RESET: ("Reset your GoLive password", (("resetUrl",),)),
    EmailJobType.PIPELINE_COMPLETE: (
        "{pipelineName}: {status}",
        (("pipelineName",), ("projectName",), ("status",)),
    ),
    EmailJobType.TEST_RESULTS: ("Test results of {projectName}", (("projectName",), ("passed",), ("failed",))),
    EmailJobType.DEPLOYMENT_NOTIFICATION: (
        "{projectName} on {environment}: {status}",
        (("projectName",), ("environment",), ("status",)),
    ),
    EmailJobType.ALERT: ("GoLive alert", (("message",),)),
}


class Payload(BaseModel):
    """What the payloads have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class EmailJobData(Payload):
    """A mail of one of the kinds: whom it goes to, and what its template shows."""

    to: str | list[str]
    context: dict[str, JsonValue] = Field(default_factory=dict, repr=False)
    subject: str | None = None  #: the kind's own when not given

    def mail(self, kind: str) -> SendEmail:
        """The mail it becomes. Raises: PayloadError, with every complaint."""
        subject, needed = _MAILS[kind]
        missing = [" or ".join(names) for names in needed if not any(name in self.context for name in names)]
        if missing:
            raise PayloadError(f"the context of {str(kind)!r} lacks {', '.join(missing)}")
        return _mail(self.to, self.subject or subject.format_map(self.context), kind, self.context)


class CustomEmail(Payload):
    """A mail in words of one's own."""

    to: str | list[str]
    subject: str
    body: str = Field(min_length=1, max_length=50_000, repr=False)

    def mail(self, kind: str) -> SendEmail:
        """The mail it becomes. Raises: PayloadError, with every complaint."""
        return _mail(self.to, self.subject, "custom", {"body": self.body})


class RollUp(Payload):
    """Which day's figures to calculate; the day before the job's own when not given."""

    day: date | None = None


def _mail(to: str | list[str], subject: str, template: str, data: Mapping[str, JsonValue]) -> SendEmail:
    try:
        return SendEmail(to=to, subject=subject, template=template, data=dict(data))
    except ValidationError as error:  # its text would show the whole context
        said = (
            ": ".join((*map(str, item["loc"]), item["msg"].removeprefix("Value error, ")))
            for item in error.errors(include_input=False)
        )
        raise PayloadError("the mail cannot be sent", said) from None
