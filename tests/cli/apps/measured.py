"""An application whose handlers tell where they run and take memory."""

import os

from corral import Corral

app = Corral(name="measured")
queue = app.queue("measured", concurrency=1)
held: list[bytes] = []


@queue.job("hoard")
async def hoard(data: dict[str, int]) -> int:
    """Keep so many bytes for good."""
    held.append(b"x" * data["bytes"])
    return len(held)


@queue.job("where")
def where() -> int:
    """The process it runs in."""
    return os.getpid()
