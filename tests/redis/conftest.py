"""Servers for the tests of connections."""

from collections.abc import AsyncIterator, Iterator

import pytest

from corral.storage.redis.connection import Server
from tests.redis.helpers import opened
from tests.redis_server import RedisServer, fresh_prefix, shared_server, with_prefix


@pytest.fixture(scope="session")
def shared_url() -> Iterator[str]:
    """A server that many tests use at once."""
    with shared_server() as url:
        yield url


@pytest.fixture
def url(shared_url: str) -> str:
    """A place on the shared server that no other test uses."""
    return with_prefix(shared_url, fresh_prefix())


@pytest.fixture
async def server(url: str) -> AsyncIterator[Server]:
    """An open handle onto that place."""
    async with opened(url) as one:
        yield one


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that this test may ill-treat."""
    with RedisServer() as one:
        yield one
