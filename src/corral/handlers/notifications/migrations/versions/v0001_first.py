"""The first tables of the notifications handler."""

import sqlalchemy as sa
from alembic import op

revision = "notifications_0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "notifications_achievements",
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("achievement", sa.String(length=128), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("job", sa.String(length=320), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "person", "achievement"),
    )
    op.create_table(
        "notifications_inbox",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "notifications_inbox_person", "notifications_inbox", ["organization", "person", "created_at"], unique=False
    )
    op.create_table(
        "notifications_kudos",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("sender", sa.String(length=128), nullable=False),
        sa.Column("recipient", sa.String(length=128), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notifications_kudos_day", "notifications_kudos", ["organization", "day"], unique=False)
    op.create_table(
        "notifications_subscriptions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization", sa.String(length=128), nullable=False),
        sa.Column("person", sa.String(length=128), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("p256dh", sa.String(length=100), nullable=False),
        sa.Column("auth", sa.String(length=30), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "notifications_subscriptions_person", "notifications_subscriptions", ["organization", "person"], unique=False
    )
