"""What is kept: people's inboxes, their browsers, kudos and achievements."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date

import sqlalchemy as sa
from msgspec import Struct

from corral.handlers.kit.database import Database
from corral.handlers.notifications.payload import Achievement, Keys, Kudos, Subscription
from corral.handlers.notifications.tables import SCHEMA, achievements, inbox, kudos, subscriptions
from corral.timing import Clock, now_ms


def key_of(*parts: str) -> str:
    """An id made of parts: the same for the same ones."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


class Note(Struct, frozen=True, kw_only=True):
    """A line in somebody's inbox. `created_at` and `read_at` are in milliseconds; None: not read yet."""

    id: str
    kind: str
    title: str
    message: str
    url: str
    data: Mapping[str, object]
    created_at: int
    read_at: int | None = None


class Inbox:
    """The inboxes of all people, in the application's database. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    async def put(self, organization: str, person: str, note: Note) -> None:
        """Put something into an inbox. A second time with the same id changes nothing, not even that it was read."""
        row: dict[str, object] = {
            "id": note.id, "organization": organization, "person": person, "kind": note.kind, "title": note.title,
            "message": note.message, "url": note.url, "data": dict(note.data), "created_at": note.created_at,
            "read_at": None,
        }  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, inbox, [row], key=["id"], keep=list(row))

    async def notes(
        self, organization: str, person: str, *, unread: bool = False, before_ms: int | None = None, limit: int = 50
    ) -> list[Note]:
        """Somebody's notes, newest first; `before_ms` is where the next page begins."""
        wanted = sa.select(inbox).where(inbox.c.organization == organization, inbox.c.person == person)
        if unread:
            wanted = wanted.where(inbox.c.read_at.is_(None))
        if before_ms is not None:
            wanted = wanted.where(inbox.c.created_at < before_ms)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(inbox.c.created_at.desc(), inbox.c.id).limit(limit))
            return [Note(**{name: row._mapping[name] for name in Note.__struct_fields__}) for row in rows]

    async def unread(self, organization: str, person: str) -> int:
        """How many notes somebody has not read."""
        wanted = sa.select(sa.func.count()).where(
            inbox.c.organization == organization, inbox.c.person == person, inbox.c.read_at.is_(None)
        )
        async with self.database.connect() as connection:
            return await connection.scalar(wanted) or 0

    async def read(self, organization: str, person: str, ids: Sequence[str] | None = None) -> int:
        """Mark somebody's notes as read, these or all; answers how many were not."""
        change = sa.update(inbox).where(
            inbox.c.organization == organization, inbox.c.person == person, inbox.c.read_at.is_(None)
        )
        if ids is not None:
            change = change.where(inbox.c.id.in_(list(ids)))
        async with self.database.begin() as connection:
            return (await connection.execute(change.values(read_at=self._clock()))).rowcount


class Browsers:
    """Who wants pushes, and where."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    async def subscribe(self, organization: str, person: str, subscription: Subscription) -> str:
        """Keep a browser's subscription; answers its id. A browser belongs to whoever subscribed with it last."""
        id = key_of(subscription.endpoint)
        row: dict[str, object] = {
            "id": id, "organization": organization, "person": person, "endpoint": subscription.endpoint,
            "p256dh": subscription.keys.p256dh, "auth": subscription.keys.auth, "created_at": self._clock(),
        }  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, subscriptions, [row], key=["id"])
        return id

    async def unsubscribe(self, id: str) -> bool:
        """Forget a subscription; whether there was one."""
        async with self.database.begin() as connection:
            gone = await connection.execute(sa.delete(subscriptions).where(subscriptions.c.id == id))
        return gone.rowcount > 0

    async def of(self, organization: str, person: str) -> dict[str, Subscription]:
        """Somebody's subscriptions by id, oldest first."""
        table = subscriptions.c
        wanted = sa.select(subscriptions).where(table.organization == organization, table.person == person)
        async with self.database.connect() as connection:
            rows = (await connection.execute(wanted.order_by(table.created_at, table.id))).all()
        return {
            row.id: Subscription(endpoint=row.endpoint, keys=Keys(p256dh=row.p256dh, auth=row.auth)) for row in rows
        }


class Praise(Struct, frozen=True):
    """Kudos as they are kept."""

    id: str
    sender: str
    recipient: str
    message: str
    value: str
    day: date


class KudosBook:
    """Kudos and achievements."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    async def praise(self, id: str, data: Kudos, day: date) -> None:
        """Keep kudos. A second time with the same id changes nothing."""
        row: dict[str, object] = {
            "id": id, "organization": data.organization_id, "sender": data.sender_id, "recipient": data.recipient_id,
            "message": data.message, "value": data.value or "", "day": day, "created_at": self._clock(),
        }  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, kudos, [row], key=["id"], keep=list(row))

    async def kudos(self, organization: str, first: date, last: date) -> list[Praise]:
        """The kudos of some days, both included."""
        wanted = sa.select(kudos).where(kudos.c.organization == organization, kudos.c.day >= first, kudos.c.day <= last)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(kudos.c.day, kudos.c.created_at, kudos.c.id))
            return [Praise(row.id, row.sender, row.recipient, row.message, row.value, row.day) for row in rows]

    async def most_praised(
        self, organization: str, first: date, last: date, *, limit: int = 3
    ) -> list[tuple[str, int]]:
        """Who got the most kudos in some days: ids and counts."""
        count = sa.func.count()
        wanted = (
            sa.select(kudos.c.recipient, count)
            .where(kudos.c.organization == organization, kudos.c.day >= first, kudos.c.day <= last)
            .group_by(kudos.c.recipient).order_by(count.desc(), kudos.c.recipient).limit(limit)
        )  # fmt: skip
        async with self.database.connect() as connection:
            return [(str(person), int(number)) for person, number in await connection.execute(wanted)]

    async def reach(self, data: Achievement, day: date, *, job: str) -> bool:
        """Keep an achievement; False when another job did before."""
        row: dict[str, object] = {
            "organization": data.organization_id, "person": data.person_id, "achievement": data.achievement,
            "title": data.title, "job": job, "day": day, "created_at": self._clock(),
        }  # fmt: skip
        key = ["organization", "person", "achievement"]
        async with self.database.begin() as connection:
            await self.database.upsert(connection, achievements, [row], key=key, keep=list(row))
            found = await connection.scalar(
                sa.select(achievements.c.job).where(*(achievements.c[name] == row[name] for name in key))
            )
        return bool(found == job)

    async def achievements(self, organization: str, person: str) -> list[str]:
        """What somebody reached, oldest first."""
        table = achievements.c
        wanted = sa.select(table.achievement).where(table.organization == organization, table.person == person)
        async with self.database.connect() as connection:
            return [str(one) for one in await connection.scalars(wanted.order_by(table.created_at, table.achievement))]
