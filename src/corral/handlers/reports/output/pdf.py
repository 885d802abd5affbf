"""PDF, set by typst. The template is ours, a report's texts are data to it: nothing in them is read as mark-up, no file
is opened and nothing is fetched."""

import json
import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from msgspec import to_builtins

from corral.handlers.reports.document import Document
from corral.handlers.reports.output.charts import Look
from corral.handlers.reports.output.formats import has_charts, need_format
from corral.handlers.reports.output.pictures import pictures
from corral.handlers.reports.output.typesetting import Sheet, lacking, typeset
from corral.handlers.reports.output.view import CellView, Facts, TableView, View, view_of
from corral.handlers.reports.words import right_to_left
from corral.plurals import plural

_TEMPLATE = Path(__file__).with_name("templates") / "report.typ"
_LOOK = Look(ink="#6a675f", family="'Libertinus Serif', 'DejaVu Sans'")
#: A word longer than this does not fit a line of large letters: it may be broken where it has a joint, else anywhere.
_LONG = 22
_JOINT = re.compile(r"(?<=[._/\\:@,;=&?#|-])|(?<=[a-z])(?=[A-Z])")
_ANYWHERE = "\u200b"
_RUNNING = 80  # what fits into the head of a page, beside the period
#: How many characters of a table's size fit beside each other, and how many a tag and a bar take on top of their text.
_ACROSS = 116
_BESIDE = {"status": 4, "severity": 4, "percent": 10}
#: Rows. What has more is set in a process of its own, and without the tags by which a screen reader finds its way
#: through a table: they make a file ten times larger (1.3 MB for 1,000 rows).
_LARGE = 300
_SHORT = 14  # no column of texts is narrower than this if its texts are not
_MONO = 1.25  # characters of one width are wider


#: The last character that all of the built-in fonts have; what comes later is asked for.
_ALL_HAVE = "\u024f"
#: What stands for itself nowhere: marks, spaces, and what is never seen.
_UNSEEN = ("M", "Z", "C")


class Pdf(NamedTuple):
    """A PDF, and the scripts of which it shows boxes, because no font has them: `CJK, Thai`."""

    body: bytes
    unshown: str = ""


def to_pdf(document: Document, facts: Facts, *, made_at: int, max_rows: int, fonts: Path | None = None) -> Pdf:
    """A document as PDF. Blocking; 5,000 rows take some seconds. What no font has is said in a note of the document.

    Args:
        made_at: milliseconds since the epoch; part of the file, so that the same report is the same bytes.
        max_rows: of each table.
        fonts: a folder with fonts, for what the built-in ones and the system's lack.

    Raises:
        ConfigError: typst is missing. TypesettingError: its process died.
    """
    need_format("pdf")
    view = view_of(document, facts, pictures(document, _LOOK), max_rows=max_rows)
    large = sum(len(table.rows) for table in view.tables) > _LARGE
    found = tuple(str(path) for path in (*([] if fonts is None else [fonts]), *_chart_fonts()))
    data = _data(view)
    unshown = _scripts(lacking(asked, found)) if (asked := _rare(data)) else ""
    if unshown:
        notes = data["notes"]
        assert isinstance(notes, list)
        notes.append(f"Boxes stand for characters that no font here has ({unshown}). The other formats have them.")
    sheet = Sheet(
        template=str(_TEMPLATE),
        view=json.dumps(data, ensure_ascii=False),
        fonts=found,
        made_at=made_at // 1000,
        tags=not large,
    )
    return Pdf(typeset(sheet, apart=large), unshown)


def _chart_fonts() -> list[Path]:
    """DejaVu Sans comes with matplotlib: it has what typst's own fonts lack, but for East Asian scripts.

    Not the folder it is in: another font there has a box for every character, with which typst would be content.
    """
    if not has_charts():
        return []
    import matplotlib as mpl

    return sorted((Path(mpl.get_data_path()) / "fonts" / "ttf").glob("DejaVuSans*.ttf"))


def _rare(data: object) -> str:
    """The characters of a view that not every font has, each once."""
    every = set(json.dumps(data, ensure_ascii=False))
    return "".join(sorted(one for one in every if one > _ALL_HAVE and unicodedata.category(one)[0] not in _UNSEEN))


