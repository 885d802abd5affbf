"""`corral doctor`: why jobs do not run, and what to do about it."""

import click

from corral.cli.backend.port import Backend, Row
from corral.cli.cells import Column, plain
from corral.cli.failures import CHECK_FAILED, UNREACHABLE, Failure
from corral.cli.render import Printer
from corral.cli.session import ask
from corral.cli.shared import command
from corral.errors import CorralError, StorageError
from corral.plurals import plural

MARKS = {"ok": "✓", "warning": "▲", "failed": "✕"}
COLUMNS = (
    Column("verdict", "", lambda value: MARKS[str(value)]),
    Column("code", "NO", rank=1),
    Column("check", "CHECK"),
    Column("message", "FOUND", wrap=True),
    Column("fix", "FIX", lambda value: plain(value) if value else "", wrap=True),
)
MENDED = (Column("check", "CHECK"), Column("message", "DONE", wrap=True))


@command("doctor")
@click.option("--only", multiple=True, metavar="CHECK", help="Only this check, as D11 or by its name; may be repeated.")
@click.option("--fix", "mend", is_flag=True, help="Put right what can be put right without losing anything.")
@click.option("--public-url", metavar="URL", help="Where people reach the HTTP API: look at it from outside too.")
def doctor(only: tuple[str, ...], mend: bool, public_url: str | None) -> None:
    """Check that the store answers, that a worker serves every queue with jobs, and what else keeps jobs from running.

    Each finding comes with its fix. Exit code 8 when a check fails, so that a monitor can call it.

    With --fix ids without a job leave their lists, counters are counted anew, forgotten locks go, jobs of workers that
    are gone go back into their queues, and schedules without a next run get one; what else is to be done is up to you.
    """
    printer = Printer.current()
    rows = _examine(printer, only, mend=mend)
    if public_url is not None:
        from corral.cli.outside import look
        from corral.cli.settings import load_settings

        rows += look(public_url, printer.chosen.token or load_settings().token)
    printer.rows(COLUMNS, rows)
    failed = sum(row["verdict"] == "failed" for row in rows)
    warnings = sum(row["verdict"] == "warning" for row in rows)
    ok = len(rows) - failed - warnings
    printer.note(f"{plural(len(rows), 'check')}: {ok} ok, {plural(warnings, 'warning')}, {failed} failed")
    if failed:
        click.get_current_context().exit(CHECK_FAILED)


def _examine(printer: Printer, only: tuple[str, ...], *, mend: bool) -> list[Row]:
    async def work(back: Backend) -> list[Row]:
        if mend and not printer.chosen.dry_run:
            done = await back.mend(only)
            for row in done:
                printer.note(f"✓ {row['message']}")
            if not done:
                printer.note("nothing was to be put right")
        return await back.doctor(only)

    try:
        return ask(work, app=True)
    except StorageError as error:
        return [_unreachable(str(error), missing=False)]
    except Failure as error:
        if error.exit_code != UNREACHABLE:
            raise
        return [_unreachable(error.format_message(), missing=True)]


def _unreachable(message: str, *, missing: bool) -> Row:
    from corral.checks.doctor import unreachable

    return unreachable(_where(), message, missing=missing).row()


def _where() -> str:
    from corral.cli.settings import load_settings
    from corral.cli.store import store_url
    from corral.cli.target import target

    chosen = target()
    try:
        return chosen.api or chosen.url or store_url(load_settings())
    except CorralError:
        return "the store"
