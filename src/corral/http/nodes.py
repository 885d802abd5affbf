"""Workers that corral's heartbeats do not tell of: Node's, by the names of their connections. Asked now and then."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from corral.errors import CorralError
from corral.storage.checkup import clients
from corral.storage.client import Client

#: A list of connections is long on a busy server, and the same for everybody who looks.
FRESH_S = 10.0


@dataclass(eq=False)
class Nodes:
    """Remembers for some seconds who is connected."""

    seconds: Callable[[], float]
    _at: float | None = None
    _found: Sequence[Client] | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self, address: str | None) -> Sequence[Client] | None:
        """Who waits for jobs at this address; None when nobody can tell."""
        if address is None:
            return None
        async with self._lock:
            now = self.seconds()
            if self._at is None or not 0 <= now - self._at < FRESH_S:
                self._at = now
                try:
                    self._found = await clients(address)
                except CorralError:
                    self._found = None
            return self._found
