"""A plugin for pytest: collects the tests that carry the mark `mission`, runs none, and writes down what they show.

python -m pytest --collect-only -p tests.mission.collector --mission-file marks.json tests/cli/test_clean.py
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

#: The parameters that say which engine a test runs on.
_PARAMETERS = ("engine", "platform_url")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare where the findings go."""
    parser.addoption("--mission-file", type=Path, help="where to write which test shows which line")


def _rows(item: pytest.Function) -> Iterator[tuple[str, str, str | None]]:
    """The line, the test and the engine, for each line that the test is marked with."""
    test = item.nodeid.split("[", 1)[0]
    given = item.callspec.params if hasattr(item, "callspec") else {}
    engine = next((str(given[name]) for name in _PARAMETERS if name in given), None)
    for mark in item.iter_markers("mission"):
        unknown = mark.kwargs.keys() - {"on"}
        if unknown or not mark.args:
            raise pytest.UsageError(f"{test}: the mark is mission('M-TS-01', …, on='redis'), not {mark}")
        for line in mark.args:
            yield line, test, mark.kwargs.get("on", engine)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write what was found."""
    rows = [row for item in session.items if isinstance(item, pytest.Function) for row in _rows(item)]
    session.config.getoption("--mission-file").write_text(json.dumps(rows), encoding="utf-8")
