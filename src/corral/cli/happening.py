"""`corral events`: what happens, as it happens."""

import click

from corral.cli.backend.port import Reading
from corral.cli.columns import EVENTS
from corral.cli.forms import dumps
from corral.cli.render import Printer
from corral.cli.session import known, look, queue_option
from corral.cli.shared import command
from corral.cli.text import visible


@command("events")
@queue_option("Only this queue's.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only events of this type; may be repeated.")
@click.option("--max", "most", type=click.IntRange(1), metavar="N", help="End after so many.")
def events(queue: str | None, types: tuple[str, ...], most: int | None) -> None:
    """What happens to jobs, as it happens: added, active, completed, retrying, failed … Ctrl-C ends it."""
    printer = Printer.current()

    async def work(back: Reading) -> None:
        await known(back, (queue,) if queue else ())
        printer.note("listening")
        seen = 0
        stream = back.events(queue, types)
        async for row in stream:
            if printer.form == "json" or not printer.for_people:
                printer.line(dumps(row)) if printer.form in ("json", "ndjson") else printer.rows(EVENTS, [row])
            else:
                printer.line("  ".join(visible(str(row.get(one.key) or "")) for one in EVENTS))
            seen += 1
            if seen == most:
                return

    try:
        look(work)
    except KeyboardInterrupt:
        return  # the way out, not an accident
