"""What is known of an integration while it is synced: who is at it, how far each kind has got."""

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from corral.handlers.kit.database import Database
from corral.handlers.sync.connector import Page, Quota, Window, day_of
from corral.handlers.sync.daily import count_again
from corral.handlers.sync.integrations import Integration, integration_of, new_integration
from corral.handlers.sync.tables import CURSORS, INTEGRATIONS, TABLES
from corral.signals import Snooze
from corral.timing import Clock, Millis

#: How long a job that has died keeps others away: longer than any page takes.
HOLD: Millis = 120_000


#: The status after a run: whoever paused the integration meanwhile has the last word.
WORKS = sa.case((INTEGRATIONS.c.status == "paused", "paused"), else_="active")
BROKEN = sa.case((INTEGRATIONS.c.status == "paused", "paused"), else_="error")


class Cursor(Struct, frozen=True, kw_only=True):
    """How far one kind of one integration has got."""

    watermark: Millis | None = None  #: everything changed before this is here
    position: object = None  #: where the pass that is under way goes on
    run: str | None = None  #: that pass: its job and its beginning
    since: Millis | None = None  #: what it asked for
    until: Millis | None = None
    high: Millis | None = None  #: the newest that it saw


class Hold(Struct, frozen=True, kw_only=True):
    """The answer to who wants to sync an integration: what it is, and until when somebody else is at it."""

    integration: Integration
    sealed: str | None  #: its credentials
    busy_until: Millis | None = None


class Sweep(Struct, frozen=True, kw_only=True):
    """A pass saw all there is: of these days, or at all."""

    days: tuple[str, str] | None = None


class State:
    """One integration's state, as one job sees it."""

    def __init__(self, database: Database, clock: Clock, integration_id: str, run: str) -> None:
        self._database = database
        self._clock = clock
        self._id = integration_id
        self._run = run

    async def hold(self, organization_id: str, platform: str) -> Hold:
        """Take the integration for this job; writes it down when nobody saved it before.

        The same job takes it again at once: its worker may have died.
        """
        now = self._clock()
        async with self._database.begin() as connection:
            new = new_integration(self._id, organization_id, platform, now)
            await self._database.upsert(connection, INTEGRATIONS, [new], key=["id"], keep=list(new))
            found = sa.select(INTEGRATIONS).where(INTEGRATIONS.c.id == self._id).with_for_update()
            row = (await connection.execute(found)).one()
            held = Hold(integration=integration_of(row, now), sealed=row.credentials)
            if row.held_by not in (None, self._run) and (row.held_until or 0) > now:
                return msgspec.structs.replace(held, busy_until=row.held_until)
            if held.integration.status != "paused":
                mine = sa.update(INTEGRATIONS).where(INTEGRATIONS.c.id == self._id)
                await connection.execute(mine.values(held_by=self._run, held_until=now + HOLD))
        return held

    async def release(self, **values: object) -> None:
        """Leave the integration to others, with what is to be said about it."""
        async with self._database.begin() as connection:
            await self._update(connection, held_by=None, held_until=None, **values)

    async def failed(self, reason: str, **values: object) -> None:
        """As `release`, after a run that did not succeed."""
        await self.release(last_error=reason, error_at=self._clock(), failures=INTEGRATIONS.c.failures + 1, **values)

    async def _update(self, connection: AsyncConnection, **values: object) -> bool:
        """Change the row, unless another job has taken the integration over, because this one hung for so long."""
        query = sa.update(INTEGRATIONS).where(INTEGRATIONS.c.id == self._id, INTEGRATIONS.c.held_by == self._run)
        return (await connection.execute(query.values(updated_at=self._clock(), **values))).rowcount == 1

    async def count_calls(self, calls: int, quota: Quota | None) -> None:
        """Add to today's requests, and note what the platform says is left."""
        today = day_of(self._clock())
        counted = sa.case((INTEGRATIONS.c.calls_day == today, INTEGRATIONS.c.calls + calls), else_=calls)
        values: dict[str, object] = {"calls": counted, "calls_day": today}
        if quota is not None:
            values["quota"] = msgspec.to_builtins(quota)
        async with self._database.begin() as connection:
            await connection.execute(sa.update(INTEGRATIONS).where(INTEGRATIONS.c.id == self._id).values(**values))

    # -- cursors -----------------------------------------------------------------------------------------------------

    async def cursor(self, kind: str) -> Cursor:
        """How far a kind has got."""
        query = sa.select(CURSORS).where(CURSORS.c.integration_id == self._id, CURSORS.c.kind == kind)
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return Cursor()
        return Cursor(
            watermark=row.watermark, position=row.position, run=row.run, since=row.since, until=row.until, high=row.high
        )  # fmt: skip

    async def end_passes(self) -> None:
        """No pass is under way any more: the next run of whatever job begins anew."""
        async with self._database.begin() as connection:
            query = sa.update(CURSORS).where(CURSORS.c.integration_id == self._id)
            await connection.execute(query.values(position=None, run=None))

    async def write(
        self, organization_id: str, kind: str, page: Page, cursor: Cursor, sweep: Sweep | None = None
    ) -> int:
        """A page, the figures of its days, and how far that is: all of it or nothing.

        Args:
            sweep: after the last page of a whole pass: delete what the pass did not see. Answers how much that was.

        Raises:
            Snooze: the integration is another job's by now.
        """
        table, days, gone = TABLES[kind], {str(row["day"]) for row in page.rows}, 0
        rows = [
            {"integration_id": self._id, "organization_id": organization_id, "run": cursor.run, **row}
            for row in page.rows
        ]
        async with self._database.begin() as connection:
            await self._database.upsert(connection, table, rows, key=["integration_id", "external_id"])
            if sweep is not None:
                unseen = [table.c.integration_id == self._id, table.c.run != cursor.run]
                if sweep.days is not None:
                    unseen.append(table.c.day.between(*sweep.days))
                days.update((await connection.scalars(sa.select(table.c.day).where(*unseen).distinct())).all())
                gone = (await connection.execute(sa.delete(table).where(*unseen))).rowcount
            await count_again(
                self._database, connection, kind, days, integration_id=self._id, organization_id=organization_id
            )
            await self._write_cursor(connection, kind, cursor)
            if not await self._update(connection, held_until=self._clock() + HOLD):
                raise Snooze(HOLD / 1000, "another job has taken the integration over")
        return gone

    async def _write_cursor(self, connection: AsyncConnection, kind: str, cursor: Cursor) -> None:
        row = {"integration_id": self._id, "kind": kind, "updated_at": self._clock(), **msgspec.structs.asdict(cursor)}
        await self._database.upsert(connection, CURSORS, [row], key=["integration_id", "kind"])


def window_of(cursor: Cursor, overlap: Millis, start: Millis | None, until: Millis, *, full: bool) -> Window:
    """What a new pass asks for."""
    if start is not None:
        return Window(since=start, until=until)
    if full or cursor.watermark is None:
        return Window(since=None, until=until)
    return Window(since=max(0, cursor.watermark - overlap), until=until)
