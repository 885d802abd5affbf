"""The business report: sales, customers, visits and advertising."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import TypeAlias

from msgspec import Struct

from corral.handlers.reports.document import Cell, Chart, Column, Document, Figure, Series, Table
from corral.handlers.reports.payload import ReportPayload
from corral.handlers.reports.period import Period
from corral.handlers.reports.source import Request
from corral.handlers.reports.sources.days import Buckets, buckets
from corral.handlers.reports.words import show_number, signed, symbol_of
from corral.plurals import plural
from corral.signals import Discard

_TITLES = {
    "weekly": "Weekly business report",
    "monthly": "Monthly business report",
    "quarterly": "Quarterly business report",
}
_PRODUCTS = 100


class BusinessDay(Struct, frozen=True, kw_only=True):
    """What a business did on one day. Money is in the facts' currency, in whole units and not in cents."""

    day: date
    revenue: float = 0.0
    orders: int = 0
    new_customers: int = 0
    visits: int = 0
    ad_spend: float = 0.0


class ProductSales(Struct, frozen=True, kw_only=True):
    """What one product brought in the period."""

    name: str
    units: int = 0
    revenue: float = 0.0


class Channel(Struct, frozen=True, kw_only=True):
    """What came through one channel: a shop, a campaign, a source of visits."""

    name: str
    visits: int = 0
    orders: int = 0
    revenue: float = 0.0
    spend: float = 0.0


