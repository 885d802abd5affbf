"""How old the indexes of tags and traces are: asked once a minute."""

from collections.abc import Sequence

from corral.monitor.index import coverages
from corral.storage.port import Storage
from corral.timing import Millis

EVERY_MS: Millis = 60_000


class IndexAges:
    """When each queue's index was made, where there is one."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._asked: Millis | None = None
        self._made: dict[str, Millis] = {}

    async def learn(self, queues: Sequence[str], at: Millis, now: Millis | None) -> dict[str, Millis]:
        """By queue, how old its index is."""
        if self._asked is None or not 0 <= at - self._asked < EVERY_MS:
            self._asked = at
            found = await coverages(self._storage, queues, now=now)
            self._made = {name: one.at for name, one in found.items()}
        return {name: max(0, at - made) for name, made in self._made.items()}
