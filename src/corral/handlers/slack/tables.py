"""The tables of the Slack handler."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

#: How each workspace is doing.
workspaces = Table(
    "slack_workspaces",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("status", String(16), nullable=False),  # active, error
    Column("error", String(200), nullable=False),
    Column("changed_at", BigInteger, nullable=False),  # ms
)

users = Table(
    "slack_users",
    metadata,
    Column("workspace", String(128), primary_key=True),
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("real_name", String(200), nullable=False),
    Column("email", String(320), nullable=False),
    Column("title", String(200), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("is_bot", Boolean, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # ms
)

channels = Table(
    "slack_channels",
    metadata,
    Column("workspace", String(128), primary_key=True),
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("topic", Text, nullable=False),
    Column("members", Integer, nullable=False),
    Column("is_private", Boolean, nullable=False),
    Column("is_archived", Boolean, nullable=False),
    Column("is_member", Boolean, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # ms
)

#: `ts` is Slack's id of a message in its channel: seconds and six digits, as text of one length, so that it sorts.
messages = Table(
    "slack_messages",
    metadata,
    Column("workspace", String(128), primary_key=True),
    Column("channel", String(40), primary_key=True),
    Column("ts", String(20), primary_key=True),
    Column("user", String(40), nullable=False),
    Column("subtype", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("thread_ts", String(20), nullable=False),  # "" outside of threads
    Column("replies", Integer, nullable=False),
    Column("reactions", Integer, nullable=False),
    Column("edited", Boolean, nullable=False),
    Column("sent_at", BigInteger, nullable=False),  # ms
    Column("seen_at", BigInteger, nullable=False),  # ms
    Index("slack_messages_sent", "workspace", "sent_at"),
)

#: Where a walk through pages stands. `latest` is how far a finished one got; the rest is of one under way.
cursors = Table(
    "slack_cursors",
    metadata,
    Column("workspace", String(128), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("channel", String(40), primary_key=True),  # "" for users and channels
    Column("latest", String(20), nullable=False),
    Column("newest", String(20), nullable=False),
    Column("next", Text, nullable=False),
    Column("moved_at", BigInteger, nullable=False),  # ms
    Column("finished_at", BigInteger),  # ms
)

SCHEMA = Schema("slack", metadata, folder_of(__file__))
