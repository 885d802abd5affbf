"""For how long the oldest running job of a queue has run: a few queues at a time, and remembered."""

import asyncio
from collections.abc import Sequence

from corral.job import JobState
from corral.storage.port import Storage
from corral.timing import Millis

#: Queues asked in one round, running jobs looked at in each, and when one is asked again.
TOGETHER, LOOKED_AT = 20, 50
AGAIN_MS: Millis = 10_000


class Running:
    """When the oldest running jobs were started."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, tuple[Millis, Millis | None]] = {}  #: asked at, started at

    async def learn(self, queues: Sequence[str], at: Millis) -> dict[str, Millis]:
        """By queue, for how long its oldest running job has run; those that are not known yet are left out."""
        self._known = {name: self._known[name] for name in queues if name in self._known}
        due = [name for name in queues if not 0 <= at - self._asked(name, at) <= AGAIN_MS]
        due.sort(key=lambda name: (self._asked(name, at), name))
        await asyncio.gather(*(self._ask(name, at) for name in due[:TOGETHER]))
        return {name: max(0, at - started) for name, (_, started) in self._known.items() if started is not None}

    def _asked(self, name: str, at: Millis) -> Millis:
        return self._known[name][0] if name in self._known else at - 2 * AGAIN_MS

    async def _ask(self, name: str, at: Millis) -> None:
        page = await self._storage.page(name, [JobState.ACTIVE], limit=LOOKED_AT, newest_first=False, lean=True)
        started = [job.started_at for job in page.items if job.started_at is not None]
        self._known[name] = at, min(started, default=None)
