"""`corral audit | mark | operations`: what was done, by whom, and what is being done."""

import click

from corral.cli.backend.port import Backend, Row
from corral.cli.columns import AUDIT, JOBS, MARKS, OPERATIONS
from corral.cli.lazy import LazyGroup
from corral.cli.operating import follow, results
from corral.cli.render import Printer
from corral.cli.session import ask, queue_option
from corral.cli.shared import command, reads
from corral.cli.values import instant, since

MARK_COMMANDS = {
    "add": ("corral.cli.records:add_mark", "Mark a moment on the charts."),
    "list": ("corral.cli.records:list_marks", "The marks that are there."),
    "remove": ("corral.cli.records:remove_mark", "Delete a mark."),
}
OPERATION_COMMANDS = {
    "list": ("corral.cli.records:list_operations", "Long operations, the newest first."),
    "show": ("corral.cli.records:show_operation", "One operation, and what went wrong."),
    "wait": ("corral.cli.records:wait", "Go on with an operation, and wait for its end."),
    "results": ("corral.cli.records:found", "What a search in the background has found."),
    "abort": ("corral.cli.records:abort", "Stop an operation; what it has done stays."),
}


@command("audit")
@click.option("--actor", metavar="NAME", help="Only what this person or token did.")
@click.option("--action", metavar="WORD", help="Only this: queue.pause, job.retry …")
@queue_option("Only what was done to this queue and its jobs.")
@click.option("--job", metavar="ID", help="Only what was done to this job.")
@click.option("--since", "begin", callback=reads(since), metavar="TIME", help="Not before: 1h, or a date.")
@click.option("--until", "end", callback=reads(since), metavar="TIME", help="Not after: 10m, or a date.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
def audit(
    actor: str | None, action: str | None, queue: str | None, job: str | None, begin: str | None, end: str | None,
    limit: int,
) -> None:  # fmt: skip
    """Who did what, when and why: everything that was changed by the API, the dashboard or the command line."""
    filters: Row = {
        "actor": actor, "action": action, "queue": queue, "job": job,
        "since": None if begin is None else instant(begin), "until": None if end is None else instant(end),
    }  # fmt: skip
    Printer.current().rows(AUDIT, ask(lambda back: back.audit(filters, limit)))


@click.group("mark", cls=LazyGroup, lazy=MARK_COMMANDS)
def mark() -> None:
    """Marks on the charts: deployments, incidents."""


@command("add")
@click.argument("label")
@click.option("--at", callback=reads(instant), metavar="TIME", help="When: a date, or -10m. Without it: now.")
@click.option("--url", "link", default="", metavar="URL", help="Where more about it stands.")
@click.option("--color", default="", metavar="NAME", help="How it is drawn.")
def add_mark(label: str, at: float | None, link: str, color: str) -> None:
    """Mark a moment on the charts, such as a deployment: corral mark add v2.3.1."""
    Printer.current().record(ask(lambda back: back.mark(label, at, link, color)))


@command("list")
def list_marks() -> None:
    """The marks that are there, the newest first."""
    Printer.current().rows(MARKS, ask(lambda back: back.marks()))


@command("remove")
@click.argument("mark_id", metavar="ID")
def remove_mark(mark_id: str) -> None:
    """Delete a mark."""
    ask(lambda back: back.unmark(mark_id))
    Printer.current().note(f"removed mark {mark_id}")


@click.group("operations", cls=LazyGroup, lazy=OPERATION_COMMANDS)
def operations() -> None:
    """Long operations: retrying, cancelling, removing or looking through many jobs."""


@command("list")
def list_operations() -> None:
    """Long operations, the newest first. One that nobody works on waits for an API, or for corral operations wait."""
    Printer.current().rows(OPERATIONS, ask(lambda back: back.operations()))


@command("show")
@click.argument("operation_id", metavar="ID")
def show_operation(operation_id: str) -> None:
    """One operation: how far it is, and the jobs it could not be done for."""
    Printer.current().record(ask(lambda back: back.operation(operation_id)))


@command("wait")
@click.argument("operation_id", metavar="ID")
def wait(operation_id: str) -> None:
    """Go on with an operation that nobody works on, and show how far it is until it has ended."""
    printer = Printer.current()

    async def work(back: Backend) -> None:
        begun = await back.operation(operation_id)  # one that is not there is said at once
        async with back.driving():
            await back.take_up(operation_id)
            await follow(printer, back, begun)

    ask(work)


@command("results")
@click.argument("operation_id", metavar="ID")
def found(operation_id: str) -> None:
    """What corral jobs list --background has found, also while it goes on: kept for a day, shown as jobs are now."""
    Printer.current().rows(JOBS, ask(lambda back: results(back, operation_id)))


@command("abort")
@click.argument("operation_id", metavar="ID")
def abort(operation_id: str) -> None:
    """Stop an operation. What it has done stays done."""
    now = ask(lambda back: back.abort(operation_id))
    printer = Printer.current()
    printer.note(f"told {operation_id} to stop; jobs done: {now['done']:,}")
