"""The table of the health checks."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

#: How each check stands: what makes the difference between news and what is known.
states = Table(
    "health_states",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("status", String(8), nullable=False),
    Column("text", Text, nullable=False),
    Column("since", BigInteger, nullable=False),  # ms: with this status, warn and fail being one
    Column("bad", Integer, nullable=False),  # looks in a row that were not well
    Column("told_at", BigInteger, nullable=True),  # ms: that it is in trouble; none while nobody knows
    Column("looked_at", BigInteger, nullable=False),  # ms
    Column("job", String(256), nullable=False),  # that looked: one that runs again is not another look
)

SCHEMA = Schema("health", metadata, folder_of(__file__))
