"""A database, people, an outbox of mails and a desk."""

from collections.abc import AsyncIterator

import pytest

from corral.handlers.email import preview
from corral.handlers.kit.database import Database
from corral.handlers.kit.mail import Mail
from corral.handlers.notifications import KnownPeople, Person, bundle
from corral.storage.port import Storage
from tests.handlers.desk import Desk

ANN = Person("ann", "Ann", "ann@example.org")
BO = Person("bo", "Bo", "bo@example.org")
CY = Person("cy", "Cy", "cy@example.org", frozenset({"inbox"}))
DEE = Person("dee", "Dee")


class Outbox:
    """Keeps what is handed in, once for each id, as a queue does."""

    def __init__(self) -> None:
        self.mails: dict[str, Mail] = {}
        self.full = False

    async def __call__(self, id: str, mail: Mail) -> object:
        if self.full:
            raise ConnectionError("no room")
        preview(mail.template, mail.data)  # fails when something is missing, as the mail's job would later
        self.mails.setdefault(id, mail)
        return None

    @property
    def recipients(self) -> list[str]:
        return sorted(address for mail in self.mails.values() for address in mail.to)


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database."""
    made = Database(app_database)
    async with made:
        yield made


@pytest.fixture
def outbox() -> Outbox:
    """Where mails go."""
    return Outbox()


@pytest.fixture
def people() -> KnownPeople:
    """Ann and Bo take everything, Cy wants no mail, Dee has no address."""
    return KnownPeople([ANN, BO, CY, DEE])


@pytest.fixture
def desk(memory: Storage, database: Database, people: KnownPeople, outbox: Outbox) -> Desk:
    """A worker's desk for the jobs."""
    return Desk.of(memory, bundle(database=database, people=people, send=outbox))
