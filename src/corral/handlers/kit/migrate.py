"""Bringing the tables of a database up to date: each family's own line of alembic revisions, one process at a time."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from corral.errors import ConfigError, StorageUnavailableError, StorageVersionError

# alembic says eight lines at each start that concern nobody, four of them when it is imported; whoever wants them has
# given its logger a level.
if logging.getLogger("alembic").level == logging.NOTSET:
    logging.getLogger("alembic").setLevel(logging.WARNING)

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

#: How long a process waits for another one that migrates, or that holds the file.
PATIENCE = 60.0
#: The advisory lock of PostgreSQL under which migrations run: the letters of "corral".
ADVISORY_LOCK = int.from_bytes(b"corral", "big")
#: alembic keeps what it is working on in a module's globals.
_ALONE = threading.Lock()


class Schema(NamedTuple):
    """The tables of one family, and how they came to be."""

    name: str
    metadata: sa.MetaData
    migrations: Path  #: a folder with `versions/*.py`

    @property
    def version_table(self) -> str:
        """Where its revision is kept: each family has its own line, so they do not wait for each other's releases."""
        return f"corral_{self.name}_version"


def migrate(url: sa.URL, schemas: Iterable[Schema]) -> None:
    """Bring the tables of `schemas` to what the code knows: all of it or nothing. Blocking.

    Raises:
        StorageVersionError: a newer corral made the tables. StorageUnavailableError: the database does not answer.
    """
    with _ALONE:
        engine = _engine(url)
        try:
            with engine.begin() as connection:
                if url.get_backend_name() == "postgresql":
                    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
                for schema in schemas:
                    _upgrade(connection, schema)
        except sa.exc.OperationalError as error:
            raise StorageUnavailableError(f"database {safe(url)} cannot be used: {error.orig}") from None
        finally:
            engine.dispose()


def check(url: sa.URL, schemas: Iterable[Schema]) -> None:
    """See whether the tables of `schemas` are what the code knows, and change nothing. Blocking.

    Raises:
        ConfigError: they are older, or not there. StorageUnavailableError: the database does not answer.
    """
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            for schema in schemas:
                found = revision(connection, schema)
                wanted = _script(schema).get_current_head()
                if found != wanted:
                    raise ConfigError(
                        f"the {schema.name} tables in {safe(url)} are at revision {found}, not {wanted}: "
                        "run Database.migrate() first, or open the database with migrate=True",
                        key="migrate",
                    )
    except sa.exc.OperationalError as error:
        raise StorageUnavailableError(f"database {safe(url)} cannot be used: {error.orig}") from None
    finally:
        engine.dispose()


def revision(connection: sa.Connection, schema: Schema) -> str | None:
    """The revision at which a schema's tables are; None when it has none."""
    context = MigrationContext.configure(connection, opts={"version_table": schema.version_table})
    return context.get_current_revision()


def safe(url: sa.URL) -> str:
    """A URL that may be shown."""
    return url.render_as_string(hide_password=True)


def _upgrade(connection: sa.Connection, schema: Schema) -> None:
    config = _config(schema)
    config.attributes["connection"], config.attributes["schema"] = connection, schema
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        found = revision(connection, schema)
        raise StorageVersionError(
            f"the {schema.name} tables are at revision {found}, which this version does not know ({error}): "
            "upgrade corral"
        ) from None


def _config(schema: Schema) -> Config:
    config = Config()
    # alembic reads these as a file of settings, where % begins a reference.
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("version_locations", str(schema.migrations / "versions").replace("%", "%%"))
    return config


def _script(schema: Schema) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(schema))


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, poolclass=sa.NullPool)
    _to_wal(url)
    engine = sa.create_engine(
        url.set(drivername="sqlite"), poolclass=sa.NullPool, connect_args={"timeout": PATIENCE, "isolation_level": None}
    )

    # Python's driver begins a transaction when it sees fit, and never for CREATE TABLE: two processes would both.
    @sa.event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _to_wal(url: sa.URL) -> None:
    """Let readers and the writer go on side by side. The file remembers it.

    The switch needs the file for itself and does not wait for it, whatever the busy timeout says: so it is tried again.
    """
    assert url.database is not None
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection = sqlite3.connect(url.database, timeout=PATIENCE, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
            finally:
                connection.close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise StorageUnavailableError(f"database {safe(url)} cannot be used: {error}") from None
            time.sleep(0.02)
        except sqlite3.DatabaseError as error:
            raise StorageUnavailableError(f"database {safe(url)} cannot be used: {error}") from None
