"""Fixtures of the interop suite: a real server, the real BullMQ in a Node process, and a prefix per test."""

import shutil
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import redis.asyncio

from corral.queue import Queue
from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.redis_server import fresh_prefix, shared_server, with_prefix

from . import npm
from .keys import Keys
from .node import Bull, Node


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A server of this test process, or the one of `CORRAL_TEST_REDIS_URL`."""
    with shared_server() as url:
        yield url


@pytest.fixture(scope="session")
def node_program() -> str:
    """Where Node is, its packages installed. Skips where there is no Node."""
    reason = npm.missing_program()
    if reason is not None:
        pytest.skip(reason)
    npm.install()
    return shutil.which("node") or "node"


@pytest.fixture(scope="session")
def node(node_program: str) -> Iterator[Node]:
    """The Node process that all tests of this process share."""
    process = Node(node_program)
    yield process
    process.stop()


@pytest.fixture
def prefix() -> str:
    """A key prefix that nobody else uses."""
    return fresh_prefix()


@pytest.fixture
def store_url(server_url: str, prefix: str) -> str:
    """Where corral finds the test's keys."""
    return with_prefix(server_url, prefix)


@pytest.fixture
async def client(server_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain client, to look at the keys themselves."""
    async with redis.asyncio.Redis.from_url(server_url, decode_responses=True) as connection:
        yield connection


@pytest.fixture
async def keys(client: redis.asyncio.Redis, prefix: str) -> AsyncIterator[Keys]:
    """The test's keys; they are deleted when it ends."""
    mine = Keys(client, prefix)
    yield mine
    await mine.clear()


def node_connection(url: str) -> dict[str, object]:
    """The same server in the words of Node's client."""
    parts = urlsplit(url)
    facts = {"host": parts.hostname, "port": parts.port, "username": parts.username, "password": parts.password}
    return {"db": int(parts.path.strip("/") or 0), **{key: value for key, value in facts.items() if value is not None}}


@pytest.fixture
async def bull(node: Node, server_url: str, keys: Keys) -> AsyncIterator[Bull]:
    """BullMQ under the test's prefix. What it reports as an error fails the test."""
    mine = Bull(node, node_connection(server_url), keys)
    yield mine
    assert await mine.close() == []


@pytest.fixture
async def storage(store_url: str, keys: Keys) -> AsyncIterator[Storage]:
    """corral's store over the test's keys."""
    async with connect(store_url) as store:
        yield store


@pytest.fixture
def mail(storage: Storage) -> Queue:
    """corral's handle of the usual queue."""
    return Queue("mail", storage)


@pytest.fixture(params=[6, 5], ids=["bullmq6", "bullmq5"])
def major(request: pytest.FixtureRequest) -> int:
    """Which BullMQ."""
    version: int = request.param
    return version
