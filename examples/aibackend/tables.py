"""The platform's own tables. Conversations, messages and vectors are corral's."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

metadata = sa.MetaData()

users = sa.Table(
    "aibackend_users",
    metadata,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(320), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),  # USER or ADMIN
)

#: What is in somebody's mailbox that goes out of date: links to confirm an address, to choose a password.
tokens = sa.Table(
    "aibackend_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),  # never the token itself
    sa.Column("user_id", sa.String(128), sa.ForeignKey("aibackend_users.id"), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),  # ms
)

#: Which mails have been sent: each key once.
email_log = sa.Table(
    "aibackend_email_log",
    metadata,
    sa.Column("user_id", sa.String(128), primary_key=True),
    sa.Column("email_type", sa.String(200), primary_key=True),
    sa.Column("sent_at", sa.BigInteger, nullable=False),  # ms
)

#: What users see when they look in next time.
notifications = sa.Table(
    "aibackend_notifications",
    metadata,
    sa.Column("id", sa.String(300), primary_key=True),
    sa.Column("user_id", sa.String(128), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("job_id", sa.String(200), nullable=False),
    sa.Column("told_at", sa.BigInteger, nullable=False),  # ms
    sa.Index("aibackend_notifications_user", "user_id", "told_at"),
)

reports = sa.Table(
    "aibackend_reports",
    metadata,
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("people", sa.Integer, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
)

#: How far something has read in something else.
cursors = sa.Table(
    "aibackend_cursors",
    metadata,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("sent_at", sa.BigInteger, nullable=False),  # ms
    sa.Column("id", sa.String(128), nullable=False),
)

SCHEMA = Schema("aibackend", metadata, folder_of(__file__))
