"""Relay: carries rows of an outbox into the store, each exactly once and those of a queue in order.

A row is marked, its job is added, the row is deleted. A relay that is killed in between leaves a mark, and then it is
not known whether the job was added. The next relay adds it again, which does nothing when it was: the job's id and its
deduplication id, which were written down with the row, are known to the store for at least `REMEMBERED` seconds, also
when the job has run and is gone. A row whose mark is older than that, and whose job is not there, is set aside: a
person can find out, a program would have to guess.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from corral.app.app import Corral
from corral.errors import ConfigError, CorralError, PayloadError, QueueFullError, StorageError, StorageUnavailableError
from corral.job import NewJob
from corral.outbox.table import Tables
from corral.storage.port import Storage
from corral.timing import Millis, now_ms, to_ms

logger = logging.getLogger("corral.outbox")
T = TypeVar("T")

#: Seconds for which the store knows a job again, whatever became of it. Each costs it some 100 bytes for so long.
REMEMBERED = 3_600.0
#: A mark younger than this (ms) is certainly within that time.
SURE_MS: Millis = 1_800_000
#: How long (seconds) a queue belongs to the relay that took it. A killed relay's are taken over after this.
LEASE = 15.0
#: Seconds after a database or store did not answer, and at most after several times.
PATIENCE, LONGEST = 1.0, 30.0

_decode = msgspec.json.Decoder(NewJob).decode


class Pending(msgspec.Struct, frozen=True):
    """A row that is to be carried."""

    id: int
    queue: str
    job_id: str
    body: str
    tried_at: Millis | None


class Relay:
    """One of possibly many relays on an outbox. Made by `Outbox.relay`."""

    def __init__(
        self, app: Corral, tables: Tables, engine: Engine | AsyncEngine, *, batch: int = 100, every: float = 0.5,
        lease: float = LEASE,
    ) -> None:  # fmt: skip
        if not isinstance(engine, Engine | AsyncEngine):
            raise ConfigError(f"a relay needs an Engine or AsyncEngine, not {type(engine).__name__}", key="engine")
        if not 1 <= batch <= 1_000:
            raise ConfigError(f"batch must be a number of rows from 1 to 1000, not {batch!r}", key="batch")
        self.name = uuid4().hex
        self._app = app
        self._jobs = tables.jobs
        self._leases = tables.leases
        self._engine = engine
        self._batch = batch
        self._every = every
        self._lease_ms = to_ms(lease, "lease", minimum=0.1)

    def __repr__(self) -> str:
        return f"<Relay {self.name[:8]} of {self._jobs.name}>"

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Carry rows until `stop` is set. A database or store that does not answer is waited for."""
        stop = stop or asyncio.Event()
        pause = PATIENCE
        while not stop.is_set():
            try:
                busy = await self.turn() > 0
                pause = PATIENCE
            except (SQLAlchemyError, StorageError, OSError) as error:  # drivers let OSErrors of connecting pass
                logger.warning("the outbox waits: %s", (str(error).splitlines() or [type(error).__name__])[0])
                await _sleep(stop, pause)
                pause = min(pause * 2, LONGEST)
                continue
            if not busy:
                await _sleep(stop, self._every)

    async def turn(self) -> int:
        """One round: a batch of every queue that no other relay has; answers how many rows were carried."""
        storage = await self._app.open()
        carried = 0
        for queue in await self._with(self._pending):
            if not await self._with(self._take, queue):
                continue
            try:
                carried += await self._queue(storage, queue)
            finally:
                await self._with(self._let_go, queue)
        return carried

    # -- one queue ---------------------------------------------------------------------------------------------------

    async def _queue(self, storage: Storage, queue: str) -> int:
        await storage.counts([queue])  # a store that is away must not leave marks
        rows = await self._with(self._read, queue)
        marked = [row for row in rows if row.tried_at is not None]
        if marked:  # a relay was killed, or the store's answer was lost
            return sum([await self._once_more(storage, row) for row in marked])
        jobs = await self._decoded(rows)
        if not jobs:
            return 0
        await self._with(self._mark, list(jobs))
        try:
            await storage.add(list(jobs.values()))
        except QueueFullError as error:
            await self._full(error, list(jobs))
            return 0
        except StorageUnavailableError:
            raise  # it may have happened or not: the marks stay
        except StorageError:
            await self._with(self._unmark, list(jobs))  # no room, or damaged: nothing was written
            raise
        except CorralError:  # one of them is refused, and so all are
            return await self._one_by_one(storage, jobs)
        await self._with(self._delete, list(jobs))
        return len(jobs)

    async def _decoded(self, rows: Sequence[Pending]) -> dict[int, NewJob]:
        jobs: dict[int, NewJob] = {}
        for row in rows:
            try:
                jobs[row.id] = self._app.seals.unsealed(_decode(row.body))
            except (msgspec.MsgspecError, PayloadError) as error:
                await self._set_aside(row.id, f"cannot be read: {error}")
        return jobs

    async def _one_by_one(self, storage: Storage, jobs: dict[int, NewJob]) -> int:
        carried = 0
        for number, job in jobs.items():
            try:
                await storage.add([job])
            except QueueFullError as error:
                rest = [left for left in jobs if left >= number]
                await self._full(error, rest)
                break
            except StorageError:
                raise
            except CorralError as error:
                await self._set_aside(number, f"{type(error).__name__}: {error}")
            else:
                await self._with(self._delete, [number])
                carried += 1
        return carried

    async def _once_more(self, storage: Storage, row: Pending) -> int:
        """A row of which it is not known whether its job was added."""
        jobs = await self._decoded([row])
        if not jobs:
            return 0
        job = jobs[row.id]
        ours = job.dedup is not None and job.dedup.id.startswith("outbox:")
        if ours and now_ms() - (row.tried_at or 0) < SURE_MS:
            return await self._one_by_one(storage, jobs)
        [there] = await storage.get(row.queue, [row.job_id])
        if there is None:
            await self._set_aside(row.id, "uncertain: it was about to be added when the relay was killed")
            return 0
        await self._with(self._delete, [row.id])
        return 1

    async def _full(self, error: QueueFullError, numbers: Sequence[int]) -> None:
        logger.info("the outbox waits %.3g s for room in queue %s", error.retry_after, error.queue)
        await self._with(self._unmark, numbers)
        await asyncio.sleep(min(error.retry_after, self._lease_ms / 3_000))  # within the lease

    async def _set_aside(self, number: int, reason: str) -> None:
        logger.error("row %d of %s is set aside: %s", number, self._jobs.name, reason)
        await self._with(self._note, number, reason[:2_000])

    # -- the database ------------------------------------------------------------------------------------------------

    async def _with(self, work: Callable[..., T], *arguments: object) -> T:
        """Run `work(connection, …)` in a short transaction of its own."""
        if isinstance(self._engine, AsyncEngine):
            async with self._engine.begin() as connection:
                return await connection.run_sync(work, *arguments)
        return await asyncio.to_thread(self._in_thread, self._engine, work, *arguments)

    @staticmethod
    def _in_thread(engine: Engine, work: Callable[..., T], *arguments: object) -> T:
        with engine.begin() as connection:
            return work(connection, *arguments)

    def _pending(self, connection: Connection) -> list[str]:
        queue = self._jobs.c.queue
        return list(connection.scalars(select(queue).where(self._jobs.c.reason.is_(None)).distinct().order_by(queue)))

    def _take(self, connection: Connection, queue: str) -> bool:
        """Take the queue's lease. Where rows can be locked (PostgreSQL), nobody who is just doing so is waited for."""
        lease, now = self._leases, now_ms()
        if connection.scalar(select(lease.c.queue).where(lease.c.queue == queue)) is None:
            try:
                with connection.begin_nested():
                    connection.execute(insert(lease).values(queue=queue, owner="", until=0))
            except IntegrityError:  # another relay was faster
                return False
        free = (lease.c.queue == queue, or_(lease.c.owner == self.name, lease.c.until < now))
        locked = select(lease.c.queue).where(*free).with_for_update(skip_locked=True)
        if connection.scalar(locked) is None:
            return False
        change = update(lease).where(*free).values(owner=self.name, until=now + self._lease_ms)
        return connection.execute(change).rowcount == 1

    def _let_go(self, connection: Connection, queue: str) -> None:
        lease = self._leases
        connection.execute(update(lease).where(lease.c.queue == queue, lease.c.owner == self.name).values(until=0))

    def _read(self, connection: Connection, queue: str) -> Sequence[Pending]:
        jobs = self._jobs
        columns = (jobs.c.id, jobs.c.queue, jobs.c.job_id, jobs.c.body, jobs.c.tried_at)
        mine = select(*columns).where(jobs.c.queue == queue, jobs.c.reason.is_(None))
        found = connection.execute(mine.order_by(jobs.c.id).limit(self._batch))
        return [Pending(row.id, row.queue, row.job_id, row.body, row.tried_at) for row in found]

    def _mark(self, connection: Connection, numbers: Sequence[int]) -> None:
        connection.execute(update(self._jobs).where(self._jobs.c.id.in_(numbers)).values(tried_at=now_ms()))

    def _unmark(self, connection: Connection, numbers: Sequence[int]) -> None:
        connection.execute(update(self._jobs).where(self._jobs.c.id.in_(numbers)).values(tried_at=None))

    def _note(self, connection: Connection, number: int, reason: str) -> None:
        connection.execute(update(self._jobs).where(self._jobs.c.id == number).values(reason=reason, tried_at=None))

    def _delete(self, connection: Connection, numbers: Sequence[int]) -> None:
        connection.execute(delete(self._jobs).where(self._jobs.c.id.in_(numbers)))


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
