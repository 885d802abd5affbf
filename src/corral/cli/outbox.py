"""`corral outbox`: rows of an outbox that were set aside, because nobody but a person can decide about them."""

from collections.abc import Callable
from typing import TypeVar

import click

from corral.app.app import Corral
from corral.cli.cells import Column, ago, iso, span
from corral.cli.failures import NOT_FOUND, PARTLY, USAGE, fail
from corral.cli.lazy import LazyGroup
from corral.cli.render import Printer
from corral.cli.shared import command
from corral.plurals import plural

try:
    from corral.outbox.desk import transaction
    from corral.outbox.outbox import Outbox
except ModuleNotFoundError as missing:
    fail(f"{missing.name} is not installed: pip install 'corral[db]'", USAGE)

F = TypeVar("F", bound=Callable[..., object])
COMMANDS = {
    "list": ("corral.cli.outbox:list_rows", "Rows that were set aside, and why."),
    "again": ("corral.cli.outbox:again", "Have rows carried after all."),
    "forget": ("corral.cli.outbox:forget", "Delete rows."),
}
COLUMNS = (
    Column("id", "ROW", str, True),
    Column("queue", "QUEUE"),
    Column("job", "JOB", rank=1),
    Column("age_s", "AGE", span, True),
    Column("reason", "REASON", wrap=True),
)


@click.group("outbox", cls=LazyGroup, lazy=COMMANDS)
def outbox() -> None:
    """Look at rows of an outbox that were set aside, have them carried after all, or delete them."""


def _where(function: F) -> F:
    """Which outbox: the options of each command."""
    table = click.option(
        "--table", default="corral_outbox", show_default=True, metavar="NAME", help="The table of the outbox."
    )
    database = click.option(
        "--database", required=True, envvar="CORRAL_DATABASE", metavar="URL",
        help="The application's database, as SQLAlchemy writes it (CORRAL_DATABASE).",
    )  # fmt: skip
    return database(table(function))


def _of(table: str) -> Outbox:
    return Outbox(Corral("sqlite:///:memory:"), name=table)  # for its tables: no store is opened


@command("list")
@_where
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="At most so many.")
def list_rows(database: str, table: str, limit: int) -> None:
    """Rows that were set aside, oldest first, and why. The others need no looking after: a relay carries them."""
    with transaction(database) as connection:
        found = _of(table).aside(connection, limit=limit)
    printer = Printer.current()
    rows = [
        {
            "id": one.id, "queue": one.queue, "job": one.job_id, "created_at": iso(one.created_at),
            "age_s": ago(one.created_at), "reason": one.reason,
        }
        for one in found
    ]  # fmt: skip
    printer.rows(COLUMNS, rows)
    if not found:
        printer.note("nothing was set aside")


@command("again")
@click.argument("rows", metavar="ROW...", type=int, nargs=-1, required=True)
@_where
def again(rows: tuple[int, ...], database: str, table: str) -> None:
    """Have these rows carried after all. A job that was added before the relay died is then added a second time."""
    with transaction(database) as connection:
        reached = _of(table).again(connection, *rows)
    _tell(f"{reached} of {plural(len(rows), 'row')} will be carried", reached, rows)


@command("forget")
@click.argument("rows", metavar="ROW...", type=int, nargs=-1, required=True)
@_where
def forget(rows: tuple[int, ...], database: str, table: str) -> None:
    """Delete these rows. Their jobs are never added."""
    Printer.current().confirm(f"delete {plural(len(rows), 'row')} of {table}?")
    with transaction(database) as connection:
        reached = _of(table).forget(connection, *rows)
    _tell(f"{reached} of {plural(len(rows), 'row')} deleted", reached, rows)


def _tell(said: str, reached: int, rows: tuple[int, ...]) -> None:
    if reached < len(set(rows)):
        fail(f"{said}; the others are not there, or were not set aside", PARTLY if reached else NOT_FOUND)
    Printer.current().note(said)
