"""`corral top`: everything on one screen, drawn again and again."""

import sys

import click

from corral.cli.backend.port import Backend
from corral.cli.failures import USAGE, fail
from corral.cli.render import Printer
from corral.cli.session import ask
from corral.cli.shared import command, reads
from corral.cli.values import duration


@command("top")
@click.option("--interval", default="2s", callback=reads(duration), metavar="DURATION", show_default=True,
              help="How often it is drawn again.")  # fmt: skip
def top(interval: float) -> None:
    """Totals, queues with the course of their backlog, the newest failures, workers: on one screen.

    Keys: q ends it, p stops and goes on, s sorts the queues otherwise.
    """
    printer = Printer.current()
    if not printer.terminal or not sys.stdin.isatty():
        fail("corral top needs a terminal; corral stats --watch -o ndjson is for programs", USAGE)

    async def work(back: Backend) -> None:
        from corral.cli.live import run  # rich: only for people who look

        await run(back, max(0.2, interval), colour=printer.colour)

    try:
        ask(work)
    except KeyboardInterrupt:
        return  # the way out, not an accident
