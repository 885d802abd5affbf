"""Lists that are drawn again and again, until somebody has seen enough."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from corral.cli.cells import Column, Row
from corral.cli.keyboard import Keys, listening
from corral.cli.render import Printer

EVERY = 2.0


async def watch(
    printer: Printer, columns: Sequence[Column], ask: Callable[[], Awaitable[Sequence[Row]]], interval: float
) -> None:
    """Show what `ask` answers every so often: in its place on a terminal until q is pressed, elsewhere without end."""
    interval = max(0.1, interval)
    if not printer.watched:
        while True:
            printer.rows(columns, await ask())
            await asyncio.sleep(interval)
    from corral.cli.table import Screen  # rich: only for people who look

    keys = Keys()
    with Screen(columns, colour=printer.colour) as screen, listening(keys):
        rows: Sequence[Row] = ()
        while not keys.ended.is_set():
            if not keys.stopped:
                rows = await ask()
            screen.show(rows, stopped=keys.stopped)
            await keys.rest(interval)


@contextmanager
def until_enough(interval: float | None) -> Iterator[None]:
    """Around what is watched: Ctrl-C is the way out then, and not an accident. None watches nothing."""
    try:
        yield
    except KeyboardInterrupt:
        if interval is None:
            raise
