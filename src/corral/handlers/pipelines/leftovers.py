"""Programs that left the group of the command which started them, found by a mark in their environment.

A program that calls `setsid` is no longer in the group that is killed when its command ends. It still has the
environment it was started with, which Linux shows. Elsewhere the group is all there is.
"""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

#: The variable that every command gets, with a value that no other one has.
MARK = "CORRAL_COMMAND"
_PROC = Path("/proc")


def new_mark() -> str:
    """A value for `MARK`."""
    return secrets.token_hex(16)


def end_leftovers(mark: str, proc: Path = _PROC) -> int:
    """Kill every process with this mark; answers how many. Looks again as long as it finds some."""
    ended = 0
    for _ in range(
        5
    ):  # one that is about to fork may get a child away; a bomb that outruns five rounds is another matter
        found = 0
        for pid in _marked(mark, proc):
            found += _kill(pid, mark, proc)
        ended += found
        if not found:
            break
    return ended


def _marked(mark: str, proc: Path) -> Iterator[int]:
    try:
        names = os.listdir(proc)
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit() and _has(int(name), mark, proc))


def _has(pid: int, mark: str, proc: Path) -> bool:
    try:
        environment = (proc / str(pid) / "environ").read_bytes()
    except OSError:  # gone, or somebody else's
        return False
    return f"{MARK}={mark}".encode() in environment.split(b"\0")


def _kill(pid: int, mark: str, proc: Path) -> int:
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return 0
    try:
        # The handle holds on to one process: only if that one has the mark is it the one that was found.
        if not _has(pid, mark, proc):
            return 0
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return 0
    finally:
        os.close(handle)
    return 1
