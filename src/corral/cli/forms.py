"""The forms in which data can be printed for programs: JSON, YAML, CSV, names, templates, and what jq makes of it."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Sequence

from corral.cli.cells import Row
from corral.cli.failures import PARTLY, USAGE, fail
from corral.cli.text import visible

#: What YAML takes for something else than a text.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off"})
_HOLE = re.compile(r"\{(\w+(?:\.\w+)*)\}")
#: What makes a spreadsheet calculate: it is written as text.
_FORMULA = re.compile(r"[=+@\t\r]|-(?![\d.]+$)")


def dumps(value: object, *, indent: int | None = None) -> str:
    """JSON for output, readable where it is safe: one odd character (an upper control …) makes it all ASCII."""
    text = json.dumps(value, ensure_ascii=False, default=str, indent=indent)
    if visible(text.replace("\n", "")) == text.replace("\n", ""):
        return text
    return json.dumps(value, default=str, indent=indent).replace("\x7f", "\\u007f")


def only(row: Row, fields: Sequence[str]) -> Row:
    """The row with these fields; `a.b` looks into the field `a`. A field that no row has is a mistake."""
    return {field: look(row, field) for field in fields}


def look(row: Row, path: str) -> object:
    """What stands at a path of a row; fails (exit 2) when the row has no such field."""
    value: object = row
    for part in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(value) if isinstance(value, dict) else "none inside of it"
            fail(f"there is no field {path!r}; there are: {known}", USAGE)
        value = value[part]
    return value


def name_of(row: Row) -> str:
    """What a row is called by the commands: `queue/id`, or its name alone."""
    queue = row.get("queue")
    for key in ("id", "key"):
        if row.get(key) is not None:
            return f"{queue}/{row[key]}" if queue else str(row[key])
    return str(queue or row.get("name") or row.get("fingerprint") or "")


def filled(template: str, row: Row) -> str:
    """The text with `{field}` replaced by what the row has there."""
    return _HOLE.sub(lambda match: _word(look(row, match[1])), template)


def _word(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else dumps(value)


def table_of_commas(rows: Sequence[Row]) -> str:
    """The rows as CSV, every field, with a line of titles; nothing in it is taken for a formula."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names:
        writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue()


def _cell(value: object) -> str:
    word = _word(value)
    return f"'{word}" if isinstance(value, str) and _FORMULA.match(word) else word


def yaml(value: object, depth: int = 0) -> str:
    """The value as YAML: blocks for lists and tables, JSON for what stands in a line (which is YAML too)."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{_key(key)}:{_below(item, depth)}" for key, item in value.items())
    if isinstance(value, list | tuple) and value:
        return "".join(f"{pad}-{_entry(item, depth)}" for item in value)
    return f"{pad}{dumps(value)}\n"


def _key(key: object) -> str:
    plain = re.fullmatch(r"[a-z][a-z_]+", str(key)) and key not in _WORDS
    return str(key) if plain else dumps(str(key))


def _below(value: object, depth: int) -> str:
    return f"\n{yaml(value, depth + 1)}" if isinstance(value, dict | list | tuple) and value else f" {dumps(value)}\n"


def _entry(value: object, depth: int) -> str:
    if isinstance(value, dict | list | tuple) and value:
        return f" {yaml(value, depth + 1).lstrip()}"
    return f" {dumps(value)}\n"


def through_jq(expression: str, text: str) -> str:
    """What the program jq makes of some JSON; fails (exit 2) where it is not installed, and as jq fails."""
    program = shutil.which("jq")
    if program is None:
        fail("--jq needs the program jq, which is not installed; --json FIELDS chooses fields without it", USAGE)
    done = subprocess.run(  # noqa: S603  # no shell: the expression is one argument
        [program, expression], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        fail(f"jq: {done.stderr.strip()}", USAGE if done.returncode in (2, 3) else PARTLY)
    return done.stdout
