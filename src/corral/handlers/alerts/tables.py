"""The tables of the alerts handler."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

alerts = Table(
    "alerts_alerts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(128), nullable=False),
    Column("type", String(128), nullable=False),
    Column("key", String(256), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("state", String(16), nullable=False),  # open, acknowledged, resolved
    Column("count", Integer, nullable=False),
    Column("turn", Integer, nullable=False),  # how often it was told
    Column("open_key", String(64)),  # while it is not resolved: one alert for each type and key
    Column("first_at", BigInteger, nullable=False),  # ms
    Column("last_at", BigInteger, nullable=False),  # ms
    Column("told_at", BigInteger, nullable=False),  # ms
    Column("acknowledged_by", String(128), nullable=False),
    Column("resolved_at", BigInteger),  # ms
    Index("alerts_alerts_open", "open_key", unique=True),
    Index("alerts_alerts_organization", "organization", "last_at"),
)

#: Each time that it was said, by whichever job: a job that runs again finds what its first run decided.
events = Table(
    "alerts_events",
    metadata,
    Column("job", String(64), primary_key=True),
    Column("alert", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("tell", Boolean, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),  # ms
    Index("alerts_events_alert", "alert", "at"),
)

#: What became of telling it.
deliveries = Table(
    "alerts_deliveries",
    metadata,
    Column("alert", String(64), primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("route", String(128), primary_key=True),
    Column("state", String(16), nullable=False),  # sent, failed
    Column("detail", String(300), nullable=False),
    Column("at", BigInteger, nullable=False),  # ms
)

SCHEMA = Schema("alerts", metadata, folder_of(__file__))
