"""CSV: one table, for other programs, which includes those that would take a text for a formula."""

import csv
import unicodedata
from datetime import datetime
from io import StringIO

from corral.handlers.reports.document import Cell, Column, Document, Table
from corral.handlers.reports.words import line

#: What spreadsheets take for the beginning of a formula, in both widths.
FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")


def to_csv(document: Document) -> bytes:
    """A document's main table; without one, its figures. UTF-8 with a mark by which spreadsheets know it."""
    table = document.main or figures_table(document)
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_text(column.title) for column in table.columns])
    writer.writerows([_plain(cell) for cell in row] for row in table.rows)
    return out.getvalue().encode("utf-8-sig", "replace")


def figures_table(document: Document) -> Table:
    """A document's figures as a table."""
    columns = (Column("Figure"), Column("Value"), Column("Unit"), Column("Before"))
    units = {"percent": "%", "seconds": "s"}
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (one.label, one.value, one.unit or units.get(one.kind, ""), one.before) for one in document.figures
    )
    return Table(title="Figures", columns=columns, rows=rows)


def _plain(cell: Cell) -> object:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case datetime():
            return cell.isoformat(sep=" ", timespec="seconds")
        case str():
            return _text(cell)
        case float():
            return "" if cell != cell or cell in (float("inf"), float("-inf")) else round(cell, 6)
    return cell


def _text(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe before it says that it is a text."""
    text = line(text)
    # A reader may drop what nobody sees, and then the formula stands first.
    seen = next((character for character in text if unicodedata.category(character)[0] not in "CZ"), "")
    return f"'{text}" if seen in FORMULA else text
