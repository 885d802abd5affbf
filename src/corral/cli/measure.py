"""The measuring of `corral bench`."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence

from msgspec import Struct

from corral.cli.store import open_url
from corral.errors import CorralError
from corral.queue import Queue
from corral.storage.connect import safe_url
from corral.storage.port import Storage
from corral.worker.single import Worker
from corral.worker.worker import WorkerOptions

PICKED = 200  #: jobs that are added one after another, to see how soon each starts
#: What a figure is called -> what it is.
Figures = dict[str, float | str]


class Plan(Struct, frozen=True, kw_only=True):
    """What is measured."""

    jobs: int
    concurrency: int
    producers: int
    batch: int
    payload: int
    work: float  #: seconds that each job takes


async def measure(url: str, plan: Plan, *, tell: Callable[[str], None]) -> Figures:
    """Fill a queue of its own, work it off, and see how soon single jobs start. The queue is deleted in any case."""
    name = f"corral-bench-{secrets.token_hex(2)}"
    async with open_url(url, create=True) as storage:
        queue = Queue(name, storage)
        try:
            return await _measure(storage, queue, plan, url)
        except asyncio.CancelledError:
            tell("interrupted: nothing was measured")
            raise
        finally:
            await asyncio.shield(_clear(storage, name, tell))


async def _clear(storage: Storage, name: str, tell: Callable[[str], None]) -> None:
    try:
        await storage.obliterate(name, force=True)
    except CorralError as error:
        tell(f"queue {name} could not be deleted: {error}; corral queues obliterate {name} --force does it")
    else:
        tell(f"cleaned up queue {name}")


async def _measure(storage: Storage, queue: Queue, plan: Plan, url: str) -> Figures:
    data = {"pad": "x" * max(0, plan.payload - len('{"pad":""}'))}
    seconds = await _fill(queue, data, plan)
    ran: list[float] = []

    async def handler() -> None:
        began = time.perf_counter()
        if plan.work:
            await asyncio.sleep(plan.work)
        ran.append(time.perf_counter() - began)

    options = WorkerOptions(stats_interval=0, burst=True, run_schedules=False)
    began = time.perf_counter()
    async with Worker(queue, handler, concurrency=plan.concurrency, options=options) as worker:
        await worker.wait()
    spent = time.perf_counter() - began
    started = await _pickups(queue, data, plan)
    return {
        "engine": safe_url(url), "jobs": plan.jobs, "payload": plan.payload, "slots": plan.concurrency,
        "enqueue_s": round(seconds, 4), "enqueue": round(plan.jobs / seconds, 1), "process_s": round(spent, 4),
        "throughput": round(plan.jobs / spent, 1), "p50": _rank(started, 0.5), "p99": _rank(started, 0.99),
        "run_p50": _rank(ran, 0.5), "run_p99": _rank(ran, 0.99),
    }  # fmt: skip


async def _fill(queue: Queue, data: object, plan: Plan) -> float:
    """Add all jobs; the seconds that took."""
    left = iter(range(0, plan.jobs, plan.batch))

    async def produce() -> None:
        for start in left:  # one iterator for all of them: each takes the next part
            size = min(plan.batch, plan.jobs - start)
            await queue.add_jobs([queue.new("bench", data) for _ in range(size)])

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(plan.producers)))
    return time.perf_counter() - began


async def _pickups(queue: Queue, data: object, plan: Plan) -> list[float]:
    """Seconds from a job's adding to its start, with a worker that has nothing else to do."""
    seen: list[float] = []
    begun = asyncio.Event()

    async def handler() -> None:
        seen.append(time.perf_counter())
        begun.set()

    options = WorkerOptions(stats_interval=0, run_schedules=False)
    waits: list[float] = []
    async with Worker(queue, handler, concurrency=plan.concurrency, options=options):
        for _ in range(min(PICKED, plan.jobs)):
            begun.clear()
            added = time.perf_counter()
            await queue.add("bench", data)
            await begun.wait()
            waits.append(seen[-1] - added)
    return waits


def _rank(values: Sequence[float], share: float) -> float:
    """A percentile in milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3) if ordered else 0.0
