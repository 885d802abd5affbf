"""Rates and turns under real workers: are limits exact, is nobody left behind?

    python -m tests.faults.rates --engine redis --workers 4 --seconds 60
    python -m tests.faults.rates --engine sqlite --until-full --seconds 3

*Windows*: several worker processes share a queue with two rate limits, a group with its own, a job name with its own,
and always have more to do than they may. A fixed window may meet its neighbour, so in any stretch as long as a window
there may be the limit and one burst of it, and never more; and the queue must not fall behind either: at least
`BUSY` of what the limits allow has to start.

*Turns*: a hundred tenants, one with a thousand times as much to do as each other. In a fair round the n-th job of
a small tenant starts when n rounds are over; its p99 wait may be `FAIR` times that share.

With `--until-full` only the windows are looked at, narrower ones, for at least so long and until every limit was met:
a busy machine takes its time to bring up workers. Prints one line of JSON; ends with 1 when a promise was broken.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from corral import Corral, Queue, RateLimit, WorkerOptions, connect
from corral.event import EventType
from corral.job import Job, JobState
from corral.keywords import AddKeywords
from corral.options import GroupChange, GroupLimits, QueueSettings
from tests.redis_server import RedisServer, fresh_prefix, with_prefix

BUSY = 0.9
FAIR = 3.0
QUEUE, PARTED = "limited", "parted"
FAIR_QUEUE = "tenants"
TENANTS, SMALL, SKEW = 100, 10, 1000
#: The queue's windows, those of the group "tight", and those of the name "rare": (count, seconds).
WIDE, LONG = RateLimit(100, per=1), RateLimit(900, per=10)
TIGHT, RARE = RateLimit(7, per=0.5), RateLimit(5, per=1)
KEPT = AddKeywords(keep_completed=True)
#: In place of `WIDE` and `LONG` where the machine is not to be busy with it, and how long it may take to meet them.
FEW, FEW_LONG, PATIENCE = RateLimit(20, per=1), RateLimit(150, per=10), 120.0


@dataclass
class Tally:
    """What was seen."""

    engine: str
    workers: int
    started: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)  #: starts in the fullest stretch as long as the window
    fair_share_ms: float = 0.0
    p99_wait_ms: float = 0.0
    throughput: float = 0.0
    violations: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)  #: too slow or unfair: what a busy machine may be to blame for


def application(url: str) -> Corral:
    """One worker's application: handlers that do nothing, for as long as it takes to be fair about turns."""
    app = Corral(url)
    limited, parted = app.queue(QUEUE, concurrency=20), app.queue(PARTED, concurrency=20)
    tenants = app.queue(FAIR_QUEUE, concurrency=5)

    @limited.job("plain")
    async def plain() -> None: ...

    @parted.job("plain")
    async def apart() -> None: ...

    @parted.job("rare")
    async def rare() -> None: ...

    @tenants.job("step")
    async def step() -> None:
        await asyncio.sleep(0.002)

    return app


def work(url: str, queues: Sequence[str], name: str) -> None:
    """A worker process, until SIGTERM."""

    async def run() -> None:
        app = application(url)
        async with app:
            await app.work(queues=dict.fromkeys(queues), options=WorkerOptions(name=name, stats_interval=0))

    asyncio.run(run())


@contextmanager
def workers(url: str, queues: Sequence[str], count: int) -> Iterator[None]:
    """So many worker processes."""
    spawn = multiprocessing.get_context("spawn")
    crew = [spawn.Process(target=work, args=(url, queues, f"w{index}"), daemon=True) for index in range(count)]
    for one in crew:
        one.start()
    try:
        yield
    finally:
        for one in crew:
            one.terminate()
        for one in crew:
            one.join(60)


# -- windows -----------------------------------------------------------------------------------------------------------


async def windows(url: str, tally: Tally, seconds: float, *, until_full: bool) -> None:
    """More work than the limits allow, for so long; then look at when it started."""
    wide, long = (FEW, FEW_LONG) if until_full else (WIDE, LONG)
    async with connect(url) as store:
        queue = Queue(QUEUE, store)
        await store.configure(QUEUE, QueueSettings(rate_limit=wide, more_limits=(long,)))
        enough = int((PATIENCE if until_full else seconds) * wide.count * 1.2)
        for _ in range(0, enough, 1000):
            await queue.add_bulk([("plain", None, KEPT)] * 1000)
        parted = Queue(PARTED, store)
        own = GroupChange(limits=GroupLimits(rate_limits=(TIGHT,)))
        await store.configure(PARTED, QueueSettings(name_limits={"rare": (RARE,)}, groups={"tight": own}))
        tight = AddKeywords(group="tight", keep_completed=True)
        for _ in range(0, int(seconds * 20), 500):
            await parted.add_bulk([("plain", None, tight)] * 500)
            await parted.add_bulk([("rare", None, KEPT)] * 500)
        with workers(url, (QUEUE, PARTED), tally.workers):
            await asyncio.sleep(seconds)
            if until_full:
                await _wait_until_met(queue, parted)
        done = [job async for job in _completed(queue)]
        apart = [job async for job in _completed(parted)]
    _judge(tally, "queue 1 s", wide, done, seconds)
    _judge(tally, "queue 10 s", long, done, seconds, busy=True)
    _judge(tally, "group", TIGHT, [job for job in apart if job.group == "tight"], seconds, busy=True)
    _judge(tally, "name", RARE, [job for job in apart if job.name == "rare"], seconds, busy=True)


