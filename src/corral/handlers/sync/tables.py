"""The tables of the data sync: who is synced, how far, what came, and the figures of each day."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

METADATA = sa.MetaData()


def _id(name: str, *, key: bool = False, length: int = 100) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), primary_key=key, nullable=False)


def _whole(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _object(name: str, *columns: sa.Column[int] | sa.Column[str] | sa.Column[float]) -> sa.Table:
    """A table of what a platform knows, by the id that it has there."""
    return sa.Table(
        name,
        METADATA,
        _id("integration_id", key=True),
        _id("external_id", key=True, length=200),
        _id("organization_id"),
        _id("day", length=10),  #: when it came to be, where the business is
        _id("run", length=300),  #: the pass that saw it last
        *columns,
        sa.Index(f"{name}_by_day", "integration_id", "day"),
    )


INTEGRATIONS = sa.Table(
    "sync_integrations",
    METADATA,
    _id("id", key=True),
    _id("organization_id"),
    _id("platform", length=40),
    _id("status", length=20),  #: active, error or paused
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("credentials", sa.Text),  #: sealed
    sa.Column("last_error", sa.Text),
    _whole("error_at", null=True),
    _whole("synced_at", null=True),
    _whole("failures"),  #: runs in a row that did not succeed
    sa.Column("quota", sa.JSON(none_as_null=True)),
    _whole("calls"),  #: on `calls_day`
    _id("calls_day", length=10),
    sa.Column("held_by", sa.String(300)),  #: the job that is at it
    _whole("held_until", null=True),
    _whole("created_at"),
    _whole("updated_at"),
    sa.Index("sync_integrations_by_organization", "organization_id"),
)

#: How far each kind of object has got.
CURSORS = sa.Table(
    "sync_cursors",
    METADATA,
    _id("integration_id", key=True),
    _id("kind", key=True, length=40),
    _whole("watermark", null=True),  #: everything changed before this is here
    sa.Column("position", sa.JSON(none_as_null=True)),  #: where the pass that is under way goes on
    sa.Column("run", sa.String(300)),  #: that pass: its job and its beginning
    _whole("since", null=True),  #: what it asked for
    _whole("until", null=True),
    _whole("high", null=True),  #: the newest that it saw
    _whole("updated_at"),
)

ORDERS = _object(
    "sync_orders",
    _whole("placed_at"),
    _whole("changed_at"),
    _id("number", length=100),
    _id("status", length=40),
    _whole("cancelled"),
    _id("currency", length=3),
    _whole("total_minor"),
    _whole("refunded_minor"),
    _whole("items"),
    sa.Column("customer_id", sa.String(200)),
)
PRODUCTS = _object(
    "sync_products",
    _whole("changed_at"),
    sa.Column("title", sa.Text, nullable=False),
    _id("status", length=40),
    _id("currency", length=3),
    _whole("price_minor"),
    _whole("inventory", null=True),
)
#: No names and no addresses: figures need none, and what is not kept cannot leak.
CUSTOMERS = _object(
    "sync_customers",
    _whole("joined_at"),
    _whole("changed_at"),
    _id("currency", length=3),
    _whole("orders"),
    _whole("spent_minor"),
)
PAYMENTS = _object(
    "sync_payments",
    _whole("paid_at"),
    _id("type", length=20),  #: charge or refund
    _id("status", length=40),
    _id("currency", length=3),
    _whole("amount_minor"),
    sa.Column("customer_id", sa.String(200)),
)
TRAFFIC = _object(
    "sync_traffic",
    _whole("sessions"),
    _whole("users"),
    _whole("new_users"),
    _whole("engaged_sessions"),
    _whole("page_views"),
    _whole("conversions"),
    _id("currency", length=3),
    _whole("revenue_minor"),
)
AD_SPEND = _object(
    "sync_ad_spend",
    sa.Column("campaign", sa.Text, nullable=False),
    _id("currency", length=3),
    _whole("spend_minor"),
    _whole("impressions"),
    _whole("clicks"),
    _whole("conversions"),
    _whole("conversion_value_minor"),
)

#: One number per day and integration: what insights, reports and charts are made of.
DAILY = sa.Table(
    "sync_daily",
    METADATA,
    _id("integration_id", key=True),
    _id("day", key=True, length=10),
    _id("metric", key=True, length=60),
    _id("currency", key=True, length=3),  #: empty for what is no money
    _id("organization_id"),
    sa.Column("value", sa.Float, nullable=False),
    sa.Index("sync_daily_by_organization", "organization_id", "day"),
)

SCHEMA = Schema("sync", METADATA, folder_of(__file__))
#: Where each kind of object is kept.
TABLES = {
    "orders": ORDERS,
    "products": PRODUCTS,
    "customers": CUSTOMERS,
    "payments": PAYMENTS,
    "refunds": PAYMENTS,
    "traffic": TRAFFIC,
    "ad-spend": AD_SPEND,
}
