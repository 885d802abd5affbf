"""A server's clock that jumps ahead ends no lease: what looks dead is left alone for as long as a lease."""

from collections.abc import AsyncIterator

import pytest

from corral.storage.connect import connect
from corral.storage.port import Storage
from corral.storage.redis.connection import Server
from corral.storage.redis.leases import Leases
from corral.storage.redis.url import parse
from tests.redis_server import fresh_prefix, with_prefix
from tests.storage.helpers import QUEUE, add_ids, start


@pytest.fixture
def url(redis_url: str) -> str:
    return with_prefix(redis_url, fresh_prefix())


@pytest.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    async with connect(url) as store:
        yield store


async def test_after_a_jump_nothing_is_recovered_for_one_lease(storage: Storage, url: str) -> None:
    ours = 10_000.0
    place = parse(url)
    server = Server(place)
    await server.open()
    leases = Leases(server, place.prefix, monotonic=lambda: ours)
    assert (await leases.recover(QUEUE, 2, 500, None)).requeued == ()  # the two clocks have met
    await add_ids(storage, "a")
    await start(storage)  # at a time long ago: by the server's clock this lease has run out
    ours -= 3_600.0  # by our clock the server is an hour ahead of where it should be
    assert (await leases.recover(QUEUE, 2, 500, None)).requeued == ()
    ours += leases.lease_ms / 1000 - 1
    assert (await leases.recover(QUEUE, 2, 500, None)).requeued == ()
    ours += 2
    assert (await leases.recover(QUEUE, 2, 500, None)).requeued == ("a",)
    await server.close()
