"""What report jobs carry, and what is refused when one is added."""

from datetime import date

import pytest
from pydantic import ValidationError

from corral.handlers.reports import (
    BusinessReport,
    CustomReport,
    Period,
    PipelineReport,
    PlatformReport,
    ProjectReport,
    ReportPayload,
    TeamReport,
)

TODAY = date(2025, 10, 9)
TEAM = {"organizationId": "org-123", "reportType": "monthly", "recipientIds": ["user-1", "user-2"]}


@pytest.mark.mission("M-TS-40")
def test_the_team_report_of_the_guide_is_understood_in_both_spellings() -> None:
    camel = TeamReport.model_validate(TEAM)
    snake = TeamReport(organization_id="org-123", report_type="monthly", recipient_ids=("user-1", "user-2"))

    assert camel == snake
    assert camel.model_dump(by_alias=True, exclude_defaults=True, mode="json") == TEAM


@pytest.mark.mission("M-BI-17")
def test_the_business_report_of_the_guide_is_understood() -> None:
    found = BusinessReport.model_validate(
        {"reportId": "report-123", "organizationId": "456", "reportType": "weekly", "period": "7d",
         "recipientEmails": ["user@example.com"]}
    )  # fmt: skip

    assert found.days(TODAY) == Period(date(2025, 10, 2), date(2025, 10, 8))
    assert (found.about, found.recipient_emails) == ("456", ("user@example.com",))


@pytest.mark.mission("M-GL-20", "M-GL-21")
@pytest.mark.parametrize(("model", "key"), [(PipelineReport, "pipelineId"), (ProjectReport, "projectId")])
def test_the_reports_of_the_guide_cover_the_days_they_name(model: type[ReportPayload], key: str) -> None:
    found = model.model_validate({key: "x-1", "startDate": "2025-10-01", "endDate": "2025-10-23", "userId": "user-id"})

    assert (found.about, found.user_id) == ("x-1", "user-id")
    assert found.days(TODAY, "Europe/Oslo") == Period(date(2025, 10, 1), date(2025, 10, 23), "Europe/Oslo")


def test_without_days_a_report_covers_the_last_thirty_and_a_team_report_its_rhythm() -> None:
    assert PlatformReport().days(TODAY) == Period(date(2025, 9, 9), date(2025, 10, 8))
    assert TeamReport.model_validate(TEAM).days(TODAY) == Period(date(2025, 9, 1), date(2025, 9, 30))


def test_a_platform_report_is_about_an_organization_or_a_project_or_everything() -> None:
    assert [
        PlatformReport.model_validate(data).about for data in ({}, {"projectId": "p"}, {"organizationId": "o"})
    ] == ["", "p", "o"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"organizationId": ""}, "organizationId"),
        ({"organizationId": "a\nb"}, "control characters"),
        ({"reportType": "yearly"}, "weekly"),
        ({"recipientIds": ["x"] * 101}, "at most 100"),
        ({"recipientEmails": ["ann"]}, "is not an e-mail address"),
        ({"recipientEmails": ["ann@example.org\nBcc: x@example.org"]}, "is not an e-mail address"),
        ({"recipientEmails": ["Ann <ann@example.org>"]}, "is not an e-mail address"),
        ({"startDate": "2025-10-01"}, "startDate and endDate go together"),
        ({"startDate": "2025-10-02", "endDate": "2025-10-01"}, "endDate 2025-10-01 is before startDate 2025-10-02"),
        ({"startDate": "2024-01-01", "endDate": "2025-10-01"}, "at most 400 days, not 640"),
        ({"startDate": "2025-10-01", "endDate": "2025-10-02", "period": "7d"}, "not both"),
        ({"startDate": "yesterday", "endDate": "2025-10-02"}, "startDate"),
        ({"period": "fortnight"}, "write 7d"),
        ({"formats": ["docx"]}, "'html', 'pdf', 'xlsx', 'csv' or 'json'"),
        ({"formats": []}, "at least 1"),
        ({"title": "a\r\nb"}, "control characters"),
        ({"sql": "SELECT 1"}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TeamReport.model_validate({**TEAM, **change})
    assert complaint in str(caught.value)


def test_a_custom_report_has_parameters_that_do_not_show() -> None:
    found = CustomReport.model_validate({"parameters": {"token": "canary"}, "formats": ["pdf", "csv", "pdf"]})

    assert "canary" not in repr(found)
    assert found.formats == ("pdf", "csv")
