"""A cache in the store itself: one connection for jobs and for this, on either engine."""

import json
from collections.abc import Awaitable, Callable

from corral import Corral

LEDGER = "bizinsights-cache"


class Cache:
    """JSON values by key, each for some seconds."""

    def __init__(self, app: Corral) -> None:
        self._app = app

    async def get(self, key: str) -> object:
        """What was kept, None when there is nothing (any more)."""
        text = await (await self._app.open()).remember(LEDGER, key)
        return None if text is None else json.loads(text)

    async def set(self, key: str, value: object, ttl: float) -> None:
        """Keep a value for so many seconds."""
        storage = await self._app.open()
        await storage.remember(LEDGER, key, json.dumps(value), replace=True, ttl_ms=max(1, round(ttl * 1000)))

    async def delete(self, key: str) -> None:
        """Forget a value: from now on there is nothing, and in a moment not even that."""
        await self.set(key, None, 0.001)

    async def remembered(self, key: str, ttl: float, make: Callable[[], Awaitable[object]]) -> object:
        """What was kept; made and kept when there was nothing."""
        found = await self.get(key)
        if found is None:
            found = await make()
            await self.set(key, found, ttl)
        return found
