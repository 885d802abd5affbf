"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    counted = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "golive_users",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "golive_projects",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
    )
    op.create_table(
        "golive_refresh_tokens",
        sa.Column("id", counted, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("golive_refresh_tokens_expires", "golive_refresh_tokens", ["expires_at"])
    op.create_table(
        "golive_pipeline_runs",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("pipeline_id", sa.String(200), nullable=False),
        sa.Column("pipeline", sa.String(200), nullable=False),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("triggered_by", sa.String(200), nullable=False),
        sa.Column("failed_step", sa.String(200), nullable=False),
    )
    op.create_index("golive_pipeline_runs_when", "golive_pipeline_runs", ["pipeline_id", "started_at"])
    op.create_index("golive_pipeline_runs_started", "golive_pipeline_runs", ["started_at"])
    op.create_table(
        "golive_test_runs",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("suite", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("tests", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("skipped", sa.Integer, nullable=False),
    )
    op.create_index("golive_test_runs_started", "golive_test_runs", ["started_at"])
    op.create_table(
        "golive_deployments",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("project", sa.String(200), nullable=False),
        sa.Column("environment", sa.String(200), nullable=False),
        sa.Column("version", sa.String(200), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_index("golive_deployments_started", "golive_deployments", ["started_at"])
    op.create_table(
        "golive_audit_events",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("target", sa.String(300), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
    )
    op.create_index("golive_audit_events_at", "golive_audit_events", ["at"])
    op.create_table(
        "golive_daily_figures",
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )
