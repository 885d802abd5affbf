"""The figures of each day, counted again from what came: right however often, and in whatever order, it came."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.kit.database import Database
from corral.handlers.sync.money import major
from corral.handlers.sync.tables import AD_SPEND, CUSTOMERS, DAILY, ORDERS, PAYMENTS, TRAFFIC

Figure = tuple[str, "sa.ColumnElement[int]", bool]  #: the metric, how it is summed up, whether it is money


def _sum(column: sa.Column[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(column), 0)


_FIGURES: dict[str, tuple[sa.Table, sa.ColumnElement[bool], tuple[Figure, ...]]] = {
    "orders": (
        ORDERS,
        ORDERS.c.cancelled == 0,
        (
            ("orders", sa.func.count(), False),
            ("revenue", _sum(ORDERS.c.total_minor) - _sum(ORDERS.c.refunded_minor), True),
            ("items_sold", _sum(ORDERS.c["items"]), False),
        ),
    ),
    "customers": (CUSTOMERS, sa.true(), (("new_customers", sa.func.count(), False),)),
    "payments": (
        PAYMENTS,
        sa.and_(PAYMENTS.c.type == "charge", PAYMENTS.c.status == "succeeded"),
        (("payments", sa.func.count(), False), ("payment_volume", _sum(PAYMENTS.c.amount_minor), True)),
    ),
    "refunds": (
        PAYMENTS,
        sa.and_(PAYMENTS.c.type == "refund", PAYMENTS.c.status.not_in(("failed", "canceled"))),
        (("refunds", sa.func.count(), False), ("refunded", _sum(PAYMENTS.c.amount_minor), True)),
    ),
    "traffic": (
        TRAFFIC,
        sa.true(),
        (
            ("sessions", _sum(TRAFFIC.c.sessions), False),
            ("users", _sum(TRAFFIC.c.users), False),
            ("new_users", _sum(TRAFFIC.c.new_users), False),
            ("page_views", _sum(TRAFFIC.c.page_views), False),
            ("conversions", _sum(TRAFFIC.c.conversions), False),
            ("site_revenue", _sum(TRAFFIC.c.revenue_minor), True),
        ),
    ),
    "ad-spend": (
        AD_SPEND,
        sa.true(),
        (
            ("ad_spend", _sum(AD_SPEND.c.spend_minor), True),
            ("impressions", _sum(AD_SPEND.c.impressions), False),
            ("clicks", _sum(AD_SPEND.c.clicks), False),
            ("ad_conversions", _sum(AD_SPEND.c.conversions), False),
            ("ad_revenue", _sum(AD_SPEND.c.conversion_value_minor), True),
        ),
    ),
}
METRICS = {kind: tuple(name for name, _, _ in figures) for kind, (_, _, figures) in _FIGURES.items()}
#: Days in one statement; a first pass over years touches thousands.
_DAYS = 500


async def count_again(
    database: Database, connection: AsyncConnection, kind: str, days: Collection[str], *, integration_id: str,
    organization_id: str,
) -> None:  # fmt: skip
    """Write the figures of these days anew, in the caller's transaction."""
    if kind not in _FIGURES:
        return
    table, counted, figures = _FIGURES[kind]
    ordered = sorted(set(days))
    for start in range(0, len(ordered), _DAYS):
        some = ordered[start : start + _DAYS]
        await connection.execute(
            sa.delete(DAILY).where(
                DAILY.c.integration_id == integration_id, DAILY.c.day.in_(some), DAILY.c.metric.in_(METRICS[kind])
            )
        )
        query = (
            sa.select(table.c.day, table.c.currency, *(value.label(name) for name, value, _ in figures))
            .where(table.c.integration_id == integration_id, table.c.day.in_(some), counted)
            .group_by(table.c.day, table.c.currency)
        )
        sums: dict[tuple[str, str, str], float] = {}
        for row in await connection.execute(query):
            for name, _, money in figures:
                units = int(getattr(row, name))
                at = (row.day, name, row.currency if money else "")
                sums[at] = sums.get(at, 0.0) + (major(units, row.currency) if money else units)
        rows = [
            {
                "integration_id": integration_id, "organization_id": organization_id, "day": day, "metric": metric,
                "currency": currency, "value": value,
            }
            for (day, metric, currency), value in sums.items()
        ]  # fmt: skip
        await database.upsert(connection, DAILY, rows, key=["integration_id", "day", "metric", "currency"])
