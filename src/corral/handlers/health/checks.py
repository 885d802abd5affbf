"""The checks that come along: databases, the store, queues, addresses, disks, and any function."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from corral.app.app import Corral
from corral.handlers.health.found import Found, Status, worst
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import Web
from corral.plurals import plural
from corral.timing import Clock, Seconds, now_ms, to_ms


class Check(Protocol):
    """Something to look at. Whatever `look` raises is trouble, too."""

    @property
    def name(self) -> str:
        """How it is called in results and alerts."""
        ...

    async def look(self) -> Found:
        """Look now."""
        ...


class DatabaseCheck:
    """Whether a database answers, and is not slow (seconds)."""

    def __init__(self, database: Database, *, name: str = "database", slow: float = 1.0) -> None:
        self.name = name
        self._database = database
        self._slow = slow

    async def look(self) -> Found:
        """Ask it for the number one."""
        begun = time.monotonic()
        async with self._database.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        return _in_time(time.monotonic() - begun, self._slow)


class StoreCheck:
    """Whether the store that the jobs are in answers, and is not slow (seconds)."""

    def __init__(self, app: Corral, *, name: str = "store", slow: float = 1.0) -> None:
        self.name = name
        self._app = app
        self._slow = slow

    async def look(self) -> Found:
        """Ask it for its queues."""
        begun = time.monotonic()
        await (await self._app.open()).queues()
        return _in_time(time.monotonic() - begun, self._slow)


class QueueCheck:
    """Whether a queue is worked on: somebody serves it, few jobs wait and none long, few have failed.

    Args:
        max_waiting, max_failed: more than so many jobs are worth a warning.
        max_wait: a job that waits longer (seconds) is trouble.
    """

    def __init__(
        self, app: Corral, queue: str, *, max_waiting: int = 1_000, max_failed: int = 100,
        max_wait: Seconds = timedelta(hours=1), clock: Clock = now_ms,
    ) -> None:  # fmt: skip
        self.name = f"queue {queue}"
        self._app = app
        self._queue = queue
        self._most = (max_waiting, max_failed)
        self._max_wait_ms = to_ms(max_wait, "max_wait")
        self._clock = clock

    async def look(self) -> Found:
        """Count, and look for workers."""
        storage = await self._app.open()
        [counts] = await storage.counts([self._queue])
        served = any(self._queue in worker.queues for worker in await storage.workers())
        troubles: list[tuple[Status, str]] = []
        if not served:
            troubles.append(("fail" if counts.waiting else "warn", "no worker serves it"))
        if counts.paused:
            troubles.append(("warn", f"it is paused with {plural(counts.paused, 'job')} waiting"))
        elif counts.oldest_waiting_at is not None and self._clock() - counts.oldest_waiting_at > self._max_wait_ms:
            waited = (self._clock() - counts.oldest_waiting_at) // 60_000
            troubles.append(("fail", f"a job has been waiting for {plural(waited, 'minute')}"))
        for number, most, what in zip(
            (counts.waiting, counts.failed), self._most, ("waiting", "failed"), strict=True
        ):  # fmt: skip
            if number > most:
                troubles.append(("warn", f"{plural(number, 'job is', 'jobs are')} {what}, more than {most:,}"))
        text = "; ".join(said for _, said in troubles) or f"{counts.waiting:,} waiting, {counts.failed:,} failed"
        return Found(worst([status for status, _ in troubles]), text)


class UrlCheck:
    """Whether an address answers with a status that is wanted, in time.

    Args:
        web: how it is reached: only public addresses, unless it trusts this one.
        expect: the status; any 2xx when not given.
        contains: a text that must stand in the answer.
        slow: seconds from which on it is worth a warning.
    """

    def __init__(
        self, url: str, web: Web, *, name: str | None = None, expect: int | None = None, contains: str | None = None,
        slow: float = 2.0,
    ) -> None:  # fmt: skip
        self.name = name or web.examine(url)
        self._url = url
        self._web = web
        self._expect = expect
        self._contains = contains
        self._slow = slow

    async def look(self) -> Found:
        """Get it. The answer itself is not told: it may be anything."""
        begun = time.monotonic()
        answer = await self._web.request("GET", self._url)
        if not (answer.ok if self._expect is None else answer.status == self._expect):
            return Found("fail", f"answered {answer.status}")
        if self._contains is not None and self._contains not in answer.text:
            return Found("fail", f"answered {answer.status} without {self._contains!r:.80}")
        return _in_time(time.monotonic() - begun, self._slow)


class DiskCheck:
    """Whether the file system of a folder has room: `free` percent of it, with a warning from twice that on."""

    def __init__(self, folder: str | Path, *, free: float = 10.0, name: str | None = None) -> None:
        self.name = name or f"disk {folder}"
        self._folder = Path(folder)
        self._free = free

    async def look(self) -> Found:
        """Ask the file system."""
        usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
        percent = 100 * usage.free / usage.total
        status: Status = "fail" if percent < self._free else "warn" if percent < 2 * self._free else "ok"
        return Found(status, f"{percent:.1f} % free ({usage.free / 2**30:.1f} GiB)")


class FunctionCheck:
    """Anything else: a function that answers `Found`, or raises."""

    def __init__(self, name: str, function: Callable[[], Awaitable[Found]]) -> None:
        self.name = name
        self._function = function

    async def look(self) -> Found:
        """Call it."""
        return await self._function()


def _in_time(seconds: float, slow: float) -> Found:
    text = f"answered in {1000 * seconds:.0f} ms"
    return Found("warn", f"{text}, slower than {1000 * slow:.0f}") if seconds > slow else Found("ok", text)
