"""Waking: who waits for which queue, and how changes made by other processes are noticed.

Within a process a commit wakes waiters at once. Other processes' commits are seen through `PRAGMA data_version`, which
costs 2 µs; `corral.storage.sqlite.notice` says when to ask, and nobody asks while nobody waits.
"""

import asyncio
import threading
from collections.abc import Iterable
from typing import TypeAlias

import apsw

from corral.storage.sqlite.notice import Notice

#: After a write was noticed: 40 looks, 0.25 ms apart. An fsync takes 0.2 to 5 ms.
CLOSE_LOOKS, CLOSE_SECONDS = 40, 0.00025


class Waiter:
    """One sleeping caller."""

    __slots__ = ("future", "loop", "queues")

    def __init__(self, queues: frozenset[str]) -> None:
        self.queues = queues
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[bool] = self.loop.create_future()

    def wake(self) -> None:
        """From any thread."""
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # its loop is closed
            return

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(True)


class Board:
    """Where waiters of one kind sign in. A version per queue closes the gap between looking and going to sleep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: set[Waiter] = set()
        self._versions: dict[str, int] = {}

    def version(self, queues: Iterable[str]) -> int:
        """A number that grows with each change of one of these queues. From now on they are known here."""
        with self._lock:
            return sum(self._versions.setdefault(queue, 0) for queue in queues)

    def known(self) -> frozenset[str]:
        """The queues anybody has asked about. Whoever is not waiting this moment may be about to."""
        with self._lock:
            return frozenset(self._versions)

    def change(self, queues: Iterable[str]) -> None:
        """Something happened in these queues."""
        with self._lock:
            for queue in queues:
                self._versions[queue] = self._versions.get(queue, 0) + 1
            woken = [waiter for waiter in self._waiters if not waiter.queues.isdisjoint(queues)]
        for waiter in woken:
            waiter.wake()

    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    async def wait(self, queues: frozenset[str], *, seen: int, timeout: float) -> bool:
        """Sleep until a change after `seen`."""
        waiter = Waiter(queues)
        with self._lock:
            if sum(self._versions.setdefault(queue, 0) for queue in queues) != seen:
                return True
            self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await waiter.future
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiters.discard(waiter)


#: What a sleeper waits for: jobs to claim (delayed ones too, whose due time it may not know), and events, the last.
_SEEN = "SELECT waiting + delayed, active, next_number, settings, next_event FROM corral_queue WHERE name = ?"
_Seen: TypeAlias = tuple[int, int, int, str, int]
_NOTHING: _Seen = (0, 0, 0, "", 0)


class Watcher:
    """A thread that notices other processes' commits, while somebody waits."""

    def __init__(self, db: apsw.Connection, notice: Notice, ready: Board, events: Board) -> None:
        self._db = db
        self._notice = notice
        self._ready = ready
        self._events = events
        self._version = db.pragma("data_version")
        self._rows: dict[str, _Seen] = {}
        self._needed = threading.Event()
        self._pause = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="corral-sqlite-watch", daemon=True)
        self._thread.start()

    def need(self) -> None:
        """Somebody is about to wait."""
        self._needed.set()

    def stop(self) -> None:
        """End the thread and close its connection."""
        self._stopping = True
        self._needed.set()
        self._thread.join()
        self._notice.close()
        self._db.close()

    def _run(self) -> None:
        while True:
            self._needed.wait()
            if self._stopping:
                return
            self._needed.clear()
            while not self._stopping and (self._ready.awaited() or self._events.awaited()):
                if not self._look() and self._notice.wait():
                    self._look_closely()

    def _look_closely(self) -> None:
        """Somebody writes; its commit counts as soon as it is on the disk."""
        for _ in range(CLOSE_LOOKS):
            if self._look() or self._stopping:
                return
            self._pause.wait(CLOSE_SECONDS)

    def _look(self) -> bool:
        """Wake who may have something to do; True when there was a commit."""
        try:
            version = self._db.pragma("data_version")
            if version == self._version:
                return False
            # All known queues, not only those somebody waits for: a worker between its claim and its sleep would miss
            # a commit that was noticed for others meanwhile.
            ready, told = self._ready.known(), self._events.known()
            found = {queue: self._db.execute(_SEEN, (queue,)).fetchone() for queue in ready | told}
        except apsw.Error:  # busy for a moment; the next look is near
            return False
        rows: dict[str, _Seen] = {queue: row for queue, row in found.items() if row is not None}
        moved = {queue: row for queue, row in rows.items() if row != self._rows.get(queue)}
        news = [queue for queue, row in moved.items() if row[-1] != self._rows.get(queue, _NOTHING)[-1]]
        self._version, self._rows = version, rows
        self._ready.change([queue for queue, row in moved.items() if queue in ready and row[0] > 0])
        self._events.change([queue for queue in news if queue in told])
        return True
