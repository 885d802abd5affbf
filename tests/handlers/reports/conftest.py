"""Fixtures: a database, a shelf on it, and a queue's desk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corral.handlers.kit.database import Database
from corral.handlers.reports import SCHEMA, FolderShelf, Links

from .samples import now

SECRET = "s" * 32


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database with the table of documents, of either kind."""
    made = Database(app_database)
    made.needs(SCHEMA)
    async with made:
        yield made


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """An open SQLite database with the table of documents."""
    made = Database(f"sqlite:///{tmp_path}/app.db")
    made.needs(SCHEMA)
    async with made:
        yield made


@pytest.fixture
def shelf(sqlite: Database, tmp_path: Path) -> FolderShelf:
    """A shelf whose documents can be linked to."""
    links = Links([SECRET], "https://example.org/reports")
    return FolderShelf(tmp_path / "shelf", sqlite, links=links, clock=now)
