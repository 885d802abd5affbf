"""The snippets run, print what they say, and stand in the documents as they are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS = sorted(path for path in (ROOT / "examples" / "snippets").glob("*.py") if path.name != "__init__.py")
QUICK_START = ROOT / "docs" / "quickstart.md"
PAGES = [QUICK_START, *sorted((ROOT / "docs").rglob("*.md"))]


def quoted() -> list[tuple[str, str]]:
    """(file name, code) of each block that follows a mark such as `<!-- snippet: retry.py -->`."""
    pattern = r"^<!-- snippet: (\S+) -->\n```python\n(.*?)^```$"
    return [found for page in PAGES for found in re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.name)
def test_a_snippet_prints_what_it_says(snippet: Path, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "PYTHONWARNINGS": "error",
    }
    run = subprocess.run(
        [sys.executable, str(snippet)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = re.findall(r"^ *# -> (.*)$", snippet.read_text(encoding="utf-8"), re.MULTILINE)
    assert run.stdout.splitlines() == said
    assert said


def test_a_snippet_has_at_most_thirty_lines() -> None:
    lengths = {path.name: len(re.sub(r"\n *# -> .*", "", path.read_text()).splitlines()) for path in SNIPPETS}
    assert {name: lines for name, lines in lengths.items() if lines > 30} == {}


def test_the_documents_quote_every_snippet_as_it_is() -> None:
    assert dict(quoted()) == {path.name: path.read_text(encoding="utf-8") for path in SNIPPETS}


def test_every_python_block_of_the_quick_start_is_a_snippet() -> None:
    page = QUICK_START.read_text()
    marks = re.findall(r"^<!-- snippet: ", page, re.MULTILINE)
    assert len(re.findall(r"^```python$", page, re.MULTILINE)) == len(marks)
