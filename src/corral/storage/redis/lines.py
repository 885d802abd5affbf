"""The connections of one handle: one that all calls share, and one for each read that blocks."""

import asyncio
import copy
import random

from corral.errors import CorralError, StorageUnavailableError
from corral.storage.redis.dial import UnreachableError
from corral.storage.redis.link import Link
from corral.storage.redis.topology import Finder
from corral.storage.redis.url import Place

#: Seconds without a byte after which a server that owes a reply is taken for dead: half of the patience, at most this.
SILENCE = 5.0
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
#: Seconds that closing waits for the replies still owed.
_FAREWELL = 1.0
_CLOSED = "the store is closed"


class Pauses:
    """How long to wait before the next attempt, in seconds: anything from nothing to a limit that doubles up to 2 s.

    So clients that one failure has brought into step do not come back in step.
    """

    def __init__(self) -> None:
        self._limit = _FIRST_PAUSE

    def next(self) -> float:
        """The next pause."""
        limit, self._limit = self._limit, min(self._limit * 2, _LONGEST_PAUSE)
        return random.uniform(0, limit)


class Lines:
    """Opens connections again and again until the patience of whoever needs one is over."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.finder = Finder(place)
        self.shared: Link | None = None
        self._silence = min(SILENCE, place.patience / 2)
        self._idle: dict[str | None, list[Link]] = {}
        self._busy: set[Link] = set()
        self._dialling: asyncio.Task[Link] | None = None
        self._waiting = 0
        self._closed = True
        self._trouble = "no attempt has ended yet"

    def open(self) -> None:
        """Allow connections. Nothing is connected yet."""
        self._closed = False

    async def close(self) -> None:
        """Drop every connection, once what was sent is done; who waits for one is told that the store is closed."""
        self._closed = True
        if self.shared is not None:
            await self.shared.drain(_FAREWELL)
        dialling, self._dialling = self._dialling, None
        if dialling is not None:
            dialling.cancel()
            await asyncio.wait((dialling,))
        links = [*self._busy, *(link for idle in self._idle.values() for link in idle)]
        self._idle.clear()
        for link in links if self.shared is None else (self.shared, *links):
            link.cut(_CLOSED)
        await asyncio.sleep(0)  # aborted transports let go of their sockets in the next turn of the loop

    async def main(self, until: float) -> Link:
        """The shared connection, made anew if it is gone; `until` is in the event loop's time.

        Raises:
            StorageUnavailableError: it could not be made in time.
            ConfigError, StorageError: the servers refuse us.
        """
        if self.shared is not None and self.shared.lost is None:
            return self.shared
        if self._closed:
            raise StorageUnavailableError(_CLOSED)
        if self.shared is not None:
            self._trouble = str(self.shared.lost)
        if self._dialling is None:  # whoever needs it waits for the same attempts: a crowd is no storm of connections
            self._dialling = asyncio.create_task(self._dial())
            self._dialling.add_done_callback(_take_note)
        dialling = self._dialling
        self._waiting += 1
        try:
            await asyncio.wait((dialling,), timeout=until - asyncio.get_running_loop().time())
        finally:
            self._waiting -= 1
            if dialling is self._dialling and (dialling.done() or not self._waiting):
                self._dialling = None
                dialling.cancel()
        return self._outcome(dialling)

    async def borrow(self, name: str | None, until: float) -> Link:
        """A connection that nobody else uses, named so at the server. Give it back, or cut it. Raises: as `main`."""
        if self._closed:
            raise StorageUnavailableError(_CLOSED)
        idle = [link for link in self._idle.pop(name, ()) if link.lost is None]
        link = idle.pop() if idle else await self._insist(None, name, until)
        self._idle.setdefault(name, []).extend(idle)
        if self._closed:  # while we connected
            link.cut(_CLOSED)
            raise StorageUnavailableError(_CLOSED)
        self._busy.add(link)
        return link

    def give_back(self, name: str | None, link: Link) -> None:
        """A borrowed connection is free again; one that was lost or cut is forgotten."""
        self._busy.discard(link)
        if link.lost is None:
            self._idle.setdefault(name, []).append(link)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _gave_up(self) -> StorageUnavailableError:
        place = self.place
        return StorageUnavailableError(
            f"no Redis server could be reached at {place} for {place.patience:g} s: {self._trouble}"
        )

    async def _dial(self) -> Link:
        self.shared = link = await self._insist(self._silence, None, None)
        return link

    def _outcome(self, dialling: asyncio.Task[Link]) -> Link:
        if not dialling.done():
            raise self._gave_up()
        if dialling.cancelled():
            raise StorageUnavailableError(_CLOSED)
        if error := dialling.exception():
            raise copy.copy(error) if isinstance(error, CorralError) else error  # several callers wait for it
        return dialling.result()

    async def _insist(self, silence: float | None, name: str | None, until: float | None) -> Link:
        loop = asyncio.get_running_loop()
        pauses = Pauses()
        while True:
            pause = pauses.next()
            try:
                return await self.finder.connect(silence=silence, name=name)
            except UnreachableError as error:
                self._trouble = str(error)
            if self._closed:
                raise StorageUnavailableError(_CLOSED)
            if until is not None and loop.time() + pause >= until:
                raise self._gave_up()
            await asyncio.sleep(pause)


def _take_note(dialling: asyncio.Task[Link]) -> None:
    """Its error is told to those who wait. When they all have gone there is nobody left to complain to."""
    if not dialling.cancelled():
        dialling.exception()
