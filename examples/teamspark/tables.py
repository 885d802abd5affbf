"""The platform's own tables. Check-ins, kudos, metrics, reports and Slack's are corral's."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

metadata = sa.MetaData()

people = sa.Table(
    "teamspark_people",
    metadata,
    sa.Column("organization", sa.String(128), primary_key=True),
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("team", sa.String(128), nullable=False),
    sa.Column("lead", sa.Boolean, nullable=False),  # hears of what wants attention
)

#: Who is logged in. What is over, a clean-up removes.
sessions = sa.Table(
    "teamspark_sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # never the session's key itself
    sa.Column("person", sa.String(128), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),  # ms
)

SCHEMA = Schema("teamspark", metadata, folder_of(__file__))
