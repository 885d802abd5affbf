"""`corral move FROM TO`: carry a live application from one store to another."""

from collections.abc import Sequence
from contextlib import ExitStack

import click

from corral.cli.cells import Column, Row
from corral.cli.failures import PARTLY, UNREACHABLE, fail
from corral.cli.progress import bar
from corral.cli.render import Printer
from corral.cli.shared import command, reads
from corral.cli.store import run, sqlite_file
from corral.cli.values import duration
from corral.move.mover import move
from corral.move.verdict import Moved
from corral.plurals import plural
from corral.storage.connect import check_url, safe_url

COLUMNS = (
    Column("queue", "QUEUE"),
    Column("new", "NEW", right=True),
    Column("updated", "UPDATED", right=True),
    Column("there", "THERE", right=True, rank=1),
    Column("newer", "NEWER", right=True, rank=2),
    Column("stale", "STALE", right=True, rank=4),
    Column("running", "LEFT", right=True),
    Column("schedules", "SCHEDULES", right=True, rank=2),
    Column("notes", "NOTES", right=True, rank=3),
    Column("complete", "COMPLETE"),
)
SHOWN_IDS = 5


@command("move")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--queue", multiple=True, metavar="NAME", help="Only this queue; may be repeated.")
@click.option("--timeout", callback=reads(duration), default="30s", metavar="DURATION", show_default=True,
              help="How long running jobs may take to end.")  # fmt: skip
@click.option("--keep-running", is_flag=True, help="A first pass: pause nothing in FROM, leave TO paused.")
@click.option("--dry-run", is_flag=True, help="Only say what would be copied.")
def move_command(
    source: str, target: str, queue: tuple[str, ...], timeout: float, keep_running: bool, dry_run: bool
) -> None:
    """Carry a live application from one store to another, as redis://localhost:6379/0 from sqlite:///corral.db.

    Pauses the queues of FROM, waits for running jobs, copies everything under its own ids and lets TO go on where FROM
    stood. FROM stays as it is, paused. It may be run again: only what is new, or has advanced in FROM, is copied.
    """
    printer = Printer.current()
    for url in (source, target):
        check_url(url)
    file = sqlite_file(source)
    if file is not None and not file.exists():
        fail(f"there is no store at {safe_url(source)}", UNREACHABLE)
    fresh = sqlite_file(target)
    where = "sqlite:///:memory:" if dry_run and fresh is not None and not fresh.exists() else target
    with ExitStack() as stack:
        shown = bar(printer, stack)
        try:
            done = run(
                move(source, where, queues=queue, timeout=timeout, keep_running=keep_running, dry_run=dry_run,
                     progress=None if shown is None else shown.show)
            )  # fmt: skip
        except KeyboardInterrupt:
            printer.note(_broken_off(safe_url(source), dry_run=dry_run, keep_running=keep_running))
            raise
    printer.rows(COLUMNS, [_row(one) for one in done])
    _advise(printer, done, safe_url(target), dry_run=dry_run, keep_running=keep_running)


def _broken_off(source: str, *, dry_run: bool, keep_running: bool) -> str:
    if dry_run:
        return "interrupted: nothing was changed"
    text = "interrupted: what is copied stays so. Run it again to go on"
    if keep_running:
        return text
    return f"{text}, or let the old store work again: its queues are paused until corral queues resume --url {source}"


def _row(one: Moved) -> Row:
    return {
        "queue": one.queue,
        "new": one.new,
        "updated": one.updated,
        "there": one.there,
        "newer": one.newer,
        "stale": one.stale,
        "running": one.running,
        "schedules": one.schedules,
        "notes": one.notes,
        "conflicts": list(one.conflicts),
        "unreadable": list(one.unreadable),
        "elsewhere": list(one.elsewhere),
        "settled": one.settled,
        "complete": one.complete,
    }


def _advise(printer: Printer, done: Sequence[Moved], target: str, *, dry_run: bool, keep_running: bool) -> None:
    """Say what is left and what to do about it. Ends with 1 when something is."""
    problems = [problem for one in done for problem in _problems(one)]
    for problem in problems:
        printer.note(problem)
    if dry_run:
        printer.note("nothing was changed")
    elif keep_running:
        printer.note("a first pass: run it again without --keep-running to let the target take over")
    if problems and not dry_run:
        fail("not everything was moved; run it again", PARTLY)
    if not dry_run and not keep_running:
        printer.note(f"start the workers and producers with CORRAL_URL={target}; the old store stays paused")


def _problems(one: Moved) -> list[str]:
    found = []
    if one.running:
        jobs = plural(one.running, "job stays", "jobs stay")
        found.append(f"{one.queue}: {jobs} behind: running, or part of what runs")
    if not one.settled:
        found.append(f"{one.queue}: jobs kept coming while it was copied; stop what adds them")
    if one.conflicts:
        found.append(f"{one.queue}: the target has other jobs under the ids {_some(one.conflicts)}")
    if one.unreadable:
        found.append(f"{one.queue}: nobody can read the jobs {_some(one.unreadable)}")
    if one.elsewhere:
        found.append(f"{one.queue}: its flows go on in {', '.join(one.elsewhere)}: move these queues along")
    return found


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN_IDS:,} more" if len(ids) > SHOWN_IDS else ""
    return ", ".join(ids[:SHOWN_IDS]) + more
