"""How a store is, and what contradicts itself in it. Beside `connect` and `movable`, adapters are named here."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

from corral.storage.client import Client
from corral.storage.connect import check_url
from corral.storage.flaw import Flaw
from corral.storage.vital import Vital


async def checkup(url: str) -> list[Vital]:
    """What the store at this URL, whose driver is installed, says about itself: version, persistence, room, speed.

    Raises:
        ConfigError: a URL that cannot be meant. StorageError: it cannot be opened.
    """
    check_url(url)
    if _is_file(url):
        from corral.storage.sqlite import vitals as file  # as in connect(): only for who asks

        return await asyncio.to_thread(file.vitals, url)
    from corral.storage.redis.store import RedisStorage

    async with RedisStorage(url) as store:
        return await store.vitals()


async def clients(url: str) -> list[Client] | None:
    """Who waits for jobs on a connection to this server, Node's workers among them; None when it does not tell.

    Raises:
        ConfigError: a URL that cannot be meant. StorageError: it cannot be opened.
    """
    check_url(url)
    if _is_file(url):
        return []  # only corral works on a file, and its workers tell of themselves
    from corral.storage.redis.store import RedisStorage

    async with RedisStorage(url) as store:
        return await store.clients()


async def contradictions(url: str, queues: Sequence[str]) -> list[Flaw]:
    """What contradicts itself in these queues. A store in memory is only seen by its own process: nothing is found.

    Raises:
        ConfigError: a URL that cannot be meant. StorageError: it cannot be opened.
    """
    check_url(url)
    if _is_file(url):
        from corral.storage.sqlite import flaws as file

        return await asyncio.to_thread(file.flaws, url)
    from corral.storage.redis.store import RedisStorage

    async with RedisStorage(url) as store:
        return await store.flaws(queues)


async def settle_contradictions(url: str, flaw: Flaw) -> bool:
    """Put one of them right, as far as it is still there; whether anything was changed.

    Raises:
        ConfigError: a URL that cannot be meant. StorageError: it cannot be opened.
    """
    check_url(url)
    if _is_file(url):
        from corral.storage.sqlite import flaws as file

        return await asyncio.to_thread(file.mend, url, flaw)
    from corral.storage.redis.store import RedisStorage

    async with RedisStorage(url) as store:
        return await store.mend(flaw)


def _is_file(url: str) -> bool:
    return urlsplit(url).scheme == "sqlite"
