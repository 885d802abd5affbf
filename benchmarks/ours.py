"""corral's side. Each function is one measurement, run in a process of its own with a fresh folder."""

import asyncio
import importlib.util
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from benchmarks.case import command
from benchmarks.measure import (
    Numbers,
    Stopwatch,
    await_word,
    check_effects,
    cpu_seconds,
    drain_with,
    percentile,
    report_share,
    size_of,
)
from corral import Corral, JobDefinition, WorkerOptions
from corral.app.queues import QueueKeywords
from corral.job import NewJob
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Claim, Settlement, Storage, Token

T = TypeVar("T")
Data = dict[str, object]

QUIET = WorkerOptions(stats_interval=0)
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

    def __init__(self, folder: str, *, slots: int = 10, keep: bool = False, pause: float = 0.0) -> None:
        self.path = Path(folder, "corral.db")
        self.app = Corral(f"sqlite:///{self.path}")
        self.seen: list[int] = []
        self.pause = pause
        # The default keeps 1,000 completed jobs; `keep` keeps all of them, which spares the deletes but not the space.
        keywords: QueueKeywords = {"concurrency": slots, "keep_completed": True} if keep else {"concurrency": slots}
        self.queue = self.app.queue("bench", **keywords)
        self.job: JobDefinition[Data, None] = self.queue.job("count")(self.wait if pause else self.count)

    async def count(self, data: Data) -> None:
        """The no-op handler: its side effect is one entry in a list."""
        self.seen.append(data["i"])  # type: ignore[arg-type]  # the driver put an int there

    async def wait(self, data: Data) -> None:
        """A handler that waits for something outside."""
        await asyncio.sleep(self.pause)
        await self.count(data)

    async def fill(self, jobs: int) -> None:
        """Add numbered jobs as fast as it goes."""
        for start in range(0, jobs, FILL):
            await self.job.add_bulk([{"i": number} for number in range(start, min(start + FILL, jobs))])


# -- draining ----------------------------------------------------------------------------------------------------------


def drain(folder: str, jobs: int, slots: int, keep: bool = False, processes: int = 1, pause: float = 0.0) -> Numbers:
    """Fill a queue, then let worker processes empty it."""

    async def fill() -> None:
        bench = Bench(folder, keep=keep)
        async with bench.app:
            await bench.fill(jobs)

    run(fill())
    share = command("ours", "share", {"folder": folder, "slots": slots, "keep": keep, "pause": pause})
    return drain_with([share] * processes, folder, jobs)


def share(folder: str, slots: int, keep: bool, pause: float) -> Numbers:
    """One worker process of a drain. It ends when the store accepted its last verdict, not when the last job ran."""

    async def work() -> None:
        bench = Bench(folder, slots=slots, keep=keep, pause=pause)
        async with bench.app:
            await_word()
            cpu = cpu_seconds()
            options = WorkerOptions(stats_interval=0, burst=True)
            async with await bench.app.worker(options=options) as worker:
                await worker.wait()
                ended = worker.fetchers[0].turned_at
                spent = cpu_seconds() - cpu
        report_share(bench.seen, ended, spent, folder)

    run(work())
    return {}


# -- adding ------------------------------------------------------------------------------------------------------------


def add_one(folder: str, jobs: int) -> Numbers:
    """One caller, one job at a time, each on the disk before the next."""

    async def work() -> Numbers:
        bench = Bench(folder)
        async with bench.app:
            watch = Stopwatch()
            for number in range(jobs):
                await bench.job.add({"i": number})
            return watch.rates(jobs) | await _stored(bench, jobs)

    return run(work())


def add_concurrent(folder: str, jobs: int, callers: int) -> Numbers:
    """Many callers in one process, each waiting for its own job to be on the disk."""

    async def work() -> Numbers:
        bench = Bench(folder)

        async def caller(first: int) -> None:
            for number in range(first, jobs, callers):
                await bench.job.add({"i": number})

        async with bench.app:
            watch = Stopwatch()
            await asyncio.gather(*(caller(first) for first in range(callers)))
            return watch.rates(jobs) | await _stored(bench, jobs)

    return run(work())


