"""`corral attention`: what is wrong or will be soon, and quiet about what is known."""

import click

from corral.cli.backend.port import Backend, Row
from corral.cli.columns import FINDINGS
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.session import ask, known, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import instant

COMMANDS = {
    "list": ("corral.cli.attention:list_findings", "What wants attention now."),
    "mute": ("corral.cli.attention:mute", "Hear nothing of one finding for a while."),
    "unmute": ("corral.cli.attention:unmute", "Hear of it again."),
}
ID = click.argument("finding", metavar="ID")


@click.group("attention", cls=LazyGroup, lazy=COMMANDS)
def attention() -> None:
    """What wants attention: look, mute, unmute."""


@command("list")
@queue_option("Only what is about this queue.")
@click.option("--muted", is_flag=True, help="Also what is muted.")
def list_findings(queue: str | None, muted: bool) -> None:
    """What wants attention now: its id, how bad it is, what it is and what to do about it."""
    printer = Printer.current()

    async def work(back: Backend) -> list[Row]:
        await known(back, (queue,) if queue else ())
        return await back.findings(queue, muted=muted)

    found = ask(work)
    printer.rows(FINDINGS, found)
    if not found:
        printer.note("nothing wants attention")


@command("mute")
@ID
@click.option("--for", "--until", "until", default="24h", callback=reads(instant), metavar="TIME", show_default=True,
              help="How long, or until when.")  # fmt: skip
def mute(finding: str, until: float) -> None:
    """Hear nothing of one finding for a while: it is known and somebody is at it. Alerts keep quiet too."""
    printer = Printer.current()
    if not printer.chosen.dry_run:
        ask(lambda back: back.mute("finding", finding, until))
    printer.note(f"muted {finding}")


@command("unmute")
@ID
def unmute(finding: str) -> None:
    """Hear of one finding again."""
    printer = Printer.current()
    if not printer.chosen.dry_run:
        ask(lambda back: back.mute("finding", finding, None))
    printer.note(f"unmuted {finding}")
