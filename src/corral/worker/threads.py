"""Threads for `def` handlers: reused while they behave, given up when they don't come back."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")


class _Returned(Struct, Generic[T], frozen=True):
    value: T


#: An error travels as a value: asyncio treats some (StopIteration, GeneratorExit) as its own when a future raises them.
_Ending: TypeAlias = _Returned[T] | BaseException


class StopThread(BaseException):
    """Raised inside an abandoned thread, so that pure Python code in it ends."""


#: Seconds that a thread has to end by itself once it was told to: `ctx.check()` and `ctx.wait()` raise, `finally` runs.
CLEAN_UP = 1.0


class _Thread:
    """One thread and the inbox it takes its work from."""

    def __init__(self, number: int) -> None:
        self.inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.busy = False
        self.thread = threading.Thread(target=self._serve, name=f"corral-handler-{number}", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        try:
            while (work := self.inbox.get()) is not None:
                work()
                self.busy = False
        except StopThread:  # it was given up, and this ends it
            return

    def interrupt(self) -> None:
        """End a pure-Python loop at its next bytecode; a thread inside C code sees it when that returns.

        The thread was given up and takes no more work, so this cannot hit a later job.
        """
        identity = self.thread.ident
        if self.busy and identity is not None:
            import ctypes  # 1.5 ms to import: only for handlers that do not end

            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(StopThread))


class Threads:
    """A pool that grows on demand; the worker's slots bound it. Daemons: a stuck one cannot hold up the exit.

    `turns` bounds how many handlers may be in one, where that was asked for. What a handler runs beside itself (its
    steps) takes none: it would wait for the turn of the handler that waits for it.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.turns = None if limit is None else asyncio.Semaphore(limit)
        self._idle: list[_Thread] = []
        self._made = 0
        self.abandoned = 0  #: threads given up so far: a leak worth showing

    async def run(self, context: Context, function: Callable[[], T]) -> T:
        """Call `function` in a thread. Cancelling the caller gives the thread up: it can only be replaced."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Ending[T]] = loop.create_future()
        thread = self._idle.pop() if self._idle else self._make()
        thread.busy = True
        thread.inbox.put(lambda: _work(loop, future, context, function))
        try:
            ending = await future
        except asyncio.CancelledError:
            self.abandoned += 1
            thread.inbox.put(None)
            loop.call_later(CLEAN_UP, thread.interrupt)
            raise
        self._idle.append(thread)
        if isinstance(ending, BaseException):
            raise ending
        return ending.value

    def _make(self) -> _Thread:
        self._made += 1
        return _Thread(self._made)

    def close(self) -> None:
        """Let the idle threads end."""
        for thread in self._idle:
            thread.inbox.put(None)
        self._idle.clear()


def _work(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[_Ending[T]]", context: Context, function: Callable[[], T]
) -> None:
    ending: _Ending[T]
    try:
        ending = _Returned(context.run(function))
    except StopThread:
        raise
    except BaseException as error:  # whatever a handler raises belongs to its job, SystemExit included
        ending = error
    try:
        loop.call_soon_threadsafe(_deliver, future, ending)
    except RuntimeError:  # the worker's loop is closed; nobody waits
        return


def _deliver(future: "asyncio.Future[_Ending[T]]", ending: _Ending[T]) -> None:
    if not future.done():
        future.set_result(ending)
