"""Reports made of facts: teams, businesses, pipelines, measures, the audit log, plain rows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import pytest

from corral.handlers.reports import (
    AnalyticsSource,
    AuditEvent,
    AuditSource,
    BusinessDay,
    BusinessFacts,
    BusinessReport,
    BusinessSource,
    Cell,
    Channel,
    Column,
    Document,
    Measure,
    Period,
    PipelineRun,
    PipelineSource,
    ProductSales,
    ReportPayload,
    Request,
    RowsSource,
    TeamFacts,
    TeamReport,
    TeamSource,
    render,
)
from corral.handlers.reports.sources.runs import repair_time
from corral.signals import Discard

from .samples import ARABIC, DAY, NOW, WEEK, request, team

TEAM = TeamReport(organization_id="org-123", report_type="weekly", recipient_ids=())
BUSINESS = BusinessReport(report_id="r", organization_id="456", report_type="monthly", period="30d")


def figures(document: Document) -> dict[str, tuple[Cell, float | None]]:
    return {one.label: (one.value, one.before) for one in document.figures}


def rows(document: Document, title: str) -> list[tuple[Cell, ...]]:
    return list(next(table.rows for table in document.tables if table.title == title))


# -- teams -------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-04")
async def test_a_team_report_compares_with_the_week_before() -> None:
    document = await TeamSource(team).gather(request(about="org-123", payload=TEAM))

    assert (document.title, document.subject, document.period) == (
        "Weekly team report",
        "Rowing",
        "29 Sep – 5 Oct 2025",
    )
    assert figures(document) == {
        "Active people": (1, 1),
        "Check-ins": (14, 7),
        "Kudos": (14, 7),
        "Mood": (4.0, 4.0),
        "Goals reached": (50.0, 50.0),
    }
    assert document.summary == (
        "1 of 4 people took part, with 14 check-ins and 14 kudos.",
        f"The mood is 4 of 5, much as before. 7 of 14 goals were reached. Most appreciated: \u2068{ARABIC}\u2069 (14).",
    )
    assert [chart.title for chart in document.charts] == [
        "Check-ins and kudos by day", "Mood by day", "Goals by day", "Most appreciated"
    ]  # fmt: skip
    assert rows(document, "People")[0] == ("Åsa", 14, 3, 0, 4.0, 14, 50.0)


@pytest.mark.mission("M-TS-04")
@pytest.mark.parametrize("kind", ["weekly", "monthly", "quarterly"])
async def test_team_reports_are_named_after_their_rhythm(kind: str) -> None:
    payload = TeamReport.model_validate({"organizationId": "org-123", "reportType": kind, "recipientIds": []})

    assert (
        await TeamSource(team).gather(request(about="org-123", payload=payload))
    ).title == f"{kind.capitalize()} team report"


async def test_a_team_in_which_nothing_happened_gets_a_report_too() -> None:
    async def nothing(id: str, period: Period) -> TeamFacts:
        return TeamFacts(name="Quiet", people=0)

    document = await TeamSource(nothing).gather(request(payload=TEAM))

    assert document.summary == ("Nobody checked in and no kudos were given in this period.",)
    assert all(chart.empty for chart in document.charts)
    assert render(document, "pdf", made_at=NOW).body.startswith(b"%PDF")


async def test_a_new_team_is_compared_with_nothing() -> None:
    async def new(id: str, period: Period) -> TeamFacts | None:
        return TeamFacts(name="New", people=2) if period == WEEK else None

    document = await TeamSource(new).gather(request(payload=TEAM))

    assert {before for _, before in figures(document).values()} == {None}
    assert document.notes == ()


# -- businesses --------------------------------------------------------------------------------------------------------


async def business(organization_id: str, period: Period) -> BusinessFacts | None:
    """Revenue that doubled."""
    factor = 2.0 if period == WEEK else 1.0
    return BusinessFacts(
        name="Ärger GmbH",
        currency="EUR",
        days=tuple(
            BusinessDay(
                day=day, revenue=100 * factor * (number + 1), orders=4, new_customers=1, visits=100, ad_spend=50.0
            )
            for number, day in enumerate(period.dates())
        ),
        products=tuple(ProductSales(name=f"Product {number}", units=1, revenue=float(number)) for number in range(120)),
        channels=(Channel(name="Search", visits=70, orders=7, revenue=140.0, spend=70.0), Channel(name="Direct")),
        findings=("Revenue fell by half on Friday.",),
    )


@pytest.mark.mission("M-BI-17")
async def test_a_business_report_has_its_figures_products_channels_and_days() -> None:
    document = await BusinessSource(business).gather(request(about="456", payload=BUSINESS))

    assert (document.title, document.subject) == ("Monthly business report", "Ärger GmbH")
    assert figures(document) == {
        "Revenue": (5600.0, 2800.0),
        "Orders": (28, 28),
        "Order value": (200.0, 100.0),
        "New customers": (7, 7),
        "Visits": (700, 700),
        "Visits that bought": (4.0, 4.0),
        "Advertising": (350.0, 350.0),
        "Revenue per ad spend": (16.0, 8.0),
    }
    assert document.summary == (
        "€5,600.00 from 28 orders, +100% against the period before. 7 new customers. "
        "The best day was Sunday, 2025-10-05, with €1,400.00.",
        "Revenue fell by half on Friday.",
    )
    assert len(rows(document, "Products")) == 100
    assert document.tables[0].note == "20 others sold less."
    assert rows(document, "Channels") == [
        ("Search", 70, 7, 10.0, 140.0, 70.0, 2.0),
        ("Direct", 0, 0, None, 0.0, 0.0, None),
    ]
    assert document.main is not None
    assert document.main.title == "Day by day"


async def test_a_business_that_is_not_known_fails_the_job_at_once() -> None:
    async def nobody(id: str, period: Period) -> None:
        return None

    with pytest.raises(Discard, match="there is no organization '456'"):
        await BusinessSource(nobody).gather(request(about="456", payload=BUSINESS))


async def test_a_business_that_sold_nothing_gets_a_report_too() -> None:
    async def nothing(id: str, period: Period) -> BusinessFacts:
        return BusinessFacts(name="Quiet")

    document = await BusinessSource(nothing).gather(request(payload=BUSINESS))

    assert document.summary == ("Nothing was sold and nobody came by in this period.",)
    assert figures(document)["Order value"] == (None, None)
    assert render(document, "html", made_at=NOW).body


# -- pipelines ---------------------------------------------------------------------------------------------------------


def run(number: int, status: str, *, seconds: float = 60, step: str = "", pipeline: str = "Deploy") -> PipelineRun:
    return PipelineRun(
        id=f"run-{number}", pipeline=pipeline, status=status, started_at=WEEK.begin_ms + number * 3_600_000,  # type: ignore[arg-type]
        seconds=seconds, branch="main", trigger="ann", failed_step=step,
    )  # fmt: skip


@pytest.mark.mission("M-GL-20")
async def test_a_pipeline_report_has_its_rate_times_failures_and_runs() -> None:
    async def runs(asked: Request[ReportPayload], period: Period) -> Sequence[PipelineRun]:
        if period != WEEK:
            return [run(1, "success", seconds=30)]
        return [
            run(3, "success", seconds=120), run(1, "failed", step="test"), run(2, "failed", step="test"),
            run(4, "cancelled", seconds=9_999), run(5, "success"),
        ]  # fmt: skip

    document = await PipelineSource(runs).gather(request())

    assert document.subject == "Deploy"
    assert document.summary == (
        "5 runs, of which 50% succeeded. Half of them took less than 1m 00s. "
        "Most often it was the step test that failed: 2 times.",
    )
    assert figures(document) == {
        "Runs": (5, 1),
        "Succeeded": (50.0, 100.0),
        "Failed": (2, 0),
        "Usual time": (60.0, 30),
        "Long time": (pytest.approx(111.0), 30),
        "Repaired after": (7_320.0, None),
    }
    assert [row[2] for row in rows(document, "Failures")] == ["run-2", "run-1"]
    assert [row[2] for row in rows(document, "All runs")] == ["run-5", "run-4", "run-3", "run-2", "run-1"]


async def test_several_pipelines_get_a_table_of_their_own() -> None:
    async def runs(asked: Request[ReportPayload], period: Period) -> Sequence[PipelineRun]:
        return [run(1, "success"), run(2, "failed", pipeline="Nightly")]

    document = await PipelineSource(runs).gather(request(about="all"))

    assert document.subject == "all"
    assert rows(document, "Pipelines") == [("Deploy", 1, 100.0, 0, 60), ("Nightly", 1, 0.0, 1, 60)]


async def test_without_runs_there_is_nothing_to_divide_by() -> None:
    async def none(asked: Request[ReportPayload], period: Period) -> Sequence[PipelineRun]:
        return []

    document = await PipelineSource(none).gather(request())

    assert document.summary == ("No run came to its end in this period.",)
    assert render(document, "pdf", made_at=NOW).body.startswith(b"%PDF")


def test_a_pipeline_is_broken_from_its_first_failure_to_the_end_of_the_next_success() -> None:
    runs = [run(0, "failed"), run(1, "failed"), run(2, "success", seconds=10), run(3, "failed"), run(4, "cancelled")]

    assert repair_time(runs) == 7_210
    assert repair_time([run(0, "failed")]) is None


# -- measures, events, rows --------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-23")
async def test_analytics_have_a_figure_and_a_chart_for_each_measure() -> None:
    async def measures(asked: Request[ReportPayload], period: Period) -> Sequence[Measure]:
        factor = 3.0 if period == WEEK else 1.0
        days = list(period.dates())
        return [
            Measure(name="Sign-ups", points=tuple((day, factor) for day in days)),
            Measure(name="Response", points=((days[0], 2.0), (days[1], 4.0)), unit="s", better="down", total="mean"),
            Measure(name="Users", points=((days[6], 90.0), (days[0], 70.0)), total="last"),
            Measure(name="Nothing", points=(), total="mean"),
        ]

    document = await AnalyticsSource(measures).gather(request())

    assert figures(document) == {
        "Sign-ups": (21, 7.0),
        "Response": (3, 3.0),
        "Users": (90, 90.0),
        "Nothing": (None, None),
    }
    assert document.summary == ("What moved most is Sign-ups: 200% more than in the period before.",)
    assert [(chart.title, chart.kind) for chart in document.charts] == [
        ("Sign-ups by day", "bar"), ("Response by day", "line"), ("Users by day", "line")
    ]  # fmt: skip
    assert rows(document, "Day by day")[1] == (date(2025, 9, 30), 3.0, 4.0, None, None)


async def test_analytics_without_measures_say_so() -> None:
    async def none(asked: Request[ReportPayload], period: Period) -> Sequence[Measure]:
        return []

    assert (await AnalyticsSource(none).gather(request())).summary == ("Nothing was measured in this period.",)


@pytest.mark.mission("M-GL-24")
async def test_an_audit_log_is_exported_in_order_with_who_and_what_stands_out() -> None:
    async def events(asked: Request[ReportPayload], period: Period) -> Sequence[AuditEvent]:
        if period != WEEK:
            return []
        return [
            AuditEvent(at=period.begin_ms + 2 * DAY, actor="bo", action="login", outcome="denied"),
            AuditEvent(
                at=period.begin_ms, actor="ann", action="deploy", target="shop", outcome="success", address="10.0.0.1"
            ),
            AuditEvent(at=period.begin_ms + 1, actor="ann", action="login"),
        ]

    document = await AuditSource(events).gather(request())

    assert document.summary == ("3 events by 2 actors, 1 of them refused or failed.",)
    assert rows(document, "Events")[0] == (
        datetime(2025, 9, 29, tzinfo=UTC), "ann", "deploy", "shop", "success", "10.0.0.1", ""
    )  # fmt: skip
    assert [row[1] for row in rows(document, "Events")] == ["ann", "ann", "bo"]
    assert [chart.labels for chart in document.charts[1:]] == [("ann", "bo"), ("login", "deploy")]


async def test_plain_rows_become_a_table_whose_columns_are_guessed_or_given() -> None:
    async def found(asked: Request[ReportPayload]) -> Sequence[Mapping[str, Cell]]:
        return [{"name": "a", "count": 1, "day": date(2025, 1, 1)}, {"name": None, "more": 2.5}]

    guessed = await RowsSource("Things", found).gather(request())
    given = await RowsSource("Things", found, columns={"count": Column("How many", "number")}).gather(request())

    assert [(column.title, column.kind) for column in guessed.tables[0].columns] == [
        ("name", "text"), ("count", "number"), ("day", "date"), ("more", "number")
    ]  # fmt: skip
    assert guessed.tables[0].rows[1] == (None, None, None, 2.5)
    assert given.tables[0].rows == ((1,), (None,))
