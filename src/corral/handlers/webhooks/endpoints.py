"""Endpoints and what was sent to them, in the application's database."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.errors import RecordNotFoundError
from corral.handlers.kit.database import Database
from corral.handlers.webhooks.tables import SCHEMA, deliveries, endpoints, events
from corral.timing import Clock, Millis

Outcome = Literal["delivered", "failed", "blocked", "skipped"]
#: Rows that are deleted in one transaction: others get their turn in between.
_SLICE = 1_000


class Endpoint(NamedTuple):
    """Where somebody wants to hear about some events."""

    id: str
    organization_id: str | None
    url: str
    events: tuple[str, ...]
    description: str
    generation: int
    old_secret_until: Millis | None
    active: bool
    failing_since: Millis | None
    disabled_at: Millis | None
    disabled_why: str
    created_at: Millis

    def wants(self, event_type: str) -> bool:
        """Whether it asked for this kind of event."""
        return any(fnmatchcase(event_type, pattern) for pattern in self.events)


class Event(NamedTuple):
    """Something that happened, as it is told."""

    id: str
    organization_id: str | None
    type: str
    data: object
    created_at: Millis


class Delivery(NamedTuple):
    """One attempt to tell one endpoint. What it answered is not kept, only its status."""

    job: str
    attempt: int
    event: str
    endpoint: str
    type: str
    outcome: Outcome
    status: int | None
    why: str
    took_ms: int
    at: Millis


class Endpoints:
    """The three tables."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        database.needs(SCHEMA)
        self._database = database
        self._clock = clock

    # -- endpoints -----------------------------------------------------------------------------------------------------

    async def add(self, endpoint: Endpoint) -> None:
        """Write a new one."""
        row = endpoint._asdict() | {"organization": endpoint.organization_id or "", "events": list(endpoint.events)}
        del row["organization_id"]
        async with self._database.begin() as connection:
            await connection.execute(sa.insert(endpoints).values(row))

    async def find(self, id: str) -> Endpoint | None:
        """The one with this id."""
        async with self._database.connect() as connection:
            row = (await connection.execute(sa.select(endpoints).where(endpoints.c.id == id))).first()
        return None if row is None else _endpoint(row)

    async def get(self, id: str) -> Endpoint:
        """The one with this id. Raises: RecordNotFoundError."""
        found = await self.find(id)
        if found is None:
            raise RecordNotFoundError("endpoint", id)
        return found

    async def of(self, organization_id: str | None, *, active: bool | None = None) -> list[Endpoint]:
        """An organization's, oldest first; of nobody's organization those of the application itself."""
        query = sa.select(endpoints).where(endpoints.c.organization == (organization_id or ""))
        if active is not None:
            query = query.where(endpoints.c.active == active)
        async with self._database.connect() as connection:
            rows = (await connection.execute(query.order_by(endpoints.c.created_at, endpoints.c.id))).all()
        return [_endpoint(row) for row in rows]

    async def change(self, id: str, **values: object) -> None:
        """Write some of its columns. Raises: RecordNotFoundError."""
        async with self._database.begin() as connection:
            changed = await connection.execute(sa.update(endpoints).where(endpoints.c.id == id).values(values))
        if changed.rowcount == 0:
            raise RecordNotFoundError("endpoint", id)

    async def remove(self, id: str) -> bool:
        """Delete it. What was delivered to it stays on record."""
        async with self._database.begin() as connection:
            return (await connection.execute(sa.delete(endpoints).where(endpoints.c.id == id))).rowcount > 0

    # -- events --------------------------------------------------------------------------------------------------------

    async def keep(self, event: Event) -> Event:
        """Write an event, unless it is there already; gives the one that is there."""
        row = event._asdict() | {"organization": event.organization_id or ""}
        del row["organization_id"]
        async with self._database.begin() as connection:
            await self._database.upsert(connection, events, [row], key=["id"], keep=list(row))
            return _event((await connection.execute(sa.select(events).where(events.c.id == event.id))).one())

    async def event(self, id: str) -> Event:
        """The one with this id. Raises: RecordNotFoundError."""
        async with self._database.connect() as connection:
            row = (await connection.execute(sa.select(events).where(events.c.id == id))).first()
        if row is None:
            raise RecordNotFoundError("event", id)
        return _event(row)

    # -- deliveries ----------------------------------------------------------------------------------------------------

    async def record(self, delivery: Delivery, *, give_up_ms: Millis, gone: bool = False) -> Endpoint | None:
        """Write how an attempt went, and what that says about the endpoint; gives the endpoint if that disabled it.

        A second time for the same attempt replaces the first.

        Args:
            give_up_ms: of nothing but failures; then it is disabled.
            gone: it said that it will not come back.
        """
        async with self._database.begin() as connection:
            await self._database.upsert(connection, deliveries, [delivery._asdict()], key=["job", "attempt"])
            if delivery.outcome == "skipped":
                return None
            where = sa.and_(endpoints.c.id == delivery.endpoint, endpoints.c.active)
            if delivery.outcome == "delivered":
                await connection.execute(sa.update(endpoints).where(where).values(failing_since=None))
                return None
            since = sa.func.coalesce(endpoints.c.failing_since, delivery.at)
            await connection.execute(sa.update(endpoints).where(where).values(failing_since=since))
            if not gone:
                where = sa.and_(where, endpoints.c.failing_since <= delivery.at - give_up_ms)
            return await self._disable(connection, where, delivery)

    async def _disable(
        self, connection: AsyncConnection, where: sa.ColumnElement[bool], delivery: Delivery
    ) -> Endpoint | None:
        values = {"active": False, "disabled_at": delivery.at, "disabled_why": delivery.why}
        row = (await connection.execute(sa.update(endpoints).where(where).values(values).returning(endpoints))).first()
        return None if row is None else _endpoint(row)

    async def deliveries(
        self, *, endpoint: str | None = None, event: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Attempts, newest first: of one endpoint, of one event, or all."""
        query = sa.select(deliveries).order_by(deliveries.c.at.desc(), deliveries.c.attempt.desc()).limit(limit)
        if endpoint is not None:
            query = query.where(deliveries.c.endpoint == endpoint)
        if event is not None:
            query = query.where(deliveries.c.event == event)
        async with self._database.connect() as connection:
            return [Delivery(*row) for row in (await connection.execute(query)).all()]

    async def prune(self, before: Millis) -> dict[str, int]:
        """Forget events and deliveries that are older; answers how many of each."""
        return {
            "events": await self._prune(events, (events.c.id,), events.c.created_at, before),
            "deliveries": await self._prune(
                deliveries, (deliveries.c.job, deliveries.c.attempt), deliveries.c.at, before
            ),
        }

    async def _prune(
        self, table: sa.Table, key: Sequence[sa.ColumnElement[object]], age: sa.ColumnElement[int], before: Millis
    ) -> int:
        total = 0
        while True:
            old = sa.select(*key).where(age < before).limit(_SLICE)
            async with self._database.begin() as connection:
                gone = (await connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(old)))).rowcount
            total += gone
            if gone < _SLICE:
                return total


def _endpoint(row: sa.Row[tuple[object, ...]]) -> Endpoint:
    values = dict(row._mapping)
    values["organization_id"] = values.pop("organization") or None
    values["events"] = tuple(values["events"])
    return Endpoint(**values)


def _event(row: sa.Row[tuple[object, ...]]) -> Event:
    values = dict(row._mapping)
    values["organization_id"] = values.pop("organization") or None
    return Event(**values)
