"""Processes that are meant to be killed: forked from a parent that has imported everything and opened nothing."""

import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: How long a process may take until it says that it is ready, or to end after it was told to.
PATIENCE = 30.0


@dataclass
class Actor:
    """A running process. It writes a byte into its pipe when it is ready."""

    role: str
    pid: int
    pipe: int
    ready: bool = False

    def wait_ready(self, seconds: float = PATIENCE) -> bool:
        """Wait until it is at work; False when it died or took too long."""
        if not self.ready and select.select([self.pipe], [], [], seconds)[0]:
            self.ready = bool(os.read(self.pipe, 1))
        return self.ready

    def kill(self) -> int:
        """End it at once; answers its status, -9 unless it had ended before."""
        os.kill(self.pid, signal.SIGKILL)
        return self.reap()

    def stop(self) -> int:
        """Ask it to end, once it can hear that, and wait; answers its exit status."""
        self.wait_ready()
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.pipe)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        return self.kill()

    def reap(self) -> int:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(status)


#: What an actor does: it gets the function that says "ready", and answers the exit status.
Work = Callable[[Callable[[], None]], int]


_OURS: set[int] = set()


def not_for_children(descriptor: int) -> None:
    """Have it closed in every process that is forked from now on, until it is `gone`."""
    _OURS.add(descriptor)


def gone(descriptor: int) -> None:
    """It is closed here: its number may be another's soon."""
    _OURS.discard(descriptor)


def start(role: str, work: Work, errors: Path) -> Actor:
    """Fork an actor. What it writes to standard error goes to the end of `errors`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be(work, reader, writer, errors)
    os.close(writer)
    return Actor(role, pid, reader)


def _be(work: Work, reader: int, writer: int, errors: Path) -> None:
    """The child's whole life. It never returns into the parent's code."""
    status = 70
    try:
        for descriptor in (reader, *_OURS):
            os.close(descriptor)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
        status = work(lambda: _say_ready(writer))
    except BaseException as error:  # whatever it was, it belongs into the file and not into the parent
        print(f"Traceback: {error!r}", file=sys.stderr, flush=True)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say_ready(writer: int) -> None:
    os.write(writer, b"!")


def answer_of(work: Callable[[], str], errors: Path) -> str:
    """Run `work` in a fork and give the text it answers: whoever forks must not have opened a store itself.

    Raises:
        RuntimeError: it died.
    """
    reader, writer = os.pipe()

    def tell(_: Callable[[], None]) -> int:
        with os.fdopen(writer, "w") as pipe:
            pipe.write(work())
        return 0

    actor = start("checker", tell, errors)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    if (status := actor.reap()) != 0:
        raise RuntimeError(f"the checker ended with {status}: {errors.read_text()[-2000:]}")
    return text


def prepare() -> None:
    """Make forks cheap: with the collector's work done, the children copy fewer pages."""
    gc.collect()
    gc.freeze()


def lines(path: Path) -> list[str]:
    """The lines of a ledger; none when nobody wrote yet."""
    return path.read_text().splitlines() if path.exists() else []


class Ledger:
    """A file to which many processes append lines, outside the store. One line is one write, so none is ever torn."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words: object) -> None:
        """Append a line. It outlives the process: the kernel has it when this returns."""
        os.write(self._fd, (" ".join(map(str, words)) + "\n").encode())
