"""Permits: how many handlers may run at once where more jobs are held than run, as queues with batches do."""

import asyncio
from collections import deque
from collections.abc import Callable


class Permits:
    """A semaphore whose size may change while it is in use. First come, first served."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def resize(self, count: int) -> None:
        """Change how many there are. Those given out beyond it are not taken away, only not given out again."""
        self._count = count
        self._hand_out()

    async def acquire(self) -> "Ticket":
        """Wait for a permit; the ticket gives it back."""
        if self._used < self._count and not self._waiting:
            self._used += 1
            return Ticket(self._back)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._back()  # it was handed out in the same moment
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        return Ticket(self._back)

    def _back(self) -> None:
        self._used -= 1
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._used < self._count:
            turn = self._waiting.popleft()
            if not turn.done():
                self._used += 1
                turn.set_result(None)


class Ticket:
    """A permit in somebody's hands. Giving it back twice is harmless: a stuck handler's is taken from it."""

    __slots__ = ("_back",)

    def __init__(self, back: Callable[[], None]) -> None:
        self._back: Callable[[], None] | None = back

    def release(self) -> None:
        """Give the permit back."""
        back, self._back = self._back, None
        if back is not None:
            back()
