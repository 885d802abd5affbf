"""Tables for terminals: the one module that imports rich at once, and is therefore imported late."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from corral.cli.render import Column, Row
from corral.cli.text import visible


def table(columns: Sequence[Column], rows: Iterable[Row]) -> Table:
    """The rows as a table without lines."""
    built = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        built.add_column(column.title, justify="right" if column.right else "left", no_wrap=column.right)
    for row in rows:
        # Text, not str: square brackets in a payload are no markup.
        built.add_row(*(Text(visible(column.show(row.get(column.key)))) for column in columns))
    return built


def show(columns: Sequence[Column], rows: Iterable[Row], *, colour: bool) -> None:
    """Print the rows on the terminal."""
    Console(no_color=not colour, highlight=False).print(table(columns, rows))


class Screen:
    """A table that is drawn again in its place."""

    def __init__(self, columns: Sequence[Column], *, colour: bool) -> None:
        self._columns = columns
        self._live = Live(console=Console(no_color=not colour, highlight=False), auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, rows: Iterable[Row]) -> None:
        """Draw these rows, with the time below."""
        stamp = Text(f"{datetime.now().astimezone():%H:%M:%S}  Ctrl-C ends", style="dim")
        self._live.update(Group(table(self._columns, rows), stamp), refresh=True)
