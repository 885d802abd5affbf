"""The examples of docs/testing.md, written to files and run as the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import corral

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
SOURCE = Path(corral.__file__).parents[1]


def examples() -> dict[str, str]:
    """The page's code blocks by the file name in their first line."""
    blocks = re.findall(r"^```(?:python|ini)\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)


def test_every_code_block_of_the_page_is_a_file_of_the_example() -> None:
    assert len(examples()) == len(re.findall(r"^```\w", PAGE.read_text(), re.MULTILINE))


def test_the_examples_of_the_page_work(tmp_path: Path) -> None:
    for name, text in examples().items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^7 passed", run.stdout, re.MULTILINE), run.stdout
    assert not (tmp_path / "shop.db").exists()
