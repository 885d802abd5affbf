"""The tables of the metrics handler."""

from sqlalchemy import JSON, BigInteger, Column, Date, Float, Index, Integer, MetaData, String, Table

from corral.handlers.kit.database import Schema, folder_of

metadata = MetaData()

#: What people did: a row for each job that said so.
activities = Table(
    "metrics_activities",
    metadata,
    Column("id", String(320), primary_key=True),
    Column("organization", String(128), nullable=False),
    Column("person", String(128), nullable=False),
    Column("team", String(128), nullable=False),  # "" without one
    Column("day", Date, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("count", Integer, nullable=False),
    Column("value", Float),
    Index("metrics_activities_day", "organization", "day"),
)

#: A figure for each organization or team, kind and period.
figures = Table(
    "metrics_figures",
    metadata,
    Column("organization", String(128), primary_key=True),
    Column("team", String(128), primary_key=True),  # "" for the whole organization
    Column("metric", String(32), primary_key=True),
    Column("period", String(16), primary_key=True),
    Column("first_day", Date, primary_key=True),
    Column("last_day", Date, nullable=False),
    Column("value", Float),
    Column("previous", Float),
    Column("parts", JSON, nullable=False),
    Column("note", String(200), nullable=False),
    Column("stored_at", BigInteger, nullable=False),  # ms
)

SCHEMA = Schema("metrics", metadata, folder_of(__file__))
