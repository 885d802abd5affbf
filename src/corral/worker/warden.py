"""A tiny process that outlives a killed worker just long enough to kill what its children had started.

The kernel ends a child when its worker dies, but not the programs that a handler in it had started. So the worker tells
this process the group of each child on its standard input ("+123", "-123"). The end of that stream means that the
worker is gone: every group still on the list is killed. It is run as a bare script, without site packages: 10 ms, 9 MB.
"""

import os
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[bytes]) -> set[int]:
    """Follow the worker's list until the stream ends; answers the groups that are left on it."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


def main() -> None:
    """Wait for the worker's end, then kill what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service manager tells the whole unit to stop; the worker goes first
    for group in watch(sys.stdin.buffer):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


if __name__ == "__main__":
    main()
