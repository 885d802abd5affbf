"""What the engine's tests share: workers for the length of a block, endings to wait for, other processes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import corral
from corral import BaseWorker, Corral, Event, EventType, Job, JobHandle, Queue, WorkerOptions
from corral.errors import JobFailedError
from corral.event import OLDEST
from corral.testing import FakeClock
from corral.testing.app import lent

#: Seconds after which a test gives up. Nothing is ever waited for that long: tests await what they test.
GUARD = 15.0
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def working(app: Corral, **options: Any) -> AsyncIterator[BaseWorker]:
    """A worker for all queues of the application."""
    options = {"stats_interval": 0, "shutdown_timeout": 5, **options}
    async with await app.worker(options=WorkerOptions(**options)) as worker:
        yield worker


async def work_off(app: Corral, **options: Any) -> BaseWorker:
    """Run what can run now, with a worker that stops as soon as nothing waits."""
    async with asyncio.timeout(GUARD), working(app, burst=True, **options) as worker:
        await worker.wait()
    return worker


@asynccontextmanager
async def on_clock(app: Corral, *, clock: FakeClock | None = None) -> AsyncIterator[Corral]:
    """`app_in_memory`, but on the store that the application names: the time is the test's on each engine."""
    async with lent(app, app.url, clock or FakeClock(ticking=True)):
        yield app


async def ending(handle: JobHandle[Any]) -> Job:
    """The job, once it has completed or failed."""
    try:
        await handle.result(timeout=GUARD)
    except JobFailedError:
        pass
    return await handle.get()


async def reason(handle: JobHandle[Any]) -> str:
    """Why the job failed, once it has."""
    try:
        await handle.result(timeout=GUARD)
    except JobFailedError as error:
        return error.reason
    raise AssertionError(f"job {handle.id} completed")


async def past(queue: Queue, *types: EventType, after: str = OLDEST) -> list[Event]:
    """The queue's events so far, of these types or all."""
    found, _ = await queue.storage.events(queue.name, after=after, limit=10_000)
    return [event for event in found if not types or event.type in types]


async def next_event(queue: Queue, *types: EventType, job_id: str | None = None, after: str = OLDEST) -> Event:
    """The first event of these types (for this job) after a cursor, as soon as it happens."""
    async with asyncio.timeout(GUARD):
        async for event in queue.events(after=after):
            if event.type in types and job_id in (None, event.job_id):
                return event
    raise AssertionError("the event log ended")


def chosen(mode: str, asynchronous: Any, threaded: Any) -> Any:
    """The handler for this mode: the same work as `async def` and as `def`."""
    return {"async": asynchronous, "thread": threaded}[mode]


class Meter:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.full = asyncio.Event()  #: set when `full_at` are inside
        self.full_at = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == self.full_at:
            self.full.set()

    def __exit__(self, *_: object) -> None:
        self.now -= 1


# -- other processes ---------------------------------------------------------------------------------------------------


def python(*arguments: str, stdin: int | None = None) -> "asyncio.Future[asyncio.subprocess.Process]":
    """Another interpreter, with corral and the tests on its path."""
    paths = [str(Path(corral.__file__).parents[1]), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "error"}
    pipe = asyncio.subprocess.PIPE
    process = asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=stdin, stdout=pipe, stderr=pipe, env=environment
    )
    return asyncio.ensure_future(process)


@asynccontextmanager
async def elsewhere(verb: str, url: str, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """A function of `tests.engine.elsewhere` running in another process, which is ended with the block."""
    process = await python("-m", "tests.engine.elsewhere", verb, url, *(json.dumps(item) for item in arguments))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answers(process: asyncio.subprocess.Process) -> list[Any]:
    """What the process printed until its end: JSON, line by line. It must end well."""
    async with asyncio.timeout(GUARD):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in output.splitlines()]


async def line(process: asyncio.subprocess.Process) -> Any:
    """The next thing the process prints."""
    assert process.stdout is not None
    async with asyncio.timeout(GUARD):
        text = await process.stdout.readline()
    if not text:
        assert process.stderr is not None
        raise AssertionError((await process.stderr.read()).decode())
    return json.loads(text)


def say(value: object) -> None:
    """The other side of `line`."""
    print(json.dumps(value), flush=True)


def ids(jobs: Iterable[Job | Event]) -> list[str | None]:
    return [job.id if isinstance(job, Job) else job.job_id for job in jobs]
