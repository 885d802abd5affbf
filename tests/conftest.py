"""Fixtures shared by every suite: a fresh store per test, on each engine there is."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from corral.storage.connect import connect
from corral.storage.port import Storage

#: Each engine that must pass the conformance suite. No test knows which one it runs on.
ENGINES = ("sqlite",)


def url_for(engine: str, directory: Path) -> str:
    """A URL of a store of this engine that nobody has used yet."""
    urls = {"sqlite": f"sqlite:///{directory / 'corral.db'}"}
    return urls[engine]


@pytest.fixture(params=ENGINES)
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a fresh store of the engine under test lives."""
    return url_for(request.param, tmp_path)


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
