"""Programs that left the group of the command which started them, found by a mark in their environment.

A program that calls `setsid` is no longer in the group that is killed when its command ends. It still has the
environment it was started with, which Linux shows. Elsewhere the group is all there is.
"""

import os
import secrets
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

#: The variable that every command gets, with a value that no other one has.
MARK = "CORRAL_COMMAND"
_PROC = Path("/proc")
#: How often it is looked for more, and seconds until those that were killed must have gone.
ROUNDS, PATIENCE = 5, 5.0


def new_mark() -> str:
    """A value for `MARK`."""
    return secrets.token_hex(16)


def end_leftovers(mark: str, proc: Path = _PROC) -> int:
    """Kill every process with this mark and see them gone; answers how many. Looks again as long as it finds some."""
    ended: set[int] = set()
    # One that is about to fork may get a child away; a bomb that outruns five rounds is another matter.
    for _ in range(ROUNDS):
        handles = {pid: handle for pid in _marked(mark, proc) if (handle := _kill(pid, mark, proc)) is not None}
        try:
            _wait(handles.values())
        finally:
            for handle in handles.values():
                os.close(handle)
        ended |= handles.keys()
        if not handles:
            break
    return len(ended)


def _wait(handles: Iterable[int]) -> None:
    """Wait until these have ended: a signal takes effect when its process gets a processor, and not before."""
    deadline = time.monotonic() + PATIENCE
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)


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


def _kill(pid: int, mark: str, proc: Path) -> int | None:
    """Kill one process; answers a handle on it, None when it is not there any more or another one."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
    try:
        # The handle holds on to one process: only if that one has the mark is it the one that was found.
        if _has(pid, mark, proc):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return handle
    except OSError:
        pass
    os.close(handle)
    return None
