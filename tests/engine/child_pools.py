"""What the tests of the process executor share: requests, a listener, and a look at what a pool leaves behind."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from corral.job import Job, JobState, NewJob
from corral.storage.port import Added
from corral.storage.port import Children as Siblings
from corral.timing import Seconds
from corral.worker.answers import Verbs
from corral.worker.children import Children, ChildRequest, HandlerRef

HANDLERS = "tests.engine.child_handlers"


def request(handler: str, data: object = None, *, module: str = HANDLERS) -> ChildRequest:
    """A job for one of `child_handlers`."""
    text = json.dumps({} if data is None else data)
    job = Job(id="1", queue="crunch", name=handler, state=JobState.ACTIVE, data=text)
    return ChildRequest(HandlerRef(module, handler), job, attempts=3)


class Listener:
    """Hears what a running handler says, and keeps its notes."""

    def __init__(self) -> None:
        self.added: list[NewJob] = []
        self.progress: list[object] = []
        self.logs: list[str] = []
        self.notes: dict[str, str] = {}
        self.keeps: list[Seconds] = []
        self.family = Siblings()
        self.heard = asyncio.Event()

    async def progress_json(self, text: str) -> None:
        self.progress.append(json.loads(text))
        self.heard.set()

    async def log(self, line: str) -> None:
        self.logs.append(line)
        self.heard.set()

    async def children(self) -> Siblings:
        return self.family

    async def recall(self, key: str) -> str | None:
        return self.notes.get(key)

    async def note(self, key: str, value: str, *, keep: Seconds) -> None:
        self.notes[key] = value
        self.keeps.append(keep)

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: int | None = None
    ) -> str | None:
        before = self.notes.get(f"{ledger}:{key}")
        if value is not None and (before is None or replace):
            self.notes[f"{ledger}:{key}"] = value
        return before

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool:
        return False

    async def add_jobs(self, jobs: Sequence[NewJob], patience: float = 0.0) -> list[Added]:
        self.added += jobs
        return [Added(job.id or str(number), fresh=True) for number, job in enumerate(jobs)]

    async def collect(self, jobs: Sequence[NewJob]) -> None:
        self.added += jobs

    async def names_of(self, queue: str, ids: Sequence[str]) -> Mapping[str, str]:
        return {}


async def run(
    pool: Children, handler: str, data: object = None, *, timeout: float | None = 30, listener: Verbs | None = None
) -> object:
    """Run a job and give its result as a value."""
    text = await pool.run(request(handler, data), listener or Listener(), timeout=timeout)
    value: object = json.loads(text)
    return value


class Watched:
    """A process that the test waits for, whoever its parent is."""

    def __init__(self, pid: int) -> None:
        self._pidfd = os.pidfd_open(pid)

    async def ended(self) -> None:
        """Wait until it has ended, at most 10 s."""
        loop = asyncio.get_running_loop()
        over = asyncio.Event()  # set again and again until the reader is removed
        loop.add_reader(self._pidfd, over.set)
        try:
            await asyncio.wait_for(over.wait(), 10)
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)


def belongings() -> dict[str, set[str]]:
    """What this process has: open files, threads, child processes (zombies among them)."""
    tasks = Path("/proc/self/task").iterdir()
    return {
        "files": {f"{fd.name} {os.readlink(fd)}" for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()},
        "threads": {thread.name for thread in threading.enumerate()},
        "children": {pid for task in tasks for pid in (task / "children").read_text().split()},
    }


class Pools:
    """Makes pools of children, and closes them."""

    def __init__(self) -> None:
        self._made: list[Children] = []

    def __call__(
        self, limit: int = 1, *, memory_limit: int | None = None, env: dict[str, str] | None = None, grace: float = 0.3
    ) -> Children:
        self._made.append(Children(limit=limit, memory_limit=memory_limit, env=env, grace=grace))
        return self._made[-1]

    async def close(self) -> None:
        for pool in self._made:
            await pool.close()


@asynccontextmanager
async def spotless() -> AsyncIterator[Pools]:
    """Pools that must leave nothing behind when they are closed: no file, thread, process or zombie."""
    before = belongings()
    pools = Pools()
    yield pools
    await pools.close()
    left = {kind: things - before[kind] for kind, things in belongings().items()}
    assert left == {"files": set(), "threads": set(), "children": set()}
