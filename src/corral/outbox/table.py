"""The two tables of an outbox, on whatever `MetaData` the application's migrations look at."""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

#: SQLite numbers rows by itself only where the column is called INTEGER.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")


class Tables:
    """`corral_outbox`: a row per job that is still to be carried. `corral_outbox_lease`: who carries a queue's."""

    def __init__(self, metadata: MetaData | None = None, *, name: str = "corral_outbox") -> None:
        self.metadata = MetaData() if metadata is None else metadata
        self.jobs = Table(
            name,
            self.metadata,
            Column("id", _NUMBER, primary_key=True, autoincrement=True),
            Column("queue", String(128), nullable=False),
            Column("job_id", String(256), nullable=False),
            Column("body", Text, nullable=False),  # NewJob as JSON; its payload passed the codecs already
            Column("created_at", BigInteger, nullable=False),  # ms
            Column("tried_at", BigInteger),  # ms; a relay was about to add it, and has not said what came of it
            Column("reason", Text),  # set aside: why it cannot be added
            Index(f"{name}_queue", "queue", "id"),
        )
        self.leases = Table(
            f"{name}_lease",
            self.metadata,
            Column("queue", String(128), primary_key=True),
            Column("owner", String(64), nullable=False),
            Column("until", BigInteger, nullable=False),  # ms
        )
