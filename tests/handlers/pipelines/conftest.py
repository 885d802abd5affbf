"""Fixtures: settings that allow a few programs of this machine, and a program that says what it was given."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corral.handlers.pipelines import PipelineSettings, Tools
from corral.handlers.pipelines.bench import Bench

#: Prints its arguments, working folder and environment as one line of JSON.
TELLER = """#!{python}
import json, os, sys
print(json.dumps({{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}))
"""
#: Runs the Python code that it is given.
RUNNER = """#!{python}
import sys
exec(sys.argv[1])
"""


def script(path: Path, text: str) -> Path:
    """A program in a file."""
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the two programs."""
    folder = tmp_path / "programs"
    folder.mkdir()
    script(folder / "teller", TELLER)
    script(folder / "runner", RUNNER)
    return folder


@pytest.fixture
def settings(tmp_path: Path, programs: Path) -> PipelineSettings:
    """Settings that allow them, and `true`, `false` and `sleep`."""
    return PipelineSettings(
        pipeline_folder=tmp_path / "pipelines",
        pipeline_path=f"{programs}:{os.defpath}",
        pipeline_programs=("teller", "runner", "true", "false", "sleep"),
        pipeline_env=("APP_*", "MODE"),
    )


@pytest.fixture
def bench(settings: PipelineSettings) -> Bench:
    """A workbench with nothing of the application's own."""
    return Bench(settings, Tools())


Told = dict[str, object]


@pytest.fixture
def told() -> Callable[[str], Told]:
    """Reads what the teller said out of a log."""

    def read(log: str) -> Told:
        [line] = [line for line in log.splitlines() if line.startswith('{"arguments"')]
        found: Told = json.loads(line)
        return found

    return read
