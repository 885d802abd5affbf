"""The application's own database: SQLite by default, PostgreSQL by URL, and the tables that handlers bring along.

Handlers speak SQLAlchemy Core to it. It is not corral's store: jobs are there, and here is what they work on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from corral.app.app import Corral
from corral.errors import ConfigError, RegistrationError
from corral.handlers.kit.extra import need
from corral.handlers.kit.migrate import Schema, check, migrate, safe

__all__ = ["Database", "Row", "Schema", "folder_of"]

#: A row as it is written: columns by name.
Row = Mapping[str, object]
#: Rows in one statement: a transaction of many thousand rows stays a matter of milliseconds at a time.
BATCH = 500
#: How long a writer waits for another one, in seconds.
BUSY = 10
_READS = {"corral_reads": True}


class Database:
    """A database, with the tables of those who said that they need some. Making one does no I/O.

    Args:
        url: `sqlite:///file.db` or `postgresql://user:password@host/name`.
        migrate: bring the tables up to date when it is opened; else only see whether they are.

    Raises:
        ConfigError: another kind of database, or one in memory, which every connection would have for itself.
    """

    def __init__(self, url: str | SecretStr = "sqlite:///app.db", *, migrate: bool = True) -> None:
        self._url = _parse(url.get_secret_value() if isinstance(url, SecretStr) else url)
        self._migrates = migrate
        self._schemas: dict[str, Schema] = {}
        self._ready: set[str] = set()
        self._engine: AsyncEngine | None = None
        self._holders = 0
        self._apps: list[Corral] = []
        self._lock = asyncio.Lock()
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._writing: set[asyncio.Task[object] | None] = set()

    def __repr__(self) -> str:
        return f"<Database {safe(self._url)}: {', '.join(self._schemas) or 'no tables'}>"

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """Whose tables it has."""
        return tuple(self._schemas.values())

    # -- tables ------------------------------------------------------------------------------------------------------

    def needs(self, schema: Schema) -> None:
        """Have the tables of `schema` there. Saying so twice is once.

        Raises:
            RegistrationError: another schema has that name.
        """
        known = self._schemas.setdefault(schema.name, schema)
        if known != schema:
            raise RegistrationError(f"a schema {schema.name!r} is declared already, with other tables")

    async def migrate(self) -> None:
        """Bring all tables up to date: what opening does, unless it was told not to.

        Raises:
            StorageVersionError: a newer corral made them. StorageUnavailableError: the database does not answer.
        """
        await self._prepare(migrating=True)

    async def _prepare(self, *, migrating: bool) -> None:
        missing = [schema for name, schema in self._schemas.items() if name not in self._ready]
        if missing:
            await asyncio.to_thread(migrate if migrating else check, self._url, missing)
            self._ready |= {schema.name for schema in missing}

    # -- its life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and bring the tables up to date. Whoever opens it closes it; the last one really does.

        Raises:
            ConfigError: the tables are not up to date and it was told not to migrate.
            StorageVersionError: a newer corral made them. StorageUnavailableError: the database does not answer.
        """
        async with self._lock:
            if self._engine is None:
                await self._prepare(migrating=self._migrates)
                self._engine = _connected(self._url)
            self._holders += 1

    async def close(self) -> None:
        """Let go of it. It can be opened again."""
        async with self._lock:
            self._holders = max(0, self._holders - 1)
            if self._holders == 0 and self._engine is not None:
                engine, self._engine = self._engine, None
                self._ready.clear()  # whoever opens it next may find another file there
                await engine.dispose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def attach(self, app: Corral) -> None:
        """Open it when a worker of the application starts, and close it when that has stopped. Twice is once."""
        if not any(known is app for known in self._apps):
            self._apps.append(app)
            app.on_startup(self.open)
            app.on_shutdown(self.close)

    # -- reading and writing -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write: committed at the end of the block, undone when that raises.

        On SQLite there is one writer at a time: those of this process come in turn, others wait for at most 10 s.

        Raises:
            ConfigError: the database is not open, or the task that asks has a transaction of it open already: it would
                wait for itself.
        """
        engine, task = await self._opened(), asyncio.current_task()
        if task in self._writing:
            raise ConfigError("this task has a transaction open already: hand its connection on", key="database")
        self._writing.add(task)
        try:
            async with self._turn(), engine.begin() as connection:
                yield connection
        finally:
            self._writing.discard(task)

    def _turn(self) -> AbstractAsyncContextManager[object]:
        """On SQLite the writers of this process come in turn: its own waiting is no queue, and may pass one over."""
        if self.dialect != "sqlite":
            return nullcontext()
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = (loop, asyncio.Lock())
        return self._turns[1]

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading: one moment's view, which waits for no writer. What it writes is undone.

        Raises:
            ConfigError: the database is not open.
        """
        async with (await self._opened()).execution_options(**_READS).connect() as connection:
            yield connection

    async def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise ConfigError(
                "the database is not open: database.attach(app) opens it with the worker, `async with database` now",
                key="database",
            )
        if len(self._ready) < len(self._schemas):  # somebody came with tables after it was opened
            async with self._lock:
                await self._prepare(migrating=self._migrates)
        return self._engine

    async def upsert(
        self, connection: AsyncConnection, table: sa.Table, rows: Sequence[Row], *, key: Sequence[str],
        keep: Sequence[str] = (),
    ) -> int:  # fmt: skip
        """Write rows, each in place of the one that has its `key`; answers how many were handed in.

        Args:
            key: the columns of a primary key or of a unique constraint.
            keep: columns that stay as they are in a row that is there already, such as when it was first seen.
        """
        dialect = sqlite if self.dialect == "sqlite" else postgresql
        for names, alike in groupby(rows, key=tuple):
            statement = dialect.insert(table)
            changed = {name: statement.excluded[name] for name in names if name not in key and name not in keep}
            if changed:
                statement = statement.on_conflict_do_update(index_elements=list(key), set_=changed)
            else:
                statement = statement.on_conflict_do_nothing(index_elements=list(key))
            several = [dict(row) for row in alike]
            for start in range(0, len(several), BATCH):
                await connection.execute(statement, several[start : start + BATCH])
        return len(rows)


