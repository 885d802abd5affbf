"""Single keys of a terminal, and what they do to something that is drawn again and again."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator


class Keys:
    """What the keys have changed: q ends it, p stops it and lets it go on."""

    def __init__(self) -> None:
        self.stopped = False
        self.ended = asyncio.Event()
        self.changed = asyncio.Event()

    def press(self, key: str) -> None:
        """What a key does."""
        match key.lower():
            case "q":
                self.ended.set()
            case "p":
                self.stopped = not self.stopped
        self.changed.set()

    async def rest(self, seconds: float) -> None:
        """Wait until it is time to draw again, or until a key wants it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        self.changed.clear()


@contextlib.contextmanager
def listening(keys: Keys) -> Iterator[None]:
    """Hear single keys while this is open; the terminal is as it was afterwards. Elsewhere there are none to hear."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    place = sys.stdin.fileno()
    before = termios.tcgetattr(place)
    loop = asyncio.get_running_loop()
    tty.setcbreak(place)

    def hear() -> None:
        typed = read(place)
        if not typed:  # the terminal is gone, and would be readable without end
            loop.remove_reader(place)
            keys.press("q")
        for key in typed:
            keys.press(key)

    loop.add_reader(place, hear)
    try:
        yield
    finally:
        loop.remove_reader(place)
        with contextlib.suppress(termios.error):  # as above
            termios.tcsetattr(place, termios.TCSADRAIN, before)


def read(place: int) -> str:
    """What was typed; nothing where the terminal is gone."""
    try:
        return os.read(place, 64).decode(errors="replace")
    except OSError:
        return ""
