"""What the write model's tests say again and again."""

from corral.admin.admin import Admin, Desk
from corral.admin.objects import Actor, AuditEntry, Operation
from corral.admin.operations import Held, Operations
from corral.job import JobId, JobState
from corral.outcome import Completed, Failed, Failure
from corral.storage.port import Storage
from corral.timing import Millis
from tests.storage.helpers import QUEUE, T0, add_ids, end, start

ANA = Actor(sub="ana", method="session", role="operator", ip="10.0.0.7", via="ui", request_id="req-1")


async def last_entry(desk: Desk) -> AuditEntry:
    """The newest entry of the audit log; there must be one."""
    return (await desk.audit(limit=1)).items[0]


async def entries(desk: Desk) -> list[AuditEntry]:
    """All entries of the audit log, newest first."""
    return list((await desk.audit(limit=500)).items)


async def failed_jobs(
    storage: Storage, *ids: JobId, queue: str = QUEUE, now: Millis = T0, kind: str = "9f31c2"
) -> None:
    """Jobs with these ids that have failed, in their order."""
    await add_ids(storage, *ids, queue=queue, now=now)
    outcome = Failed(reason="timed out", failure=Failure(kind, "TimeoutError", "timed out"))
    for _ in range(0, len(ids), 200):
        runs = await start(storage, min(200, len(ids)), queue=queue, now=now)
        await storage.settle(queue, [run.ends(outcome) for run in runs], now=now)


async def completed_job(storage: Storage, job_id: JobId, *, queue: str = QUEUE, now: Millis = T0) -> None:
    """A job that has completed."""
    await add_ids(storage, job_id, queue=queue, now=now)
    [run] = await start(storage, queue=queue, now=now)
    await end(storage, run, Completed(), now=now)


async def state_of(storage: Storage, job_id: JobId, *, queue: str = QUEUE) -> JobState | None:
    """Where a job is; None: nowhere."""
    [job] = await storage.get(queue, [job_id])
    return None if job is None else job.state


async def states(storage: Storage, *ids: JobId, queue: str = QUEUE) -> list[JobState | None]:
    """Where jobs are."""
    return [None if job is None else job.state for job in await storage.get(queue, ids)]


# -- operations -----------------------------------------------------------------------------------------------------


class Seconds:
    """A clock that goes forwards when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def another(admin: Admin, name: str, seconds: Seconds) -> Operations:
    """The runner of another process."""
    return Operations(admin.ground, name=name, seconds=seconds)


async def taken(runner: Operations, operation: Operation) -> Held:
    """The operation, made this runner's own; it must be free."""
    held = await runner.take(operation.id)
    assert held is not None
    return held


async def carried_out(admin: Admin, operation: Operation) -> Operation:
    """The operation at its end."""
    held = await taken(admin.runner, operation)
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    return held.task.shown


async def failed_many(storage: Storage, count: int) -> list[JobId]:
    """So many failed jobs; their ids, oldest first."""
    ids = [f"f{number:04d}" for number in range(count)]
    await failed_jobs(storage, *ids)
    return ids
