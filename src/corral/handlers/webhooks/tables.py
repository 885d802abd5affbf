"""The tables of the webhooks handler: who gets events, which there were, and how each attempt went."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

endpoints = Table(
    "webhooks_endpoints",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(200), nullable=False),  # "": the application's own
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),  # patterns
    Column("description", Text, nullable=False),
    Column("generation", Integer, nullable=False),  # of its secret, which is stored nowhere
    Column("old_secret_until", BigInteger),  # ms; so long the generation before signs too
    Column("active", Boolean, nullable=False),
    Column("failing_since", BigInteger),  # ms; none: the last attempt succeeded
    Column("disabled_at", BigInteger),  # ms
    Column("disabled_why", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # ms
    Index("webhooks_endpoints_organization", "organization", "active"),
)

events = Table(
    "webhooks_events",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("organization", String(200), nullable=False),
    Column("type", String(200), nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # ms
    Index("webhooks_events_created_at", "created_at"),
)

#: One row for each attempt.
deliveries = Table(
    "webhooks_deliveries",
    metadata,
    Column("job", String(256), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("event", String(100), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("type", String(200), nullable=False),
    Column("outcome", String(16), nullable=False),  # delivered, failed, blocked or skipped
    Column("status", Integer),  # of the answer; none: there was no answer
    Column("why", Text, nullable=False),
    Column("took_ms", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),  # ms
    Index("webhooks_deliveries_endpoint", "endpoint", "at"),
    Index("webhooks_deliveries_event", "event"),
    Index("webhooks_deliveries_at", "at"),
)

SCHEMA = Schema("webhooks", metadata, folder_of(__file__))
