"""What all histories of one test share: an open store and what they have reached."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self, TypeVar

from corral.storage.connect import connect
from corral.storage.port import Storage

T = TypeVar("T")
Wrapper = Callable[[Storage], Storage]


class Bench:
    """An open store, an event loop to drive it with, and what all examples together have reached."""

    def __init__(self, url: str, wrap: Wrapper = lambda storage: storage) -> None:
        self.store = connect(url)
        self.storage = wrap(self.store)
        self.runner = asyncio.Runner()
        self.reached: Counter[str] = Counter()
        self.steps = 0
        self._queues = 0

    def __enter__(self) -> Self:
        self.do(self.store.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.do(self.store.__aexit__(None, None, None))
        self.runner.close()

    def do(self, call: Coroutine[object, object, T]) -> T:
        return self.runner.get_loop().run_until_complete(
            call
        )  # `Runner.run` would look at the signals, 1,000 times a s

    def note(self, times: dict[str, int]) -> None:
        """Count what was reached."""
        self.reached += Counter(times)

    def fresh_queue(self) -> str:
        self._queues += 1
        return f"q{self._queues}"