async def _wait_until_met(queue: Queue, parted: Queue) -> None:
    """Until each limit has been met once, or patience is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    while loop.time() < until:
        wide = [job.started_at or 0 async for job in _completed(queue)]
        apart = [job async for job in _completed(parted)]
        tight = [job.started_at or 0 for job in apart if job.group == "tight"]
        rare = [job.started_at or 0 for job in apart if job.name == "rare"]
        met = ((wide, FEW), (wide, FEW_LONG), (tight, TIGHT), (rare, RARE))
        if all(fullest(sorted(starts), limit.per_ms) >= limit.count for starts, limit in met):
            return
        await asyncio.sleep(0.5)


async def _completed(queue: Queue) -> AsyncIterator[Job]:
    start = 0
    while True:
        page = await queue.page(JobState.COMPLETED, start=start, limit=500)
        for job in page.items:
            yield job
        start += len(page.items)
        if not page.items:
            return


def _judge(
    tally: Tally, what: str, limit: RateLimit, jobs: Sequence[Job], seconds: float, *, busy: bool = False
) -> None:
    starts = sorted(job.started_at or 0 for job in jobs)
    most = fullest(starts, limit.per_ms)
    tally.started[what], tally.most[what] = len(starts), most
    if most > 2 * limit.count:
        tally.violations.append(f"{what}: {most} starts within {limit.per:g} s, of {limit.count}")
    # The workers need a moment to come up, which is taken off.
    allowed = limit.count * (seconds - 3) / limit.per
    if busy and len(starts) < BUSY * allowed:
        tally.behind.append(f"{what}: only {len(starts)} starts of {allowed:.0f} that were allowed")


def fullest(starts: Sequence[int], per_ms: int) -> int:
    """The most starts in any stretch of this length. `starts` are in order."""
    most = first = 0
    for last, start in enumerate(starts):
        while start - starts[first] >= per_ms:
            first += 1
        most = max(most, last - first + 1)
    return most


# -- turns -------------------------------------------------------------------------------------------------------------


async def turns(url: str, tally: Tally) -> None:
    """The big tenant's jobs first, then the small ones' on top."""
    async with connect(url) as store:
        queue = Queue(FAIR_QUEUE, store)
        await store.configure(FAIR_QUEUE, QueueSettings(paused=True))
        for _ in range(SKEW * SMALL // 1000):
            await queue.add_bulk([("step", None, AddKeywords(group="t0", keep_completed=True))] * 1000)
        for tenant in range(1, TENANTS):
            await queue.add_bulk([("step", None, AddKeywords(group=f"t{tenant}", keep_completed=True))] * SMALL)
        with workers(url, (FAIR_QUEUE,), tally.workers):
            await asyncio.sleep(2)  # until all of them are there: they must not begin one after the other
            await queue.resume()
            async for event in queue.events():
                if event.type is EventType.IDLE:
                    break
        done = [job async for job in _completed(queue)]
    began = min(job.started_at or 0 for job in done)
    by_tenant: defaultdict[str, list[int]] = defaultdict(list)
    for job in done:
        by_tenant[job.group or ""].append((job.started_at or 0) - began)
    small = sorted(wait for tenant, waits in by_tenant.items() if tenant != "t0" for wait in waits)
    lengths = Counter({tenant: len(waits) for tenant, waits in by_tenant.items()})
    if lengths != Counter({"t0": SKEW * SMALL, **{f"t{tenant}": SMALL for tenant in range(1, TENANTS)}}):
        tally.violations.append("jobs are missing or were run twice")
    span = max(max(waits) for waits in by_tenant.values())
    tally.throughput = round(len(done) / span * 1000, 1)
    tally.p99_wait_ms = float(small[int(len(small) * 0.99)])
    tally.fair_share_ms = round(TENANTS * SMALL / tally.throughput * 1000, 1)
    if tally.p99_wait_ms > FAIR * tally.fair_share_ms:
        tally.behind.append(f"a small tenant waits {tally.p99_wait_ms} ms, its share is {tally.fair_share_ms} ms")


# -- the command -------------------------------------------------------------------------------------------------------


def measure(url: str, tally: Tally, seconds: float, *, until_full: bool) -> None:
    """Both, one after the other, on one store."""
    asyncio.run(windows(url, tally, seconds, until_full=until_full))
    if not until_full:
        asyncio.run(turns(url, tally))


def main() -> int:
    """Run by the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rates", description=__doc__)
    parser.add_argument("--engine", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--until-full", action="store_true")
    arguments = parser.parse_args()
    tally = Tally(arguments.engine, arguments.workers)
    if arguments.engine == "redis":
        with RedisServer() as server:
            measure(with_prefix(server.url, fresh_prefix()), tally, arguments.seconds, until_full=arguments.until_full)
    else:
        with tempfile.TemporaryDirectory(prefix="corral-rates-") as folder:
            url = f"sqlite:///{Path(folder) / 'corral.db'}"
            measure(url, tally, arguments.seconds, until_full=arguments.until_full)
    print(json.dumps(vars(tally)))
    return 1 if tally.violations or tally.behind else 0


if __name__ == "__main__":
    sys.exit(main())
