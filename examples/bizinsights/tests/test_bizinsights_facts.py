"""What a report knows of a business: its own currency, one source of income, and findings of its own days."""

from datetime import date, timedelta

import pytest

from corral.handlers.insights import Finding, Insights
from corral.handlers.reports import BusinessFacts, Period
from corral.handlers.sync import DAILY, METADATA
from examples.bizinsights.build import Platform
from examples.bizinsights.facts import BusinessBook, findings_in
from examples.bizinsights.organizations import Organization

FIRST = date(2026, 3, 2)
WEEK = Period(FIRST, FIRST + timedelta(days=6))


async def visits(platform: Platform, channel: str, currency: str, revenue_minor: int, day: date = FIRST) -> None:
    """One row of traffic: 10 visits and 2 orders."""
    row = {
        "integration_id": f"site-{currency}", "organization_id": "o", "external_id": f"{day.isoformat()}/{channel}",
        "day": day.isoformat(), "run": "r", "sessions": 10, "users": 8, "new_users": 3, "engaged_sessions": 6,
        "page_views": 40, "conversions": 2, "currency": currency, "revenue_minor": revenue_minor,
    }  # fmt: skip
    async with platform.database.begin() as connection:
        table = METADATA.tables["sync_traffic"]
        await platform.database.upsert(connection, table, [row], key=["integration_id", "external_id"])


async def figure(platform: Platform, day: date, metric: str, value: float, currency: str) -> None:
    row = {
        "integration_id": "i", "organization_id": "o", "day": day.isoformat(), "metric": metric, "currency": currency,
        "value": value,
    }  # fmt: skip
    async with platform.database.begin() as connection:
        await platform.database.upsert(connection, DAILY, [row], key=["integration_id", "day", "metric", "currency"])


async def facts(platform: Platform, currency: str) -> BusinessFacts:
    await platform.organizations.save(Organization("o", "O", currency=currency))
    book = BusinessBook(platform.database, platform.organizations, platform.insights)
    found = await book.facts("o", WEEK)
    assert found is not None
    return found


@pytest.mark.mission("M-BI-17")
@pytest.mark.parametrize(
    ("currency", "minor", "whole"), [("JPY", 12_000, 12_000), ("KWD", 12_345, 12.345), ("EUR", 12_345, 123.45)]
)
async def test_a_channel_s_revenue_has_the_decimals_of_its_currency(
    platform: Platform, currency: str, minor: int, whole: float
) -> None:
    await visits(platform, "Email", currency, minor)

    (channel,) = (await facts(platform, currency)).channels
    assert (channel.name, channel.visits, channel.orders, channel.revenue) == ("Email", 10, 2, whole)


@pytest.mark.mission("M-BI-17")
async def test_money_of_another_currency_is_in_no_sum(platform: Platform) -> None:
    await visits(platform, "Email", "EUR", 5_000)
    await visits(platform, "Email", "JPY", 900_000)

    (channel,) = (await facts(platform, "EUR")).channels
    assert (channel.visits, channel.orders, channel.revenue) == (20, 4, 50.0)


@pytest.mark.mission("M-BI-17")
async def test_a_day_without_orders_brought_nothing_although_something_was_paid(platform: Platform) -> None:
    await figure(platform, FIRST, "revenue", 80.0, "EUR")
    for day in (FIRST, FIRST + timedelta(days=1)):
        await figure(platform, day, "payment_volume", 75.0, "EUR")

    assert [day.revenue for day in (await facts(platform, "EUR")).days] == [80.0, *[0.0] * 6]


@pytest.mark.mission("M-BI-17")
async def test_without_a_shop_revenue_is_what_was_paid(platform: Platform) -> None:
    await figure(platform, FIRST, "payment_volume", 75.0, "EUR")

    assert (await facts(platform, "EUR")).revenue == 75.0


@pytest.mark.mission("M-BI-17")
def test_findings_are_those_of_the_report_s_own_days() -> None:
    days = [date(2026, 3, 1) + timedelta(days=offset) for offset in (0, 1, 7, 8)]
    dated = [Finding(kind="anomaly", metric="revenue", text=str(day), day=day.isoformat()) for day in days]
    made = Insights(
        organization_id="o", period="30d", first_day="2026-02-08", last_day="2026-03-09", summary="", summary_by="",
        findings=(Finding(kind="trend", metric="revenue", text="grows"), *dated),
    )  # fmt: skip

    assert findings_in(made, WEEK) == ("2026-03-02", "2026-03-08")
    assert findings_in(made, Period(date(2026, 2, 8), date(2026, 3, 9))) == ("grows", *map(str, days))
    assert findings_in(made, Period(date(2025, 3, 1), date(2025, 3, 31))) == ()
    assert findings_in(None, WEEK) == ()
