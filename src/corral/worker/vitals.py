"""How a worker's process is: what it tells of itself beside its jobs."""

import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from corral.errors import ConfigError

_STATM = Path("/proc/self/statm")
#: A worker's tags go along with each of its beats.
TAGS, TAG_LENGTH = 20, 100


def memory() -> int:
    """Bytes of memory that this process holds; where the system does not say, the most it ever held."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class Vitals:
    """Memory, lag and load for the worker's entry in the store.

    They change with every look, and a beat with news is written: so they are looked at as often only as a beat would be
    written without any.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._looked_at = float("-inf")
        self._worked = 0.0
        self._seen: tuple[int, int, float | None] = (0, 0, None)

    def look(self, lag: float) -> tuple[int, int, float | None]:
        """(bytes of memory, milliseconds of lag, share of a core), as they were at the last look."""
        now = time.monotonic()
        passed = now - self._looked_at
        if passed >= self._seconds:
            worked = time.process_time()
            share = None if passed == float("inf") else round((worked - self._worked) / passed, 3)
            self._looked_at, self._worked = now, worked
            self._seen = memory(), round(lag * 1000), share
        return self._seen


def check_count(value: object, what: str) -> int:
    """Raises: ConfigError unless it is a whole number of 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{what} must be a whole number of 1 or more, not {value!r}", key=what)
    return value


def check_tags(tags: Sequence[tuple[str, str]]) -> None:
    """Raises: ConfigError for more than 20 tags, one that is named twice, and names or values that cannot be shown."""
    if len(tags) > TAGS:
        raise ConfigError(f"a worker may have {TAGS} tags, not {len(tags)}", key="tags")
    if len({name for name, _ in tags}) < len(tags):
        raise ConfigError("a worker's tags must differ in their names", key="tags")
    for name, value in tags:
        if not name or max(len(name), len(value)) > TAG_LENGTH or not (name + value).isprintable():
            raise ConfigError(
                f"tag {name!r} must have a name, and up to {TAG_LENGTH} printable characters each", key="tags"
            )
