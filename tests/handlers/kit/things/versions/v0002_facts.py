"""Things have facts, a time and owners; and a smaller key."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns, change one and make a table that refers to the first."""
    with op.batch_alter_table("test_things") as table:
        table.add_column(sa.Column("facts", sa.JSON))
        table.add_column(sa.Column("seen_at", sa.BigInteger))
        table.alter_column("id", existing_type=sa.String(64), type_=sa.String(40))
    op.create_table(
        "test_owners",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("thing", sa.String(40), sa.ForeignKey("test_things.id"), nullable=False),
    )
