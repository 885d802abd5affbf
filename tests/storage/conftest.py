"""Fixtures of the conformance suite."""

import pytest

from corral.storage.port import Storage

from .helpers import Clock, Tape


@pytest.fixture
def clock() -> Clock:
    """The time of the test; it moves only when told to."""
    return Clock()


@pytest.fixture
async def tape(storage: Storage) -> Tape:
    """The events of the usual queue from the start of the test."""
    return await Tape.of(storage)
