"""The tables of the insights: what was found, and who was told about what."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

METADATA = sa.MetaData()

REPORTS = sa.Table(
    "insights_reports",
    METADATA,
    sa.Column("organization_id", sa.String(100), primary_key=True),
    sa.Column("period", sa.String(10), primary_key=True),
    sa.Column("last_day", sa.String(10), primary_key=True),
    sa.Column("first_day", sa.String(10), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),  #: of the figures, and of what was asked of them
    sa.Column("findings", sa.JSON, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("summary_by", sa.String(100), nullable=False),
    sa.Column("generated_at", sa.BigInteger, nullable=False),
)
#: Alarms that somebody was told about, so that the next run does not tell them again.
ALARMS = sa.Table(
    "insights_alarms",
    METADATA,
    sa.Column("organization_id", sa.String(100), primary_key=True),
    sa.Column("alarm", sa.String(200), primary_key=True),
    sa.Column("told_at", sa.BigInteger, nullable=False),
)

SCHEMA = Schema("insights", METADATA, folder_of(__file__))
