"""The platform's own data: projects, people, tokens, what ran and what was done. Times are epoch milliseconds."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

METADATA = sa.MetaData()
_COUNTED = sa.BigInteger().with_variant(sa.Integer, "sqlite")

users = sa.Table(
    "golive_users", METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)  # fmt: skip

projects = sa.Table(
    "golive_projects", METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("owner_id", sa.String(64), nullable=False),
)  # fmt: skip

refresh_tokens = sa.Table(
    "golive_refresh_tokens", METADATA,
    sa.Column("id", _COUNTED, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.String(64), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("golive_refresh_tokens_expires", "expires_at"),
)  # fmt: skip

pipeline_runs = sa.Table(
    "golive_pipeline_runs", METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("pipeline_id", sa.String(200), nullable=False),
    sa.Column("pipeline", sa.String(200), nullable=False),
    sa.Column("project", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("triggered_by", sa.String(200), nullable=False),
    sa.Column("failed_step", sa.String(200), nullable=False),
    sa.Index("golive_pipeline_runs_when", "pipeline_id", "started_at"),
    sa.Index("golive_pipeline_runs_started", "started_at"),
)  # fmt: skip

test_runs = sa.Table(
    "golive_test_runs", METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("project", sa.String(200), nullable=False),
    sa.Column("suite", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("tests", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("skipped", sa.Integer, nullable=False),
    sa.Index("golive_test_runs_started", "started_at"),
)  # fmt: skip

deployments = sa.Table(
    "golive_deployments", METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("project", sa.String(200), nullable=False),
    sa.Column("environment", sa.String(200), nullable=False),
    sa.Column("version", sa.String(200), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Index("golive_deployments_started", "started_at"),
)  # fmt: skip

audit_events = sa.Table(
    "golive_audit_events", METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(100), nullable=False),
    sa.Column("target", sa.String(300), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Index("golive_audit_events_at", "at"),
)  # fmt: skip

daily_figures = sa.Table(
    "golive_daily_figures", METADATA,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)  # fmt: skip

SCHEMA = Schema("golive", METADATA, folder_of(__file__))
