"""The writer: everything that waits becomes one transaction.

This is group commit. A hundred tasks that add at once pay for one fsync together: measured with FULL, 5,346 single
transactions a second become 219,776 rows a second. It needs no timer. Calls of one turn of an event loop travel as one
group; while one transaction is on its way to the disk, the next groups gather in the thread's inbox.

A single short call that finds the connection free runs right where it is: the thread hop costs 60 to 100 µs, a third of
what an `add` then takes (huey, which has no loop to protect, sets the mark: 4,000 adds a second, one by one). A disk
that keeps the loop longer than `SLOW` sends such calls through the thread again.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

import apsw

from corral.errors import PayloadError, StorageError, StorageUnavailableError
from corral.storage.sqlite.file import CHECKPOINT_PAGES, Patience, Place, connect, translate
from corral.storage.sqlite.unit import Unit
from corral.storage.sqlite.url import SqliteUrl

logger = logging.getLogger("corral.storage")

T = TypeVar("T")
#: Work on a transaction. It may run again: when a neighbour in its group fails, the group is rolled back.
Work: TypeAlias = Callable[[Unit], T]

#: Calls in one transaction. More would make the first of them wait too long for the last.
GROUP = 512
#: Seconds a call may keep an event loop waiting; a slower one sends its like through the thread for SPARED seconds.
SLOW, SPARED = 0.002, 1.0

#: Calls taken out of one group before every call left in it runs alone. A group of 512 of which half fail would else be
#: run 256 times.
PARDONS = 8
#: Seconds to wait for readers in other processes when the log has to be cleared; the next try is a whole log away.
RESTART_SECONDS = 0.2
#: Pages in the log, 64 MB, at which people hear of it.
ALARM_PAGES = 16_000

#: What SQLite says about a value and not about the file: the fault of one call.
_OWN_FAULT = (apsw.ConstraintError, apsw.RangeError, apsw.TooBigError)
_CLOSED = "the store is closed"


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
        self._place: Place | None = None
        self._lock = threading.Lock()  # one transaction at a time on the connection
        self._turns: dict[asyncio.AbstractEventLoop, Turn] = {}
        self._crowded = False
        self._inbox: SimpleQueue[list[Call] | None] = SimpleQueue()
        self._gate = threading.Lock()  # nothing enters the inbox behind the order to stop, where nobody would answer it
        self._stopped = False
        self._log_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._alarm_at = ALARM_PAGES
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
            self._place = self._place or Place(self._url.path)
        return db

    def stop(self) -> None:
        """Finish what is in the inbox, close the connection, end the thread. What is asked for later is refused."""
        with self._gate:
            self._stopped = True
            self._inbox.put(None)
        if self._thread.ident is not None:  # it was started
            self._thread.join()

    async def call(self, work: Work[T], *, brief: bool = False) -> T:
        """Run `work` in a transaction and answer when it is durable. `brief` allows to run it on this loop.

        Raises:
            StorageError: what the store had to say; nothing was written then. PayloadError: it cannot hold a value.
        """
        if os.getpid() != self._pid:
            raise StorageError("this store was opened before a fork; open it again in the child process")
        if not self._thread.is_alive():
            raise StorageUnavailableError(_CLOSED)
        loop = asyncio.get_running_loop()
        call = Call(work, brief, loop)
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = Turn()
            loop.call_soon(self._send, loop)
        if brief and not self._crowded and turn.is_free() and self._run_here(call):
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
        self._crowded = len(calls) > 1  # then the next turn's first call will not be alone either
        if not calls or (len(calls) == 1 and calls[0].brief and self._run_here(calls[0])):
            return
        with self._gate:
            if not self._stopped:
                self._inbox.put(calls)
                return
        for call in calls:
            call.error = StorageUnavailableError(_CLOSED)
            call.resolve()

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
        except apsw.Error as error:  # the thread tries again, with patience, and finds the words for what is wrong
            self._reopen_after(error)
            return False
        except StorageError:
            return False
        finally:
            self._patience.none = False
            self._lock.release()
        if self._log_pages >= self._checkpoint_at:
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
                if self._log_pages >= self._checkpoint_at:
                    self._checkpoint()
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    def _run(self, calls: list[Call]) -> None:
        """Run the calls as one transaction; those that fail are taken out and the others run again without them."""
        left, pardons = calls, PARDONS
        while left:
            group = left if pardons > 0 else left[:1]
            try:
                blamed = self._attempt(group)
            except (apsw.Error, StorageError) as error:
                problem = translate(error, self._url.path) if isinstance(error, apsw.Error) else error
                for call in left:
                    call.error = problem
                if isinstance(error, apsw.Error):
                    self._reopen_after(error)
                return
            match blamed:
                case []:
                    left = left[len(group) :]
                case [failed]:
                    left = [call for call in left if call is not failed]
                    pardons -= 1
                case _:
                    pardons = 0

    def _attempt(self, calls: list[Call]) -> list[Call]:
        """One transaction; answers who is to blame when it failed: one call, or all where it could be any of them.

        Whatever a call's work raises is that call's fault, mistakes of ours included: the thread must serve the others.
        """
        if self._db is None:
            self._db = self._connect()
        db = self._db
        if self._place is not None:
            self._place.check()
        db.execute("BEGIN IMMEDIATE" if self._write else "BEGIN")
        current: Call | None = None
        try:
            unit = Unit(db)
            for current in calls:
                current.answer = current.work(unit)
            current = None
            told = unit.flush() if self._write else set()
            db.execute("COMMIT")
        except apsw.Error as error:
            _rollback(db)
            if not isinstance(error, _OWN_FAULT):
                raise
            problem: BaseException = PayloadError(f"the store cannot hold this: {error}")
        except BaseException as error:
            _rollback(db)
            problem = error
        else:
            if unit.ready or told:
                self._committed(unit.ready, told)
            return []
        blamed = calls if current is None else [current]
        if len(blamed) == 1:
            blamed[0].error = problem
        return blamed

    # -- the write-ahead log -----------------------------------------------------------------------------------------

    def _on_commit(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._log_pages:  # it is written over from its beginning
            self._checkpoint_at, self._alarm_at = CHECKPOINT_PAGES, ALARM_PAGES
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Copy the log into the file. A log that readers let grow to four times its size is cleared with patience.

        Where a reader stays for minutes (a backup, a forgotten shell) nothing clears it. So the next try comes when it
        has grown by as much again: a try at each commit, 5 s each, let leases run out.
        """
        if self._db is None:
            return
        self._checkpoint_at = self._log_pages + CHECKPOINT_PAGES
        patient = self._log_pages >= 4 * CHECKPOINT_PAGES
        if self._log_pages >= self._alarm_at:
            self._alarm_at *= 2
            logger.warning("the log of %s grows (%d pages): who keeps reading it?", self._url.path, self._log_pages)
        usual, self._patience.seconds = self._patience.seconds, RESTART_SECONDS
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART if patient else apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:  # another process is at it, or the disk is full: the next commits count on
            return
        finally:
            self._patience.seconds = usual

    def _reopen_after(self, error: apsw.Error) -> None:
        """After a failed write to the disk nothing that the handle believes is certain: drop it."""
        db = self._db
        if db is None or self._url.memory or not (isinstance(error, apsw.IOError) or db.in_transaction):
            return
        self._db = None
        try:
            db.close(True)
        except apsw.Error:  # the disk again; what is not closed is closed with the process
            return


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
