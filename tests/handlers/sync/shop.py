"""An office where one integration is synced, with a clock that stands still until it is told otherwise."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from corral.handlers.kit.database import Database
from corral.handlers.sync import DAILY, Integration, Integrations, Problem, SyncSettings, bundle
from corral.handlers.sync.tables import TABLES
from corral.storage.port import Storage
from tests.handlers.desk import Desk

DAY = 86_400_000
HOUR = 3_600_000
#: 2026-03-02, a Monday, 12:00 UTC
NOON = 1_772_452_800_000

Result = Mapping[str, Any]


class Office:
    """Runs syncs of the integration `shop` of `acme`."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self.database = database
        self.storage = storage
        self.now = NOON
        self.problems: list[Problem] = []
        self.settings = SyncSettings()
        self.platform = ""

    def open(self, platform: str, **settings: object) -> "Office":
        """Make the bundle, with these settings."""
        self.platform = platform
        self.settings = SyncSettings.load(**settings)
        made = bundle(self.settings, database=self.database, clock=lambda: self.now, on_problem=self._told)
        self.desk = Desk.of(self.storage, made)
        return self

    async def _told(self, problem: Problem) -> None:
        self.problems.append(problem)

    def payload(self, **more: object) -> dict[str, object]:
        return {"integrationId": "shop", "organizationId": "acme", "platform": self.platform, **more}

    async def sync(self, **more: object) -> Result:
        """Add a job and run it; the result as JSON."""
        done = await self.desk.send(self.payload(**more), "data-sync")
        result: Result = json.loads(msgspec.json.encode(done))
        return result

    @property
    def integrations(self) -> Integrations:
        return Integrations(self.database, self.settings, clock=lambda: self.now)

    async def integration(self) -> Integration:
        return await self.integrations.get("shop")

    async def rows(self, kind: str) -> list[dict[str, Any]]:
        """What there is of a kind, by the platform's id."""
        table = TABLES[kind]
        async with self.database.connect() as connection:
            found = await connection.execute(sa.select(table).order_by(table.c.external_id))
            return [dict(row._mapping) for row in found]

    async def ids(self, kind: str) -> list[str]:
        return [row["external_id"].rpartition("/")[2] for row in await self.rows(kind)]

    async def daily(self, metric: str) -> dict[str, float]:
        """A metric by day."""
        query = sa.select(DAILY.c.day, DAILY.c.value).where(DAILY.c.metric == metric).order_by(DAILY.c.day)
        async with self.database.connect() as connection:
            return {row.day: row.value for row in await connection.execute(query)}
