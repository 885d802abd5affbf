"""Printing data: tables on a terminal, tab-separated lines elsewhere, JSON and NDJSON on request."""

import json
import os
import sys
from collections.abc import Sequence

import click

from corral.cli.cells import Column, Row, plain
from corral.cli.failures import USAGE, fail
from corral.cli.shared import Globals
from corral.cli.text import visible


class Printer:
    """Where a command writes: data to standard output in the chosen form, messages to standard error."""

    def __init__(self, chosen: Globals) -> None:
        self.chosen = chosen
        self.terminal = sys.stdout.isatty()
        self.colour = self.terminal and not chosen.no_color and not os.environ.get("NO_COLOR")

    @classmethod
    def current(cls) -> "Printer":
        """The printer of the command that runs."""
        return cls(click.get_current_context().ensure_object(Globals))

    @property
    def for_people(self) -> bool:
        """Whether the output is a table and not JSON."""
        return self.chosen.output == "table"

    def line(self, text: str) -> None:
        """One line of data."""
        click.echo(visible(text))

    def note(self, text: str) -> None:
        """A message for whoever sits there; `--quiet` leaves it out."""
        if not self.chosen.quiet:
            click.echo(visible(text), err=True)

    def rows(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """A list of like things."""
        match self.chosen.output:
            case "json":
                click.echo(dumps(list(rows), indent=2))
            case "ndjson":
                for row in rows:
                    click.echo(dumps(row))
            case _ if self.terminal:
                from corral.cli.table import show  # rich takes 60 ms to import: only for people who look

                show(columns, rows, colour=self.colour)
            case _:
                click.echo("\t".join(column.title for column in columns))
                for row in rows:
                    click.echo("\t".join(visible(column.show(row.get(column.key))) for column in columns))

    def record(self, record: Row) -> None:
        """One thing, a field a line."""
        match self.chosen.output:
            case "json":
                click.echo(dumps(record, indent=2))
            case "ndjson":
                click.echo(dumps(record))
            case _:
                width = max(map(len, record), default=0)
                for key, value in record.items():
                    label = f"{key:<{width}}  " if self.terminal else f"{key}\t"
                    click.echo(label + visible(plain(value)))

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be undone. `--yes` answers for scripts, which are never asked.

        Raises:
            Failure: not a terminal and no `--yes` (exit 2), or the answer was no (exit 1).
        """
        if self.chosen.yes:
            return
        if not sys.stdin.isatty():
            fail(f"{question} Nobody is there to ask: say --yes", USAGE)
        if not click.confirm(question, err=True):
            fail("nothing was changed", 1)


def dumps(value: object, *, indent: int | None = None) -> str:
    """JSON for output, readable where it is safe: one odd character (an upper control …) makes it all ASCII."""
    text = json.dumps(value, ensure_ascii=False, default=str, indent=indent)
    if visible(text.replace("\n", "")) == text.replace("\n", ""):
        return text
    return json.dumps(value, default=str, indent=indent).replace("\x7f", "\\u007f")
