"""Single jobs that a harness adds: one that is renewed and settled while memory is used up, and one that wakes."""

import asyncio
import os

from corral.errors import StorageFullError
from corral.job import NewJob
from corral.options import Keep
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Claim, Lease, Settlement, Storage, Token, WorkerInfo
from tests.faults.actors import Scene

QUEUE = "aside"
JOB = NewJob(queue=QUEUE, name="job")


def add_one(scene: Scene) -> str:
    """The one that will be renewed, while there is room."""
    return asyncio.run(_add(scene, JOB))


def wake(scene: Scene) -> str:
    """A worker that sleeps until a time by a clock that has moved since begins to look again."""
    return asyncio.run(_add(scene, NewJob(queue="main", name="quick")))


async def _add(scene: Scene, job: NewJob) -> str:
    async with connect(scene.url) as storage:
        return (await storage.add([job]))[0].id


def renew_and_settle(scene: Scene) -> str:
    """What went wrong with it, in one sentence; nothing if all went well."""

    async def live() -> str:
        async with connect(scene.url) as storage:
            try:
                await storage.add([JOB])
            except StorageFullError:
                return await _life(storage)
            return "full: a job was added when there was no room"

    return asyncio.run(live())


async def _life(storage: Storage) -> str:
    token = Token(f"while-full-{os.getpid()}")
    worker = WorkerInfo(id="w", name="w", host="here", pid=os.getpid(), queues=(QUEUE,), slots=1, started_at=1)
    jobs = (await storage.claim(QUEUE, Claim(count=1, token=token, lease_ms=20_000))).jobs
    if not jobs:
        return "full: a job could not be claimed"
    lease = Lease(queue=QUEUE, job_id=jobs[0].id, token=token)
    pulse = await storage.heartbeat(worker, [lease], lease_ms=90_000)  # half of that is gone: it must be written
    if pulse.lost:
        return "full: a lease could not be renewed"
    verdict = Settlement(job_id=jobs[0].id, token=token, outcome=Completed(keep=Keep(count=0)))
    return "full: a verdict was refused" if (await storage.settle(QUEUE, [verdict])).refused else ""
