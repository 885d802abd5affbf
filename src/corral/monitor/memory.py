"""Whether the server throws jobs away when its memory is full: asked once a minute, and remembered for an hour."""

from collections import deque

from msgspec import Struct

from corral.storage.port import Storage
from corral.timing import Millis

#: The policy with which full memory refuses new jobs and throws none away.
SAFE = "noeviction"
EVERY_MS: Millis = 60_000
WINDOW_MS: Millis = 3_600_000


class Memory(Struct, frozen=True, kw_only=True):
    """What is known of the server's memory. A store without a server has nothing of it."""

    policy: str = ""
    limit_bytes: int = 0  #: 0: no limit
    evicted: int = 0  #: keys that were thrown away within the hour, as far as anybody looked
    over_ms: Millis = 0  #: for how long somebody has looked

    @property
    def is_unsafe(self) -> bool:
        """Whether jobs go once the memory is full."""
        return self.policy not in ("", SAFE) and self.limit_bytes > 0


class MemoryWatch:
    """Looks at the server's memory now and then."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._seen: deque[tuple[Millis, int]] = deque()
        self._asked: Millis | None = None
        self._known = Memory()

    async def look(self, at: Millis) -> Memory:
        """What is known, at most a minute old."""
        if self._asked is not None and 0 <= at - self._asked < EVERY_MS:
            return self._known
        engine = await self._storage.engine()
        self._asked = at
        evicted = self._evicted(engine.evicted_keys or 0, at)
        self._known = Memory(
            policy=engine.eviction_policy, limit_bytes=engine.memory_limit_bytes or 0, evicted=evicted,
            over_ms=at - self._seen[0][0],
        )  # fmt: skip
        return self._known

    def _evicted(self, count: int, at: Millis) -> int:
        if self._seen and (count < self._seen[-1][1] or at < self._seen[-1][0]):  # a new server, or a clock set back
            self._seen.clear()
        self._seen.append((at, count))
        while at - self._seen[0][0] > WINDOW_MS:
            self._seen.popleft()
        return count - self._seen[0][1]
