"""Queues that only Node uses: nobody enters them in a list, but each has a `meta` key, and SCAN finds keys."""

import asyncio
import logging
import re

from corral.errors import StorageError, StorageUnavailableError
from corral.storage.redis.connection import Server

logger = logging.getLogger("corral.storage")

#: Seconds between two rounds through the key space.
PERIOD = 30.0
#: The most seconds one call spends on a round; it goes on with the next call. The first round is finished in any case.
SHARE = 0.05
#: Keys looked at by one command: 0.3 ms of the server's time.
STEP = 1000


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
        self._refused = False
        self._lock = asyncio.Lock()

    async def names(self) -> set[str]:
        """The names found so far, at most half a minute old plus what a round takes.

        Raises:
            StorageUnavailableError: no answer in time.
        """
        now = asyncio.get_running_loop().time()
        if not self._refused and now >= self._next_round and (self._first or not self._lock.locked()):
            async with self._lock:
                await self._look(now)
        return self._found

    async def _look(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        if began < self._next_round:  # somebody else has just done it
            return
        while self._first or loop.time() - began < SHARE:
            if await self._step():
                self._found, self._round = self._round, set()
                self._first = False
                self._next_round = loop.time() + PERIOD
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
