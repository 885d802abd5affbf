"""An application whose handlers do what a worker's health must show. Run by `corral worker tests.observe.wares:app`."""

import asyncio
import time
from pathlib import Path
from typing import Any

from corral import Corral, Every, JobContext
from corral.worker.fetcher import Fetcher

app = Corral(name="wares")
mail = app.queue("mail", concurrency=4)
ticks = app.queue("ticks")


@mail.job("quick")
async def quick(ctx: JobContext, data: dict[str, Any]) -> None:
    """Ends at once."""


@mail.job("failing")
async def failing() -> None:
    """Fails for good."""
    raise RuntimeError("550 no such mailbox")


@mail.job("waiting")
async def waiting(ctx: JobContext, path: str) -> None:
    """Lets the loop go on until a file is there."""
    while not Path(path).exists():  # noqa: ASYNC110  # what it waits for is in another process
        await asyncio.sleep(0.02)


@mail.job("blocking")
async def blocking(ctx: JobContext, path: str) -> None:
    """Blocks the event loop until a file is there."""
    await ctx.progress(1)
    while not Path(path).exists():
        time.sleep(0.02)  # noqa: ASYNC251  # what is shown here


@mail.job("wedging")
async def wedging() -> None:
    """Has every fetch loop hang from its next turn on, as a client does whose reply never comes."""

    async def hang(self: Fetcher) -> None:
        await asyncio.get_running_loop().create_future()

    Fetcher._turn = hang  # type: ignore[method-assign]  # a bug, made on purpose


@ticks.job("tick")
async def tick() -> None:
    """What the schedule runs."""


app.schedule("each-second", Every(1), tick)
