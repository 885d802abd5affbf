"""The tables of the AI handlers."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

#: Each belongs to whoever began it, and nobody else reads or writes in it.
conversations = Table(
    "ai_conversations",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("begun_at", BigInteger, nullable=False),  # ms
    Column("changed_at", BigInteger, nullable=False),  # ms
    Index("ai_conversations_owner", "owner", "changed_at"),
)

messages = Table(
    "ai_messages",
    metadata,
    Column("id", String(128), primary_key=True),  # made of the job's, so that a job that runs again adds nothing
    Column("conversation", String(128), ForeignKey("ai_conversations.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),  # from 1, in the order in which they came
    Column("role", String(16), nullable=False),  # USER or ASSISTANT
    Column("content", Text, nullable=False),
    Column("model", String(128), nullable=False),  # "" of people
    Column("tokens", Integer, nullable=False),  # that the answer cost: what it was made from and itself
    Column("sent_at", BigInteger, nullable=False),  # ms
    UniqueConstraint("conversation", "number", name="ai_messages_number"),
)

embeddings = Table(
    "ai_embeddings",
    metadata,
    Column("collection", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("text", Text, nullable=False),
    Column("model", String(128), nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # 32-bit numbers, low byte first, of length 1
    Column("stored_at", BigInteger, nullable=False),  # ms
)

SCHEMA = Schema("ai", metadata, folder_of(__file__))