def _scripts(characters: str) -> str:
    """What these are, in a few words: their own place would show boxes again."""
    names: list[str] = []
    for one in characters:
        kind, name = unicodedata.category(one)[0], re.split("[ -]", unicodedata.name(one, "unknown"))[0]
        word = {"S": "symbols", "P": "punctuation"}.get(kind) or (name if name == "CJK" else name.capitalize())
        if word not in names:
            names.append(word)
    return ", ".join(names[:6]) + (" …" if len(names) > 6 else "")


def _data(view: View) -> dict[str, object]:
    """What the template reads. A plain cell is a plain string: most are, and there may be many."""
    data: dict[str, object] = to_builtins(view)
    data["title"], data["subject"] = breakable(view.title), breakable(view.subject)
    running = f"{view.title} – {view.subject}" if view.subject else view.title
    data["running"] = running if len(running) <= _RUNNING else f"{running[: _RUNNING - 1]}…"
    data["summary"] = [{"text": breakable(text), "rtl": right_to_left(text)} for text in view.summary]
    data["notes"] = [breakable(note) for note in view.notes]
    data["tables"] = [_table(table) for table in view.tables]
    data["figures"] = [
        {**to_builtins(one), "label": breakable(one.label, 18), "value": breakable(one.value, 14)}
        for one in view.figures
    ]
    data["charts"] = [
        {**to_builtins(one), "table": None if one.table is None else _table(one.table)} for one in view.charts
    ]
    return data


def _table(table: TableView) -> dict[str, object]:
    note = table.note
    if table.left_out:
        rest = (
            f"The first {len(table.rows):,} rows; {plural(table.left_out, 'more is', 'more are')} in the spreadsheet."
        )
        note = f"{rest} {note}".strip()
    widths, room = _widths(table)
    columns = [
        {"title": column.title, "right": column.right, "width": width}
        for column, width in zip(table.columns, widths, strict=True)
    ]
    kinds = [column.kind for column in table.columns]
    rows = [[_cell(cell, kind, fits) for cell, kind, fits in zip(row, kinds, room, strict=True)] for row in table.rows]
    return {
        "title": table.title, "columns": columns, "rows": rows, "note": breakable(note), "empty": breakable(table.empty)
    }  # fmt: skip


def _cell(cell: CellView, kind: str, fits: int) -> object:
    if cell.tone:
        return {"text": cell.text, "tone": cell.tone}
    if cell.share is not None:
        return {"text": cell.text, "share": cell.share}
    text = breakable(cell.text, fits)
    if kind == "code":
        return {"text": text, "code": True}
    return {"text": text, "rtl": True} if cell.rtl else text


def _widths(table: TableView) -> tuple[list[float], list[int]]:
    """Shares of the width for columns of text, 0 for those that take what they need; and how long a word each can hold.

    typst would lay out every cell to find the widths; counting characters is as good, and makes long tables bearable.
    """
    shares: list[float] = []
    left = float(_ACROSS)
    for number, column in enumerate(table.columns):
        lengths = sorted(len(row[number].text) for row in table.rows) or [10]
        if column.kind in ("text", "code") and (column.wide or lengths[-1] > _SHORT):
            usual = max(lengths[int(len(lengths) * 0.9)], lengths[-1] // 2, len(column.title), 16 if column.wide else 7)
            most = min(usual, 46 if column.wide else 30) * (_MONO if column.kind == "code" else 1.0)
            shares.append(most + 2)  # and what stands between two columns
        else:
            shares.append(0.0)
            own = max(lengths[-1], len(column.title)) * (_MONO if column.kind == "code" else 1.0)
            left -= own + _BESIDE.get(column.kind, 0) + 2
    total = sum(shares) or 1.0
    room = []
    for column, share in zip(table.columns, shares, strict=True):
        fits = max(left, 30) * share / total - 2
        room.append(max(6, int(fits / _MONO if column.kind == "code" else fits)) if share else _ACROSS)
    return shares, room


def breakable(text: str, longest: int = _LONG) -> str:
    """A text whose long words may be broken, with a space of no width at each such place."""
    if len(text) <= longest:
        return text
    return " ".join(_joints(word, longest) if len(word) > longest else word for word in text.split(" "))


def _joints(word: str, longest: int) -> str:
    parts = [
        part[start : start + longest] for part in _JOINT.split(word) for start in range(0, max(len(part), 1), longest)
    ]
    return _ANYWHERE.join(parts)
