"""Lock-out: after wrong guesses the next one has to wait, longer each time, right or wrong."""

import time
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

#: Guesses that cost nothing: people mistype.
FREE = 3
#: The longest wait, and after how much quiet all is forgotten (seconds).
LONGEST, FORGET = 900.0, 900.0
KEYS = 20_000


class _Tries(Struct):
    failed: int
    last: float
    until: float


class Lockout:
    """Waits by key: account and address together, so that nobody can lock somebody else out from elsewhere."""

    def __init__(self, *, seconds: Callable[[], float] = time.monotonic, keys: int = KEYS) -> None:
        self.seconds = seconds
        self._keys = keys
        self._tries: OrderedDict[tuple[str, ...], _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def wait(self, key: tuple[str, ...]) -> float:
        """Seconds until the next guess is looked at; 0.0 is now."""
        tries = self._tries.get(key)
        return 0.0 if tries is None else max(0.0, tries.until - self.seconds())

    def failed(self, key: tuple[str, ...]) -> None:
        """A wrong guess: 1 s after the fourth, 2 s, 4 s … up to 15 minutes."""
        now = self.seconds()
        tries = self._tries.pop(key, None)
        count = 1 if tries is None or now - tries.last > FORGET + LONGEST else tries.failed + 1
        delay = 0.0 if count <= FREE else min(LONGEST, 2.0 ** min(count - FREE - 1, 16))
        self._tries[key] = _Tries(count, now, now + delay)
        while len(self._tries) > self._keys:
            self._tries.popitem(last=False)

    def passed(self, key: tuple[str, ...]) -> None:
        """A right one: the slate is clean."""
        self._tries.pop(key, None)
