"""The tables of the check-ins handler."""

from sqlalchemy import JSON, BigInteger, Column, Date, Float, Index, Integer, MetaData, String, Table, Text

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

#: One check-in for each person and day.
responses = Table(
    "checkins_responses",
    metadata,
    Column("organization", String(128), primary_key=True),
    Column("person", String(128), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("team", String(128), nullable=False),  # "" without one
    Column("mood", Integer, nullable=False),
    Column("planned", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("answers", JSON, nullable=False),
    Column("comment", Text, nullable=False),
    Column("job", String(256), nullable=False),
    Column("sent_at", BigInteger, nullable=False),  # ms; of two about the same day the one sent later stays
    Column("stored_at", BigInteger, nullable=False),  # ms
    Index("checkins_responses_day", "organization", "day"),
)

#: A team's mood, or with team "" an organization's, in a week that ended on `last_day`.
moods = Table(
    "checkins_moods",
    metadata,
    Column("organization", String(128), primary_key=True),
    Column("team", String(128), primary_key=True),
    Column("last_day", Date, primary_key=True),
    Column("mood", Float),  # none: too few people
    Column("people", Integer, nullable=False),
    Column("replies", Integer, nullable=False),
    Column("stored_at", BigInteger, nullable=False),  # ms
)

#: What was found, once for each quiet time.
insights = Table(
    "checkins_insights",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("organization", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("day", Date, nullable=False),
    Column("level", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("job", String(256), nullable=False),
    Column("found_at", BigInteger, nullable=False),  # ms
    Column("told_at", BigInteger),  # ms; none: nobody was told yet
    Index("checkins_insights_subject", "organization", "kind", "subject", "day", unique=True),
)

SCHEMA = Schema("checkins", metadata, folder_of(__file__))
