"""`corral jobs export`: jobs as a file, however many, and no more of them in memory than a page."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from corral.cli.backend.port import Backend, Row
from corral.cli.failures import fail
from corral.cli.forms import dumps, table_of_commas
from corral.cli.jobs import ALL, QUERY, STATES
from corral.cli.progress import bar
from corral.cli.render import Printer
from corral.cli.session import ask, known, queue_option, quoted, search_text
from corral.cli.shared import command
from corral.plurals import plural

STEP = 100  #: jobs between two looks at how far it is
INCLUDE = ("data", "result", "errors")
_FIELDS = {"data": ("data",), "result": ("result",), "errors": ("failed_reason", "traces")}


@command("export")
@QUERY
@queue_option()
@click.option("--state", type=STATES, multiple=True, help="Only in this state; may be repeated.")
@click.option("--name", metavar="NAME", help="Only jobs for this handler.")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv", "json"]), default="ndjson", show_default=True,
              help="How the file is written.")  # fmt: skip
@click.option("--include", default="", metavar="WHAT", help="Also: data,result,errors (what is sensitive stays ••••).")
@click.option("--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="Where to; standard output.")
@click.option("--max", "most", type=click.IntRange(1), default=ALL, help="At most so many.")
def export(
    query: str | None, queue: str | None, state: tuple[str, ...], name: str | None, form: str, include: str,
    path: Path | None, most: int,
) -> None:  # fmt: skip
    """Write all jobs that a search finds, one after another. A broken-off export leaves what it had written."""
    more = tuple(filter(None, include.split(",")))
    if odd := set(more) - set(INCLUDE):
        raise click.BadParameter(f"{', '.join(sorted(odd))} is not one of {', '.join(INCLUDE)}", param_hint="--include")
    printer = Printer.current()
    text = search_text(query, states=state, name=name)

    async def work(back: Backend) -> int:
        await known(back, (queue,) if queue else ())
        count = 0
        jobs = back.export(f"{text} queue:{quoted(queue)}".strip() if queue else text)
        with _Sheet(path, form) as sheet:
            try:
                with ExitStack() as stack:
                    # A terminal that the jobs themselves are written to shows how far it is.
                    shown = None if path is None else bar(printer, stack)
                    async for row in jobs:
                        sheet.write(await _filled(back, row, more))
                        count += 1
                        if shown is not None and count % STEP == 0:
                            shown.show("export", count, None)
                        if count == most:
                            break
            finally:
                printer.note(f"{plural(count, 'job')} written to {path or 'standard output'}")
        return count

    ask(work)


async def _filled(back: Backend, row: Row, more: tuple[str, ...]) -> Row:
    if not more:
        return row
    whole = await back.job(str(row["queue"]), str(row["id"]))
    wanted = [field for one in more for field in _FIELDS[one]]
    return {**{key: value for key, value in row.items() if key != "preview"}, **{key: whole[key] for key in wanted}}


class _Sheet:
    """The file: only for its owner, because payloads are in it."""

    def __init__(self, path: Path | None, form: str) -> None:
        self._form = form
        self._first = True
        try:
            self._file: IO[str] = (
                sys.stdout
                if path is None
                else os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
            )
        except OSError as error:
            fail(f"{path} cannot be written: {error.strerror}", 1)

    def __enter__(self) -> "_Sheet":
        if self._form == "json":
            self._file.write("[")
        return self

    def write(self, row: Row) -> None:
        """One job."""
        match self._form:
            case "csv":
                lines = table_of_commas([row])
                self._file.write(lines if self._first else lines.partition("\n")[2])
            case "json":
                self._file.write(f"{'' if self._first else ','}\n{dumps(row)}")
            case _:
                self._file.write(f"{dumps(row)}\n")
        self._first = False

    def __exit__(self, *of: object) -> None:
        if self._form == "json":
            self._file.write("\n]\n")
        self._file.flush()
        if self._file is not sys.stdout:
            self._file.close()
