"""corral's side. Each function is one measurement, run in a process of its own with a fresh folder.

`url` names the store: empty for a SQLite file in that folder, else an empty Redis whose process id is `server`.
"""

import asyncio
import importlib.util
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from benchmarks.case import command
from benchmarks.measure import (
    Numbers,
    Stopwatch,
    await_word,
    cpu_seconds,
    drain_with,
    report_share,
    server_seconds,
    size_of,
)
from corral import Corral, JobDefinition, WorkerOptions
from corral.app.queues import QueueKeywords

T = TypeVar("T")
Data = dict[str, object]

#: Jobs per `add_bulk` where a queue is only filled.
FILL = 10_000


def run(work: Coroutine[object, object, T]) -> T:
    """Run as `corral worker` does: on uvloop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


class Bench:
    """An application with one handler that only counts."""

    def __init__(self, folder: str, url: str = "", *, slots: int = 10, keep: str = "", pause: float = 0.0) -> None:
        self.path = Path(folder, "corral.db")
        self.app = Corral(url or f"sqlite:///{self.path}")
        self.seen: list[int] = []
        self.pause = pause
        # The default keeps 1,000 completed jobs; "all" spares the deletes but not the space, "none" both.
        keywords: QueueKeywords = {"concurrency": slots}
        if keep:
            keywords["keep_completed"] = keep == "all"
        self.queue = self.app.queue("bench", **keywords)
        self.job: JobDefinition[Data, None] = self.queue.job("count")(self.wait if pause else self.count)

    async def count(self, data: Data) -> None:
        """The no-op handler: its side effect is one entry in a list."""
        self.seen.append(data["i"])  # type: ignore[arg-type]  # the driver put an int there

    async def wait(self, data: Data) -> None:
        """A handler that waits for something outside."""
        await asyncio.sleep(self.pause)
        await self.count(data)

    async def ready(self) -> None:
        """Have everything open before a clock starts."""
        await (await self.queue.open()).counts()

    async def fill(self, jobs: int) -> None:
        """Add numbered jobs as fast as it goes."""
        for start in range(0, jobs, FILL):
            await self.job.add_bulk([{"i": number} for number in range(start, min(start + FILL, jobs))])


# -- draining ----------------------------------------------------------------------------------------------------------


def drain(
    folder: str, jobs: int, slots: int, keep: str = "", processes: int = 1, pause: float = 0.0, url: str = "",
    server: int = 0,
) -> Numbers:  # fmt: skip
    """Fill a queue, then let worker processes empty it."""

    async def fill() -> None:
        bench = Bench(folder, url, keep=keep)
        async with bench.app:
            await bench.fill(jobs)

    run(fill())
    settings = {"folder": folder, "url": url, "server": server, "slots": slots, "keep": keep, "pause": pause}
    return drain_with([command("ours", "share", settings)] * processes, folder, jobs, server=server)


def share(folder: str, url: str, server: int, slots: int, keep: str, pause: float) -> Numbers:
    """One worker process of a drain. It ends when the store accepted its last verdict, not when the last job ran."""

    async def work() -> None:
        bench = Bench(folder, url, slots=slots, keep=keep, pause=pause)
        async with bench.app:
            await_word()
            cpu = cpu_seconds()
            options = WorkerOptions(stats_interval=0, burst=True)
            async with await bench.app.worker(options=options) as worker:
                await worker.wait()
                ended = worker.fetchers[0].turned_at
                spent, served = cpu_seconds() - cpu, server_seconds(server)
        report_share(bench.seen, ended, spent, folder, served=served)

    run(work())
    return {}


# -- adding ------------------------------------------------------------------------------------------------------------


def add_one(folder: str, jobs: int, url: str = "", server: int = 0) -> Numbers:
    """One caller, one job at a time, each in the store before the next."""

    async def work() -> Numbers:
        bench = Bench(folder, url)
        async with bench.app:
            await bench.ready()
            watch = Stopwatch(server)
            for number in range(jobs):
                await bench.job.add({"i": number})
            return watch.rates(jobs) | await _stored(bench, jobs)

    return run(work())


def add_concurrent(folder: str, jobs: int, callers: int, url: str = "", server: int = 0) -> Numbers:
    """Many callers in one process, each waiting for its own job to be in the store."""

    async def work() -> Numbers:
        bench = Bench(folder, url)

        async def caller(first: int) -> None:
            for number in range(first, jobs, callers):
                await bench.job.add({"i": number})

        async with bench.app:
            await bench.ready()
            watch = Stopwatch(server)
            await asyncio.gather(*(caller(first) for first in range(callers)))
            return watch.rates(jobs) | await _stored(bench, jobs)

    return run(work())


def add_bulk(folder: str, jobs: int, size: int, url: str = "", server: int = 0) -> Numbers:
    """`add_bulk` of `size` jobs at a time, each bulk one atomic step."""

    async def work() -> Numbers:
        bench = Bench(folder, url)
        async with bench.app:
            await bench.ready()
            watch = Stopwatch(server)
            for start in range(0, jobs, size):
                await bench.job.add_bulk([{"i": number} for number in range(start, start + size)])
            return watch.rates(jobs) | await _stored(bench, jobs)

    return run(work())


async def _stored(bench: Bench, jobs: int) -> Numbers:
    counts = await (await bench.queue.open()).counts()
    if counts.waiting != jobs:
        raise SystemExit(f"{jobs} jobs were added and {counts.waiting} wait")
    return {}


def bytes_per_job(folder: str, jobs: int) -> Numbers:
    """How much the file grows per waiting job with an empty payload."""

    async def work(count: int) -> int:
        bench = Bench(folder)
        async with bench.app:
            for _ in range(0, count, FILL):
                await bench.job.add_bulk([{}] * FILL)
        return size_of(bench.path)  # closing the last connection moves the write-ahead log into the file

    empty = run(work(0))
    return {"bytes": (run(work(jobs)) - empty) / jobs}
