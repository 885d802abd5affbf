"""What a report job carries. Code says `organization_id`, JSON says `organizationId`; both are understood."""

import re
from datetime import date
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from corral.errors import PayloadError
from corral.handlers.reports.output.formats import FORMATS, Format
from corral.handlers.reports.period import MAX_DAYS, Period, Rhythm, last_days, last_whole, parse_period

#: How far back a report looks when nobody says.
DEFAULT_DAYS = 30
MAX_RECIPIENTS = 100
#: Everything a mail's head could be forged with is refused here; the e-mail family looks at addresses closely.
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>\"(),:;@\\]{1,64}@[^\x00-\x20\x7f<>\"(),:;@\\]{1,255}")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _id(value: str) -> str:
    if _UNSEEN.search(value):
        raise PayloadError("an id may not have control characters in it")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise PayloadError(f"{value[:80]!r} is not an e-mail address such as ann@example.org")
    return value


def _period(value: str) -> str:
    parse_period(value, date(2000, 6, 1))  # which day it is makes no difference to whether it can be read
    return value


def _formats(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in value if name not in FORMATS]
    if unknown:
        raise PayloadError(f"format {unknown[0]!r:.40} is not known; there are {', '.join(FORMATS)}")
    return tuple(dict.fromkeys(value))


Id = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_id)]
Address = Annotated[str, AfterValidator(_address)]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_id)]


class ReportPayload(BaseModel):
    """What every report job may carry: which days, in which formats, and who gets it.

    Days are whole, and both ends are included. Without any the report decides.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )
    #: The field that says whom the report is about.
    scope: ClassVar[str] = ""

    start_date: date | None = None
    end_date: date | None = None
    period: Annotated[str, AfterValidator(_period)] | None = None
    formats: Annotated[tuple[Format, ...], AfterValidator(_formats)] | None = Field(default=None, min_length=1)
    recipient_ids: tuple[Id, ...] = Field(default=(), max_length=MAX_RECIPIENTS)
    recipient_emails: tuple[Address, ...] = Field(default=(), max_length=MAX_RECIPIENTS)
    user_id: Id | None = None
    title: Line | None = None

    @model_validator(mode="after")
    def _days(self) -> "ReportPayload":
        first, last = self.start_date, self.end_date
        if (first is None) != (last is None):
            raise PayloadError("startDate and endDate go together: give both, or a period")
        if first is None or last is None:
            return self
        if self.period is not None:
            raise PayloadError("give startDate and endDate, or a period, not both")
        if last < first:
            raise PayloadError(f"endDate {last} is before startDate {first}")
        if (last - first).days >= MAX_DAYS:
            raise PayloadError(f"a report covers at most {MAX_DAYS} days, not {(last - first).days + 1}")
        return self

    @property
    def about(self) -> str:
        """The id of whom the report is about; empty when there is none."""
        return str(getattr(self, self.scope) or "") if self.scope else ""

    def days(self, today: date, tz: str = "UTC") -> Period:
        """The days it covers, seen from `today`."""
        if self.start_date is not None and self.end_date is not None:
            return Period(self.start_date, self.end_date, tz)
        if self.period is not None:
            return parse_period(self.period, today, tz)
        return self.usual_days(today, tz)

    def usual_days(self, today: date, tz: str) -> Period:
        """What it covers when nobody says."""
        return last_days(DEFAULT_DAYS, today, tz)


class TeamReport(ReportPayload):
    """How a team is doing. Without days: the last whole week, month or quarter."""

    scope = "organization_id"

    organization_id: Id
    report_type: Rhythm
    recipient_ids: tuple[Id, ...] = Field(max_length=MAX_RECIPIENTS)

    def usual_days(self, today: date, tz: str) -> Period:
        return last_whole(self.report_type, today, tz)


class BusinessReport(ReportPayload):
    """How a business is doing: sales, customers, visits and advertising."""

    scope = "organization_id"

    report_id: Id
    organization_id: Id
    report_type: Rhythm
    period: Annotated[str, AfterValidator(_period)]


class PipelineReport(ReportPayload):
    """How the runs of a pipeline went."""

    scope = "pipeline_id"

    pipeline_id: Id


class ProjectReport(ReportPayload):
    """About one project: its test coverage, its test results or its vulnerabilities."""

    scope = "project_id"

    project_id: Id


class PlatformReport(ReportPayload):
    """About the platform as a whole, or one organization or project of it: analytics, the audit log."""

    scope = "organization_id"

    organization_id: Id | None = None
    project_id: Id | None = None

    @property
    def about(self) -> str:
        return self.organization_id or self.project_id or ""


class CustomReport(ReportPayload):
    """Whatever a source of your own makes of the parameters."""

    scope = "organization_id"

    organization_id: Id | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict, repr=False)


class ExpiredReports(BaseModel):
    """What the job that removes expired documents carries: nothing but perhaps a bound."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    limit: int = Field(default=10_000, ge=1, le=1_000_000)
    dry_run: bool = False


#: The payloads of the names that corral knows.
PAYLOADS: dict[str, type[ReportPayload]] = {
    "weekly-report": TeamReport,
    "monthly-report": TeamReport,
    "quarterly-report": TeamReport,
    "business-report": BusinessReport,
    "pipeline-report": PipelineReport,
    "test-coverage": ProjectReport,
    "test-results": ProjectReport,
    "security-scan": ProjectReport,
    "analytics": PlatformReport,
    "audit-log": PlatformReport,
    "custom-report": CustomReport,
}

#: How long these are expected to take, in seconds; a run that took longer says so.
EXPECTED_SECONDS: dict[str, float] = {
    "pipeline-report": 30,
    "test-coverage": 20,
    "security-scan": 15,
    "analytics": 60,
    "audit-log": 45,
}
