"""A process that is killed over an operation: another one goes on, and no job is run again twice."""

import asyncio
import sys
from pathlib import Path

from corral.admin.admin import Admin
from corral.admin.operations import LEASE_S
from corral.job import JobState
from corral.monitor.monitor import Monitor
from corral.outcome import Failed
from corral.storage.port import Storage
from corral.timing import now_ms
from tests.storage.helpers import QUEUE, start, tally

from .helpers import ANA, Seconds, another, failed_jobs, states

ROOT = Path(__file__).resolve().parents[2]


async def test_another_process_goes_on_where_a_killed_one_was(storage: Storage, storage_url: str) -> None:
    ids = [f"f{number:04d}" for number in range(1_200)]
    await failed_jobs(storage, *ids, now=now_ms())
    admin = Admin(storage, Monitor(storage))
    operation = await admin.by(ANA).start("retry", query="state:failed")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.admin.dying", storage_url, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    async with asyncio.timeout(100):
        assert await child.stdout.readline() == b"acted\n"
    child.kill()
    await child.wait()
    # It had chosen 1,200 jobs in pages of 500, the oldest 200 last, and died over the second page.
    assert (await admin.by(ANA).operation(operation.id)).done == 200
    assert (await tally(storage)).waiting == 700
    # Three of those that it had put back have failed once more since: one written down, two not.
    runs = await start(storage, 202, now=now_ms())
    again = [runs[0], *runs[200:]]
    await storage.settle(QUEUE, [run.ends(Failed(reason="no")) for run in again], now=now_ms())
    seconds = Seconds()
    other = another(admin, "other", seconds)
    assert await other.look() == []
    seconds.now += LEASE_S
    assert await other.look() == [operation.id]
    ended = await other.finish(operation.id)
    assert (ended.state, ended.total, ended.done, ended.failed, ended.skipped) == ("done", 1_200, 1_200, 0, 0)
    assert await states(storage, *(run.job.id for run in again)) == [JobState.FAILED] * 3
    counts = await tally(storage)
    assert (counts.failed, counts.active, counts.waiting) == (3, 199, 998)
