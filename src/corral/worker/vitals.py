"""How a worker's process is: what it tells of itself beside its jobs."""

import os
import resource
import sys
import time
from pathlib import Path

_STATM = Path("/proc/self/statm")


def memory() -> int:
    """Bytes of memory that this process holds; where the system does not say, the most it ever held."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class Vitals:
    """Memory and lag for the worker's entry in the store.

    They change with every look, and a beat with news is written: so they are looked at as often only as a beat would be
    written without any.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._looked_at = float("-inf")
        self._seen = (0, 0)

    def look(self, lag: float) -> tuple[int, int]:
        """(bytes of memory, milliseconds of lag), as they were at the last look."""
        now = time.monotonic()
        if now - self._looked_at >= self._seconds:
            self._looked_at = now
            self._seen = memory(), round(lag * 1000)
        return self._seen
