"""What is kept of a workspace, and how far each walk through Slack's pages got."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.kit.database import Database
from corral.handlers.slack.tables import SCHEMA, channels, cursors, messages, users, workspaces
from corral.timing import Clock, now_ms


class Place(Struct, frozen=True, kw_only=True):
    """Where a walk stands: how far the last one got, and the page and newest message of one under way."""

    latest: str = ""
    newest: str = ""
    next: str = ""


class User(Struct, frozen=True, kw_only=True):
    """Somebody in a workspace."""

    id: str
    name: str
    real_name: str
    email: str
    title: str
    time_zone: str
    is_bot: bool
    is_admin: bool
    deleted: bool


class ChannelFacts(Struct, frozen=True, kw_only=True):
    """A channel."""

    id: str
    name: str
    topic: str
    members: int
    is_private: bool
    is_archived: bool
    is_member: bool


class Message(Struct, frozen=True, kw_only=True):
    """A message. `sent_at` is in milliseconds; `replies` and `reactions` are counts."""

    channel: str
    ts: str
    user: str
    subtype: str
    text: str
    thread_ts: str
    replies: int
    reactions: int
    edited: bool
    sent_at: int

    def __repr__(self) -> str:
        return f"<Message {self.channel}/{self.ts} of {len(self.text)} characters>"


class Workspaces:
    """The workspaces in the application's database. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    # -- how a workspace is doing ------------------------------------------------------------------------------------

    async def note(self, workspace: str, error: str = "") -> None:
        """Note that a workspace answers, or why it does not."""
        row = {
            "id": workspace, "status": "error" if error else "active", "error": error[:200], "changed_at": self._clock()
        }  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, workspaces, [row], key=["id"])

    async def status(self, workspace: str) -> tuple[str, str] | None:
        """`active` or `error`, and why; None for a workspace that was never asked."""
        wanted = sa.select(workspaces.c.status, workspaces.c.error).where(workspaces.c.id == workspace)
        async with self.database.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else (row.status, row.error)

    # -- walks -------------------------------------------------------------------------------------------------------

    async def place(self, workspace: str, kind: str, channel: str = "") -> Place:
        """Where a walk stands."""
        wanted = sa.select(cursors.c.latest, cursors.c.newest, cursors.c.next).where(
            cursors.c.workspace == workspace, cursors.c.kind == kind, cursors.c.channel == channel
        )
        async with self.database.connect() as connection:
            row = (await connection.execute(wanted)).first()
        return Place() if row is None else Place(latest=row.latest, newest=row.newest, next=row.next)

    async def page(
        self, workspace: str, kind: str, items: Sequence[User] | Sequence[ChannelFacts] | Sequence[Message],
        place: Place, *, channel: str = "",
    ) -> None:  # fmt: skip
        """Keep a page and where the walk stands now, both or neither."""
        now = self._clock()
        table, key = _TABLES[kind]
        rows = [{"workspace": workspace, **_facts(item), "seen_at": now} for item in items]
        async with self.database.begin() as connection:
            if rows:
                await self.database.upsert(connection, table, rows, key=key)
            await self._move(connection, workspace, kind, channel, place, now)

    async def forget(self, workspace: str, kind: str, channels: Sequence[str] = ()) -> None:
        """Begin the next walk from the start: through these channels, or all."""
        gone = sa.delete(cursors).where(cursors.c.workspace == workspace, cursors.c.kind == kind)
        if channels:
            gone = gone.where(cursors.c.channel.in_(channels))
        async with self.database.begin() as connection:
            await connection.execute(gone)

    async def _move(
        self, connection: AsyncConnection, workspace: str, kind: str, channel: str, place: Place, now: int
    ) -> None:
        row = {
            "workspace": workspace, "kind": kind, "channel": channel, "latest": place.latest, "newest": place.newest,
            "next": place.next, "moved_at": now, "finished_at": None if place.next else now,
        }  # fmt: skip
        keep = ["finished_at"] if place.next else []  # a walk under way does not undo that there was one
        await self.database.upsert(connection, cursors, [row], key=["workspace", "kind", "channel"], keep=keep)

    async def finished_at(self, workspace: str, kind: str, channel: str = "") -> int | None:
        """When the last whole walk ended, in milliseconds."""
        wanted = sa.select(cursors.c.finished_at).where(
            cursors.c.workspace == workspace, cursors.c.kind == kind, cursors.c.channel == channel
        )
        async with self.database.connect() as connection:
            found: int | None = await connection.scalar(wanted)
        return found

    # -- reading -----------------------------------------------------------------------------------------------------

    async def users(self, workspace: str, *, deleted: bool = False) -> list[User]:
        """The people of a workspace, by id; those who left only when they are asked for."""
        wanted = sa.select(users).where(users.c.workspace == workspace)
        if not deleted:
            wanted = wanted.where(users.c.deleted.is_(False))
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(users.c.id))
            return [User(**{name: row._mapping[name] for name in User.__struct_fields__}) for row in rows]

    async def channels(self, workspace: str, *, readable: bool = False) -> list[ChannelFacts]:
        """The channels of a workspace, by id. `readable`: only those the app is in and that are not archived."""
        wanted = sa.select(channels).where(channels.c.workspace == workspace)
        if readable:
            wanted = wanted.where(channels.c.is_member.is_(True), channels.c.is_archived.is_(False))
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(channels.c.id))
            return [
                ChannelFacts(**{name: row._mapping[name] for name in ChannelFacts.__struct_fields__}) for row in rows
            ]

    async def messages(
        self, workspace: str, *, channel: str | None = None, since_ms: int = 0, limit: int = 1_000
    ) -> list[Message]:
        """The newest messages, oldest of them first."""
        wanted = sa.select(messages).where(messages.c.workspace == workspace, messages.c.sent_at >= since_ms)
        if channel is not None:
            wanted = wanted.where(messages.c.channel == channel)
        async with self.database.connect() as connection:
            rows = (await connection.execute(wanted.order_by(messages.c.ts.desc()).limit(limit))).all()
        return [Message(**{name: row._mapping[name] for name in Message.__struct_fields__}) for row in reversed(rows)]


_TABLES = {
    "users": (users, ["workspace", "id"]),
    "channels": (channels, ["workspace", "id"]),
    "messages": (messages, ["workspace", "channel", "ts"]),
}


def _facts(item: User | ChannelFacts | Message) -> Mapping[str, object]:
    return {name: getattr(item, name) for name in item.__struct_fields__}
