"""What live streams cost the store: nobody, one and many listen while jobs come. Each function is one measurement.

Everything is in this process, so that what the store is asked can be counted on both engines: calls of the storage's
port, and on Redis also its commands and its processor time.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast
from urllib.parse import urlsplit

from benchmarks.measure import Numbers, cpu_seconds, server_seconds
from benchmarks.ours import run
from benchmarks.web import _url
from corral.http.live.hub import Hub
from corral.http.live.stream import Stream
from corral.http.live.topics import topics_of
from corral.job import NewJob
from corral.monitor.monitor import Monitor
from corral.storage.connect import connect
from corral.storage.port import Storage

QUEUES = 50
#: What each stream wants to hear: everything that a page about a queue shows.
TOPICS = "counts,rates,workers,attention,queue:queue-01"
#: Jobs come in every fifth queue each second.
EVERY = 5
#: The first round tells everything, the ones after it what has changed.
SETTLE_SECONDS = 3.0


class _Counted:
    """A storage that counts how often it is asked."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.calls = 0

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        def counted(*words: object, **keywords: object) -> Awaitable[object]:
            self.calls += 1
            return cast(Callable[..., Awaitable[object]], found)(*words, **keywords)

        return counted


def streams(folder: str, many: int, seconds: int, url: str = "", server: int = 0) -> Numbers:
    """Calls, commands and processor time each second with no, one and `many` streams."""

    async def work() -> Numbers:
        figures: Numbers = {}
        async with connect(_url(folder, url)) as storage:
            for number in range(QUEUES):
                await storage.add([_job(number)])
            for count in (0, 1, many):
                figures |= await _listened(
                    storage, count, "many" if count == many else str(count), seconds, url, server
                )
        for what in ("cpu_ms", "commands", "server_ms"):
            if f"{what}_0" in figures:  # what the jobs cost that come meanwhile is not the streams' doing
                idle = figures.pop(f"{what}_0")
                figures |= {f"{what}_{who}": figures[f"{what}_{who}"] - idle for who in ("1", "many")}
        return figures

    return run(work())


async def _listened(storage: Storage, count: int, who: str, seconds: int, url: str, server: int) -> Numbers:
    counted = _Counted(storage)
    hub = Hub(Monitor(cast(Storage, counted)), _no_operations)
    listening = [Stream(topics_of(TOPICS), lambda queue: True) for _ in range(count)]
    async with AsyncExitStack() as stack:
        for stream in listening:
            await stack.enter_async_context(hub.joined(stream, {}))
        await asyncio.sleep(SETTLE_SECONDS)
        calls, cpu, served, commands = counted.calls, cpu_seconds(), server_seconds(server), _commands(url)
        for _ in range(seconds):
            for number in range(0, QUEUES, EVERY):
                await storage.add([_job(number)])
            await asyncio.sleep(1.0)
            for stream in listening:
                await stream.take(0.0)
        figures = {f"calls_{who}": (counted.calls - calls) / seconds}
        figures[f"cpu_ms_{who}"] = (cpu_seconds() - cpu) * 1000 / seconds
        if url:
            figures[f"commands_{who}"] = (_commands(url) - commands) / seconds
            figures[f"server_ms_{who}"] = (server_seconds(server) - served) * 1000 / seconds
    return figures


async def _no_operations() -> list[Any]:
    return []


def _job(number: int) -> NewJob:
    return NewJob(queue=f"queue-{number:02}", name="count")


def _commands(url: str) -> int:
    """Commands that a Redis has carried out, those of its scripts included; 0 without one."""
    if not url:
        return 0
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=30) as connection:
        connection.sendall(b"INFO stats\r\n")
        text = b""
        while b"total_commands_processed" not in text or not text.endswith(b"\r\n"):
            text += connection.recv(65_536)
    return int(text.partition(b"total_commands_processed:")[2].split(b"\r\n")[0])
