"""The tables of the notifications handler."""

from sqlalchemy import JSON, BigInteger, Column, Date, Index, MetaData, String, Table, Text

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

#: What people see in the application.
inbox = Table(
    "notifications_inbox",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(128), nullable=False),
    Column("person", String(128), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("title", String(200), nullable=False),
    Column("message", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # ms
    Column("read_at", BigInteger),  # ms
    Index("notifications_inbox_person", "organization", "person", "created_at"),
)

#: Browsers that want pushes.
subscriptions = Table(
    "notifications_subscriptions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(128), nullable=False),
    Column("person", String(128), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("p256dh", String(100), nullable=False),
    Column("auth", String(30), nullable=False),
    Column("created_at", BigInteger, nullable=False),  # ms
    Index("notifications_subscriptions_person", "organization", "person"),
)

kudos = Table(
    "notifications_kudos",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(128), nullable=False),
    Column("sender", String(128), nullable=False),
    Column("recipient", String(128), nullable=False),
    Column("message", Text, nullable=False),
    Column("value", String(200), nullable=False),
    Column("day", Date, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # ms
    Index("notifications_kudos_day", "organization", "day"),
)

achievements = Table(
    "notifications_achievements",
    metadata,
    Column("organization", String(128), primary_key=True),
    Column("person", String(128), primary_key=True),
    Column("achievement", String(128), primary_key=True),
    Column("title", String(200), nullable=False),
    Column("job", String(320), nullable=False),
    Column("day", Date, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # ms
)

SCHEMA = Schema("notifications", metadata, folder_of(__file__))
