"""A report as data: what a source makes and what every output shows. Nothing in it says how it looks."""

from datetime import date, datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from corral.errors import ConfigError

#: What may stand in a table. A time carries its zone.
Cell: TypeAlias = str | int | float | bool | date | datetime | None
#: How a column or a figure reads: `percent` from 0 to 100, `money` in `unit`, `seconds` as a duration.
Kind: TypeAlias = Literal[
    "text", "number", "percent", "money", "seconds", "date", "time", "status", "severity", "code"
]  # fmt: skip
NUMERIC = frozenset({"number", "percent", "money", "seconds"})


class Figure(Struct, frozen=True, kw_only=True):
    """One number that matters. `before` is the same number of the period before; `better` says which way is good."""

    label: str
    value: Cell
    kind: Kind = "number"
    unit: str = ""
    before: float | None = None
    better: Literal["up", "down"] | None = None
    hint: str = ""


class Series(Struct, frozen=True, kw_only=True):
    """One line of a chart, or one colour of its bars. None is a gap. With a tone its colour means something."""

    name: str
    values: tuple[float | None, ...]
    tone: Literal["good", "warn", "bad", "worst", "calm"] | None = None


class Chart(Struct, frozen=True, kw_only=True):
    """Numbers to be seen: over time as a line or bars (`stacked` on each other), or ranked as horizontal bars."""

    title: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    kind: Literal["line", "bar", "stacked", "rank"] = "line"
    unit: str = ""

    def __post_init__(self) -> None:
        for series in self.series:
            if len(series.values) != len(self.labels):
                raise ConfigError(
                    f"series {series.name!r} of chart {self.title!r} has {len(series.values)} values for "
                    f"{len(self.labels)} labels",
                    key="chart",
                )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        values = [value for series in self.series for value in series.values if value is not None]
        # A line along nought says something, bars of no height do not.
        return not values if self.kind == "line" else not any(values)


class Column(Struct, frozen=True):
    """A column's head, and how its cells read. A `wide` one takes the room that the others leave."""

    title: str
    kind: Kind = "text"
    unit: str = ""
    wide: bool = False


class Table(Struct, frozen=True, kw_only=True):
    """Rows under columns. An `empty` text stands in for rows where there are none. The `main` one is what CSV holds."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    empty: str = "Nothing in this period."
    main: bool = False

    def __post_init__(self) -> None:
        width = len(self.columns)
        for number, row in enumerate(self.rows, 1):
            if len(row) != width:
                raise ConfigError(
                    f"row {number} of table {self.title!r} has {len(row)} cells for {width} columns", key="table"
                )


class Document(Struct, frozen=True, kw_only=True):
    """A report. `subject` is whom it is about, `period` the days in words, `summary` its first paragraphs."""

    title: str
    subject: str = ""
    period: str = ""
    summary: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def main(self) -> Table | None:
        """The table for other programs: the one that says so, else the first."""
        return next((table for table in self.tables if table.main), self.tables[0] if self.tables else None)
