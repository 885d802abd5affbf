"""Outbox: what an application writes. A row per job, in the transaction that the job belongs to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, Unpack
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, MetaData, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from corral.app.app import Corral
from corral.app.definition import JobDefinition
from corral.app.inside import at_once
from corral.errors import ConfigError
from corral.job import JobId, NewJob
from corral.keywords import AddKeywords
from corral.options import Dedup
from corral.outbox.relay import LEASE, REMEMBERED, Relay
from corral.outbox.table import Tables
from corral.timing import Millis, now_ms

D = TypeVar("D")
_encode = msgspec.json.Encoder().encode


class Executes(Protocol):
    """A connection or session of SQLAlchemy."""

    def execute(self, statement: Any, parameters: Any = None, /) -> Any: ...  # noqa: ANN401  # SQLAlchemy's own types


class Aside(Struct, frozen=True, kw_only=True):
    """A row that could not be carried, and why. Nothing touches it until a person decides."""

    id: int
    queue: str
    job_id: JobId
    created_at: Millis
    reason: str


class Outbox:
    """The outbox of one application, in the database of its own data.

    Args:
        app: the application whose jobs these are.
        metadata: where to put the two tables, for `create_all` or Alembic; without it `outbox.metadata`, its own.
        name: of the table; the other one is called `<name>_lease`.

    Example:
        outbox = Outbox(app, metadata=Base.metadata)

        async with session.begin():
            session.add(order)
            await outbox.add(session, confirm, Confirm(order=order.id))
    """

    def __init__(self, app: Corral, *, metadata: MetaData | None = None, name: str = "corral_outbox") -> None:
        self.app = app
        self.tables = Tables(metadata, name=name)
        self.metadata = self.tables.metadata

    def __repr__(self) -> str:
        return f"<Outbox {self.tables.jobs.name} of {self.app.name}>"

    # -- producing -------------------------------------------------------------------------------------------------

    async def add(
        self, session: AsyncSession | AsyncConnection, job: JobDefinition[D, Any], data: D | None = None, /,
        **options: Unpack[AddKeywords],
    ) -> JobId:  # fmt: skip
        """Write a job down in the session's transaction; answers the id it will have.

        Raises:
            PayloadError, ConfigError: as for `add` of the job itself. What the session raises.
        """
        if not isinstance(session, AsyncSession | AsyncConnection):
            raise _not_a(session, "an AsyncSession or AsyncConnection", "add_sync")
        jobs = await self.app.intake.admit([job.new(data, **options)])
        rows = self._rows(jobs)
        await session.execute(insert(self.tables.jobs), rows)
        return str(rows[0]["job_id"])

    def add_sync(
        self, session: Session | Connection, job: JobDefinition[D, Any], data: D | None = None, /,
        **options: Unpack[AddKeywords],
    ) -> JobId:  # fmt: skip
        """`add` for a `Session` or `Connection`."""
        if not isinstance(session, Session | Connection):
            raise _not_a(session, "a Session or Connection", "add")
        return self.add_jobs(session, [job.new(data, **options)])[0]

    def add_jobs(self, session: Session | Connection, jobs: Sequence[NewJob]) -> list[JobId]:
        """Write many jobs down (of `definition.new`), in order; answers the ids they will have.

        With asynchronous sessions: `await session.run_sync(outbox.add_jobs, jobs)`.
        """
        rows = self._rows(at_once(self.app.intake.admit(jobs)))
        if rows:
            session.execute(insert(self.tables.jobs), rows)
        return [str(row["job_id"]) for row in rows]

    def _rows(self, jobs: Sequence[NewJob]) -> list[dict[str, object]]:
        now = now_ms()
        return [self._row(job, now) for job in jobs]

    def _row(self, job: NewJob, now: Millis) -> dict[str, object]:
        """A job as it is written down: with an id it can be recognised by, and due when its producer meant."""
        mark = uuid4().hex
        run_at = job.run_at if job.run_at is not None or not job.delay_ms else now + job.delay_ms
        own = job.dedup or (None if job.parent is not None else Dedup(f"outbox:{mark}", ttl=REMEMBERED))
        job = replace(job, id=job.id or f"ob-{mark}", run_at=run_at, delay_ms=0, dedup=own)
        body = _encode(self.app.seals.job(job)).decode()
        return {"queue": job.queue, "job_id": job.id, "body": body, "created_at": now}

    # -- carrying --------------------------------------------------------------------------------------------------

    def relay(
        self, engine: Engine | AsyncEngine, *, batch: int = 100, every: float = 0.5, lease: float = LEASE
    ) -> Relay:
        """What carries the rows into the store: `await outbox.relay(engine).run()`, or `.turn()` for one round.

        Any number of them may run, in any processes.

        Args:
            engine: on the database with the outbox.
            batch: rows of a queue that are added in one step.
            every: seconds between looks when there is nothing to do.
            lease: seconds after which another relay takes over from one that was killed.

        Raises:
            ConfigError: something else than an engine, or a number out of range.
        """
        return Relay(self.app, self.tables, engine, batch=batch, every=every, lease=lease)

    @asynccontextmanager
    async def relaying(
        self, engine: Engine | AsyncEngine, *, batch: int = 100, every: float = 0.5
    ) -> AsyncIterator[None]:
        """A relay beside whatever runs inside: for the lifespan of a worker or a web application."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.relay(engine, batch=batch, every=every).run(stop), name="corral-outbox")
        try:
            yield
        finally:
            stop.set()
            await task

    # -- what was set aside ----------------------------------------------------------------------------------------

    def aside(self, session: Session | Connection, *, limit: int = 100) -> list[Aside]:
        """Rows that could not be carried, oldest first."""
        table = self.tables.jobs.c
        columns = (table.id, table.queue, table.job_id, table.created_at, table.reason)
        found = session.execute(select(*columns).where(table.reason.is_not(None)).order_by(table.id).limit(limit))
        return [
            Aside(id=row.id, queue=row.queue, job_id=row.job_id, created_at=row.created_at, reason=row.reason)
            for row in found
        ]

    def again(self, session: Session | Connection, *ids: int) -> int:
        """Have rows that were set aside carried after all; answers how many."""
        jobs = self.tables.jobs
        change = update(jobs).where(jobs.c.id.in_(ids), jobs.c.reason.is_not(None)).values(reason=None, tried_at=None)
        return int(session.execute(change).rowcount)  # type: ignore[attr-defined]  # an UPDATE answers a CursorResult

    def forget(self, session: Session | Connection, *ids: int) -> int:
        """Delete rows that were set aside; answers how many."""
        jobs = self.tables.jobs
        change = delete(jobs).where(jobs.c.id.in_(ids), jobs.c.reason.is_not(None))
        return int(session.execute(change).rowcount)  # type: ignore[attr-defined]  # as above


def _not_a(session: object, what: str, other: str) -> ConfigError:
    return ConfigError(f"outbox needs {what}, not {type(session).__name__}: see also `outbox.{other}`", key="session")