def add_bulk(folder: str, jobs: int, size: int) -> Numbers:
    """`add_bulk` of `size` jobs at a time, each bulk one atomic step."""

    async def work() -> Numbers:
        bench = Bench(folder)
        async with bench.app:
            watch = Stopwatch()
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


# -- latency -----------------------------------------------------------------------------------------------------------


def backlog(folder: str, waiting: int, samples: int) -> Numbers:
    """Add one, claim one, settle it, again and again, with so many jobs waiting meanwhile."""

    async def work() -> Numbers:
        bench = Bench(folder)
        async with bench.app:
            await bench.fill(waiting)
        async with connect(bench.app.url) as storage:
            times = [await _add_and_claim(storage, number) for number in range(samples)]
        adds, claims = zip(*times, strict=True)
        return {
            f"{verb}_{name}": percentile(values, part) * 1000
            for verb, values in (("add", adds), ("claim", claims))
            for name, part in (("p50", 0.5), ("p99", 0.99))
        }

    return run(work())


async def _add_and_claim(storage: Storage, number: int) -> tuple[float, float]:
    token = Token(f"bench:{number}")
    start = time.perf_counter()
    await storage.add([NewJob(queue="bench", name="count")])
    added = time.perf_counter()
    claimed = await storage.claim("bench", Claim(count=1, token=token, lease_ms=15_000))
    ended = time.perf_counter()
    await storage.settle("bench", [Settlement(job_id=claimed.jobs[0].id, token=token, outcome=Completed())])
    return added - start, ended - added


def latency(folder: str, jobs: int, gap: float) -> Numbers:
    """From the call of `add` to the first line of the handler, producer and idle worker in one process."""

    async def work() -> Numbers:
        bench = Timed(folder, jobs)
        async with bench.app, await bench.app.worker(options=QUIET):
            await bench.produce(jobs, gap)
            await bench.finished()
        return bench.figures()

    return run(work())


def latency_across(folder: str, jobs: int, gap: float) -> Numbers:
    """The same with the producer in another process."""

    async def work() -> Numbers:
        bench = Timed(folder, jobs)
        async with bench.app, await bench.app.worker(options=QUIET):
            producer = await asyncio.create_subprocess_exec(
                *command("ours", "produce", {"folder": folder, "jobs": jobs, "gap": gap}),
                stdout=asyncio.subprocess.DEVNULL,
            )
            await bench.finished()
            await producer.wait()
        return bench.figures()

    return run(work())


def produce(folder: str, jobs: int, gap: float) -> Numbers:
    """The producer of `latency_across`."""

    async def work() -> None:
        bench = Timed(folder, jobs)
        async with bench.app:
            await bench.produce(jobs, gap)

    run(work())
    return {}


class Timed(Bench):
    """Jobs carry the moment they were added; their handler notes how long ago that was."""

    def __init__(self, folder: str, expected: int) -> None:
        super().__init__(folder)
        self.late: list[float] = []
        self.expected = expected
        self.done = asyncio.Event()
        self.timed: JobDefinition[Data, None] = self.queue.job("timed")(self.note)

    async def note(self, data: Data) -> None:
        """Note the delay. CLOCK_MONOTONIC is one clock for all processes of a machine."""
        self.late.append((time.monotonic_ns() - int(data["at"])) / 1e6)  # type: ignore[call-overload]  # an int
        self.seen.append(int(data["i"]))  # type: ignore[call-overload]  # an int
        if len(self.seen) == self.expected:
            self.done.set()

    async def produce(self, jobs: int, gap: float) -> None:
        """Add a job every `gap` seconds."""
        for number in range(jobs):
            await self.timed.add({"i": number, "at": time.monotonic_ns()})
            await asyncio.sleep(gap)

    async def finished(self) -> None:
        """Wait for the last job."""
        async with asyncio.timeout(120):
            await self.done.wait()
        check_effects(self.seen, self.expected)

    def figures(self) -> Numbers:
        """Milliseconds."""
        late = self.late[len(self.late) // 10 :]  # without the first tenth: imports and cold caches
        return {"p50": percentile(late, 0.5), "p99": percentile(late, 0.99)}
