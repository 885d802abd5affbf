"""Fixtures of the engine's suite: where a fresh store is, and an application on one, on each engine."""

from collections.abc import AsyncIterator

import pytest

from corral import Corral


@pytest.fixture
def url(storage_url: str) -> str:
    """A store for tests with more than one process or application."""
    return storage_url


@pytest.fixture
def local_url(engine: str, storage_url: str) -> str:
    """A store for one application in this process: in memory where the engine can, which is quicker than a file."""
    return "sqlite:///:memory:" if engine == "sqlite" else storage_url


@pytest.fixture
async def app(local_url: str) -> AsyncIterator[Corral]:
    """An application in this process alone."""
    async with Corral(local_url) as app:
        yield app
