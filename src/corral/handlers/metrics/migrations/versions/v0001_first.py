"""The first tables of the metrics handler."""

import sqlalchemy as sa
from alembic import op

revision = "metrics_0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "metrics_activities",
        sa.Column("id", sa.String(length=320), nullable=False),
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("metrics_activities_day", "metrics_activities", ["organization", "day"], unique=False)
    op.create_table(
        "metrics_figures",
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("metric", sa.String(length=32), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("previous", sa.Float(), nullable=True),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "team", "metric", "period", "first_day"),
    )
