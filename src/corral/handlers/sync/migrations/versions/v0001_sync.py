"""The tables of the data sync."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str, length: int = 100, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=null)


def _whole(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null)


def _objects(name: str, *columns: sa.Column[str] | sa.Column[int]) -> None:
    op.create_table(
        name,
        _text("integration_id"),
        _text("external_id", 200),
        _text("organization_id"),
        _text("day", 10),
        _text("run", 300),
        *columns,
        sa.PrimaryKeyConstraint("integration_id", "external_id"),
    )
    op.create_index(f"{name}_by_day", name, ["integration_id", "day"])


def upgrade() -> None:
    """Make them."""
    _integrations()
    _objects(
        "sync_orders", _whole("placed_at"), _whole("changed_at"), _text("number"), _text("status", 40),
        _whole("cancelled"), _text("currency", 3), _whole("total_minor"), _whole("refunded_minor"), _whole("items"),
        _text("customer_id", 200, null=True),
    )  # fmt: skip
    _objects(
        "sync_products", _whole("changed_at"), sa.Column("title", sa.Text, nullable=False), _text("status", 40),
        _text("currency", 3), _whole("price_minor"), _whole("inventory", null=True),
    )  # fmt: skip
    _objects(
        "sync_customers", _whole("joined_at"), _whole("changed_at"), _text("currency", 3), _whole("orders"),
        _whole("spent_minor"),
    )  # fmt: skip
    _objects(
        "sync_payments", _whole("paid_at"), _text("type", 20), _text("status", 40), _text("currency", 3),
        _whole("amount_minor"), _text("customer_id", 200, null=True),
    )  # fmt: skip
    _objects(
        "sync_traffic", _whole("sessions"), _whole("users"), _whole("new_users"), _whole("engaged_sessions"),
        _whole("page_views"), _whole("conversions"), _text("currency", 3), _whole("revenue_minor"),
    )  # fmt: skip
    _objects(
        "sync_ad_spend", sa.Column("campaign", sa.Text, nullable=False), _text("currency", 3), _whole("spend_minor"),
        _whole("impressions"), _whole("clicks"), _whole("conversions"), _whole("conversion_value_minor"),
    )  # fmt: skip
    op.create_table(
        "sync_daily",
        _text("integration_id"),
        _text("day", 10),
        _text("metric", 60),
        _text("currency", 3),
        _text("organization_id"),
        sa.Column("value", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "day", "metric", "currency"),
    )
    op.create_index("sync_daily_by_organization", "sync_daily", ["organization_id", "day"])


def _integrations() -> None:
    op.create_table(
        "sync_integrations",
        _text("id"),
        _text("organization_id"),
        _text("platform", 40),
        _text("status", 20),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("credentials", sa.Text),
        sa.Column("last_error", sa.Text),
        _whole("error_at", null=True),
        _whole("synced_at", null=True),
        _whole("failures"),
        sa.Column("quota", sa.JSON),
        _whole("calls"),
        _text("calls_day", 10),
        _text("held_by", 300, null=True),
        _whole("held_until", null=True),
        _whole("created_at"),
        _whole("updated_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("sync_integrations_by_organization", "sync_integrations", ["organization_id"])
    op.create_table(
        "sync_cursors",
        _text("integration_id"),
        _text("kind", 40),
        _whole("watermark", null=True),
        sa.Column("position", sa.JSON),
        _text("run", 300, null=True),
        _whole("since", null=True),
        _whole("until", null=True),
        _whole("high", null=True),
        _whole("updated_at"),
        sa.PrimaryKeyConstraint("integration_id", "kind"),
    )
