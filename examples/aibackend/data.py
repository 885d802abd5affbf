"""The platform's own data: people, what they were sent and told, and what they used."""

import time
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from corral.handlers.ai import SCHEMA as AI
from corral.handlers.kit.database import Database

from .tables import SCHEMA, cursors, email_log, notifications, reports, tokens, users

messages = AI.metadata.tables["ai_messages"]
conversations = AI.metadata.tables["ai_conversations"]


class User(NamedTuple):
    """Somebody."""

    id: str
    name: str
    email: str
    role: str


class Usage(NamedTuple):
    """What was used on a day."""

    day: str
    people: int
    messages: int
    tokens: int


class NewText(NamedTuple):
    """A message that is not in the search yet."""

    id: str
    owner: str
    content: str
    sent_at: int


def now_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


class Data:
    """All of it, in the application's database."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = now_ms) -> None:
        database.needs(AI)
        database.needs(SCHEMA)
        self.database = database
        self.clock = clock

    # -- people ----------------------------------------------------------------------------------------------------

    async def put_users(self, people: Sequence[User]) -> None:
        """Keep people, each in place of an earlier one of that id."""
        async with self.database.begin() as connection:
            await self.database.upsert(connection, users, [person._asdict() for person in people], key=["id"])

    async def user(self, id: str) -> User | None:
        """Somebody by id."""
        async with self.database.connect() as connection:
            row = (await connection.execute(sa.select(users).where(users.c.id == id))).first()
        return None if row is None else User(*row)

    async def admins(self) -> list[User]:
        """Who hears of what went wrong for good."""
        wanted = sa.select(users).where(users.c.role == "ADMIN").order_by(users.c.id)
        async with self.database.connect() as connection:
            return [User(*row) for row in await connection.execute(wanted)]

    async def put_token(self, digest: str, user_id: str, kind: str, expires_at: int) -> None:
        """Keep that a token was given out."""
        row = {"digest": digest, "user_id": user_id, "kind": kind, "expires_at": expires_at}
        async with self.database.begin() as connection:
            await self.database.upsert(connection, tokens, [row], key=["digest"])

    # -- mails and notes -------------------------------------------------------------------------------------------

    async def was_sent(self, user_id: str, email_type: str) -> bool:
        """Whether somebody has had this mail."""
        wanted = email_log.c.user_id == user_id, email_log.c.email_type == email_type
        async with self.database.connect() as connection:
            return (await connection.execute(sa.select(email_log).where(*wanted))).first() is not None

    async def note_sent(self, user_id: str, email_type: str) -> None:
        """Keep that somebody has had this mail."""
        row = {"user_id": user_id, "email_type": email_type, "sent_at": self.clock()}
        async with self.database.begin() as connection:
            await self.database.upsert(connection, email_log, [row], key=["user_id", "email_type"], keep=["sent_at"])

    async def notify(self, id: str, user_id: str, message: str, job_id: str) -> None:
        """Leave somebody a note; one of that id is left once."""
        row = {"id": id, "user_id": user_id, "message": message, "job_id": job_id, "told_at": self.clock()}
        async with self.database.begin() as connection:
            await self.database.upsert(connection, notifications, [row], key=["id"], keep=list(row))

    async def notes(self, user_id: str) -> list[tuple[str, str]]:
        """Somebody's notes, the newest first: message and job."""
        wanted = sa.select(notifications.c.message, notifications.c.job_id).where(notifications.c.user_id == user_id)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(notifications.c.told_at.desc()))
            return [(row.message, row.job_id) for row in rows]

    # -- usage -----------------------------------------------------------------------------------------------------

    async def usage(self, day: date, zone: str) -> Usage:
        """What was used on a day, as its zone has it."""
        begin = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        # A day later by the clock on the wall: the day of a clock change has 23 or 25 hours.
        bounds = [round(at.timestamp() * 1000) for at in (begin, begin + timedelta(days=1))]
        wanted = (
            sa.select(
                sa.func.count(sa.distinct(conversations.c.owner)), sa.func.count(),
                sa.func.coalesce(sa.func.sum(messages.c.tokens), 0),
            )
            .join_from(messages, conversations, messages.c.conversation == conversations.c.id)
            .where(messages.c.sent_at >= bounds[0], messages.c.sent_at < bounds[1])
        )  # fmt: skip
        async with self.database.connect() as connection:
            row = (await connection.execute(wanted)).one()
        return Usage(day.isoformat(), *map(int, row))

    async def put_report(self, usage: Usage) -> None:
        """Keep a day's report, in place of an earlier one."""
        async with self.database.begin() as connection:
            await self.database.upsert(connection, reports, [usage._asdict()], key=["day"])

    async def report(self, day: str) -> Usage | None:
        """A day's report."""
        async with self.database.connect() as connection:
            row = (await connection.execute(sa.select(reports).where(reports.c.day == day))).first()
        return None if row is None else Usage(*row)

    # -- what the search has read ----------------------------------------------------------------------------------

    async def new_texts(self, limit: int) -> list[NewText]:
        """The oldest messages that the search has not read."""
        async with self.database.connect() as connection:
            at = (await connection.execute(sa.select(cursors).where(cursors.c.name == "search"))).first()
            after = (0, "") if at is None else (at.sent_at, at.id)
            wanted = (
                sa.select(messages.c.id, conversations.c.owner, messages.c.content, messages.c.sent_at)
                .join_from(messages, conversations, messages.c.conversation == conversations.c.id)
                .where(sa.tuple_(messages.c.sent_at, messages.c.id) > sa.tuple_(*after))
                .order_by(messages.c.sent_at, messages.c.id)
            )
            return [NewText(*row) for row in await connection.execute(wanted.limit(limit))]

    async def have_read(self, text: NewText) -> None:
        """Keep that everything up to this message has been read."""
        row = {"name": "search", "sent_at": text.sent_at, "id": text.id}
        async with self.database.begin() as connection:
            await self.database.upsert(connection, cursors, [row], key=["name"])
