"""`corral jobs logs`: what a job's handler has logged, also while it runs."""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime

import click

from corral.cli.backend.port import Reading
from corral.cli.render import Printer
from corral.cli.session import find_job, look, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import instant
from corral.cli.values import since as since_when

EVERY = 1.0  #: seconds between two looks
ENDED = ("completed", "failed")
PAGE = 1_000
ALL = 1_000_000_000
#: A time at the beginning of a line, also in brackets, as `ts=`, or as the first field of JSON.
_TIME = re.compile(
    r"""[\s\[({]*(?:"?[a-zA-Z_@]{1,16}"?\s*[=:]\s*"?)?"""
    r"""(?P<day>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?) ?(?P<zone>Z|[+-]\d\d:?\d\d)?"""
)


@command("logs")
@click.argument("job_id", metavar="ID")
@queue_option("The job's queue; without it every queue is looked in.")
@click.option(
    "--tail",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="The last so many lines (100; with --since all of them).",
)
@click.option(
    "--since", callback=reads(since_when), metavar="TIME", help="Only lines that say they are no older: 10m, or a date."
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")  # fmt: skip
def logs(job_id: str, queue: str | None, tail: int | None, since: str | None, follow: bool) -> None:
    """What a job's handler has logged, oldest first.

    Stores keep no time with a line: --since goes by the times at the beginning of lines. A line without one belongs to
    the line before it.
    """
    printer = Printer.current()
    sieve = None if since is None else Sieve(instant(since))
    most = tail if tail is not None else 100 if sieve is None else ALL

    async def work(back: Reading) -> None:
        where = await find_job(back, job_id, queue)
        _, total = await back.logs(*where, start=0, limit=1)
        place, fresh = max(0, total - most), sieve
        while True:
            # The state first: what is logged after its end is nothing, what was logged before is read then.
            state = (await back.job(*where))["state"] if follow else "completed"
            place = await _print(printer, back, where, place, fresh)
            fresh = None  # what comes from now on is new, whatever it says
            if state in ENDED:
                break
            await asyncio.sleep(EVERY)
        if sieve is not None and sieve.blind:
            printer.note("no line begins with a time: these are all that there are")

    look(work)


class Sieve:
    """Lines that are not older than an instant, as far as they say so. Without a single time all of them go through."""

    def __init__(self, begin: float) -> None:
        self._begin = begin
        self._late = True  #: what is said before the first time is not known to be old
        self._dated = self._any = False

    @property
    def blind(self) -> bool:
        """Whether there were lines, and none with a time."""
        return self._any and not self._dated

    def passed(self, lines: Sequence[str]) -> list[str]:
        """Those of these lines, which follow the ones before, that are late enough."""
        return [line for line in lines if self._is_late(line)]

    def _is_late(self, line: str) -> bool:
        self._any = True
        at = time_of(line)
        if at is not None:
            self._dated, self._late = True, at >= self._begin
        return self._late


def time_of(line: str) -> float | None:
    """The time that a line begins with, as epoch seconds; None without one. Without a zone it is this machine's."""
    found = _TIME.match(line)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found['day']}T{found['clock']}{found['zone'] or ''}").timestamp()
    except ValueError:  # the 31st of February
        return None


async def _print(
    printer: Printer, back: Reading, where: tuple[str, str], place: int, sieve: Sieve | None
) -> int:  # fmt: skip
    """Print the lines from this one on; gives the place after the last."""
    while True:
        found, total = await back.logs(*where, start=place, limit=PAGE)
        lines = found if sieve is None else sieve.passed(found)
        if printer.for_people:
            for line in lines:
                printer.line(line)
        else:
            printer.rows((), [{"line": line} for line in lines])
        place += len(found)
        if not found or place >= total:
            return place
