"""The platform's own data: people, their check-ins and kudos, in a small SQLite file that begins with samples.

Its methods block for a moment, so handlers call them from a thread.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

SAMPLES = Path(__file__).with_name("team.json")
_TABLES = (
    "CREATE TABLE IF NOT EXISTS person (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS checkin (person TEXT NOT NULL, day TEXT NOT NULL, mood INT NOT NULL, "
    "planned INT NOT NULL, done INT NOT NULL, PRIMARY KEY (person, day))",
    "CREATE TABLE IF NOT EXISTS kudos (id TEXT PRIMARY KEY, sender TEXT NOT NULL, recipient TEXT NOT NULL, "
    "day TEXT NOT NULL, message TEXT NOT NULL)",
)


class Person(NamedTuple):
    """Somebody in a team."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days: `first` is the first of them, `end` the day after the last."""

    first: date
    end: date

    @classmethod
    def before(cls, end: date, days: int) -> "Span":
        """The `days` days before a day, which is not among them."""
        return cls(end - timedelta(days), end)

    @property
    def days(self) -> tuple[str, str]:
        return self.first.isoformat(), self.end.isoformat()


@dataclass(frozen=True, slots=True)
class Summary:
    """What a team did in a span."""

    people: int
    active: int  #: people who checked in or gave kudos
    checkins: int
    kudos: int
    planned: int
    done: int
    mood: float | None  #: mean, from 1 to 5; None without check-ins


class Team:
    """The data of one organization. Makes the file, with the samples in it, when it is first used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=10)
        try:
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                _fill(db)
            with db:  # a transaction
                yield db
        finally:
            db.close()

    def people(self, ids: Sequence[str]) -> list[Person]:
        """The people with these ids, in the order of the ids; those who are not known are left out."""
        with self._open() as db:
            found = {row[0]: Person(*row) for row in db.execute("SELECT id, name, email FROM person")}
        return [found[one] for one in ids if one in found]

    def summary(self, span: Span) -> Summary:
        """What happened in a span."""
        with self._open() as db:
            [people] = db.execute("SELECT count(*) FROM person").fetchone()
            checkins, planned, done, mood = db.execute(
                "SELECT count(*), coalesce(sum(planned), 0), coalesce(sum(done), 0), avg(mood) FROM checkin "
                "WHERE day >= ? AND day < ?",
                span.days,
            ).fetchone()
            [kudos] = db.execute("SELECT count(*) FROM kudos WHERE day >= ? AND day < ?", span.days).fetchone()
            [active] = db.execute(
                "SELECT count(*) FROM (SELECT person FROM checkin WHERE day >= ? AND day < ? "
                "UNION SELECT sender FROM kudos WHERE day >= ? AND day < ?)",
                (*span.days, *span.days),
            ).fetchone()
        return Summary(people, active, checkins, kudos, planned, done, mood)

    def most_appreciated(self, span: Span, limit: int = 3) -> list[tuple[str, int]]:
        """Who got the most kudos: names and counts."""
        with self._open() as db:
            return db.execute(
                "SELECT name, count(*) FROM kudos JOIN person ON person.id = recipient WHERE day >= ? AND day < ? "
                "GROUP BY person.id ORDER BY count(*) DESC, name LIMIT ?",
                (*span.days, limit),
            ).fetchall()

    def add_kudos(self, id: str, sender: str, recipient: str, day: date, message: str) -> None:
        """Note kudos. A second time with the same id changes nothing."""
        with self._open() as db:
            db.execute(
                "INSERT OR IGNORE INTO kudos VALUES (?, ?, ?, ?, ?)", (id, sender, recipient, day.isoformat(), message)
            )

    def check_in(self, person: str, day: date, mood: int, planned: int, done: int) -> None:
        """Note how somebody's day went. A second time replaces the first."""
        with self._open() as db:
            db.execute(
                "INSERT OR REPLACE INTO checkin VALUES (?, ?, ?, ?, ?)", (person, day.isoformat(), mood, planned, done)
            )

    def mood(self, person: str, span: Span) -> float | None:
        """Somebody's mean mood in a span."""
        with self._open() as db:
            sql = "SELECT avg(mood) FROM checkin WHERE person = ? AND day >= ? AND day < ?"
            [mean] = db.execute(sql, (person, *span.days)).fetchone()
        return None if mean is None else float(mean)


def _fill(db: sqlite3.Connection) -> None:
    """Make the tables and put the samples in."""
    samples = json.loads(SAMPLES.read_text(encoding="utf-8"))
    today = datetime.now(UTC).date()  # the samples' days are counted back from it

    def day(row: dict[str, int]) -> str:
        return (today - timedelta(row["daysAgo"])).isoformat()

    with db:
        # Another process may be at it too: whoever comes second finds the same rows and changes nothing.
        db.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            db.execute(table)
        db.executemany("INSERT OR IGNORE INTO person VALUES (:id, :name, :email)", samples["people"])
        db.executemany(
            "INSERT OR IGNORE INTO checkin VALUES (:person, :day, :mood, :planned, :done)",
            [{**row, "day": day(row)} for row in samples["checkins"]],
        )
        db.executemany(
            "INSERT OR IGNORE INTO kudos VALUES (:id, :sender, :recipient, :day, :message)",
            [{**row, "day": day(row)} for row in samples["kudos"]],
        )
        db.execute("PRAGMA user_version = 1")
