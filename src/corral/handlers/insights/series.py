"""What the figures are: their series, what they are called, and which direction is the good one."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Literal

import sqlalchemy as sa
from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.kit.database import Database

Better = Literal["up", "down"]


class Series(Struct, frozen=True, kw_only=True):
    """One figure, by day. Days without an entry had none of it."""

    metric: str
    label: str
    values: Mapping[date, float]
    unit: str = ""  #: a currency, `%`, or nothing
    better: Better | None = "up"
    additive: bool = True  #: whether days can be added up; a rate cannot


#: `await source(organization_id, first, last)`, both days included.
Source = Callable[[str, date, date], Awaitable[Sequence[Series]]]


class _Known(Struct, frozen=True):
    label: str
    better: Better | None = "up"


_KNOWN = {
    "revenue": _Known("Revenue"),
    "orders": _Known("Orders"),
    "items_sold": _Known("Items sold"),
    "new_customers": _Known("New customers"),
    "payments": _Known("Payments"),
    "payment_volume": _Known("Payment volume"),
    "refunds": _Known("Refunds", "down"),
    "refunded": _Known("Refunded amount", "down"),
    "sessions": _Known("Sessions"),
    "users": _Known("Users"),
    "new_users": _Known("New users"),
    "page_views": _Known("Page views"),
    "conversions": _Known("Conversions"),
    "site_revenue": _Known("Revenue seen by analytics"),
    "ad_spend": _Known("Ad spend", None),
    "impressions": _Known("Impressions"),
    "clicks": _Known("Clicks"),
    "ad_conversions": _Known("Purchases from ads"),
    "ad_revenue": _Known("Revenue from ads"),
}


class DailyTable:
    """Series from a table with one row for each day and metric, such as `sync_daily` of the data sync.

    Rows of the same organization, day, metric and currency are added up.

    Args:
        table: its name. It has the columns `organization_id`, `day` (text, `2026-01-31`), `metric`, `currency` (empty
            for what is no money) and `value`.
    """

    def __init__(self, database: Database, table: str = "sync_daily") -> None:
        self._database = database
        columns = ("organization_id", "day", "metric", "currency", "value")
        self._table = sa.table(table, *(sa.column(name) for name in columns))

    async def __call__(self, organization_id: str, first: date, last: date) -> Sequence[Series]:
        """The series of one organization, with what can be derived from them.

        Raises:
            ConfigError: there is no such table.
        """
        columns = self._table.c
        query = (
            sa.select(columns.day, columns.metric, columns.currency, sa.func.sum(columns.value).label("value"))
            .where(columns.organization_id == organization_id)
            .where(columns.day >= first.isoformat(), columns.day <= last.isoformat())
            .group_by(columns.day, columns.metric, columns.currency)
        )
        found: dict[tuple[str, str], dict[date, float]] = {}
        async with self._database.connect() as connection:
            if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(self._table.name)):
                raise ConfigError(
                    f"the database has no table {self._table.name}: include the data sync, or give bundle(source=…)",
                    key="source",
                )
            for row in await connection.execute(query):
                found.setdefault((row.metric, row.currency), {})[date.fromisoformat(row.day)] = float(row.value)
        return with_rates([_series(metric, unit, values) for (metric, unit), values in sorted(found.items())])


def _series(metric: str, unit: str, values: Mapping[date, float]) -> Series:
    known = _KNOWN.get(metric, _Known(metric.replace("_", " ").capitalize(), None))
    return Series(metric=metric, label=known.label, values=values, unit=unit, better=known.better)


def with_rates(series: Sequence[Series]) -> list[Series]:
    """The series, and what one of them is per another: what an order is worth, how many sessions lead to one."""
    made = list(series)
    by_metric = {one.metric: one for one in sorted(series, key=_volume)}  # of several currencies, the largest
    for metric, label, above, below, percent in (
        ("average_order_value", "Average order value", "revenue", "orders", False),
        ("conversion_rate", "Conversion rate", "orders", "sessions", True),
        ("return_on_ad_spend", "Return on ad spend", "ad_revenue", "ad_spend", False),
    ):
        if above not in by_metric or below not in by_metric:
            continue
        top, bottom = by_metric[above], by_metric[below]
        values = {
            day: (100 if percent else 1) * top.values.get(day, 0.0) / value
            for day, value in bottom.values.items()
            if value > 0
        }
        unit = "%" if percent else top.unit if top.unit != bottom.unit else ""
        made.append(Series(metric=metric, label=label, values=values, unit=unit, additive=False))
    return made


def _volume(series: Series) -> float:
    return sum(series.values.values())


def days_between(first: date, last: date) -> list[date]:
    """All days, both included."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
