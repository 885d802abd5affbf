"""Databases for the handlers' tests, and what their migrations are measured by."""

import asyncio
from uuid import uuid4

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from corral.handlers.kit.database import Database, Schema

#: Both kinds; the fixture `app_database` is made for each.
KINDS = ("sqlite", "postgresql")


def fresh_postgres(place: str) -> str:
    """The URL of a new database on the server whose socket is at `place`."""
    name = f"app_{uuid4().hex}"
    admin = sa.create_engine(
        f"postgresql+psycopg://test@/postgres?host={place}", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return f"postgresql://test@/{name}?host={place}"


async def differences(url: str, schema: Schema) -> list[object]:
    """How the tables that the migrations make differ from those that the code declares. Opens the database twice."""
    found: list[object] = []
    for _ in range(2):  # the second time there is nothing left to do
        database = Database(url)
        database.needs(schema)
        async with database, database.connect() as connection:
            found = await connection.run_sync(lambda sync: _differences(sync, schema))
    return found


async def opened_at_once(url: str, schema: Schema, *, count: int = 4) -> list[str | None]:
    """The revisions that several find who open a new database at the same time, each with an engine of its own."""

    async def one() -> str | None:
        database = Database(url)
        database.needs(schema)
        async with database, database.connect() as connection:
            answer: str | None = await connection.scalar(sa.text(f"SELECT version_num FROM {schema.version_table}"))
        return answer

    return await asyncio.gather(*(one() for _ in range(count)))


def _differences(connection: sa.Connection, schema: Schema) -> list[object]:
    mine = set(schema.metadata.tables)

    def ours(item: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
        return kind != "table" or name in mine  # another family's tables are none of this one's business

    options = {"version_table": schema.version_table, "include_object": ours}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata))
