"""The writer: everything that waits becomes one transaction.

This is group commit. A hundred tasks that add at once pay for one fsync together: measured with FULL, 5,346 single
transactions a second become 219,776 rows a second. It needs no timer. Calls of one turn of an event loop travel as one
group; while one transaction is on its way to the disk, the next groups gather in the thread's inbox.

A single short call that finds the connection free runs right where it is: the thread hop costs 60 to 100 µs, a third of
what an `add` then takes (huey, which has no loop to protect, sets the mark: 4,000 adds a second, one by one). A disk
that keeps the loop longer than `SLOW` sends such calls through the thread again.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

import apsw

from corral.errors import CorralError, StorageError, StorageUnavailableError
from corral.storage.sqlite.file import CHECKPOINT_PAGES, Patience, connect, translate
from corral.storage.sqlite.unit import Unit
from corral.storage.sqlite.url import SqliteUrl

T = TypeVar("T")
#: Work on a transaction. It may run twice: when a neighbour in its group fails, the group is rolled back and run again.
Work: TypeAlias = Callable[[Unit], T]

#: Calls in one transaction. More would make the first of them wait too long for the last.
GROUP = 512
#: Seconds a call may keep an event loop waiting; a slower one sends its like through the thread for SPARED seconds.
SLOW, SPARED = 0.002, 1.0

#: What is the call's own fault: a refused obliterate, a value SQLite cannot hold. Its neighbours go on without it.
_OWN_FAULT = (
    CorralError,
    apsw.ConstraintError,
    apsw.RangeError,
    apsw.TooBigError,
    TypeError,
    ValueError,
    OverflowError,
)


class Call:
    """One caller's work and where its answer goes."""

    __slots__ = ("answer", "brief", "error", "future", "loop", "work")

    def __init__(self, work: Work[Any], brief: bool, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.brief = brief
        self.loop = loop
        self.future: asyncio.Future[Any] | None = None  #: made when somebody has to wait for it
        self.answer: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Hand the answer over. On the caller's loop only."""
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)


class Turn:
    """What has been asked for in one turn of an event loop.

    A task that adds one job after the other need not wait for others, so its calls run at once, for a moment. A call of
    a second task shows that there are others: from then on the turn's calls travel together.
    """

    __slots__ = ("calls", "task", "until")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.task = asyncio.current_task()
        self.until = time.monotonic() + SLOW

    def is_free(self) -> bool:
        """Whether the current task may have its call run at once."""
        return not self.calls and self.task is asyncio.current_task() and time.monotonic() < self.until


