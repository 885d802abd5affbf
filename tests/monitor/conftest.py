"""Fixtures of the monitor's tests: a clock that stands still, and a monitor on each engine."""

import pytest

from corral.monitor.monitor import Monitor
from corral.storage.port import Storage
from tests.storage.helpers import Clock


@pytest.fixture
def clock() -> Clock:
    """The time of the test; it moves only when told to."""
    return Clock()


@pytest.fixture
def monitor(storage: Storage, clock: Clock) -> Monitor:
    """A monitor whose searches never run out of time, however slow the machine."""
    made = Monitor(storage, clock=lambda: clock.now)
    made.seconds = lambda: 0.0
    return made
