"""Files that real tools write: coverage.py and pytest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from corral.handlers.reports import InputFile
from corral.handlers.reports.sources.coverage import read_coverage
from corral.handlers.reports.sources.tests import read_tests

SHOP = """
def price(count):
    if count > 10:
        return count * 2
    return count * 3


def never():
    return 1
"""

TESTS = """
import pytest
from shop import price


def test_price():
    assert price(1) == 3


@pytest.mark.parametrize("count", [2, 11])
def test_wrong(count):
    assert price(count) == 6


@pytest.mark.skip
def test_later():
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose tests have run under coverage."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(TESTS)
    quiet = [sys.executable, "-m", "coverage"]
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_", "PYTEST_"))}
    tests = ["pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=.", "--junitxml=junit.xml"]
    run = [*quiet, "run", "--branch", "--include=shop.py", "-m", *tests, "test_shop.py"]
    subprocess.run(run, cwd=tmp_path, env=plain, capture_output=True, timeout=100, check=False)
    for kind in ("xml", "json", "lcov"):
        made = subprocess.run([*quiet, kind], cwd=tmp_path, env=plain, capture_output=True, timeout=60, check=False)
        assert made.returncode == 0, made.stderr
    return tmp_path


def read(path: Path) -> InputFile:
    return InputFile(name=path.name, content=path.read_bytes(), at=0)


def test_what_coverage_and_pytest_write_is_understood(project: Path) -> None:
    for name in ("coverage.xml", "coverage.json", "coverage.lcov"):
        found = read_coverage(read(project / name))
        assert [(one.path, one.lines, one.covered) for one in found.files] == [("shop.py", 6, 5)]
        assert found.branch_percent == 100.0

    outcomes = {one.name: (one.outcome, one.message) for one in read_tests(read(project / "junit.xml"))}
    assert {name: how for name, (how, _) in outcomes.items()} == {
        "test_shop.test_price": "passed",
        "test_shop.test_wrong[2]": "passed",
        "test_shop.test_wrong[11]": "failed",
        "test_shop.test_later": "skipped",
    }
    assert outcomes["test_shop.test_wrong[11]"][1].startswith("assert 22 == 6")
