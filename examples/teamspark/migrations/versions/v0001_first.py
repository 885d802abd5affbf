"""People and sessions."""

import sqlalchemy as sa
from alembic import op

revision = "teamspark_0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "teamspark_people",
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("lead", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "id"),
    )
    op.create_table(
        "teamspark_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
