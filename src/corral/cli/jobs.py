"""`corral jobs`: find jobs and act on them."""

from collections.abc import Sequence

import click

from corral.cli.backend.port import Backend, Reading, Row
from corral.cli.columns import JOBS
from corral.cli.lazy import LazyGroup
from corral.cli.operating import find
from corral.cli.render import Printer
from corral.cli.session import ask, known, look, queue_option, quoted, search, search_text
from corral.cli.shared import command, reads
from corral.cli.values import duration, since
from corral.cli.watching import EVERY, until_enough, watch
from corral.job import JobState

COMMANDS = {
    "list": ("corral.cli.jobs:list_jobs", "Jobs by queue and state, or those a search finds."),
    "show": ("corral.cli.job_show:show", "Everything about one job, and why it waits."),
    "logs": ("corral.cli.job_logs:logs", "What a job's handler has logged."),
    "retry": ("corral.cli.act:retry", "Run finished jobs again."),
    "rerun": ("corral.cli.rerun:rerun", "Add a new job like one that is there."),
    "edit": ("corral.cli.rerun:edit", "Change a job that waits."),
    "promote": ("corral.cli.act:promote", "Let delayed jobs run now."),
    "cancel": ("corral.cli.act:cancel", "Stop jobs, waiting or running."),
    "remove": ("corral.cli.act:remove", "Delete jobs."),
    "clean": ("corral.cli.clean:clean", "Delete finished jobs that are old enough."),
    "export": ("corral.cli.export:export", "Write jobs to a file."),
}
STATES = click.Choice([str(state) for state in JobState])
QUERY = click.option("-q", "--query", metavar="QUERY", help="A search: 'error:~timeout created:<1d'.")
ALL = 1_000_000_000
USUAL = 20  #: jobs of a list
MOST_FOUND = 20_000  #: jobs of a search in the background


@click.group("jobs", cls=LazyGroup, lazy=COMMANDS)
def jobs() -> None:
    """Look at jobs; retry, rerun, edit, promote, cancel, remove, clean and export them."""


@command("list")
@QUERY
@queue_option()
@click.option("--state", type=STATES, multiple=True, help="Only in this state; may be repeated.")
@click.option("--name", metavar="NAME", help="Only jobs for this handler.")
@click.option("--since", callback=reads(since), metavar="TIME", help="Only those added since: 1h, or a date.")
@click.option("--limit", type=click.IntRange(1, 100_000), help="At most so many (20; with --background 20,000).")
@click.option("--all", "everything", is_flag=True, help="All that there are, however long it takes.")
@click.option(
    "--background",
    is_flag=True,
    help="As an operation, with progress: what it has found is kept, and it can be gone on with.",
)
@click.option("--watch", "interval", is_flag=False, flag_value=f"{EVERY:g}s", callback=reads(duration),
              metavar="[DURATION]", help="Again and again, every 2s or so often; q ends it.")  # fmt: skip
def list_jobs(
    query: str | None, queue: str | None, state: tuple[str, ...], name: str | None, since: str | None,
    limit: int | None, everything: bool, background: bool, interval: float | None,
) -> None:  # fmt: skip
    """Jobs of a queue, of a state, or that a search finds; newest first in each state of each queue.

    A search has words such as state:failed, queue:mail*, name:welcome, error:~timeout, created:<1d, attempts:>2,
    data.user.id:7, has:result and is:late; see docs/guides/search.md.
    """
    printer = Printer.current()
    text = search_text(query, states=state, name=name, since=since)
    if background:
        if interval is not None:
            raise click.UsageError("--background looks once, and --watch again and again: say one of them")
        _search(printer, text, queue, limit or MOST_FOUND)
        return
    most = ALL if everything else limit or USUAL
    totals: list[int | None] = []

    async def work(back: Reading) -> list[Row]:
        await known(back, (queue,) if queue else ())

        async def look() -> list[Row]:
            return [row async for row in search(back, text, queue, most, tell=totals.append)]

        if interval is not None:
            await watch(printer, JOBS, look, interval)
            return []
        if everything and printer.form == "ndjson":
            async for row in search(back, text, queue, most):  # as they come: there may be millions
                printer.rows(JOBS, [row])
            return []
        found = await look()
        printer.rows(JOBS, found)
        return found

    found: Sequence[Row] = ()
    with until_enough(interval):
        found = look(work)
    if len(found) == most:
        total = totals[0] if totals else None
        if total != len(found):
            printer.note(f"{len(found):,} of {'more' if total is None else f'{total:,}'}; --limit or --all shows them")


def _search(printer: Printer, text: str, queue: str | None, most: int) -> None:
    """Look through everything as an operation, and print what was found."""

    async def work(back: Backend) -> list[Row]:
        await known(back, (queue,) if queue else ())
        return await find(printer, back, f"{text} queue:{quoted(queue)}".strip() if queue else text, most)

    printer.rows(JOBS, ask(work))
