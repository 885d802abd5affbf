"""The organizations: who they are, what they pay for, and who is told when something is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa

from corral.handlers.kit.database import Database

from .tables import ORGANIZATIONS, SCHEMA

PlanName = Literal["starter", "growth", "enterprise"]


@dataclass(frozen=True)
class Organization:
    """One of them."""

    id: str
    name: str
    plan: PlanName = "growth"
    currency: str = "EUR"
    admins: tuple[str, ...] = ()


class Organizations:
    """The organizations in the database."""

    def __init__(self, database: Database) -> None:
        database.needs(SCHEMA)
        self._database = database

    async def save(self, *several: Organization) -> None:
        """Write them down, or change them."""
        rows = [
            {"id": one.id, "name": one.name, "plan": one.plan, "currency": one.currency, "admins": list(one.admins)}
            for one in several
        ]
        async with self._database.begin() as connection:
            await self._database.upsert(connection, ORGANIZATIONS, rows, key=["id"])

    async def get(self, id: str) -> Organization | None:
        """One of them, if it is there."""
        return next(iter(await self._found(sa.select(ORGANIZATIONS).where(ORGANIZATIONS.c.id == id))), None)

    async def list(self) -> Sequence[Organization]:
        """All of them, by id."""
        return await self._found(sa.select(ORGANIZATIONS).order_by(ORGANIZATIONS.c.id))

    async def _found(self, query: sa.Select[tuple[object, ...]]) -> Sequence[Organization]:
        async with self._database.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Organization(row.id, row.name, cast(PlanName, row.plan), row.currency, tuple(row.admins)) for row in rows
        ]
