"""Where alerts are kept: one for each type and key as long as it is open, however often it is said."""

import hashlib
from collections.abc import Mapping

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.alerts.payload import RaiseAlert, Severity
from corral.handlers.alerts.tables import SCHEMA, alerts, deliveries, events
from corral.handlers.kit.database import Database
from corral.timing import Clock, Millis, now_ms


class Alert(Struct, frozen=True, kw_only=True):
    """An alert. `count` is how often it was said, `turn` how often it was told; instants are in milliseconds."""

    id: str
    organization: str
    type: str
    key: str
    severity: Severity
    message: str
    metadata: Mapping[str, object]
    state: str
    count: int
    turn: int
    first_at: Millis
    last_at: Millis
    acknowledged_by: str = ""
    resolved_at: Millis | None = None


class Raised(Struct, frozen=True):
    """What became of an alert that was raised: `tell` says whether somebody is to hear of it now, as turn `turn`."""

    alert: Alert
    tell: bool
    turn: int


class Delivery(Struct, frozen=True):
    """A route that was tried."""

    route: str
    turn: int
    state: str
    detail: str
    at: Millis


def digest(*parts: str) -> str:
    """An id made of parts: the same for the same ones."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


class Alerts:
    """The alerts in the application's database. Its tables are declared when it is made."""

    def __init__(self, database: Database, *, clock: Clock = now_ms) -> None:
        database.needs(SCHEMA)
        self.database = database
        self._clock = clock

    # -- raising -----------------------------------------------------------------------------------------------------

    async def record(self, data: RaiseAlert, *, job: str, quiet_ms: Millis) -> Raised:
        """Keep an alert, or count it where the same one is open; a job that runs again changes nothing.

        It is to be told when it is new, when it got worse, and when it is open, nobody took it and `quiet_ms` are over.
        """
        open_key, now = digest(data.organization_id, data.alert_type, data.key), self._clock()
        async with self.database.begin() as connection:
            decided = (await connection.execute(sa.select(events).where(events.c.job == job))).first()
            if decided is not None:
                return Raised(await _one(connection, decided.alert), decided.tell, decided.turn)
            row: dict[str, object] = {
                "id": digest(open_key, job), "organization": data.organization_id, "type": data.alert_type,
                "key": data.key, "severity": data.severity.value, "message": data.message,
                "metadata": dict(data.metadata), "state": "open", "count": 0, "turn": 0, "open_key": open_key,
                "first_at": now, "last_at": now, "told_at": 0, "acknowledged_by": "", "resolved_at": None,
            }  # fmt: skip
            await self.database.upsert(connection, alerts, [row], key=["open_key"], keep=list(row))
            found = sa.select(alerts).where(alerts.c.open_key == open_key).with_for_update()
            known = (await connection.execute(found)).one()
            said = known._mapping["count"]  # as an attribute it is the tuple's method
            tell, severity = _verdict(known, data.severity, now, quiet_ms)
            turn = known.turn + 1 if tell else known.turn
            worse = data.severity.rank > Severity(known.severity).rank
            change = sa.update(alerts).where(alerts.c.id == known.id).values(
                count=said + 1, last_at=now, severity=severity.value, message=data.message,
                metadata=dict(data.metadata), turn=turn, told_at=now if tell else known.told_at,
                state="open" if worse else known.state,
            )  # fmt: skip
            await connection.execute(change)
            event: dict[str, object] = {
                "job": job, "alert": known.id, "severity": data.severity.value, "message": data.message, "tell": tell,
                "turn": turn, "at": now,
            }  # fmt: skip
            await self.database.upsert(connection, events, [event], key=["job"], keep=list(event))
            return Raised(await _one(connection, known.id), tell, turn)

    # -- taking care of them -----------------------------------------------------------------------------------------

    async def acknowledge(self, id: str, by: str) -> bool:
        """Note that somebody takes care of it: it is told no more, unless it gets worse. False: it is not open."""
        change = (
            sa.update(alerts).where(alerts.c.id == id, alerts.c.state == "open")
            .values(state="acknowledged", acknowledged_by=by[:128])
        )  # fmt: skip
        async with self.database.begin() as connection:
            return (await connection.execute(change)).rowcount > 0

    async def resolve(self, organization: str, alert_type: str, key: str = "") -> Alert | None:
        """End an alert; None when there is no open one. The next one of its type and key is a new one."""
        return await self._resolve(alerts.c.open_key == digest(organization, alert_type, key))

    async def resolve_id(self, id: str) -> Alert | None:
        """End an alert by its id; None when it is not open."""
        return await self._resolve(alerts.c.id == id)

    async def _resolve(self, which: sa.ColumnElement[bool]) -> Alert | None:
        change = (
            sa.update(alerts).where(which, alerts.c.state != "resolved")
            .values(state="resolved", open_key=None, resolved_at=self._clock()).returning(alerts.c.id)
        )  # fmt: skip
        async with self.database.begin() as connection:
            id = await connection.scalar(change)
            return None if id is None else await _one(connection, id)

    # -- deliveries --------------------------------------------------------------------------------------------------

    async def delivered(self, alert: str, turn: int, route: str, failed: str = "") -> None:
        """Note what became of a route."""
        row = {
            "alert": alert, "turn": turn, "route": route, "state": "failed" if failed else "sent",
            "detail": failed[:300], "at": self._clock(),
        }  # fmt: skip
        async with self.database.begin() as connection:
            await self.database.upsert(connection, deliveries, [row], key=["alert", "turn", "route"])

    async def deliveries(self, alert: str) -> list[Delivery]:
        """The routes of an alert that were tried, oldest first."""
        table = deliveries.c
        wanted = sa.select(table.route, table.turn, table.state, table.detail, table.at).where(table.alert == alert)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(table.turn, table.at, table.route))
            return [Delivery(*row) for row in rows]

    # -- reading -----------------------------------------------------------------------------------------------------

    async def get(self, id: str) -> Alert | None:
        """An alert by its id."""
        async with self.database.connect() as connection:
            row = (await connection.execute(sa.select(alerts).where(alerts.c.id == id))).first()
        return None if row is None else _alert(row)

    async def list(
        self, organization: str, *, state: str | None = None, at_least: Severity = Severity.LOW, limit: int = 100
    ) -> list[Alert]:
        """The alerts of an organization, the last one first."""
        grave = [one.value for one in Severity if one.rank >= at_least.rank]
        wanted = sa.select(alerts).where(alerts.c.organization == organization, alerts.c.severity.in_(grave))
        if state is not None:
            wanted = wanted.where(alerts.c.state == state)
        async with self.database.connect() as connection:
            rows = await connection.execute(wanted.order_by(alerts.c.last_at.desc(), alerts.c.id).limit(limit))
            return [_alert(row) for row in rows]


def _verdict(
    known: sa.Row[tuple[object, ...]], severity: Severity, now: Millis, quiet_ms: Millis
) -> tuple[bool, Severity]:
    """Whether to tell it, and how bad it is now: as bad as it ever was, as long as it is open."""
    before = Severity(known.severity)
    worst = severity if severity.rank > before.rank else before
    new = known._mapping["count"] == 0
    again = known.state == "open" and now - known.told_at >= quiet_ms
    return new or worst is not before or again, worst


async def _one(connection: AsyncConnection, id: str) -> Alert:
    return _alert((await connection.execute(sa.select(alerts).where(alerts.c.id == id))).one())


def _alert(row: sa.Row[tuple[object, ...]]) -> Alert:
    facts = {name: row._mapping[name] for name in Alert.__struct_fields__}
    return Alert(**{**facts, "severity": Severity(str(facts["severity"]))})
