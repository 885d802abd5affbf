"""The tables of the insights."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "insights_reports",
        sa.Column("organization_id", sa.String(100), nullable=False),
        sa.Column("period", sa.String(10), nullable=False),
        sa.Column("last_day", sa.String(10), nullable=False),
        sa.Column("first_day", sa.String(10), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("summary_by", sa.String(100), nullable=False),
        sa.Column("generated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "period", "last_day"),
    )
    op.create_table(
        "insights_alarms",
        sa.Column("organization_id", sa.String(100), nullable=False),
        sa.Column("alarm", sa.String(200), nullable=False),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "alarm"),
    )
