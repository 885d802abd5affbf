"""Conversations: what was said, in order, each belonging to whoever began it."""

from collections.abc import Sequence
from typing import Literal, Protocol

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.errors import CorralError
from corral.handlers.ai.tables import SCHEMA, conversations, messages
from corral.handlers.kit.database import Database
from corral.timing import Clock, Millis, now_ms

Role = Literal["USER", "ASSISTANT"]


class NotOwnerError(CorralError):
    """The conversation belongs to somebody else."""

    def __init__(self, conversation: str) -> None:
        super().__init__(f"conversation {conversation!r} belongs to somebody else")


class Message(Struct, frozen=True, kw_only=True):
    """One message. `id` is whatever tells it from all others."""

    id: str
    role: Role
    content: str
    number: int = 0
    model: str = ""
    tokens: int = 0
    sent_at: Millis = 0

    def __repr__(self) -> str:
        return f"<{self.role} {self.number}: {len(self.content)} characters>"


class Conversations(Protocol):
    """Where conversations are. Yours may be anywhere."""

    async def add(self, conversation: str, user: str, message: Message) -> int:
        """Add a message at the end and answer its number; one whose id is there already stays where it is.

        Begins the conversation when there is none. Raises: NotOwnerError.
        """
        ...

    async def history(
        self, conversation: str, user: str, *, until: int | None = None, limit: int = 50
    ) -> Sequence[Message]:
        """The last messages, oldest first, up to number `until`. Raises: NotOwnerError."""
        ...


class SqlConversations:
    """Conversations in the application's database. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self._database = database
        self._clock = clock

    async def add(self, conversation: str, user: str, message: Message) -> int:
        """As `Conversations.add`."""
        async with self._database.begin() as connection:
            await self._begin(connection, conversation, user)
            known = await connection.scalar(sa.select(messages.c.number).where(messages.c.id == message.id))
            if known is not None:
                return int(known)
            # The conversation's row is locked: two that answer at once get two numbers.
            last = sa.select(sa.func.max(messages.c.number)).where(messages.c.conversation == conversation)
            number = int(await connection.scalar(last) or 0) + 1
            row = {
                "id": message.id, "conversation": conversation, "number": number, "role": message.role,
                "content": message.content, "model": message.model, "tokens": message.tokens, "sent_at": self._clock(),
            }  # fmt: skip
            await connection.execute(sa.insert(messages).values(row))
            return number

    async def history(
        self, conversation: str, user: str, *, until: int | None = None, limit: int = 50
    ) -> Sequence[Message]:
        """As `Conversations.history`; empty when there is no such conversation."""
        async with self._database.connect() as connection:
            owner = await connection.scalar(sa.select(conversations.c.owner).where(conversations.c.id == conversation))
            if owner not in (None, user):
                raise NotOwnerError(conversation)
            wanted = sa.select(messages).where(messages.c.conversation == conversation)
            if until is not None:
                wanted = wanted.where(messages.c.number <= until)
            rows = (await connection.execute(wanted.order_by(messages.c.number.desc()).limit(limit))).all()
        return [_message(row) for row in reversed(rows)]

    async def of(self, user: str, *, limit: int = 50) -> Sequence[str]:
        """The ids of somebody's conversations, the one that changed last first."""
        wanted = sa.select(conversations.c.id).where(conversations.c.owner == user)
        async with self._database.connect() as connection:
            return (
                (await connection.execute(wanted.order_by(conversations.c.changed_at.desc()).limit(limit)))
                .scalars()
                .all()
            )

    async def remove(self, conversation: str, user: str) -> bool:
        """Remove a conversation with all that was said in it; False when there is none. Raises: NotOwnerError."""
        async with self._database.begin() as connection:
            owner = await connection.scalar(sa.select(conversations.c.owner).where(conversations.c.id == conversation))
            if owner not in (None, user):
                raise NotOwnerError(conversation)
            await connection.execute(sa.delete(conversations).where(conversations.c.id == conversation))
        return owner is not None

    async def _begin(self, connection: AsyncConnection, conversation: str, user: str) -> None:
        now = self._clock()
        row = {"id": conversation, "owner": user, "begun_at": now, "changed_at": now}
        await self._database.upsert(connection, conversations, [row], key=["id"], keep=["owner", "begun_at"])
        owner = await connection.scalar(sa.select(conversations.c.owner).where(conversations.c.id == conversation))
        if owner != user:
            raise NotOwnerError(conversation)


def _message(row: sa.Row[tuple[object, ...]]) -> Message:
    return Message(
        id=row.id, role=row.role, content=row.content, number=row.number, model=row.model, tokens=row.tokens,
        sent_at=row.sent_at,
    )  # fmt: skip
