"""A PostgreSQL server for tests: on a socket of its own, nothing flushed, gone with the tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where Debian keeps the programs, which are not on PATH.
DEBIAN = Path("/usr/lib/postgresql")


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`; None where there is no PostgreSQL."""
    found = shutil.which("initdb")
    if found is not None and Path(found).resolve().with_name("pg_ctl").exists():
        return Path(found).resolve().parent
    folders = sorted(DEBIAN.glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server for the length of the block; gives the place of its socket. It refuses to be run by root."""
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as place:  # a socket's path has 107 characters at most
        if user is not None:
            shutil.chown(place, user)
        data = f"{place}/data"
        options = f"-k {place} -c listen_addresses='' -c fsync=off -c full_page_writes=off -c synchronous_commit=off"

        def run(*command: str) -> None:
            subprocess.run(command, user=user, cwd=place, check=True, capture_output=True, timeout=120)

        run(str(folder / "initdb"), "-D", data, "-U", "test", "-A", "trust", "--no-sync", "-E", "UTF8")
        with open(os.devnull, "w") as nowhere:  # the server would keep a pipe open, and `run` would wait for its end
            subprocess.run(
                [str(folder / "pg_ctl"), "-D", data, "-w", "-t", "60", "-l", f"{place}/log", "-o", options, "start"],
                user=user, cwd=place, check=True, stdout=nowhere, stderr=nowhere, timeout=120,
            )  # fmt: skip
        try:
            yield place
        finally:
            run(str(folder / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
