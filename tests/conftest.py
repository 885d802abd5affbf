"""Fixtures shared by every suite: a fresh store per test, on each engine there is."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.redis_server import fresh_prefix, shared_server, with_prefix

#: Each engine that must pass the conformance suite. No test knows which one it runs on.
ENGINES = ("sqlite", "redis")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis or Valkey server for all tests of this process."""
    with shared_server() as url:
        yield url


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine under test: a fixture for fixtures, never for a test."""
    return str(request.param)


@pytest.fixture
def storage_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a fresh store of the engine under test lives."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path / 'corral.db'}"
    return with_prefix(request.getfixturevalue("redis_url"), fresh_prefix())


@pytest.fixture
async def storage(storage_url: str) -> AsyncIterator[Storage]:
    """A fresh, open store."""
    async with connect(storage_url) as store:
        yield store


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a test sets up for its logs is gone with it: another one may count the lines."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("corral", "corral.queue", "corral.worker"))]
    before = [(one, one.level, one.propagate, list(one.handlers)) for one in loggers]
    yield
    for one, level, propagate, handlers in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = handlers
