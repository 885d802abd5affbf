"""Fixtures of the command line's tests: an empty folder to stand in, and no settings from outside."""

import os
from pathlib import Path

import pytest

PREFIXES = ("CORRAL_", "WORKER_", "JOB_", "REDIS_", "NODE_")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder the command is called in."""
    for name in [name for name in os.environ if name.startswith(PREFIXES) and not name.startswith("CORRAL_TEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def url(folder: Path) -> str:
    """A store that nobody has used yet."""
    return f"sqlite:///{folder}/test.db"
