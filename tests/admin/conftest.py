"""Fixtures of the write model's tests: a desk on each engine, at a time that stands still."""

import pytest

from corral.admin.admin import Admin, Desk
from corral.admin.objects import Actor
from corral.monitor.monitor import Monitor
from corral.storage.port import Storage
from tests.admin.helpers import ANA
from tests.storage.helpers import Clock


@pytest.fixture
def clock() -> Clock:
    """The time of the test; it moves only when told to."""
    return Clock()


@pytest.fixture
def monitor(storage: Storage, clock: Clock) -> Monitor:
    """A monitor whose searches never run out of time, however slow the machine."""
    made = Monitor(storage, clock=lambda: clock.now, sensitive=("hidden.everywhere",))
    made.seconds = lambda: 0.0
    return made


@pytest.fixture
def admin(storage: Storage, monitor: Monitor, clock: Clock) -> Admin:
    """The write model without an application."""
    return Admin(storage, monitor, clock=lambda: clock.now)


@pytest.fixture
def desk(admin: Admin) -> Desk:
    """Its verbs, for Ana, who has a reason."""
    return admin.by(ANA, "because")


@pytest.fixture
def actor() -> Actor:
    """Who acts."""
    return ANA
