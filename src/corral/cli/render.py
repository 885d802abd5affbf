"""Printing data: tables on a terminal, tab-separated lines elsewhere, and the forms for programs."""

import os
import re
import sys
from collections.abc import Sequence

import click

from corral.cli.cells import Column, Row, plain
from corral.cli.failures import USAGE, fail
from corral.cli.forms import dumps, filled, name_of, only, table_of_commas, through_jq, yaml
from corral.cli.shared import TEMPLATE, Globals
from corral.cli.text import visible

__all__ = ["Printer", "dumps"]
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Printer:
    """Where a command writes: data to standard output in the chosen form, messages to standard error."""

    def __init__(self, chosen: Globals) -> None:
        self.chosen = chosen
        self.terminal = sys.stdout.isatty()
        self.colour = self.terminal and not chosen.no_color and not os.environ.get("NO_COLOR")
        self.fields = tuple(filter(None, (chosen.fields or "").replace(" ", "").split(",")))
        wanted = chosen.fields is not None or bool(chosen.jq)
        self.form = "json" if wanted and chosen.output in ("table", "wide") else chosen.output

    @classmethod
    def current(cls) -> "Printer":
        """The printer of the command that runs."""
        return cls(click.get_current_context().ensure_object(Globals))

    @property
    def for_people(self) -> bool:
        """Whether the output is a table and not JSON."""
        return self.form in ("table", "wide")

    @property
    def watched(self) -> bool:
        """Whether somebody looks at a screen that can be drawn again."""
        return self.terminal and self.for_people

    def line(self, text: str) -> None:
        """One line of data."""
        click.echo(visible(text))

    def note(self, text: str) -> None:
        """A message for whoever sits there; `--quiet` leaves it out."""
        if not self.chosen.quiet:
            click.echo(visible(text), err=True)

    def detail(self, text: str) -> None:
        """A message for whoever asked for more of them with `-v`."""
        if self.chosen.verbose:
            click.echo(visible(text), err=True)

    def rows(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """A list of like things."""
        if not self.for_people:
            self._programs([self._chosen(row) for row in rows], many=True)
            return
        shown = [self._on_clock(row) for row in rows]
        if self.terminal:
            from corral.cli.table import show  # rich takes 60 ms to import: only for people who look

            show(columns, shown, colour=self.colour, wide=self.form == "wide")
            return
        click.echo("\t".join(column.title for column in columns))
        for row in shown:
            click.echo("\t".join(visible(column.show(row.get(column.key))) for column in columns))

    def record(self, record: Row) -> None:
        """One thing, a field a line."""
        if not self.for_people:
            self._programs([self._chosen(record)], many=False)
            return
        width = max(map(len, record), default=0)
        for key, value in self._on_clock(record).items():
            label = f"{key:<{width}}  " if self.terminal else f"{key}\t"
            click.echo(label + visible(plain(value)))

    def _chosen(self, row: Row) -> Row:
        return only(row, self.fields) if self.fields else row

    def _programs(self, rows: Sequence[Row], *, many: bool) -> None:
        """The forms for programs."""
        value: object = list(rows) if many else rows[0]
        if self.chosen.jq:
            click.echo(through_jq(self.chosen.jq, dumps(value)), nl=False)
            return
        match self.form:
            case "json":
                click.echo(dumps(value, indent=2))
            case "ndjson":
                for row in rows:
                    click.echo(dumps(row))
            case "yaml":
                click.echo(yaml(value), nl=False)
            case "csv":
                click.echo(table_of_commas(rows), nl=False)
            case "name":
                for row in rows:
                    click.echo(visible(name_of(row)))
            case template:
                for row in rows:
                    click.echo(visible(filled(template.removeprefix(TEMPLATE), row)))

    def _on_clock(self, row: Row) -> Row:
        """The row with its instants on this machine's clock, where that is wanted."""
        if not self.chosen.local:
            return row
        return {key: _local(value) for key, value in row.items()}

    def confirm(self, question: str, *, word: str = "") -> None:
        """Ask before something that cannot be undone. `--yes` answers for scripts, which are never asked.

        In a context that is marked as dangerous the answer is `word`, what is to be lost, and not a mere "y".

        Raises:
            Failure: not a terminal and no `--yes` (exit 2), or the answer was no (exit 1).
        """
        if self.chosen.yes or self.chosen.dry_run:
            return
        if not sys.stdin.isatty():
            fail(f"{question} Nobody is there to ask: say --yes", USAGE)
        if word and _dangerous():
            said = click.prompt(f"{question} Type {word} to go on", default="", show_default=False, err=True)
            if said != word:
                fail("nothing was changed", 1)
        elif not click.confirm(question, err=True):
            fail("nothing was changed", 1)


def _local(value: object) -> object:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return value
    from datetime import datetime

    return datetime.fromisoformat(value).astimezone().isoformat(sep=" ", timespec="seconds")


def _dangerous() -> bool:
    from corral.cli.target import target

    return target().danger
