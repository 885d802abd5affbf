"""Fixtures of the outbox's suite: a database of each kind, and an application on each engine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from corral import Corral
from corral.outbox import Outbox

from .postgres import programs, server
from .shop import shop

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The place of a PostgreSQL server's socket."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: initdb is neither on PATH nor in /usr/lib/postgresql")
    with server(folder) as place:
        yield place


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of the application's, as a URL for a synchronous engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shop.db'}"
    place, name = request.getfixturevalue("postgres"), f"shop_{uuid4().hex}"
    admin = sa.create_engine(f"postgresql+psycopg://test@/postgres?host={place}", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return f"postgresql+psycopg://test@/{name}?host={place}"


@pytest.fixture
def db(database: str) -> Iterator[sa.Engine]:
    """A synchronous engine on it; the tables are there."""
    made = sa.create_engine(database)
    outbox_of(database).metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
async def adb(database: str, db: sa.Engine) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine on it."""
    made = create_async_engine(database.replace("sqlite://", "sqlite+aiosqlite://"))
    yield made
    await made.dispose()


def outbox_of(database: str) -> Outbox:
    """The outbox of an application that is never opened: for its tables."""
    return Outbox(shop("sqlite:///:memory:"))


@pytest.fixture
async def app(storage_url: str) -> AsyncIterator[Corral]:
    """The application, on an open store of the engine under test."""
    async with shop(storage_url) as app:
        yield app


@pytest.fixture
def outbox(app: Corral) -> Outbox:
    """The application's outbox."""
    return Outbox(app)
