"""The platform's own table; what the ready-made families keep, they bring along."""

import sqlalchemy as sa

from corral.handlers.kit.database import Schema, folder_of

METADATA = sa.MetaData()

ORGANIZATIONS = sa.Table(
    "bizinsights_organizations",
    METADATA,
    sa.Column("id", sa.String(100), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("plan", sa.String(20), nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("admins", sa.JSON, nullable=False),  #: addresses
)

SCHEMA = Schema("bizinsights", METADATA, folder_of(__file__))
