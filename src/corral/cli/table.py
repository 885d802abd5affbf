"""Tables for terminals: the one module that imports rich at once, and is therefore imported late."""

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from corral.cli.cells import Column, Row
from corral.cli.text import visible

GAP = 2
WRAPPED = 24  #: a column that may wrap is readable from this width on


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """The rows as a table without lines, with the columns that fit into this width."""
    built = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    shown = fitting(columns, rows, width)
    for column in shown:
        justify: JustifyMethod = "right" if column.right else "left"
        built.add_column(column.title, justify=justify, no_wrap=not column.wrap, overflow="fold")
    for row in rows:
        # Text, not str: square brackets in a payload are no markup.
        built.add_row(*(Text(_cell(column, row)) for column in shown))
    return built


def fitting(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[Column]:
    """The columns that fit: those of the highest rank go first, those of rank 0 never."""
    shown = list(columns)
    widths = {column.key: _width(column, rows) + GAP for column in columns}
    while sum(widths[column.key] for column in shown) - GAP > width:
        least = max(shown, key=lambda column: column.rank)
        if least.rank == 0:
            break
        shown.remove(least)
    return shown


def spare(columns: Sequence[Column], rows: Sequence[Row], width: int) -> int:
    """How much of the width these columns leave to one more."""
    return width - sum(_width(column, rows) + GAP for column in columns)


def _width(column: Column, rows: Sequence[Row]) -> int:
    longest = max([cell_len(column.title), *(cell_len(_cell(column, row)) for row in rows)])
    return min(longest, WRAPPED) if column.wrap else longest


def _cell(column: Column, row: Row) -> str:
    return visible(column.show(row.get(column.key)))


def show(columns: Sequence[Column], rows: Sequence[Row], *, colour: bool, wide: bool = False) -> None:
    """Print the rows on the terminal; `wide` leaves no column out, even where lines then break."""
    console = Console(no_color=not colour, highlight=False)
    console.print(table(columns, rows, 10_000 if wide else console.width))


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

    def show(self, rows: Sequence[Row], *, stopped: bool = False) -> None:
        """Draw these rows, with the time and the keys below."""
        state = "stopped" if stopped else f"{datetime.now().astimezone():%H:%M:%S}"
        stamp = Text(f"{state}  q ends  p {'goes on' if stopped else 'stops'}", style="dim")
        self._live.update(Group(table(self._columns, rows, self._live.console.width), stamp), refresh=True)
