"""Fixtures of the moves: two stores, on every pair of engines."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from corral.storage.movable import movable
from corral.storage.transfer import Movable
from tests.conftest import ENGINES
from tests.redis_server import fresh_prefix, with_prefix


class Pair(NamedTuple):
    """Where two stores live that nobody has used."""

    source: str
    target: str


@pytest.fixture(params=[(a, b) for a in ENGINES for b in ENGINES], ids=lambda pair: "-to-".join(pair))
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Two stores, of each engine and of both."""

    def fresh(engine: str, name: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{tmp_path / name}.db"
        return with_prefix(request.getfixturevalue("redis_url"), fresh_prefix())

    return Pair(fresh(request.param[0], "source"), fresh(request.param[1], "target"))


@pytest.fixture
async def source(urls: Pair) -> AsyncIterator[Movable]:
    """The store that is moved, open."""
    async with movable(urls.source) as store:
        yield store


@pytest.fixture
async def target(urls: Pair) -> AsyncIterator[Movable]:
    """The store that it is moved to, open."""
    async with movable(urls.target) as store:
        yield store
