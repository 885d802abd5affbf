"""Which tests show which line, found by their marks; and the page that says so."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .lines import LINES, PLATFORMS, Line

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mission.md"
ENGINES = ("sqlite", "redis")
#: So many tests are named for a line; of more there is only the number.
NAMED = 3
#: How pytest ends when it has found tests, and when it has found none.
_FINE = (0, 5)

HEAD = """\
# The mission

Four platforms measure corral, each described in a guide of its own and built under `examples/`. Each line of their
descriptions stands here with the tests that show it.

✓ under an engine: a test of the line runs there. – : the line is not about a store.

This page is written by `python -m tests.mission`; a test fails when it is out of date.
"""


@dataclass
class Shown:
    """What shows a line."""

    tests: set[str] = field(default_factory=set)  #: `tests/cli/test_clean.py::test_it_cleans`
    engines: set[str] = field(default_factory=set)


def marked_files() -> list[Path]:
    """The test modules in which the mark stands."""
    found = (path for folder in ("tests", "examples") for path in (ROOT / folder).rglob("test_*.py"))
    return sorted(path for path in found if "mark.mission" in path.read_text(encoding="utf-8"))


def collect(files: Iterable[Path]) -> dict[str, Shown]:
    """What pytest finds in these modules, by line. In a process of its own: a test may ask for it.

    Raises:
        RuntimeError: a module cannot be collected, with what pytest said. KeyError: a mark names no line.
    """
    shown = {line.id: Shown() for line in LINES}
    names = [str(path) for path in files]
    if not names:  # pytest would collect everything there is
        return shown
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        options = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "mission"]
        command = [sys.executable, "-m", "pytest", *options, "-p", "tests.mission.collector"]
        run = subprocess.run(
            [*command, "--mission-file", str(rows), *names],
            cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        if run.returncode not in _FINE or not rows.exists():
            raise RuntimeError(f"pytest ended with {run.returncode}: {run.stdout[-3000:]}{run.stderr[-3000:]}")
        found = json.loads(rows.read_text(encoding="utf-8"))
    for line, test, engine in found:
        shown[line].tests.add(test)
        if engine is not None:
            shown[line].engines.add(engine)
    return shown


def lacks(line: Line, shown: Shown) -> list[str]:
    """What a line still needs: `a test`, or the engines it has not been shown on."""
    if not shown.tests:
        return ["a test"]
    return [engine for engine in ENGINES if line.both and engine not in shown.engines]


def open_lines(shown: Mapping[str, Shown]) -> dict[str, list[str]]:
    """The lines that need something, and what."""
    return {line.id: need for line in LINES if (need := lacks(line, shown[line.id]))}


def write(shown: Mapping[str, Shown]) -> str:
    """The page."""
    parts = [HEAD]
    for platform in PLATFORMS:
        page = platform.title.replace(" ", "").lower()
        parts += [
            f"\n## {platform.title}\n",
            f"[The guide](guides/{page}.md)\n",
            "| Line | | Tests | SQLite | Redis |",
            "|---|---|---|---|---|",
        ]
        parts += [_row(line, shown[line.id]) for line in platform.lines]
    return "\n".join(parts) + "\n"


def _row(line: Line, shown: Shown) -> str:
    names = [f"`{test.removeprefix('tests/')}`" for test in sorted(shown.tests)]
    tests = "<br>".join(names[:NAMED]) or "open"
    if len(names) > NAMED:
        tests += f"<br>and {len(names) - NAMED} more"
    cells = [_cell(line, shown, engine) for engine in ENGINES]
    return f"| {line.id} | {line.says.replace('|', chr(92) + '|')} | {tests} | {cells[0]} | {cells[1]} |"


def _cell(line: Line, shown: Shown, engine: str) -> str:
    if engine in shown.engines:
        return "✓"
    return "open" if line.both else "–"
