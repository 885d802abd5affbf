"""A database, a clock that stands still, ears that hear, and a desk."""

from collections.abc import AsyncIterator

import pytest

from corral.handlers.alerts import Alert, Alerts, Route, Severity, bundle
from corral.handlers.kit.database import Database
from corral.storage.port import Storage
from tests.handlers.desk import Desk

START = 1_700_000_000_000
MINUTE = 60_000


class Hands:
    """A clock that somebody turns."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def minutes(self, count: float) -> None:
        self.now += int(count * MINUTE)


class Ear:
    """Hears alerts, unless it is out of order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int]] = []
        self.ids: list[str] = []
        self.trouble: Exception | None = None

    async def __call__(self, id: str, alert: Alert) -> object:
        if self.trouble is not None:
            raise self.trouble
        self.ids.append(id)
        self.heard.append((alert.severity.value, alert.message, alert.count))
        return None


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database."""
    made = Database(app_database)
    async with made:
        yield made


@pytest.fixture
def clock() -> Hands:
    """The time."""
    return Hands()


@pytest.fixture
def store(database: Database, clock: Hands) -> Alerts:
    """What is kept."""
    return Alerts(database, clock=clock)


@pytest.fixture
def ear() -> Ear:
    """Who hears of MEDIUM alerts and above at once."""
    return Ear()


@pytest.fixture
def boss() -> Ear:
    """Who hears of CRITICAL ones that nobody took care of."""
    return Ear()


@pytest.fixture
def desk(memory: Storage, database: Database, clock: Hands, ear: Ear, boss: Ear) -> Desk:
    """A worker's desk for the jobs."""
    routes = [
        Route(name="team", tell=ear),
        Route(name="boss", tell=boss, at_least=Severity.CRITICAL, after=900),
    ]
    return Desk.of(memory, bundle(database=database, routes=routes, clock=clock))
