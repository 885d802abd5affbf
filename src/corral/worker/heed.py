"""What a worker does on the signals of its process: stop, take no more jobs, say where it is."""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Protocol

from corral.worker.orders import OBEY
from corral.worker.stacks import task_stacks, thread_stacks

logger = logging.getLogger("corral.worker")

STOPS = (signal.SIGTERM, signal.SIGINT)
#: Those of Sidekiq, and those that service managers like better: a terminal's Ctrl-Z is the first.
QUIETS = (signal.SIGTSTP, signal.SIGUSR1)
DUMPS = (signal.SIGTTIN, signal.SIGUSR2)


class Heeding(Protocol):
    """A worker, as far as signals concern it."""

    def stop(self) -> None: ...

    def quiet(self) -> None: ...


@contextmanager
def heeding(worker: Heeding) -> Iterator[None]:
    """Have the process's signals reach the worker. Only the main thread hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    wanted: dict[signal.Signals, Callable[[], object]] = dict.fromkeys(STOPS, worker.stop)
    wanted |= dict.fromkeys(QUIETS, worker.quiet)
    wanted[signal.SIGHUP] = hung_up(worker.stop)
    for number, what in wanted.items():
        loop.add_signal_handler(number, what)
    # Not on the loop: one that a handler blocks is what somebody wants to see.
    former = [(number, signal.signal(number, lambda *_: dump(loop))) for number in DUMPS]
    try:
        yield
    finally:
        for number, old in former:
            signal.signal(number, old)
        for number in wanted:
            loop.remove_signal_handler(number)


def hung_up(stop: Callable[[], None]) -> Callable[[], None]:
    """What SIGHUP means: the terminal is gone, which ends what runs in it; to a service, nothing (no log to reopen)."""
    return stop if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty() else lambda: None


def dump(loop: asyncio.AbstractEventLoop) -> None:
    """Log where each thread and task is, from a thread of its own."""
    threading.Thread(target=_dump, args=(loop,), daemon=True, name="corral-dump").start()


def _dump(loop: asyncio.AbstractEventLoop) -> None:
    found: Future[str] = Future()
    try:
        loop.call_soon_threadsafe(lambda: found.set_result(task_stacks()))
        tasks = found.result(OBEY)
    except TimeoutError:
        tasks = "the event loop does not answer: the thread that runs it shows what blocks it"
    except RuntimeError:  # it is closed: the worker has ended
        return
    logger.info("where the worker is:\n%s\n\n%s", thread_stacks(), tasks, extra={"event": "worker.dump"})
