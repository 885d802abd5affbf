"""The first tables of the checkins handler."""

import sqlalchemy as sa
from alembic import op

revision = "checkins_0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "checkins_insights",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("job", sa.String(length=256), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "checkins_insights_subject", "checkins_insights", ["organization", "kind", "subject", "day"], unique=True
    )
    op.create_table(
        "checkins_moods",
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("mood", sa.Float(), nullable=True),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("replies", sa.Integer(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "team", "last_day"),
    )
    op.create_table(
        "checkins_responses",
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("mood", sa.Integer(), nullable=False),
        sa.Column("planned", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("answers", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("job", sa.String(length=256), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "person", "day"),
    )
    op.create_index("checkins_responses_day", "checkins_responses", ["organization", "day"], unique=False)
