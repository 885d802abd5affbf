"""`corral stats`: the health of every queue in one table, once or again and again."""

import asyncio
from collections.abc import Sequence

import click

from corral.cli.failures import NOT_FOUND, fail
from corral.cli.figures import STATS_COLUMNS, Figures, figures
from corral.cli.render import Printer
from corral.cli.shared import command, reads
from corral.cli.store import chosen_url, open_store, open_url, run
from corral.cli.values import duration
from corral.storage.checkup import checkup
from corral.storage.port import Storage


@command("stats")
@click.option("--queue", metavar="NAME", help="Only this queue.")
@click.option("--window", default="15m", callback=reads(duration), metavar="DURATION", show_default=True,
              help="How far rates and means look back.")  # fmt: skip
@click.option("--watch", is_flag=False, flag_value="2s", callback=reads(duration), metavar="[DURATION]",
              help="Again and again, every 2s or so often; Ctrl-C ends it.")  # fmt: skip
def stats(queue: str | None, window: float, watch: float | None) -> None:
    """Counts by state, done and failed a minute, share of failures, mean waiting and running time, oldest waiting job.

    A long WAIT with a short RUN asks for more workers; a long RUN for a faster handler.
    """
    if window < 60:
        raise click.BadParameter("the figures are kept by the minute: at least 1m", param_hint="--window")
    printer = Printer.current()
    if watch is None:
        found, store = run(_once(queue, window))
        printer.rows(STATS_COLUMNS, [one.row() for one in found])
        printer.note(store)
        return
    try:
        run(_watch(printer, queue, window, max(0.1, watch)))
    except KeyboardInterrupt:
        return  # the way out, not an accident


async def _once(queue: str | None, window: float) -> tuple[Sequence[Figures], str]:
    """The figures, and the store in a line."""
    url = chosen_url()
    async with open_url(url) as storage:
        found = await _figures(storage, queue, window)
    return found, "; ".join(f"{one.name}: {one.text}" for one in await checkup(url))


async def _figures(storage: Storage, queue: str | None, window: float) -> Sequence[Figures]:
    found = await figures(storage, queue=queue, window=window)
    if queue is not None and not found:
        fail(f"queue {queue!r} is not in the store; `corral queues list` shows those that are", NOT_FOUND)
    return found


async def _watch(printer: Printer, queue: str | None, window: float, interval: float) -> None:
    async with open_store() as storage:
        if printer.terminal and printer.for_people:
            from corral.cli.table import Screen  # rich: only for people who look

            with Screen(STATS_COLUMNS, colour=printer.colour) as screen:
                while True:
                    screen.show([one.row() for one in await _figures(storage, queue, window)])
                    await asyncio.sleep(interval)
        while True:
            printer.rows(STATS_COLUMNS, [one.row() for one in await _figures(storage, queue, window)])
            await asyncio.sleep(interval)
