"""`corral failures`: kinds of failures, what they have in common, and what to do with all jobs of one kind."""

import click

from corral.cli.backend.port import Backend, Reading, Row
from corral.cli.columns import FAILURES, JOBS
from corral.cli.lazy import LazyGroup
from corral.cli.operating import follow
from corral.cli.render import Printer
from corral.cli.session import ask, known, look, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import duration, instant

COMMANDS = {
    "list": ("corral.cli.failing:list_failures", "Kinds of failures, the latest first."),
    "show": ("corral.cli.failing:show", "One kind of failure, with its newest jobs."),
    "retry": ("corral.cli.failing:retry", "Run all jobs that failed so again."),
    "mute": ("corral.cli.failing:mute", "Hear nothing of one kind for a while."),
}
FINGERPRINT = click.argument("fingerprint")
WINDOW = click.option("--window", default="24h", callback=reads(duration), metavar="DURATION", show_default=True,
                      help="How far back.")  # fmt: skip


@click.group("failures", cls=LazyGroup, lazy=COMMANDS)
def failures() -> None:
    """Look at kinds of failures; run their jobs again, or mute them."""


@command("list")
@queue_option("Only failures of this queue.")
@WINDOW
def list_failures(queue: str | None, window: float) -> None:
    """Kinds of failures, the latest first: how many jobs failed so, and how many of them lately."""

    async def work(back: Reading) -> list[Row]:
        await known(back, (queue,) if queue else ())
        return await back.failures(queue, window)

    Printer.current().rows(FAILURES, look(work))


@command("show")
@FINGERPRINT
@queue_option("Only in this queue.")
@WINDOW
def show(fingerprint: str, queue: str | None, window: float) -> None:
    """One kind of failure, and the newest jobs that failed so."""
    printer = Printer.current()
    kinds, newest = look(lambda back: back.failure(queue, fingerprint, window))
    if not printer.for_people:
        printer.record({**kinds[0], "kinds": kinds, "newest": newest})
        return
    for kind in kinds:
        printer.record({key: value for key, value in kind.items() if key not in ("trend", "last_s")})
    printer.line("")
    printer.rows(JOBS, newest)


@command("retry")
@FINGERPRINT
@queue_option("Only in this queue.")
@click.option("--every", default="0s", callback=reads(duration), metavar="DURATION",
              help="One after another, this far apart: what has just recovered is not run down again.")  # fmt: skip
def retry(fingerprint: str, queue: str | None, every: float) -> None:
    """Run all jobs that failed in one way again."""
    printer = Printer.current()

    async def work(back: Backend) -> None:
        kinds, _ = await back.failure(queue, fingerprint, 86_400)
        if printer.chosen.dry_run:
            printer.rows(FAILURES, kinds)
            return
        async with back.driving():
            await follow(printer, back, await back.retry_failures(queue, fingerprint, every=every))

    ask(work)


@command("mute")
@FINGERPRINT
@click.option("--until", default="24h", callback=reads(instant), metavar="TIME", show_default=True,
              help="How long, or until when.")  # fmt: skip
@click.option("--off", is_flag=True, help="Hear of it again.")
def mute(fingerprint: str, until: float, off: bool) -> None:
    """Hear nothing of one kind of failure for a while: it is known and somebody is at it."""
    printer = Printer.current()
    if not printer.chosen.dry_run:
        ask(lambda back: back.mute("failure", fingerprint, None if off else until))
    printer.note(f"{'unmuted' if off else 'muted'} {fingerprint}")