class Database:
    """A connection, the thread that serves it, and the way in from any event loop. `write` decides how it begins."""

    def __init__(self, url: SqliteUrl, *, write: bool, committed: Callable[[set[str], set[str]], None]) -> None:
        self._url = url
        self._write = write
        self._committed = committed
        self._pid = os.getpid()
        self._patience = Patience(url.busy_ms)
        self._db: apsw.Connection | None = None
        self._lock = threading.Lock()  # one transaction at a time on the connection
        self._turns: dict[asyncio.AbstractEventLoop, Turn] = {}
        self._inbox: SimpleQueue[list[Call] | None] = SimpleQueue()
        self._log_pages = 0
        self._spared_until = 0.0
        self._usual = 0.0  #: seconds a call on its caller's loop takes
        self._thread = threading.Thread(
            target=self._serve, name="corral-sqlite-" + ("w" if write else "r"), daemon=True
        )

    def start(self, db: apsw.Connection | None = None) -> None:
        """Connect and serve. A memory store lives in the one connection that made it. Raises: StorageError, its kin."""
        self._db = self._connect() if db is None else db
        self._thread.start()

    def _connect(self) -> apsw.Connection:
        db = connect(self._url, read_only=not self._write, patience=self._patience)
        if self._write and not self._url.memory:
            db.set_wal_hook(self._on_commit)  # takes the place of SQLite's own checkpoints, which would stall a commit
        return db

    def stop(self) -> None:
        """Finish what is in the inbox, close the connection, end the thread."""
        self._inbox.put(None)
        self._thread.join()

    async def call(self, work: Work[T], *, brief: bool = False) -> T:
        """Run `work` in a transaction and answer when it is durable. `brief` allows to run it on this loop.

        Raises:
            StorageError: what the store had to say; nothing was written then.
        """
        if os.getpid() != self._pid:
            raise StorageError("this store was opened before a fork; open it again in the child process")
        if not self._thread.is_alive():
            raise StorageUnavailableError("the store is closed")
        loop = asyncio.get_running_loop()
        call = Call(work, brief, loop)
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = Turn()
            loop.call_soon(self._send, loop)
        if brief and turn.is_free() and self._run_here(call):
            if call.error is not None:
                raise call.error
            at_once: T = call.answer
            return at_once
        call.future = loop.create_future()
        turn.calls.append(call)
        answer: T = await call.future
        return answer

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        calls = self._turns.pop(loop).calls
        if not calls or (len(calls) == 1 and calls[0].brief and self._run_here(calls[0])):
            return
        self._inbox.put(calls)

    # -- on the caller's thread ------------------------------------------------------------------------------------

    def _run_here(self, call: Call) -> bool:
        """Run a single call at once, if nobody else is at work. False: it goes through the thread."""
        started = time.monotonic()
        if started < self._spared_until or not self._inbox.empty() or not self._lock.acquire(blocking=False):
            return False
        try:
            if self._db is None:
                return False
            self._patience.none = True  # another process's transaction is waited for in the thread, never here
            self._attempt([call])
        except apsw.Error:  # the thread tries again, with patience, and finds the words for what is wrong
            return False
        finally:
            self._patience.none = False
            self._lock.release()
        if self._log_pages >= CHECKPOINT_PAGES:
            self._inbox.put([])
        now = time.monotonic()
        self._usual += (now - started - self._usual) / 8  # a running average: one hiccup of the machine is no slow disk
        if self._usual > SLOW:
            self._spared_until, self._usual = now + SPARED, 0.0
        call.resolve()
        return True

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        stopping = False
        while not stopping:
            calls: list[Call] = []
            group = self._inbox.get()
            try:
                while group is not None:
                    calls += group
                    if len(calls) >= GROUP:
                        break
                    group = self._inbox.get_nowait()
                else:
                    stopping = True
            except Empty:
                pass
            with self._lock:
                if calls:
                    self._run(calls)
                    _answer(calls)
                if self._log_pages >= CHECKPOINT_PAGES:
                    self._checkpoint()
        if self._db is not None:
            self._db.close()

    def _run(self, calls: list[Call]) -> None:
        """Run the calls as one transaction; those that fail are taken out and the others run again without them."""
        left = calls
        while left:
            try:
                failed = self._attempt(left)
            except apsw.Error as error:
                problem = translate(error, self._url.path)
                for call in left:
                    call.error = problem
                self._reopen_after(error)
                return
            if failed is None:
                return
            left = [call for call in left if call is not failed]

    def _attempt(self, calls: list[Call]) -> Call | None:
        """One transaction; answers the call that failed in it, or None when it is committed."""
        if self._db is None:
            self._db = self._connect()
        db = self._db
        db.execute("BEGIN IMMEDIATE" if self._write else "BEGIN")
        current = calls[0]
        try:
            unit = Unit(db)
            for current in calls:
                current.answer = current.work(unit)
            told = unit.flush() if self._write else set()
            db.execute("COMMIT")
        except _OWN_FAULT as error:
            _rollback(db)
            current.error = error
            return current
        except BaseException:
            _rollback(db)
            raise
        if unit.ready or told:
            self._committed(unit.ready, told)
        return None

    # -- the write-ahead log -----------------------------------------------------------------------------------------

    def _on_commit(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log into the file. A log that readers let grow to four times its size is cleared with patience."""
        if self._db is None:
            return
        patient = self._log_pages >= 4 * CHECKPOINT_PAGES
        self._log_pages = 0
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART if patient else apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:  # another process is at it, or the disk is full: the next commits count on
            return

    def _reopen_after(self, error: apsw.Error) -> None:
        """After a failed write to the disk nothing that the handle believes is certain: drop it."""
        if isinstance(error, apsw.IOError) and not self._url.memory and self._db is not None:
            self._db.close(True)
            self._db = None


def _rollback(db: apsw.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")


def _answer(calls: list[Call]) -> None:
    """Hand the answers over: one wake-up per event loop, however many callers it has."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Call]] = {}
    for call in calls:
        by_loop.setdefault(call.loop, []).append(call)
    for loop, some in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, some)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _resolve(calls: list[Call]) -> None:
    for call in calls:
        call.resolve()
