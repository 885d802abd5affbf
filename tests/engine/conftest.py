"""Fixtures of the engine's suite: an application on a fresh store, in memory or in a file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from corral import Corral


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in a file, for tests with more than one process or application."""
    return f"sqlite:///{tmp_path / 'corral.db'}"


@pytest.fixture
async def app() -> AsyncIterator[Corral]:
    """An application in this process alone."""
    async with Corral("sqlite:///:memory:") as app:
        yield app
