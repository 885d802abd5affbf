"""The core: what one process shares about one file. Opened by the first handle, closed by the last."""

import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import apsw

from corral.errors import StorageUnavailableError
from corral.storage.sqlite import copies
from corral.storage.sqlite.file import connect, migrate, prepare
from corral.storage.sqlite.notice import Notice
from corral.storage.sqlite.url import SqliteUrl
from corral.storage.sqlite.watch import Board, Watcher
from corral.storage.sqlite.writer import Database, Work

T = TypeVar("T")


class Core:
    """The writer thread, the reader thread, and the boards where sleepers are woken."""

    def __init__(self, url: SqliteUrl) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._users = 0
        self._writer: Database | None = None
        self._reader: Database | None = None
        self._watcher: Watcher | None = None
        self.ready = Board()
        self.events = Board()

    def open(self) -> None:
        """Open the file for the first user. Raises: StorageError and its kin."""
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            try:
                self._open()
            except BaseException:
                self._users -= 1
                raise

    def _open(self) -> None:
        if not self._url.memory:
            prepare(self._url)
            copies.opened(self._url.path)
        try:
            self._connect()
        except BaseException:
            self._closed()
            raise

    def _connect(self) -> None:
        db = connect(self._url)
        try:
            migrate(db, self._url.path)
            self._start(db)
        except BaseException:
            self._stop()
            db.close()
            raise
        if not self._url.memory:
            db.close()

    def _start(self, db: apsw.Connection) -> None:
        self._writer = self._reader = Database(self._url, write=True, committed=self._committed)
        self._writer.start(db if self._url.memory else None)
        if not self._url.memory:  # a memory store has one connection, which then also reads
            self._reader = Database(self._url, write=False, committed=self._committed)
            self._reader.start()
            notice = Notice(os.path.abspath(self._url.path) + "-wal")
            self._watcher = Watcher(connect(self._url, read_only=True), notice, self.ready, self.events)

    def close(self) -> None:
        """Close the file after the last user. Calls under way are finished; later ones are refused."""
        with self._lock:
            if self._users == 0:  # closed already
                return
            self._users -= 1
            if self._users == 0:
                self._stop()
                self._closed()

    def _stop(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
        if self._reader is not None and self._reader is not self._writer:
            self._reader.stop()
        if self._writer is not None:
            self._writer.stop()
        self._watcher = self._reader = self._writer = None
        for board in (self.ready, self.events):
            board.change(board.known())  # nobody sleeps on: whoever looks again is told that the store is closed

    def _closed(self) -> None:
        if not self._url.memory:
            copies.closed(self._url.path)

    def write(self, work: Work[T], *, brief: bool = False) -> Coroutine[Any, Any, T]:
        """Run in the next transaction; answers when it is durable. `brief` work is a matter of microseconds."""
        if self._writer is None:
            raise StorageUnavailableError(_CLOSED)
        return self._writer.call(work, brief=brief)

    async def read(self, work: Work[T], *, brief: bool = False) -> T:
        """Run on a snapshot that has everything this process has been told is written."""
        if self._reader is None:
            raise StorageUnavailableError(_CLOSED)
        return await self._reader.call(work, brief=brief)

    async def wait_ready(self, queues: frozenset[str], *, seen: int, timeout: float) -> bool:
        """Sleep until a queue may have something to claim."""
        if self._watcher is not None:
            self._watcher.need()
        return await self.ready.wait(queues, seen=seen, timeout=timeout)

    async def wait_events(self, queues: frozenset[str], *, seen: int, timeout: float) -> bool:
        """Sleep until a queue has new events."""
        if self._watcher is not None:
            self._watcher.need()
        return await self.events.wait(queues, seen=seen, timeout=timeout)

    def _committed(self, ready: set[str], told: set[str]) -> None:
        if ready:
            self.ready.change(ready)
        if told:
            self.events.change(told)


_CLOSED = "the store is not open: use `async with`"