class BusinessFacts(Struct, frozen=True, kw_only=True):
    """What is known of a business in a period. `findings` are sentences about what stands out."""

    name: str
    currency: str = "USD"
    days: tuple[BusinessDay, ...] = ()
    products: tuple[ProductSales, ...] = ()
    channels: tuple[Channel, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def revenue(self) -> float:
        return sum(one.revenue for one in self.days)

    @property
    def orders(self) -> int:
        return sum(one.orders for one in self.days)

    @property
    def customers(self) -> int:
        return sum(one.new_customers for one in self.days)

    @property
    def visits(self) -> int:
        return sum(one.visits for one in self.days)

    @property
    def spend(self) -> float:
        return sum(one.ad_spend for one in self.days)

    @property
    def order_value(self) -> float | None:
        return self.revenue / self.orders if self.orders else None

    @property
    def conversion(self) -> float | None:
        return 100 * self.orders / self.visits if self.visits else None

    @property
    def return_on_ads(self) -> float | None:
        return self.revenue / self.spend if self.spend else None


#: The facts of an organization over a period; None when there is no such organization.
FindBusiness: TypeAlias = Callable[[str, Period], Awaitable[BusinessFacts | None]]


class BusinessSource:
    """Makes the business report of facts, which are asked for the period and the one before."""

    def __init__(self, facts: FindBusiness) -> None:
        self._facts = facts

    async def gather(self, request: Request[ReportPayload]) -> Document:
        """Ask for the facts and make the document.

        Raises:
            Discard: there is no such organization.
        """
        now = await self._facts(request.about, request.period)
        if now is None:
            raise Discard(f"there is no organization {request.about[:80]!r}")
        before = await self._facts(request.about, request.previous)
        kind = str(getattr(request.payload, "report_type", ""))
        stretches = buckets(request.period)
        tables = [table for table in (_products(now), _channels(now), _days(now)) if table is not None]
        return Document(
            title=_TITLES.get(kind, "Business report"),
            subject=now.name,
            period=request.period.words,
            summary=_summary(now, before),
            figures=_figures(now, before),
            charts=_charts(now, stretches),
            tables=tuple(tables),
            notes=(f"Compared with {request.previous.words}.",) if before is not None else (),
        )


def _summary(now: BusinessFacts, before: BusinessFacts | None) -> tuple[str, ...]:
    if not now.orders and not now.visits and not now.revenue:
        return ("Nothing was sold and nobody came by in this period.", *now.findings)
    text = f"{show_number(now.revenue, 'money', now.currency)} from {plural(now.orders, 'order')}"
    if before is not None and before.revenue:
        share = 100 * (now.revenue - before.revenue) / before.revenue
        text += f", {signed(share, 1)}% against the period before" if abs(share) >= 0.05 else ", as much as before"
    said = [f"{text}."]
    if now.customers:
        said.append(f"{plural(now.customers, 'new customer')}.")
    best = max(now.days, key=lambda one: one.revenue, default=None)
    if best is not None and best.revenue:
        revenue = show_number(best.revenue, "money", now.currency)
        said.append(f"The best day was {best.day:%A}, {best.day.isoformat()}, with {revenue}.")
    return (" ".join(said), *now.findings)


def _figures(now: BusinessFacts, before: BusinessFacts | None) -> tuple[Figure, ...]:
    unit = now.currency
    figures = [
        Figure(
            label="Revenue",
            value=now.revenue,
            kind="money",
            unit=unit,
            better="up",
            before=before.revenue if before else None,
        ),
        Figure(label="Orders", value=now.orders, better="up", before=before.orders if before else None),
        Figure(
            label="Order value",
            value=now.order_value,
            kind="money",
            unit=unit,
            better="up",
            before=before.order_value if before else None,
        ),
        Figure(label="New customers", value=now.customers, better="up", before=before.customers if before else None),
    ]
    if now.visits or (before and before.visits):
        figures += [
            Figure(label="Visits", value=now.visits, better="up", before=before.visits if before else None),
            Figure(
                label="Visits that bought",
                value=now.conversion,
                kind="percent",
                better="up",
                before=before.conversion if before else None,
            ),
        ]
    if now.spend or (before and before.spend):
        figures += [
            Figure(
                label="Advertising", value=now.spend, kind="money", unit=unit, before=before.spend if before else None
            ),
            Figure(
                label="Revenue per ad spend",
                value=now.return_on_ads,
                better="up",
                unit="×",
                before=before.return_on_ads if before else None,
            ),
        ]
    return tuple(figures)


def _charts(now: BusinessFacts, stretches: Buckets) -> tuple[Chart, ...]:
    symbol = symbol_of(now.currency)
    by = f"by {stretches.each}"
    revenue = stretches.add_up((one.day, one.revenue) for one in now.days)
    orders = stretches.add_up((one.day, float(one.orders)) for one in now.days)
    charts = [
        Chart(
            title=f"Revenue {by}",
            labels=stretches.labels,
            series=(Series(name="Revenue", values=revenue),),
            unit=symbol,
        ),
        Chart(
            title=f"Orders {by}", labels=stretches.labels, series=(Series(name="Orders", values=orders),), kind="bar"
        ),
    ]
    if now.visits:
        visits = stretches.add_up((one.day, float(one.visits)) for one in now.days)
        charts.append(
            Chart(title=f"Visits {by}", labels=stretches.labels, series=(Series(name="Visits", values=visits),))
        )
    if now.spend:
        spend = stretches.add_up((one.day, one.ad_spend) for one in now.days)
        series = (Series(name="Advertising", values=spend),)
        charts.append(Chart(title=f"Advertising {by}", labels=stretches.labels, series=series, kind="bar", unit=symbol))
    top = sorted(now.products, key=lambda one: -one.revenue)[:8]
    if len(top) > 1:
        series = (Series(name="Revenue", values=tuple(one.revenue for one in top)),)
        labels = tuple(one.name for one in top)
        charts.append(Chart(title="Products by revenue", labels=labels, series=series, kind="rank", unit=symbol))
    return tuple(charts)


def _products(now: BusinessFacts) -> Table | None:
    if not now.products:
        return None
    best = sorted(now.products, key=lambda one: (-one.revenue, one.name))[:_PRODUCTS]
    total = sum(one.revenue for one in now.products)
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.name, one.units, float(one.revenue), 100 * one.revenue / total if total else None) for one in best
    )
    columns = (
        Column("Product", wide=True),
        Column("Sold", "number"),
        Column("Revenue", "money", now.currency),
        Column("Of all", "percent"),
    )
    left = len(now.products) - len(best)
    return Table(title="Products", columns=columns, rows=rows, note=f"{left:,} others sold less." if left else "")


def _channels(now: BusinessFacts) -> Table | None:
    if not now.channels:
        return None
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            one.name,
            one.visits,
            one.orders,
            100 * one.orders / one.visits if one.visits else None,
            float(one.revenue),
            float(one.spend),
            one.revenue / one.spend if one.spend else None,
        )
        for one in sorted(now.channels, key=lambda one: (-one.revenue, one.name))
    )
    columns = (
        Column("Channel", wide=True),
        Column("Visits", "number"),
        Column("Orders", "number"),
        Column("Bought", "percent"),
        Column("Revenue", "money", now.currency),
        Column("Spent", "money", now.currency),
        Column("Return", "number", "×"),
    )
    return Table(title="Channels", columns=columns, rows=rows)


def _days(now: BusinessFacts) -> Table:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.day, float(one.revenue), one.orders, one.new_customers, one.visits, float(one.ad_spend))
        for one in sorted(now.days, key=lambda one: one.day)
    )
    columns = (
        Column("Day", "date"),
        Column("Revenue", "money", now.currency),
        Column("Orders", "number"),
        Column("New customers", "number"),
        Column("Visits", "number"),
        Column("Advertising", "money", now.currency),
    )
    return Table(title="Day by day", columns=columns, rows=rows, main=True)
