"""Foreign: jobs added over the application's own connection, in its own transaction.

The tables are the same and the code is the same; only who begins and commits differs. Workers hear of the commit as of
any other process's: the watcher's connection sees that the file has changed.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

import apsw

from corral.errors import ConfigError, StorageVersionError
from corral.job import NewJob
from corral.storage.port import Added
from corral.storage.sqlite.add import add
from corral.storage.sqlite.copies import used_by_other
from corral.storage.sqlite.file import SCHEMA
from corral.storage.sqlite.unit import Unit
from corral.storage.sqlite.url import parse
from corral.timing import now_ms

#: The first SQLite whose UPDATE … RETURNING and whose errors inside of transactions are as the statements expect.
OLDEST = (3, 37, 0)
_WHAT = "a connection of sqlite3, apsw or SQLAlchemy"


class Cursor(Protocol):
    """What a statement answers."""

    def fetchone(self) -> Any: ...  # noqa: ANN401  # a row's types are its columns'

    def fetchall(self) -> Any: ...  # noqa: ANN401


Execute: TypeAlias = Callable[[str, tuple[Any, ...]], Cursor]


class Foreign:
    """The few methods of a connection that `Unit` and `add` use, over somebody else's."""

    def __init__(self, execute: Execute) -> None:
        self.execute_one = execute

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement."""
        return self.execute_one(sql, tuple(values))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        for row in rows:
            self.execute_one(sql, tuple(row))


def add_with(url: str, connection: object, jobs: Sequence[NewJob]) -> list[Added]:
    """See `corral.storage.inside.add_inside`."""
    place = parse(url)
    if place.memory:
        raise ConfigError("a store in memory has one connection, its own: no other one can add to it", key="connection")
    foreign = Foreign(_execute_of(connection))
    _check_file(foreign, place.path)
    if not isinstance(connection, apsw.Connection):
        used_by_other(place.path)
    _check_schema(foreign, place.path)
    unit = Unit(cast(apsw.Connection, foreign))  # it uses nothing else of it
    foreign.execute("SAVEPOINT corral_add")  # what is refused half-way must not stay in the application's transaction
    try:
        added = add(unit, jobs, now_ms())
        unit.flush()
    except BaseException:
        foreign.execute("ROLLBACK TO corral_add")
        raise
    finally:
        foreign.execute("RELEASE corral_add")
    return added


def _execute_of(connection: Any) -> Execute:  # noqa: ANN401  # told apart by what it can do
    """How to run a statement in the connection's transaction; begins one where it would begin by itself."""
    if isinstance(connection, sqlite3.Connection):
        return _stdlib(connection)
    if isinstance(connection, apsw.Connection):
        if not connection.in_transaction:
            raise _no_transaction("run BEGIN IMMEDIATE first")
        return connection.execute
    if hasattr(connection, "run_sync"):
        raise ConfigError(
            "an asynchronous session or connection goes through run_sync: "
            "`await session.run_sync(app.add_in, job, data)`",
            key="connection",
        )
    if hasattr(connection, "get_bind") and hasattr(connection, "connection"):  # SQLAlchemy's Session
        connection = connection.connection()
    if hasattr(connection, "exec_driver_sql"):
        return _sqlalchemy(connection)
    raise ConfigError(f"add_in needs {_WHAT}, not {type(connection).__name__}", key="connection")


def _stdlib(connection: sqlite3.Connection) -> Execute:
    if not connection.in_transaction:
        if connection.isolation_level is None or getattr(connection, "autocommit", None) is True:
            raise _no_transaction("run BEGIN IMMEDIATE first, or leave isolation_level as it is")
        connection.execute("BEGIN IMMEDIATE")  # as it would itself at the first INSERT; our first statement is a SELECT
    if sqlite3.sqlite_version_info < OLDEST:
        raise StorageVersionError(f"this Python's SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")

    def execute(sql: str, values: tuple[Any, ...]) -> Cursor:
        cursor = connection.cursor()
        cursor.row_factory = None  # the application's may make dictionaries
        return cursor.execute(sql, values)

    return execute


def _sqlalchemy(connection: Any) -> Execute:  # noqa: ANN401  # not imported here
    if connection.dialect.name != "sqlite":
        raise ConfigError(
            f"the store is an SQLite file and the connection is {connection.dialect.name}'s: use corral.outbox",
            key="connection",
        )
    connection.exec_driver_sql("SELECT 1")  # SQLAlchemy begins a transaction with the first statement
    driver = connection.connection.driver_connection
    if not driver.in_transaction:  # the driver's begins with the first INSERT, and releasing a savepoint would commit
        if driver.isolation_level is None:
            raise _no_transaction("its isolation level is AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def execute(sql: str, values: tuple[Any, ...]) -> Cursor:
        return cast(Cursor, connection.exec_driver_sql(sql, values))

    return execute


def _no_transaction(hint: str) -> ConfigError:
    return ConfigError(
        f"the connection is in no transaction, so the job could not belong to one: {hint}", key="connection"
    )


def _check_file(foreign: Foreign, path: str) -> None:
    files = {row[1]: row[2] for row in foreign.execute("PRAGMA database_list").fetchall()}
    main = files.get("main") or ""
    try:
        same = os.path.samefile(main, path)
    except OSError:
        same = False
    if not same:
        raise ConfigError(
            f"the connection is on {main or 'a database in memory'} and the store on {os.path.abspath(path)}: "
            "jobs can only be added in a transaction of the same file (for others there is corral.outbox)",
            key="connection",
        )


def _check_schema(foreign: Foreign, path: str) -> None:
    there = foreign.execute("SELECT 1 FROM sqlite_schema WHERE name = 'corral_meta'").fetchone()
    row = foreign.execute("SELECT value FROM corral_meta WHERE key = 'schema'").fetchone() if there else None
    if row is None or row[0] != SCHEMA:
        found = "has no tables of corral yet" if row is None else f"is of schema {row[0]}, this corral's is {SCHEMA}"
        raise StorageVersionError(
            f"{path} {found}: open the application once (`async with app`), which brings it there"
        )
