"""XLSX: a summary, a sheet for each table with real numbers and dates, and charts that the spreadsheet draws."""

import re
from datetime import UTC, date, datetime
from io import BytesIO

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from corral.handlers.reports.document import NUMERIC, Cell, Chart, Column, Document, Kind, Table
from corral.handlers.reports.output.view import TONE, Facts, chart_table
from corral.handlers.reports.words import SYMBOLS, change_of, clean, line, show_cell
from corral.plurals import plural

#: A spreadsheet takes a million; this many take seconds, and 100 MB of memory.
MAX_ROWS = 100_000
_MAX_TEXT = 32_767
_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f']")
_COLOURS = {"good": "#0A7355", "bad": "#B3261E", "warn": "#8A5200", "calm": "#4A4840"}
_SERIES = ("#4A66E0", "#D97A1F", "#128A68", "#C8463C", "#8A68D6", "#6B8299")
_TYPES = {"line": ("line", ""), "bar": ("column", ""), "stacked": ("column", "stacked"), "rank": ("bar", "")}
_CHART_ROWS = 18


def to_xlsx(document: Document, facts: Facts, *, made_at: int) -> bytes:
    """A document as a workbook. Texts are written as texts, whatever they begin with: no formulas, no links."""
    out = BytesIO()
    safe = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    workbook = Workbook(out, {**safe, "nan_inf_to_errors": True})
    made = datetime.fromtimestamp(made_at // 1000, UTC).replace(tzinfo=None)
    workbook.set_properties({"title": line(document.title)[:200], "author": line(facts.brand), "created": made})
    book = _Book(workbook)
    book.summary(document, facts)
    for table in document.tables:
        book.table(table)
    if charts := [chart for chart in document.charts if not chart.empty]:
        book.charts(charts)
    workbook.close()
    return out.getvalue()


class _Book:
    """A workbook that is being written."""

    def __init__(self, workbook: Workbook) -> None:
        self._workbook = workbook
        self._names: set[str] = set()
        self._formats: dict[tuple[object, ...], Format] = {}

    # -- sheets ------------------------------------------------------------------------------------------------------

    def summary(self, document: Document, facts: Facts) -> None:
        sheet = self._sheet("Summary")
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 2, 18)
        sheet.set_column(3, 3, 34)
        row = self._lines(sheet, 0, document, facts)
        if document.figures:
            row += 1
            for number, title in enumerate(("Figure", "Value", "Before", "Change")):
                sheet.write_string(row, number, title, self._head(right=number in (1, 2)))
            for figure in document.figures:
                row += 1
                column = Column("", figure.kind, figure.unit)
                self._write(sheet, row, 0, figure.label, Column(""))
                self._write(sheet, row, 1, figure.value, column)
                self._write(sheet, row, 2, figure.before, column)
                change = change_of(figure)
                tone = {"font_color": _COLOURS[change.tone]} if change else {}
                sheet.write_string(row, 3, change.text if change else "", self._format(**tone))
            row += 1
        for note in document.notes:
            row += 1
            sheet.write_string(row, 0, _text(note), self._format(font_color="#6A675F"))

    def _lines(self, sheet: Worksheet, row: int, document: Document, facts: Facts) -> int:
        sheet.write_string(row, 0, _text(document.title), self._format(bold=True, font_size=18))
        for text in (document.subject, document.period):
            if text:
                row += 1
                sheet.write_string(row, 0, _text(text), self._format(font_size=12))
        row += 1
        made = f"{line(facts.brand)} · {line(facts.made)}" if facts.made else line(facts.brand)
        sheet.write_string(row, 0, made, self._format(font_color="#6A675F"))
        for text in document.summary:
            row += 2
            wrapped = self._format(text_wrap=True, valign="top")
            sheet.merge_range(row, 0, row, 3, "", wrapped)
            sheet.write_string(row, 0, clean(text)[:_MAX_TEXT], wrapped)
            sheet.set_row(row, 16 * (1 + len(text) // 95 + text.count("\n")))
        return row + 1

    def table(self, table: Table) -> None:
        """A sheet for one table: its head stays in sight, and its columns can be filtered."""
        sheet = self._sheet(table.title)
        rows = table.rows[:MAX_ROWS]
        for number, column in enumerate(table.columns):
            sheet.write_string(0, number, _text(column.title), self._head(right=column.kind in NUMERIC))
            sheet.set_column(number, number, _width(column, number, rows))
        for place, row in enumerate(rows, 1):
            for number, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
                self._write(sheet, place, number, cell, column)
        sheet.freeze_panes(1, 0)
        if rows and table.columns:
            sheet.autofilter(0, 0, len(rows), len(table.columns) - 1)
        else:
            sheet.write_string(1, 0, _text(table.empty), self._format(font_color="#6A675F"))
        if len(table.rows) > MAX_ROWS:
            left = f"{plural(len(table.rows) - MAX_ROWS, 'more row is', 'more rows are')} left out"
            sheet.write_string(len(rows) + 1, 0, left, self._format(font_color="#6A675F"))

    def charts(self, charts: list[Chart]) -> None:
        """One sheet with the numbers of all charts, and each chart beside its own."""
        sheet = self._sheet("Charts")
        sheet.set_column(0, 0, 20)
        sheet.set_column(1, 6, 14)
        row = 0
        for chart in charts:
            sheet.write_string(row, 0, _text(chart.title), self._format(bold=True, font_size=12))
            table = chart_table(chart)
            for number, column in enumerate(table.columns):
                sheet.write_string(row + 1, number, _text(column.title), self._head(right=number > 0))
            for place, cells in enumerate(table.rows, row + 2):
                for number, (cell, column) in enumerate(zip(cells, table.columns, strict=True)):
                    self._write(sheet, place, number, cell, column)
            self._draw(sheet, chart, row)
            row += max(len(table.rows) + 4, _CHART_ROWS)

    def _draw(self, sheet: Worksheet, chart: Chart, row: int) -> None:
        kind, subtype = _TYPES[chart.kind]
        drawn = self._workbook.add_chart({"type": kind, **({"subtype": subtype} if subtype else {})})
        assert drawn is not None
        first, last = row + 2, row + 1 + len(chart.labels)
        for number, _ in enumerate(chart.series, 1):
            colour = _SERIES[(number - 1) % len(_SERIES)]
            look = {"line": {"color": colour, "width": 2}} if kind == "line" else {"fill": {"color": colour}}
            drawn.add_series(
                {
                    "name": [sheet.name, row + 1, number],
                    "categories": [sheet.name, first, 0, last, 0],
                    "values": [sheet.name, first, number, last, number],
                    **look,
                }
            )
        # The title is given as a place too: as a text, one that begins with = would be read as a reference.
        drawn.set_title({"name": [sheet.name, row, 0], "name_font": {"size": 12}})
        drawn.set_legend({"position": "bottom"} if len(chart.series) > 1 else {"none": True})
        drawn.set_y_axis(
            {"reverse": True} if kind == "bar" else {"major_gridlines": {"visible": True, "line": {"color": "#E5E3DB"}}}
        )
        drawn.show_na_as_empty_cell()
        drawn.set_size({"width": 620, "height": 320})
        sheet.insert_chart(row, len(chart.series) + 2, drawn)

    # -- cells -------------------------------------------------------------------------------------------------------

    def _write(self, sheet: Worksheet, row: int, place: int, cell: Cell, column: Column) -> None:
        match cell:
            case None:
                return
            case bool():
                sheet.write_boolean(row, place, cell, self._format())
            case int() | float():
                shape = _number_format(column.kind, column.unit, cell)
                value = cell / 100 if column.kind == "percent" else cell
                if abs(value) < 1e15 and value == value:  # 15 digits are all that a spreadsheet keeps
                    sheet.write_number(row, place, value, self._format(num_format=shape))
                else:
                    sheet.write_string(row, place, show_cell(cell, column), self._format(align="right"))
            case datetime():
                sheet.write_datetime(
                    row, place, cell.replace(tzinfo=None), self._format(num_format="yyyy-mm-dd hh:mm:ss")
                )
            case date():
                sheet.write_datetime(row, place, cell, self._format(num_format="yyyy-mm-dd"))
            case str():
                tone = TONE.get(cell.lower(), "calm") if column.kind in ("status", "severity") else ""
                look = {"font_color": _COLOURS[tone], "bold": True} if tone else {}
                sheet.write_string(row, place, _text(cell), self._format(valign="top", **look))

    def _head(self, *, right: bool) -> Format:
        return self._format(
            bold=True, bg_color="#ECEBE5", bottom=1, bottom_color="#6A675F", align="right" if right else "left"
        )

    def _format(self, **properties: object) -> Format:
        key = tuple(sorted(properties.items()))
        if key not in self._formats:
            self._formats[key] = self._workbook.add_format(dict(properties))
        return self._formats[key]

    def _sheet(self, title: str) -> Worksheet:
        wanted = _NAME.sub(" ", line(title)).strip()[:31].strip() or "Table"
        name, number = wanted, 1
        while name.lower() in self._names or name.lower() == "history":  # Excel keeps that one for itself
            number += 1
            name = f"{wanted[:27]} {number}"
        self._names.add(name.lower())
        sheet = self._workbook.add_worksheet(name)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        return sheet


def _text(text: str) -> str:
    return line(text)[:_MAX_TEXT]


def _number_format(kind: Kind, unit: str, value: float) -> str:
    if kind == "percent":
        return "0.0%"
    whole = isinstance(value, int) or value == int(value) if abs(value) < 1e15 else True
    shape = "#,##0" if whole else "#,##0.00"
    if kind == "seconds":
        return '0.0" s"'
    if kind == "money":
        symbol = SYMBOLS.get(unit.upper(), "")
        return f'"{symbol}"{shape}' if symbol else shape
    return shape


def _width(column: Column, number: int, rows: tuple[tuple[Cell, ...], ...]) -> float:
    longest = max((len(show_cell(row[number], column)) for row in rows[:500]), default=0)
    if column.kind == "time":
        longest = max(longest, 19)
    return float(min(max(longest, len(column.title) + 3, 8) + 2, 60))
