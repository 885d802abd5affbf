"""Where a run took place: absolute figures mean nothing without it."""

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from pathlib import Path

import apsw

import corral
from benchmarks.servers import has_postgres, postgres_version, redis_version
from corral.storage.sqlite.file import file_system

_PACKAGES = ("huey", "apsw", "msgspec", "uvloop")


def machine(folder: Path) -> dict[str, str]:
    """The machine, its load, and the versions of what was measured."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "file system": _file_system(folder),
        "python": platform.python_version(),
        "SQLite of corral": apsw.sqlite_lib_version(),
        "SQLite of huey": sqlite3.sqlite_version,
        "corral": corral.__version__,
        **{name: _version(name) for name in _PACKAGES},
    }


def servers() -> dict[str, str]:
    """The servers and runtimes of the Redis part. Raises: SystemExit without Node."""
    try:
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit("BullMQ needs node and npm on PATH; --section sqlite does without") from error
    found = {"Redis": redis_version(), "node": node}
    return found | {"PostgreSQL": postgres_version()} if has_postgres() else found


def busy() -> bool:
    """Whether somebody else is using the machine: half a core is enough to spoil a figure."""
    return os.getloadavg()[0] > 0.5


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _file_system(folder: Path) -> str:
    try:
        return file_system(folder.resolve(), Path("/proc/self/mountinfo").read_text())
    except OSError:
        return "unknown"
