"""Queues that only Node uses: nobody enters them in a list, but each has a `meta` key, and SCAN finds keys."""

import asyncio
import logging
import re

from corral.errors import StorageError, StorageUnavailableError
from corral.storage.redis.connection import Server

logger = logging.getLogger("corral.storage")

#: Seconds between two rounds through the key space.
PERIOD = 30.0
#: The most seconds one call spends on a round; it goes on with the next call. Until the first round is over a call may
#: take longer, and the very first one waits: in two seconds four million keys are looked through.
SHARE, EARLY_SHARE, FIRST_SHARE = 0.05, 0.25, 2.0
#: Keys looked at by one command: 0.6 ms of the server's time.
STEP = 5000


class Discovery:
    """Goes through the keys a little at a time, whenever somebody asks for the queues."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + ":*:meta"
        self._found: set[str] = set()
        self._round: set[str] = set()
        self._cursor = b"0"
        self._next_round = 0.0
        self._first = True
        self._asked = False
        self._refused = False
        self._lock = asyncio.Lock()

    async def names(self) -> set[str]:
        """The names found so far, at most half a minute old plus what a round takes.

        Of very many keys the first calls may not know all; each goes on where the one before it stopped.

        Raises:
            StorageUnavailableError: no answer in time.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._refused or now < self._next_round or (self._lock.locked() and not self._first):
            return self._found
        share = SHARE if not self._first else EARLY_SHARE if self._asked else FIRST_SHARE
        if not await self._mine(share):
            return self._found | self._round
        try:
            self._asked = True
            await self._look(now, now + share)
        finally:
            self._lock.release()
        return self._found | self._round if self._first else self._found

    async def _mine(self, patience: float) -> bool:
        """Wait for whoever looks now; False when that takes too long."""
        try:
            async with asyncio.timeout(patience):
                await self._lock.acquire()
        except TimeoutError:
            return False
        return True

    async def _look(self, began: float, until: float) -> None:
        loop = asyncio.get_running_loop()
        while began >= self._next_round:  # else somebody else has just done it
            if await self._step():
                self._found, self._round = self._round, set()
                self._first = False
                self._next_round = loop.time() + PERIOD
            elif loop.time() >= until:
                if self._first:
                    logger.info("queues that only Node uses are still being looked for: there are very many keys")
                return

    async def _step(self) -> bool:
        """One look; True at the end of a round."""
        try:
            [reply] = await self._server.commands(("SCAN", self._cursor, "MATCH", self._pattern, "COUNT", STEP))
        except StorageUnavailableError:
            raise
        except StorageError as error:  # an ACL without SCAN: the queues that corral has used are known all the same
            logger.info("queues that only Node uses are not listed: %s", error)
            self._refused = True
            return True
        assert isinstance(reply, list)
        cursor, keys = reply
        assert isinstance(cursor, bytes)
        assert isinstance(keys, list)
        self._cursor = cursor
        for key in keys:
            assert isinstance(key, bytes)
            name = key.decode("utf-8", "replace")[len(self._prefix) + 1 : -len(":meta")]
            if name and ":" not in name:  # else the log or the like of a job called "meta"
                self._round.add(name)
        return cursor == b"0"
