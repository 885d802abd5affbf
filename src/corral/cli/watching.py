"""Lists that are drawn again and again, until somebody has seen enough."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from corral.cli.cells import Column, Row
from corral.cli.render import Printer

EVERY = 2.0


async def watch(
    printer: Printer, columns: Sequence[Column], ask: Callable[[], Awaitable[Sequence[Row]]], interval: float
) -> None:
    """Show what `ask` answers every so often: in its place on a terminal, below each other elsewhere. Never ends."""
    interval = max(0.1, interval)
    if not printer.watched:
        while True:
            printer.rows(columns, await ask())
            await asyncio.sleep(interval)
    from corral.cli.table import Screen  # rich: only for people who look

    with Screen(columns, colour=printer.colour) as screen:
        while True:
            screen.show([*await ask()])
            await asyncio.sleep(interval)
