"""Gathering what the rules judge by: a few calls, each bounded."""

from collections import Counter

from corral.app.app import Corral
from corral.checks.objects import Facts
from corral.job import Job, JobState
from corral.monitor.monitor import Monitor
from corral.storage.checkup import checkup, contradictions
from corral.storage.port import Storage

#: Waiting jobs of a queue whose names are looked at, and queues that are looked into.
LOOKED, QUEUES = 200, 500


async def gather(storage: Storage, url: str | None, app: Corral | None) -> Facts:
    """Ask the store for everything. Without its URL nothing is known of the server or the file."""
    monitor = Monitor(storage)
    found = await monitor.overview()
    schedules = (await monitor.schedules(limit=10_000)).items
    names = [row.name for row in found.queues]
    return Facts(
        now=found.at,
        queues=found.queues,
        infos=await storage.queues(),
        workers=(await monitor.workers()).items,
        schedules=schedules,
        waiting={row.name: await _waiting(storage, row.name) for row in found.queues[:QUEUES] if row.waiting},
        failures=await _failures(storage, [row.name for row in found.queues if row.rates.failed]),
        declared=_declared(app),
        flaws=[] if url is None else await contradictions(url, names),
        vitals=[] if url is None else await checkup(url),
    )


async def _waiting(storage: Storage, queue: str) -> dict[str, int]:
    page = await storage.page(queue, [JobState.WAITING], limit=LOOKED, lean=True)
    return Counter(job.name for job in page.items)


async def _failures(storage: Storage, queues: list[str]) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for queue in queues[:QUEUES]:
        page = await storage.page(queue, [JobState.FAILED], limit=1, lean=True)
        if page.items:
            found[queue] = page.items[0]
    return found


def _declared(app: Corral | None) -> frozenset[str]:
    if app is None:
        return frozenset()
    return frozenset(f"{queue.name}/{name}" for queue in app.queues.values() for name in queue.definitions)
