"""What the drivers of the Python peers share. Runs inside their environments: the standard library only.

A driver is run as `python -m benchmarks.peers.NAME VERB '{"url": …}'` and prints its figures as the last line.
"""

import asyncio
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from benchmarks.measure import Numbers, Stopwatch, await_word, cpu_seconds, report_share, server_seconds

#: How often somebody looks whether all has run, and how long it stays quiet before nothing more is expected.
LOOK_SECONDS, QUIET_SECONDS = 0.01, 0.2
#: Of several processes none knows its share. The longest pause of a worker that has work: arq looks twice a second.
SHARED_QUIET_SECONDS = 2.0
#: When a job is missing.
LOST_SECONDS = 30.0
#: Jobs per call where a queue is only filled.
FILL = 5_000


@dataclass(frozen=True)
class Settings:
    """What a verb is asked to do."""

    folder: str
    url: str
    server: int = 0  #: its process id
    jobs: int = 0
    slots: int = 1
    processes: int = 1
    size: int = 1_000
    callers: int = 100
    pause: float = 0.0  #: seconds that each job waits
    gap: float = 0.0  #: seconds between two jobs
    variant: str = ""  #: which of its engines, brokers or pools


@dataclass
class Effects:
    """What the handlers did."""

    seen: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    ended: float = 0.0

    def note(self, number: int, at: int) -> None:
        """The no-op handler. `at` is when the job was added, where delays are measured; else 0."""
        if at:
            self.late.append((time.monotonic_ns() - at) / 1e6)
        self.seen.append(number)
        self.ended = time.monotonic()


class Driver:
    """One peer. Peers without asyncio block in these methods: nothing else runs in their loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.effects = Effects()

    async def handle(self, number: int, at: int = 0) -> None:
        """The handler of asynchronous peers."""
        if self.settings.pause:
            await asyncio.sleep(self.settings.pause)
        self.effects.note(number, at)

    def handle_sync(self, number: int, at: int = 0) -> None:
        """The handler of the others."""
        if self.settings.pause:
            time.sleep(self.settings.pause)
        self.effects.note(number, at)

    async def open(self) -> None:
        """Connect as a producer."""

    async def add(self, number: int, at: int = 0) -> None:
        """Add one job and wait until the server has it."""
        raise SystemExit("this peer cannot add")

    async def add_many(self, first: int, count: int) -> None:
        """Add jobs in the peer's own way of adding many."""
        for number in range(first, first + count):
            await self.add(number)

    async def waiting(self) -> int:
        """How many jobs the server holds."""
        raise SystemExit("this peer cannot count")

    async def work(self) -> None:
        """Consume until the process ends."""
        raise SystemExit("this peer cannot work")


# -- verbs -------------------------------------------------------------------------------------------------------------


async def fill(driver: Driver) -> Numbers:
    """Add jobs as fast as it goes."""
    await driver.open()
    for first in range(0, driver.settings.jobs, FILL):
        await driver.add_many(first, min(FILL, driver.settings.jobs - first))
    return await _stored(driver)


async def add_one(driver: Driver) -> Numbers:
    """One caller, one job at a time."""
    await driver.open()
    watch = Stopwatch(driver.settings.server)
    for number in range(driver.settings.jobs):
        await driver.add(number)
    return watch.rates(driver.settings.jobs) | await _stored(driver)


async def add_concurrent(driver: Driver) -> Numbers:
    """Many callers in one process, each waiting for its own job."""
    settings = driver.settings
    await driver.open()

    async def caller(first: int) -> None:
        for number in range(first, settings.jobs, settings.callers):
            await driver.add(number)

    watch = Stopwatch(settings.server)
    await asyncio.gather(*(caller(first) for first in range(settings.callers)))
    return watch.rates(settings.jobs) | await _stored(driver)


async def add_bulk(driver: Driver) -> Numbers:
    """So many jobs at a time."""
    settings = driver.settings
    await driver.open()
    watch = Stopwatch(settings.server)
    for first in range(0, settings.jobs, settings.size):
        await driver.add_many(first, settings.size)
    return watch.rates(settings.jobs) | await _stored(driver)


async def produce(driver: Driver) -> Numbers:
    """A job every so often, each carrying the moment it was added."""
    await driver.open()
    for number in range(driver.settings.jobs):
        await driver.add(number, time.monotonic_ns())
        await asyncio.sleep(driver.settings.gap)
    return {}


async def share(driver: Driver) -> Numbers:
    """One worker process. A thread looks whether all has run, reports, and ends the process."""
    await_word()
    threading.Thread(target=_watch, args=(driver, cpu_seconds()), daemon=True).start()
    await driver.work()
    await asyncio.sleep(LOST_SECONDS)  # its worker has ended by itself; the thread has the last word
    return {}


def _watch(driver: Driver, cpu: float) -> None:
    settings, effects = driver.settings, driver.effects
    ran, spent, served, changed = 0, 0.0, 0.0, time.monotonic()
    patience = LOST_SECONDS
    while time.monotonic() - changed < patience:
        time.sleep(LOOK_SECONDS)
        if len(effects.seen) != ran:
            ran, spent, changed = len(effects.seen), cpu_seconds() - cpu, time.monotonic()
            if settings.processes > 1 or ran >= settings.jobs:
                patience = SHARED_QUIET_SECONDS if settings.processes > 1 else QUIET_SECONDS
                served = server_seconds(settings.server)
    report_share(effects.seen, effects.ended, spent, settings.folder, served=served, late=effects.late)
    os._exit(0)  # its threads and connections would live on


async def _stored(driver: Driver) -> Numbers:
    waiting = await driver.waiting()
    if waiting != driver.settings.jobs:
        raise SystemExit(f"{driver.settings.jobs} jobs were added and {waiting} wait")
    return {}


VERBS: dict[str, Callable[[Driver], Coroutine[object, object, Numbers]]] = {
    verb.__name__: verb for verb in (fill, add_one, add_concurrent, add_bulk, produce, share)
}


def main(make: Callable[[Settings], Driver]) -> None:
    """Do what the command line says. Every asyncio peer runs on uvloop, as corral does."""
    verb, parameters = sys.argv[1:3]

    async def run() -> Numbers:
        return await VERBS[verb](make(Settings(**json.loads(parameters))))

    if importlib.util.find_spec("uvloop") is None:
        figures = asyncio.run(run())
    else:
        import uvloop

        figures = uvloop.run(run())
    print(json.dumps(figures), flush=True)
    os._exit(0)
