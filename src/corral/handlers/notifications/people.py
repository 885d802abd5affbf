"""Who the people are: the one thing that every application knows better than a ready-made handler."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from corral.handlers.notifications.payload import Channel

EVERY_WAY: frozenset[Channel] = frozenset({"inbox", "email", "push"})


class Person(Struct, frozen=True):
    """Somebody who may be told things, and how he wants to be."""

    id: str
    name: str
    email: str = ""
    channels: frozenset[Channel] = EVERY_WAY

    def __repr__(self) -> str:
        return f"<Person {self.id}>"


class People(Protocol):
    """Finds people. Anything with this one method will do."""

    async def find(self, organization: str, ids: Sequence[str]) -> Mapping[str, Person]:
        """The people with these ids; those who are not known are left out."""
        ...


class KnownPeople:
    """People from a list, the same in every organization."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._people = {person.id: person for person in people}

    async def find(self, organization: str, ids: Sequence[str]) -> Mapping[str, Person]:
        """As `People.find`."""
        return {id: self._people[id] for id in ids if id in self._people}


class Anybody:
    """For applications that say nothing about people: an id is a name, and there are no addresses."""

    async def find(self, organization: str, ids: Sequence[str]) -> Mapping[str, Person]:
        """As `People.find`."""
        return {id: Person(id, id) for id in ids}
