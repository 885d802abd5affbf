"""A small, lifelike set of data, the same every time: `python -m examples.aibackend.seed`."""

import asyncio
import hashlib
from datetime import UTC, datetime

from corral.handlers.ai import Message, SqlConversations
from corral.handlers.kit.database import Database

from .build import database_of, make_app, make_home
from .data import Data, User
from .settings import Settings

#: When it all happened: a Monday at noon.
BEGAN = round(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp() * 1000)

PEOPLE = (
    User("user-1", "Alice Moreau", "alice@example.com", "USER"),
    User("user-2", "Bob Tanaka", "bob@example.com", "USER"),
    User("user-3", "Carol Osei", "carol@example.com", "USER"),
    User("admin-1", "Dana Ops", "ops@example.com", "ADMIN"),
)
TALKS = {
    ("user-1", "trip"): (
        "I have three days in Lisbon in March. What should I not miss?",
        "Take the 28 tram early, climb to the castle before noon, and keep an evening for fado in Alfama.",
        "And if it rains?",
        "Then the tile museum and the oceanarium: an hour and a half each.",
    ),
    ("user-1", "bread"): (
        "Why does my sourdough stay flat?",
        "Most often the starter is not lively enough: feed it twice the day before, and bake when it has doubled.",
    ),
    ("user-2", "sql"): (
        "How do I find rows that are there twice?",
        "Group by the columns that should be unique and keep the groups with more than one row.",
        "How do I delete all but one of each?",
        "Number them within each group and delete those numbered above one, in a transaction.",
    ),
    ("user-3", "names"): (
        "A name for a cat that steals socks?",
        "Magpie.",
    ),
}  # fmt: skip


async def seed(database: Database) -> None:
    """Put the data in. Twice is once: everything has an id of its own."""
    clock = iter(range(BEGAN, BEGAN + 10_000_000, 60_000))
    data, talks = Data(database), SqlConversations(database, clock=lambda: next(clock))
    async with database:
        await data.put_users(PEOPLE)
        for (user, talk), said in TALKS.items():
            for number, text in enumerate(said, 1):
                asked = number % 2 == 1
                message = Message(
                    id=f"seed-{user}-{talk}-{number}", role="USER" if asked else "ASSISTANT", content=text,
                    model="" if asked else "gpt-4", tokens=0 if asked else 20 + len(text) // 4,
                )  # fmt: skip
                await talks.add(f"{user}-{talk}", user, message)
        for kind, hours in (("verification", -48), ("reset-password", -2), ("verification", 24)):
            digest = hashlib.sha256(f"{kind}{hours}".encode()).hexdigest()
            await data.put_token(digest, "user-3", kind, BEGAN + hours * 3_600_000)


def main() -> None:
    """The command."""
    settings = Settings()
    app = make_app(settings)
    make_home(settings, app.url)
    asyncio.run(seed(database_of(settings, app.url)))
    print(f"{len(PEOPLE)} people and {len(TALKS)} conversations are there")


if __name__ == "__main__":
    main()
