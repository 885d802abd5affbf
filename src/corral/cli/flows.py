"""`corral flows`: jobs that wait for jobs."""

from collections.abc import Sequence

import click

from corral.cli.backend.plan_rows import lines_of
from corral.cli.backend.port import Backend, Reading, Row
from corral.cli.columns import FLOWS
from corral.cli.job_show import node_line
from corral.cli.lazy import LazyGroup
from corral.cli.operating import follow
from corral.cli.render import Printer
from corral.cli.session import ask, find_job, known, look, queue_option
from corral.cli.shared import command
from corral.cli.values import read_file
from corral.payload import from_json

COMMANDS = {
    "list": ("corral.cli.flows:list_flows", "Flows that are not finished, and how far they are."),
    "show": ("corral.cli.flows:show", "A job and all below it."),
    "add": ("corral.cli.flows:add", "Add a tree of jobs from a file."),
    "retry": ("corral.cli.flows:retry", "Run a flow's failed jobs again."),
}
ID = click.argument("job_id", metavar="ID")
QUEUE = queue_option("The job's queue; without it every queue is looked in.")


@click.group("flows", cls=LazyGroup, lazy=COMMANDS)
def flows() -> None:
    """Look at flows, add one, and run what failed in one again."""


@command("list")
@queue_option("Only flows whose last job is in this queue.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="At most so many.")
def list_flows(queue: str | None, limit: int) -> None:
    """Flows whose last job still waits for others, newest first."""

    async def work(back: Reading) -> Sequence[Row]:
        await known(back, (queue,) if queue else ())
        return await back.flows(queue, limit)

    Printer.current().rows(FLOWS, look(work))


@command("show")
@ID
@QUEUE
@click.option("--depth", type=click.IntRange(1, 50), default=10, show_default=True, help="How far down.")
def show(job_id: str, queue: str | None, depth: int) -> None:
    """A job and the jobs it waits for, as a tree."""
    printer = Printer.current()

    async def work(back: Reading) -> Row:
        return await back.flow(*await find_job(back, job_id, queue), depth=depth)

    tree = look(work)
    if not printer.for_people:
        printer.record(tree)
        return
    for level, node in lines_of(tree):
        printer.line(f"{'  ' * level}{node_line(node)}")


@command("add")
@click.option("--file", "path", required=True, metavar="FILE", help="The tree as JSON; - for standard input.")
def add(path: str) -> None:
    """Add a tree of jobs, all of it in one step: each starts when its children have completed.

    FILE has an object with queue, name, data, opts (the options of a job), on_failure (wait, fail, continue, ignore or
    remove) and children, a list of such objects.
    """
    tree = from_json(read_file(path))
    printer = Printer.current()
    if printer.chosen.dry_run:
        printer.note("a tree of jobs would be added")
        return
    printer.record(ask(lambda back: back.add_flow(tree), create=True, app=True))


@command("retry")
@ID
@QUEUE
@click.option("--failed-only/--everything", default=True, help="Only its failed jobs (usual), or all that ended.")
def retry(job_id: str, queue: str | None, failed_only: bool) -> None:
    """Run the failed jobs of a flow again; those that wait for them wait again."""
    printer = Printer.current()

    async def work(back: Backend) -> None:
        where = await find_job(back, job_id, queue)
        if printer.chosen.dry_run:
            printer.note(f"would retry the flow of {'/'.join(where)}")
            return
        async with back.driving():
            await follow(printer, back, await back.retry_flow(*where, only_failed=failed_only))

    ask(work)
