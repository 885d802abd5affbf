"""`checkup(url)`: how a store is. Beside `connect` and `movable` the one place where adapters are named."""

import asyncio
from urllib.parse import urlsplit

from corral.storage.connect import check_url
from corral.storage.vital import Vital


async def checkup(url: str) -> list[Vital]:
    """What the store at this URL, whose driver is installed, says about itself: version, persistence, room, speed.

    Raises:
        ConfigError: a URL that cannot be meant. StorageError: it cannot be opened.
    """
    check_url(url)
    if urlsplit(url).scheme == "sqlite":
        from corral.storage.sqlite import vitals as file  # as in connect(): only for who asks

        return await asyncio.to_thread(file.vitals, url)
    from corral.storage.redis.store import RedisStorage

    async with RedisStorage(url) as store:
        return await store.vitals()
