"""Services that the tests of injection provide."""

from abc import ABC, abstractmethod
from typing import Protocol


class Settings:
    def __init__(self, place: str = "Oslo") -> None:
        self.place = place


class Database:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Mailer(ABC):
    @abstractmethod
    def send(self, to: str) -> str: ...


class Post(Mailer):
    def __init__(self, database: Database) -> None:
        self.database = database

    def send(self, to: str) -> str:
        return f"{to} from {self.database.settings.place}"


class Clock(Protocol):
    def now(self) -> str: ...


class Noon:
    def now(self) -> str:
        return "12:00"


class Silent(Mailer):
    def send(self, to: str) -> str:
        return f"nothing to {to}"
