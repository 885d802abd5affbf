"""A business in figures, for its reports: from what the data sync has brought, and what the insights have found."""

from datetime import date, timedelta

import sqlalchemy as sa

from corral.handlers.insights import InsightStore
from corral.handlers.kit.database import Database
from corral.handlers.reports import BusinessDay, BusinessFacts, Channel, Period
from corral.handlers.sync import DAILY, METADATA

from .organizations import Organizations

TRAFFIC = METADATA.tables["sync_traffic"]
ORDERS = METADATA.tables["sync_orders"]


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
        channels = await self._channels(organization_id, period.first, period.last)
        newest = await self._insights.latest(organization_id, "30d")
        found = () if newest is None else tuple(one.text for one in newest.findings[:5])
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
        return tuple(
            BusinessDay(
                day=day,
                revenue=figures.get("revenue", figures.get("payment_volume", 0.0)),
                orders=round(figures.get("orders", 0)),
                new_customers=round(figures.get("new_customers", 0)),
                visits=round(figures.get("sessions", 0)),
                ad_spend=figures.get("ad_spend", 0.0),
            )
            for day in (first + timedelta(days=offset) for offset in range((last - first).days + 1))
            for figures in (found.get(day.isoformat(), {}),)
        )

    async def _channels(self, organization_id: str, first: date, last: date) -> tuple[Channel, ...]:
        query = (
            sa.select(
                TRAFFIC.c.external_id, sa.func.sum(TRAFFIC.c.sessions).label("sessions"),
                sa.func.sum(TRAFFIC.c.conversions).label("conversions"),
                sa.func.sum(TRAFFIC.c.revenue_minor).label("revenue"),
            )
            .where(TRAFFIC.c.organization_id == organization_id)
            .where(TRAFFIC.c.day >= first.isoformat(), TRAFFIC.c.day <= last.isoformat())
            .group_by(TRAFFIC.c.external_id)
        )  # fmt: skip
        sums: dict[str, list[float]] = {}
        async with self._database.connect() as connection:
            for row in await connection.execute(query):
                channel = sums.setdefault(row.external_id.partition("/")[2], [0, 0, 0])
                for place, value in enumerate((row.sessions, row.conversions, row.revenue)):
                    channel[place] += float(value)
        return tuple(
            Channel(name=name, visits=round(visits), orders=round(orders), revenue=revenue / 100)
            for name, (visits, orders, revenue) in sorted(sums.items(), key=lambda item: -item[1][0])
        )
