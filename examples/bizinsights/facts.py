"""A business in figures, for its reports: from what the data sync has brought, and what the insights have found."""

from datetime import date, timedelta
from itertools import islice

import sqlalchemy as sa

from corral.handlers.insights import Insights, InsightStore
from corral.handlers.kit.database import Database
from corral.handlers.reports import BusinessDay, BusinessFacts, Channel, Period
from corral.handlers.sync import DAILY, METADATA
from corral.handlers.sync.money import major

from .organizations import Organizations

TRAFFIC = METADATA.tables["sync_traffic"]


class BusinessBook:
    """Looks figures up."""

    def __init__(self, database: Database, organizations: Organizations, insights: InsightStore) -> None:
        self._database = database
        self._organizations = organizations
        self._insights = insights

    async def facts(self, organization_id: str, period: Period) -> BusinessFacts | None:
        """What a report is made of; None when there is no such organization."""
        organization = await self._organizations.get(organization_id)
        if organization is None:
            return None
        days = await self._days(organization_id, period.first, period.last, organization.currency)
        channels = await self._channels(organization_id, period.first, period.last, organization.currency)
        found = findings_in(await self._insights.latest(organization_id, "30d"), period)
        return BusinessFacts(
            name=organization.name, currency=organization.currency, days=days, channels=channels, findings=found
        )

    async def _days(self, organization_id: str, first: date, last: date, currency: str) -> tuple[BusinessDay, ...]:
        query = (
            sa.select(DAILY.c.day, DAILY.c.metric, sa.func.sum(DAILY.c.value).label("value"))
            .where(DAILY.c.organization_id == organization_id, DAILY.c.currency.in_(("", currency)))
            .where(DAILY.c.day >= first.isoformat(), DAILY.c.day <= last.isoformat())
            .group_by(DAILY.c.day, DAILY.c.metric)
        )
        found: dict[str, dict[str, float]] = {}
        async with self._database.connect() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.day, {})[row.metric] = float(row.value)
        # A shop's orders, or where there is no shop what was paid: not both in one sum, day by day.
        income = "revenue" if any("revenue" in figures for figures in found.values()) else "payment_volume"
        return tuple(
            BusinessDay(
                day=day,
                revenue=figures.get(income, 0.0),
                orders=round(figures.get("orders", 0)),
                new_customers=round(figures.get("new_customers", 0)),
                visits=round(figures.get("sessions", 0)),
                ad_spend=figures.get("ad_spend", 0.0),
            )
            for day in (first + timedelta(days=offset) for offset in range((last - first).days + 1))
            for figures in (found.get(day.isoformat(), {}),)
        )

    async def _channels(self, organization_id: str, first: date, last: date, currency: str) -> tuple[Channel, ...]:
        """By visits. What they brought counts in the organization's own currency; nobody knows the others' worth."""
        query = (
            sa.select(
                TRAFFIC.c.external_id, TRAFFIC.c.currency, sa.func.sum(TRAFFIC.c.sessions).label("sessions"),
                sa.func.sum(TRAFFIC.c.conversions).label("conversions"),
                sa.func.sum(TRAFFIC.c.revenue_minor).label("revenue"),
            )
            .where(TRAFFIC.c.organization_id == organization_id)
            .where(TRAFFIC.c.day >= first.isoformat(), TRAFFIC.c.day <= last.isoformat())
            .group_by(TRAFFIC.c.external_id, TRAFFIC.c.currency)
        )  # fmt: skip
        sums: dict[str, list[int]] = {}
        async with self._database.connect() as connection:
            for row in await connection.execute(query):
                channel = sums.setdefault(row.external_id.partition("/")[2], [0, 0, 0])
                revenue = row.revenue if row.currency == currency else 0
                for place, value in enumerate((row.sessions, row.conversions, revenue)):
                    channel[place] += int(value)
        return tuple(
            Channel(name=name, visits=visits, orders=orders, revenue=major(revenue, currency))
            for name, (visits, orders, revenue) in sorted(sums.items(), key=lambda item: -item[1][0])
        )


def findings_in(insights: Insights | None, period: Period, most: int = 5) -> tuple[str, ...]:
    """What stands out in a period, in words: findings of its days, and those about a whole period if it is this one."""
    if insights is None:
        return ()
    first, last = period.first.isoformat(), period.last.isoformat()
    same = (insights.first_day, insights.last_day) == (first, last)
    kept = (one for one in insights.findings if (same if one.day is None else first <= one.day <= last))
    return tuple(islice((one.text for one in kept), most))
