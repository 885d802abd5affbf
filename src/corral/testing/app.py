"""An application on a store in memory, for the length of a block."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from corral.app.app import Corral
from corral.errors import ConfigError
from corral.job import Job
from corral.storage.connect import connect
from corral.storage.port import Storage
from corral.sync import Portal
from corral.testing.clock import FakeClock
from corral.testing.store import ClockedStorage

MEMORY = "sqlite:///:memory:"


@asynccontextmanager
async def app_in_memory(app: Corral, *, clock: FakeClock | None = None) -> AsyncIterator[Corral]:
    """Lend the application an empty store in memory: a real one, gone after the block.

    Queues, handlers, schedules, hooks and middleware are the application's own. Its URL is neither opened nor changed,
    and a store it had open before is its own again afterwards. Jobs that other threads add with `add_sync` arrive too.

    Args:
        clock: what the store takes for the time. Without one it is the machine's, plus whatever `drain` skipped.
    """
    async with lent(app, MEMORY, clock or FakeClock(ticking=True)):
        yield app


@asynccontextmanager
async def lent(app: Corral, url: str, clock: FakeClock) -> AsyncIterator[None]:
    """Lend the application the store at `url`, as late as the clock says."""
    async with ClockedStorage(app.sealed(connect(url)), clock) as store:
        portal = Portal(store.sibling)

        async def lend() -> Storage:
            return store

        async def keep() -> None:  # a web framework's shutdown hook closes the application; the block goes on
            return

        before = vars(app).copy()
        # A lock belongs to one event loop, and tests have many.
        vars(app).update(open=lend, close=keep, _storage=store, _portal=portal, _live={}, _opening=asyncio.Lock())
        try:
            await app.scheduler(store).reconcile(app.schedules.declared(), now=clock())
            yield
        finally:
            vars(app).clear()
            vars(app).update(before)
            await asyncio.to_thread(portal.close)


def clocked(store: object) -> ClockedStorage:
    """The store that `app_in_memory` lent. Raises: ConfigError when it is any other."""
    if not isinstance(store, ClockedStorage):
        raise ConfigError("the application is not on a store in memory: use `async with app_in_memory(app)`", key="app")
    return store


async def fire_schedules(app: Corral) -> list[Job]:
    """Add the jobs of the schedules that are due by the clock; answers them. `drain` then runs them.

    Schedules are armed when `app_in_memory` begins; let the clock advance, and they fall due.

    Raises:
        ConfigError: outside `app_in_memory`.
    """
    store = clocked(await app.open())
    known = len(store.asked)
    await app.scheduler(store).tick(store.clock())
    jobs = [(await store.get(new.queue, [job_id]))[0] for new, job_id, _ in store.asked[known:]]
    return [job for job in jobs if job is not None]
