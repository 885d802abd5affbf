"""Fixtures of those who look on."""

from collections.abc import Iterator

import pytest

from tests.observe.spans import Seen


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What is exported during a test."""
    found = Seen()
    yield found
    found.provider.shutdown()
    found.meters.shutdown()
