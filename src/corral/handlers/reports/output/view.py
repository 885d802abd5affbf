"""A document in words, ready to be set: what HTML and PDF have in common."""

from msgspec import Struct

from corral.handlers.reports.document import NUMERIC, Cell, Chart, Column, Document, Figure, Table
from corral.handlers.reports.words import (
    NOTHING,
    Change,
    change_of,
    clean,
    line,
    places_of,
    right_to_left,
    show,
    show_cell,
)

#: What a word of a state or a severity says about how good that is.
_TONES = {
    "good": "success succeeded passed pass ok completed active fixed up allowed granted resolved healthy merged",
    "bad": "failed failure error critical high denied down expired broken vulnerable lost refused",
    "warn": "warning medium moderate cancelled canceled skipped stalled partial delayed unknown paused flaky",
    "calm": "low info informational note none pending running waiting queued open",
}
_TEXTS = ("text", "code", "status")
TONE = {word: tone for tone, words in _TONES.items() for word in words.split()}


class CellView(Struct, frozen=True):
    """A cell in words. `share` is set where a bar shows how much of a hundred it is."""

    text: str
    tone: str = ""
    share: float | None = None
    rtl: bool = False


class ColumnView(Struct, frozen=True):
    """A column: its head, and what holds for all its cells."""

    title: str
    kind: str
    right: bool
    wide: bool


class TableView(Struct, frozen=True, kw_only=True):
    """A table, perhaps only its first rows."""

    title: str
    columns: list[ColumnView]
    rows: list[list[CellView]]
    note: str
    empty: str
    left_out: int


class FigureView(Struct, frozen=True, kw_only=True):
    """A figure in words."""

    label: str
    value: str
    hint: str
    change: str
    way: str
    tone: str
    rtl: bool


class ChartView(Struct, frozen=True, kw_only=True):
    """A chart as a picture, or as a table where nothing can draw it."""

    title: str
    svg: str
    wide: bool
    about: str
    table: TableView | None


class View(Struct, frozen=True, kw_only=True):
    """A document in words."""

    brand: str
    title: str
    subject: str
    period: str
    made: str
    summary: list[str]
    figures: list[FigureView]
    charts: list[ChartView]
    tables: list[TableView]
    notes: list[str]
    rtl: bool


class Facts(Struct, frozen=True, kw_only=True):
    """What a document does not say of itself: who made it, and when."""

    brand: str = "corral"
    made: str = ""


def view_of(document: Document, facts: Facts, charts: list[ChartView], *, max_rows: int | None = None) -> View:
    """Put a document into words."""
    return View(
        brand=line(facts.brand),
        title=line(document.title),
        subject=line(document.subject),
        period=line(document.period),
        made=line(facts.made),
        summary=[clean(text).strip() for text in document.summary if text.strip()],
        figures=[figure_view(figure) for figure in document.figures],
        charts=charts,
        tables=[table_view(table, max_rows) for table in document.tables],
        notes=[line(text) for text in document.notes if text.strip()],
        rtl=right_to_left(document.title),
    )


def figure_view(figure: Figure) -> FigureView:
    """Put a figure into words."""
    change = change_of(figure) or Change("", "", "")
    value = show(figure.value, figure.kind, figure.unit)
    return FigureView(
        label=line(figure.label), value=value, hint=line(figure.hint), change=change.text, way=change.way,
        tone=change.tone, rtl=right_to_left(value),
    )  # fmt: skip


def table_view(table: Table, max_rows: int | None = None) -> TableView:
    """Put a table into words. A column of texts in which nothing stands takes room from the others: it is left out."""
    shown = table.rows if max_rows is None else table.rows[:max_rows]
    kept = [
        number
        for number, column in enumerate(table.columns)
        if column.kind not in _TEXTS or not shown or any(row[number] not in ("", None) for row in shown)
    ]
    columns = [table.columns[number] for number in kept]
    places = [
        places_of(row[number] for row in shown) if column.kind == "number" else None
        for number, column in zip(kept, columns, strict=True)
    ]
    facts = list(zip(kept, columns, places, strict=True))
    return TableView(
        title=line(table.title),
        columns=[ColumnView(line(one.title), one.kind, one.kind in NUMERIC, one.wide) for one in columns],
        rows=[[cell_view(row[number], column, dots) for number, column, dots in facts] for row in shown],
        note=line(table.note),
        empty=line(table.empty),
        left_out=len(table.rows) - len(shown),
    )


def cell_view(cell: Cell, column: Column, places: int | None = None) -> CellView:
    """Put a cell into words."""
    text = show_cell(cell, column, places)
    tone = TONE.get(text.lower(), "calm") if column.kind in ("status", "severity") and text != NOTHING else ""
    share = None
    if column.kind == "percent" and isinstance(cell, int | float) and not isinstance(cell, bool) and 0 <= cell <= 100:
        share = float(cell)
    return CellView(text, tone, share, right_to_left(text))


def chart_table(chart: Chart) -> Table:
    """A chart's numbers as a table: for where nothing can draw it, and for spreadsheets."""
    kind = {"%": "percent", "s": "seconds"}.get(chart.unit, "number")
    columns = (Column(""), *(Column(series.name, kind) for series in chart.series))  # type: ignore[arg-type]
    values = (series.values for series in chart.series)
    return Table(title=chart.title, columns=columns, rows=tuple(zip(chart.labels, *values, strict=True)))


def about_chart(chart: Chart) -> str:
    """A chart in a sentence, for those who do not see it."""
    known = [value for series in chart.series for value in series.values if value is not None]
    if not known or not chart.labels:
        return f"{line(chart.title)}: nothing to show"
    names = ", ".join(line(series.name) for series in chart.series)
    ends = f"{line(chart.labels[0])} to {line(chart.labels[-1])}"
    low, high = (show(value) for value in (min(known), max(known)))
    return f"{line(chart.title)}: {names}; {ends}; between {low} and {high}"
