"""Copies: two copies of SQLite in one process must not have the same file open.

apsw brings its own SQLite, the standard library's `sqlite3` has another one. A process's locks on a file are one lock
for the kernel: the copies do not see each other's, and whichever closes the file gives up those of both. Then a
connection that takes itself for the last one removes the write-ahead log under the other's feet, and commits are lost
(sqlite.org/howtocorrupt.html, section 2.2). Between processes the locks work as they should.
"""

import os
import threading
from collections import Counter
from typing import TypeAlias

import apsw

from corral.errors import ConfigError

_File: TypeAlias = tuple[int, int]

_lock = threading.Lock()
_pid = os.getpid()
_ours: Counter[_File] = Counter()
_theirs: set[_File] = set()

_ADVICE = (
    "two copies of SQLite in one process undo each other's locks, and commits are lost; use an apsw connection, or "
    "leave the store to another process (`corral worker`)"
)


def _file(path: str) -> _File:
    """Which file it is. A forked child has none of its parent's open: SQLite is not carried across a fork."""
    global _pid
    if _pid != os.getpid():
        _pid = os.getpid()
        _ours.clear()
        _theirs.clear()
    found = os.stat(path)
    return found.st_dev, found.st_ino


def opened(path: str) -> None:
    """Note that the store has the file open. Raises: ConfigError, when the other copy has used it here."""
    with _lock:
        file = _file(path)
        if file in _theirs:
            raise ConfigError(f"this process has added jobs to {path} through sqlite3: {_ADVICE}", key="url")
        _ours[file] += 1


def closed(path: str) -> None:
    """Note that the store has closed the file."""
    with _lock:
        try:
            file = _file(path)
        except OSError:  # deleted meanwhile: nobody can open it again
            return
        _ours[file] -= 1


def used_by_other(path: str) -> None:
    """Note that the standard library's copy uses the file. Raises: ConfigError, while the store has it open here."""
    if not apsw.using_amalgamation:  # built against the system's library: there is one copy
        return
    with _lock:
        file = _file(path)
        if _ours[file] > 0:
            raise ConfigError(f"this process has the store {path} open: {_ADVICE}", key="connection")
        _theirs.add(file)
