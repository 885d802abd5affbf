"""corral's side of the interop tests: a worker that notes its runs, and waiting for what another process does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from corral.event import Event, EventType
from corral.job import Job
from corral.queue import Queue
from corral.worker.context import JobContext
from corral.worker.single import Worker
from corral.worker.worker import WorkerOptions

#: Seconds after which a test gives up. CI may be busy with everything else at once; nothing here takes a second.
GUARD = 60.0

Act = Callable[[JobContext, Any], Awaitable[object]]


async def until(look: Callable[[], Awaitable[object]]) -> None:
    """Wait until another process has come so far: what it does tells nobody here."""
    async with asyncio.timeout(GUARD):
        while not await look():  # noqa: ASYNC110 # there is nothing to await in another process
            await asyncio.sleep(0.01)


class Notes:
    """The runs of a corral worker, in order."""

    def __init__(self, act: Act) -> None:
        self.runs: list[Job] = []
        self._act = act
        self._more = asyncio.Condition()

    async def handle(self, ctx: JobContext, data: Any) -> object:
        async with self._more:
            self.runs.append(ctx.job)
            self._more.notify_all()
        return await self._act(ctx, data)

    async def begun(self, count: int) -> list[Job]:
        """The runs so far, once there are `count`."""
        async with asyncio.timeout(GUARD), self._more:
            await self._more.wait_for(lambda: len(self.runs) >= count)
        return self.runs

    @property
    def ids(self) -> list[str]:
        return [job.id for job in self.runs]


async def nothing(ctx: JobContext, data: Any) -> object:
    """The plainest handler."""
    return None


async def echo(ctx: JobContext, data: Any) -> object:
    """Gives back what it got."""
    return data


def fails(message: str = "boom", *, times: int = 1_000) -> Act:
    """A handler whose first `times` attempts fail."""

    async def act(ctx: JobContext, data: Any) -> object:
        if ctx.attempt <= times:
            raise RuntimeError(message)
        return "at last"

    return act


@asynccontextmanager
async def working(queue: Queue, act: Act = nothing, *, concurrency: int = 4, **options: Any) -> AsyncIterator[Notes]:
    """A corral worker on the queue for the length of a block."""
    notes = Notes(act)
    options = {"stats_interval": 0, "shutdown_timeout": 5, **options}
    async with Worker(queue, notes.handle, concurrency=concurrency, options=WorkerOptions(**options)):
        yield notes


async def heard(queue: Queue, kind: EventType, *, after: str, job_id: str | None = None) -> Event:
    """The first event of this kind after a cursor, awaited."""
    async with asyncio.timeout(GUARD):
        async for event in queue.events(after=after):
            if event.type is kind and job_id in (None, event.job_id):
                return event
    raise AssertionError("the event log ended")
