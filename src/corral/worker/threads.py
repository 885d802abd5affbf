"""Threads for `def` handlers: reused while they behave, given up when they don't come back."""

import asyncio
import ctypes
import threading
from collections.abc import Callable
from contextvars import Context
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class StopThread(BaseException):
    """Raised inside an abandoned thread, so that pure Python code in it ends."""


class _Thread:
    """One thread and the inbox it takes its work from."""

    def __init__(self, number: int) -> None:
        self.inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._serve, name=f"corral-handler-{number}", daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        try:
            while (work := self.inbox.get()) is not None:
                work()
        except StopThread:  # it was given up, and this ends it
            return


class Threads:
    """A pool that grows on demand; the worker's slots bound it. Daemons: a stuck one cannot hold up the exit."""

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self._made = 0
        self.abandoned = 0  #: threads given up so far: a leak worth showing

    async def run(self, context: Context, function: Callable[[], T]) -> T:
        """Call `function` in a thread. Cancelling the caller gives the thread up: it can only be replaced."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        thread = self._idle.pop() if self._idle else self._make()
        thread.inbox.put(lambda: _work(loop, future, context, function))
        try:
            result = await future
        except asyncio.CancelledError:
            if future.cancelled():
                self._give_up(thread)
            raise
        finally:
            if not future.cancelled():
                self._idle.append(thread)
        return result

    def _make(self) -> _Thread:
        self._made += 1
        return _Thread(self._made)

    def _give_up(self, thread: _Thread) -> None:
        self.abandoned += 1
        thread.inbox.put(None)
        # Ends a pure-Python loop at its next bytecode; a thread inside C code sees it when that returns. The thread is
        # never used again, so it cannot hit a later job.
        identity = thread.thread.ident
        if identity is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(identity), ctypes.py_object(StopThread))

    def close(self) -> None:
        """Let the idle threads end."""
        for thread in self._idle:
            thread.inbox.put(None)
        self._idle.clear()


def _work(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]", context: Context, function: Callable[[], T]
) -> None:
    try:
        result = context.run(function)
    except StopThread:
        raise
    except BaseException as error:  # whatever a handler raises belongs to its job, SystemExit included
        _deliver(loop, future, None, error)
        return
    _deliver(loop, future, result, None)


def _deliver(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]", result: T | None, error: BaseException | None
) -> None:
    def set_it() -> None:
        if future.done():
            return
        if error is not None:
            # A StopIteration cannot travel through a future.
            future.set_exception(
                RuntimeError(f"handler raised {error!r}") if isinstance(error, StopIteration) else error
            )
        else:
            future.set_result(result)  # type: ignore[arg-type]  # set exactly when there is no error

    try:
        loop.call_soon_threadsafe(set_it)
    except RuntimeError:  # the worker's loop is closed; nobody waits
        return
