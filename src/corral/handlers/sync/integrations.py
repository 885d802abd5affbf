"""The integrations: who is synced, in what state, and what there is to know about each."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.errors import RecordNotFoundError
from corral.handlers.kit.database import Database
from corral.handlers.sync.access import Vault, check_config
from corral.handlers.sync.connector import Quota, day_of
from corral.handlers.sync.settings import SyncSettings
from corral.handlers.sync.tables import CURSORS, INTEGRATIONS, SCHEMA, TABLES
from corral.timing import Clock, Millis, now_ms

Status = Literal["active", "error", "paused"]


class Integration(Struct, frozen=True, kw_only=True):
    """One account of one organization on one platform. Instants are epoch milliseconds."""

    id: str
    organization_id: str
    platform: str
    status: Status = "active"
    config: Mapping[str, str] = {}
    last_error: str | None = None
    error_at: Millis | None = None
    synced_at: Millis | None = None
    failures: int = 0  #: runs in a row that did not succeed
    quota: Quota | None = None
    calls_today: int = 0  #: requests since midnight, UTC
    has_credentials: bool = False  #: of its own


class Integrations:
    """The integrations of an application, beside the jobs that sync them."""

    def __init__(self, database: Database, settings: SyncSettings, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self._database = database
        self._vault = Vault(settings)
        self._clock = clock

    async def save(
        self, id: str, *, organization_id: str, platform: str, config: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None | UnsetType = UNSET,
    ) -> Integration:  # fmt: skip
        """Write an integration down, or change it. Its status becomes active again.

        Args:
            config: where its data are: `{"shop": "acme.myshopify.com", "timezone": "Europe/Oslo"}`.
            credentials: what opens them, kept sealed: `{"accessToken": "…"}`. None takes them away; without, they stay.

        Raises:
            ConfigError: names that the platform does not know, or credentials without SYNC_KEYS.
        """
        given = {} if isinstance(credentials, UnsetType) else credentials or {}
        check_config(platform, config or {}, given)
        now = self._clock()
        row: dict[str, object] = {
            **_fresh(id, organization_id, platform, now),
            "config": dict(config or {}),
        }
        keep = ["created_at", "synced_at", "quota", "calls", "calls_day", "held_by", "held_until"]
        if isinstance(credentials, UnsetType):
            keep.append("credentials")
        else:
            row["credentials"] = self._vault.seal(credentials) if credentials else None
        async with self._database.begin() as connection:
            await self._database.upsert(connection, INTEGRATIONS, [row], key=["id"], keep=keep)
        return await self.get(id)

    async def get(self, id: str) -> Integration:
        """One of them. Raises: RecordNotFoundError."""
        found = await self.find(id)
        if found is None:
            raise RecordNotFoundError("integration", id)
        return found

    async def find(self, id: str) -> Integration | None:
        """One of them, if it is there."""
        async with self._database.connect() as connection:
            found = (await connection.execute(sa.select(INTEGRATIONS).where(INTEGRATIONS.c.id == id))).one_or_none()
        return None if found is None else integration_of(found, self._clock())

    async def list(self, organization_id: str | None = None, *, limit: int = 1_000) -> Sequence[Integration]:
        """Those of an organization, or all, by id."""
        query = sa.select(INTEGRATIONS).order_by(INTEGRATIONS.c.id).limit(limit)
        if organization_id is not None:
            query = query.where(INTEGRATIONS.c.organization_id == organization_id)
        async with self._database.connect() as connection:
            now = self._clock()
            return [integration_of(row, now) for row in await connection.execute(query)]

    async def pause(self, id: str) -> None:
        """Sync it no more until `resume`: its jobs end at once. Raises: RecordNotFoundError."""
        await self._set(id, status="paused")

    async def resume(self, id: str) -> None:
        """Sync it again. Raises: RecordNotFoundError."""
        await self._set(id, status="active", failures=0)

    async def delete(self, id: str, *, data: bool = False) -> None:
        """Forget it; with `data` also everything that came from it."""
        tables = [INTEGRATIONS.c.id, CURSORS.c.integration_id]
        if data:
            tables += [table.c.integration_id for table in SCHEMA.metadata.sorted_tables if "day" in table.c]
        async with self._database.begin() as connection:
            for column in tables:
                await connection.execute(sa.delete(column.table).where(column == id))

    async def counts(self, id: str) -> dict[str, int]:
        """How much of each kind is here."""
        async with self._database.connect() as connection:
            return {
                table.name.removeprefix("sync_"): await _count(connection, table, id)
                for table in dict.fromkeys(TABLES.values())
            }

    async def _set(self, id: str, **values: object) -> None:
        query = sa.update(INTEGRATIONS).where(INTEGRATIONS.c.id == id)
        async with self._database.begin() as connection:
            done = await connection.execute(query.values(updated_at=self._clock(), **values))
        if done.rowcount == 0:
            raise RecordNotFoundError("integration", id)


def integration_of(row: sa.Row[tuple[object, ...]], now: Millis) -> Integration:
    """A stored row as an Integration."""
    quota = msgspec.convert(row.quota, Quota | None)
    return Integration(
        id=row.id,
        organization_id=row.organization_id,
        platform=row.platform,
        status=cast(Status, row.status),
        config=row.config,
        last_error=row.last_error,
        error_at=row.error_at,
        synced_at=row.synced_at,
        failures=row.failures,
        quota=quota,
        calls_today=row.calls if row.calls_day == day_of(now) else 0,
        has_credentials=row.credentials is not None,
    )


def new_integration(id: str, organization_id: str, platform: str, now: Millis) -> dict[str, object]:
    """The row of an integration that nobody saved, whose keys are in the settings."""
    return _fresh(id, organization_id, platform, now) | {"config": {}, "credentials": None}


def _fresh(id: str, organization_id: str, platform: str, now: Millis) -> dict[str, object]:
    return {
        "id": id, "organization_id": organization_id, "platform": platform, "status": "active", "last_error": None,
        "error_at": None, "synced_at": None, "failures": 0, "quota": None, "calls": 0, "calls_day": day_of(now),
        "held_by": None, "held_until": None, "created_at": now, "updated_at": now,
    }  # fmt: skip


async def _count(connection: AsyncConnection, table: sa.Table, id: str) -> int:
    counted = sa.select(sa.func.count()).select_from(table).where(table.c.integration_id == id)
    return int(await connection.scalar(counted) or 0)