def _parse(text: str) -> sa.URL:
    try:
        url = sa.make_url(text.replace("postgres://", "postgresql://", 1) if text.startswith("postgres://") else text)
    except sa.exc.ArgumentError:  # its message would show the password
        raise ConfigError("the database URL cannot be read; write sqlite:///app.db", key="database") from None
    kind = url.get_backend_name()
    if kind == "sqlite":
        if url.database in (None, "", ":memory:") or "mode" in url.query:
            raise ConfigError("a database in memory cannot be shared; write sqlite:///app.db", key="database")
        return url.set(drivername="sqlite+aiosqlite")
    if kind == "postgresql":
        need("postgres", "psycopg")
        return url.set(drivername="postgresql+psycopg").update_query_dict(
            {} if "connect_timeout" in url.query else {"connect_timeout": "10"}
        )
    raise ConfigError(
        f"database {kind!r} is not known; write sqlite:///app.db or postgresql://host/name", key="database"
    )


def _connected(url: sa.URL) -> AsyncEngine:
    if url.get_backend_name() == "postgresql":
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": BUSY, "isolation_level": None})

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # What a job did must be there when the job is settled: the store flushes that, so this one flushes too.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _(connection: sa.Connection) -> None:
        # Whoever begins by reading and then writes cannot wait its turn: the row it read may be old by then.
        reads = connection.get_execution_options().get("corral_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def folder_of(file: str) -> Path:
    """The folder `migrations` beside a module: `Schema("sync", metadata, folder_of(__file__))`."""
    return Path(file).with_name("migrations")
