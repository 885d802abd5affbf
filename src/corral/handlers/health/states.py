"""What is known of the checks, and what is news."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct

from corral.handlers.health.found import Change, Look
from corral.handlers.health.tables import SCHEMA, states
from corral.handlers.kit.database import Database
from corral.timing import Clock, Millis


class State(Struct, frozen=True, kw_only=True):
    """How a check stands."""

    name: str
    status: str
    text: str
    since: Millis
    bad: int
    told_at: Millis | None
    looked_at: Millis
    job: str


class States:
    """How the checks stand, in the application's database. Its table is declared when it is made.

    Args:
        after: bad looks in a row before somebody is told.
        remind_ms: when to tell again, while it stays bad.
    """

    def __init__(self, database: Database, *, after: int, remind_ms: Millis, clock: Clock) -> None:
        database.needs(SCHEMA)
        self._database = database
        self._after = after
        self._remind_ms = remind_ms
        self._clock = clock

    async def all(self) -> list[State]:
        """How every check stood when it was last looked at, by name."""
        async with self._database.connect() as connection:
            rows = await connection.execute(sa.select(states).order_by(states.c.name))
            return [State(**row._mapping) for row in rows]

    async def note(self, looks: Sequence[Look], job: str) -> list[Change]:
        """Keep what was found; answers what is to be told. A job that runs again gets the same answer."""
        now = self._clock()
        known = {state.name: state for state in await self.all()}
        changes, rows = [], []
        for look in looks:
            row, change = self._after_look(look, known.get(look.name), now, job)
            rows.append(row)
            changes += [change] if change else []
        async with self._database.begin() as connection:
            await self._database.upsert(connection, states, rows, key=["name"])
        return changes

    async def told(self, changes: Sequence[Change]) -> None:
        """Keep that somebody was told."""
        async with self._database.begin() as connection:
            for change in changes:
                told_at = None if change.kind == "over" else self._clock()
                named = states.c.name == change.name
                await connection.execute(sa.update(states).where(named).values(told_at=told_at))

    def _after_look(
        self, look: Look, before: State | None, now: Millis, job: str
    ) -> tuple[dict[str, object], Change | None]:
        well, was_well = look.status == "ok", before is None or before.status == "ok"
        since = now if before is None or well != was_well else before.since
        bad = 0 if well else (before.bad if before else 0) + (before is None or before.job != job or was_well)
        told_at = before.told_at if before else None
        row = {
            "name": look.name, "status": look.status, "text": look.text, "since": since, "bad": bad,
            "told_at": told_at, "looked_at": now, "job": job,
        }  # fmt: skip
        if well:
            return row, None if told_at is None else _change(look, since, "over")
        if bad < self._after:
            return row, None
        if told_at is None:
            return row, _change(look, since, "trouble")
        return row, _change(look, since, "still") if now - told_at >= self._remind_ms else None


def _change(look: Look, since: Millis, kind: str) -> Change:
    return Change(name=look.name, status=look.status, text=look.text, since=since, kind=kind)  # type: ignore[arg-type]
