"""corral's side: how long it takes from the call of `add` to the first line of the handler."""

import asyncio
import time

from benchmarks.case import command
from benchmarks.measure import Numbers, check_effects, delays
from benchmarks.ours import Bench, Data, run
from corral import JobDefinition, WorkerOptions

QUIET = WorkerOptions(stats_interval=0)


def together(folder: str, jobs: int, gap: float) -> Numbers:
    """Producer and idle worker in one process."""

    async def work() -> Numbers:
        bench = Timed(folder, jobs)
        async with bench.app, await bench.app.worker(options=QUIET):
            await bench.produce(jobs, gap)
            await bench.finished()
        return bench.figures()

    return run(work())


def across(folder: str, jobs: int, gap: float, url: str = "", server: int = 0) -> Numbers:
    """The same with the producer in another process."""

    async def work() -> Numbers:
        bench = Timed(folder, jobs, url)
        async with bench.app, await bench.app.worker(options=QUIET):
            producer = await asyncio.create_subprocess_exec(
                *command("latency", "produce", {"folder": folder, "jobs": jobs, "gap": gap, "url": url}),
                stdout=asyncio.subprocess.DEVNULL,
            )
            await bench.finished()
            await producer.wait()
        return bench.figures()

    return run(work())


def produce(folder: str, jobs: int, gap: float, url: str) -> Numbers:
    """The producer of `across`."""

    async def work() -> None:
        bench = Timed(folder, jobs, url)
        async with bench.app:
            await bench.produce(jobs, gap)

    run(work())
    return {}


class Timed(Bench):
    """Jobs carry the moment they were added; their handler notes how long ago that was."""

    def __init__(self, folder: str, expected: int, url: str = "") -> None:
        super().__init__(folder, url)
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
        return delays(self.late)
