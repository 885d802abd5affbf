"""kill -9 at every boundary of a job of five steps: each finished step ran once."""

import asyncio
import json
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from corral.job import JobState, NewJob
from corral.options import JobOptions
from corral.storage.port import Storage
from corral.timing import now_ms
from tests.faults.boundaries import LEASE, STEPS, broken, times_begun
from tests.faults.helpers import PATIENCE, ROOT

pytestmark = pytest.mark.slow  # workers in real processes, which are killed

LATER = round(LEASE * 1000) * 2
BOUNDARIES = len(STEPS) + 1


@asynccontextmanager
async def worker(url: str, folder: Path) -> AsyncIterator[Process]:
    """A worker that is about to take its first job. It does not outlive the block."""
    command = (sys.executable, "-m", "tests.faults.boundaries", url, str(folder))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def life(url: str, folder: Path) -> int:
    """One worker from its start to its end; how it ended."""
    async with worker(url, folder) as process:
        return await asyncio.wait_for(process.wait(), PATIENCE)


async def trips(storage: Storage, name: str, kills: list[list[int]]) -> list[str]:
    """Jobs whose runs kill their workers there; their ids."""
    options = JobOptions(max_crashes=100)
    jobs = [NewJob(queue="work", name=name, data=json.dumps({"kills": one}), options=options) for one in kills]
    return [added.id for added in await storage.add(jobs)]


@pytest.mark.parametrize("name", ["trip", "trip-in-thread"])
async def test_a_job_whose_worker_is_killed_at_every_boundary_does_each_step_once(
    storage: Storage, storage_url: str, tmp_path: Path, name: str
) -> None:
    [job_id] = await trips(storage, name, [list(range(BOUNDARIES))])
    for _ in range(BOUNDARIES):
        assert await life(storage_url, tmp_path) == -signal.SIGKILL
        assert (await storage.recover("work", now=now_ms() + LATER)).requeued == (job_id,)
    assert await life(storage_url, tmp_path) == 0
    [job] = await storage.get("work", [job_id])
    assert job is not None
    assert (job.state, job.attempts_started, job.crashes) == (JobState.COMPLETED, BOUNDARIES + 1, BOUNDARIES)
    assert json.loads(job.result or "") == list(STEPS)
    assert times_begun(tmp_path) == {(job_id, step): 1 for step in STEPS}
    assert broken(tmp_path) == []


async def test_the_ledger_would_tell_of_a_step_that_was_done_again(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("7 began charge 1\n7 finished charge 1\n7 began charge 2\n8 began charge 1\n")
    assert broken(tmp_path) == ["run 2 of job 7 did charge again"]
    assert times_begun(tmp_path) == {("7", "charge"): 2, ("8", "charge"): 1}


@pytest.mark.torture
async def test_workers_killed_at_any_moment_a_hundred_times_do_no_finished_step_again(
    storage: Storage, storage_url: str, tmp_path: Path
) -> None:
    chance = random.Random(7)
    kills = 0
    while kills < 100:
        boundaries = [[chance.randrange(BOUNDARIES) for _ in range(chance.randrange(3))] for _ in range(40)]
        await trips(storage, chance.choice(("trip", "trip-in-thread")), boundaries)
        for _ in range(20):
            async with worker(storage_url, tmp_path) as process:
                await asyncio.sleep(chance.uniform(0, 0.2))  # anywhere: that is the fault
                if process.returncode is None:
                    process.kill()
                kills += 1
            while (await storage.recover("work", now=now_ms() + LATER)).more:
                pass
    while await life(storage_url, tmp_path) != 0:
        while (await storage.recover("work", now=now_ms() + LATER)).more:
            pass
    counts = (await storage.counts(["work"]))[0]
    assert (counts.waiting, counts.active, counts.failed_total) == (0, 0, 0)
    assert counts.completed_total > 0
    assert broken(tmp_path) == []
