"""Servers that are shut down, killed, and looked at by processes that were forked meanwhile."""

import contextlib
import random
import socket
from typing import Self

from tests.faults.forks import PATIENCE, gone, not_for_children
from tests.redis_server import RedisServer, fresh_prefix, with_prefix

#: What a server needs to have on its disk whatever it answers to.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class ToughServer(RedisServer):
    """A server for a parent that forks: its children do not hold the line whose end is the server's end."""

    def __init__(self, *options: str, program: str | None = None) -> None:
        super().__init__(*options, program=program)
        self.port = settled_port()

    def start(self) -> Self:
        super().start()
        not_for_children(self._line())
        return self

    def kill(self) -> None:
        if self._process is None or self._line() < 0:
            return
        line = self._line()
        super().kill()
        gone(line)

    def _line(self) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        return -1 if self._process.stdin.closed else self._process.stdin.fileno()

    @property
    def store(self) -> str:
        """The URL of a fresh store on it. Its calls insist for a minute: being slow is no failure."""
        return f"{with_prefix(self.url, fresh_prefix())}&timeout=60"

    def shut_down(self) -> None:
        """Ask it to end in an orderly way, and wait."""
        with contextlib.suppress(OSError):  # it hangs up in place of an answer
            self.ask("SHUTDOWN", "NOSAVE")
        assert self._process is not None
        self._process.wait(PATIENCE)
        self.kill()


def settled_port() -> int:
    """A free port that is never given to a client.

    A client that dials a port of its own range while nobody listens there may be connected to itself.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
