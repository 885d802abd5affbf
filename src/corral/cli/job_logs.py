"""`corral jobs logs`: what a job's handler has logged, also while it runs."""

import asyncio

import click

from corral.cli.backend.port import Reading
from corral.cli.render import Printer
from corral.cli.session import find_job, look, queue_option
from corral.cli.shared import command

EVERY = 1.0  #: seconds between two looks
ENDED = ("completed", "failed")
PAGE = 1_000


@command("logs")
@click.argument("job_id", metavar="ID")
@queue_option("The job's queue; without it every queue is looked in.")
@click.option("--tail", type=click.IntRange(0, 100_000), default=100, show_default=True, help="The last so many lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
def logs(job_id: str, queue: str | None, tail: int, follow: bool) -> None:
    """What a job's handler has logged, oldest first."""
    printer = Printer.current()

    async def work(back: Reading) -> None:
        where = await find_job(back, job_id, queue)
        _, total = await back.logs(*where, start=0, limit=1)
        place = max(0, total - tail)
        while True:
            # The state first: what is logged after its end is nothing, what was logged before is read then.
            state = (await back.job(*where))["state"] if follow else "completed"
            place = await _print(printer, back, where, place)
            if state in ENDED:
                return
            await asyncio.sleep(EVERY)

    look(work)


async def _print(printer: Printer, back: Reading, where: tuple[str, str], place: int) -> int:
    """Print the lines from this one on; gives the place after the last."""
    while True:
        lines, total = await back.logs(*where, start=place, limit=PAGE)
        if printer.for_people:
            for line in lines:
                printer.line(line)
        else:
            printer.rows((), [{"line": line} for line in lines])
        place += len(lines)
        if not lines or place >= total:
            return place
