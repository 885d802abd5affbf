"""Workers that die, stop or freeze: their jobs run again, once, and nobody else's attempt is charged."""

import signal
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from corral.job import JobState
from corral.storage.connect import connect
from tests.faults.forks import lines
from tests.faults.helpers import Script, effects, eventually, finished, job_of
from tests.faults.scripts import application, url_of

pytestmark = pytest.mark.slow  # leases of a second, in real processes

LEASE = 1.0
GRACEFUL, HANDED_BACK = 0, 9


async def test_the_jobs_of_a_killed_worker_run_again_within_a_lease_and_five_seconds(tmp_path: Path) -> None:
    async with application(tmp_path) as app:
        await app.definition("work", "hanging").add_bulk([None] * 3)
        with Script("worker", tmp_path, LEASE).ready() as victim:
            await eventually(lambda: len(effects(tmp_path)) == 3)
            with Script("worker", tmp_path, LEASE).ready() as heir:
                await app.definition("work", "quick").add_bulk([None] * 4)
                await finished(tmp_path, 4)
                victim.kill()
                assert await finished(tmp_path, 7) < LEASE + 5
    ran = effects(tmp_path)
    taken = sorted(job_id for job_id, _, pid in ran if pid == victim.pid)
    assert sorted((job_id, fence) for job_id, fence, pid in ran if pid == heir.pid and job_id in taken) == [
        (job_id, 2) for job_id in taken
    ]
    async with connect(url_of(tmp_path)) as storage:
        records = [await job_of(storage, job_id) for job_id in taken]
    assert [(job.attempts_made, job.crashes) for job in records] == [(1, 1)] * 3


async def test_a_worker_told_to_stop_hands_running_jobs_back_to_the_front_without_charging_them(tmp_path: Path) -> None:
    async with application(tmp_path) as app:
        running = [handle.id for handle in await app.definition("work", "hanging").add_bulk([None] * 3)]
        behind = [handle.id for handle in await app.definition("work", "quick").add_bulk([None] * 2)]
        with Script("worker", tmp_path, LEASE, 0.2).ready() as worker:
            await eventually(lambda: len(effects(tmp_path)) == 3)
            assert worker.stop() == HANDED_BACK
        queue = await app.open_queue("work")
        waiting = (await queue.page(JobState.WAITING, newest_first=False)).items
    assert [job.id for job in waiting] == running + behind
    assert {(job.attempts_made, job.crashes) for job in waiting} == {(0, 0)}


async def test_a_worker_told_to_stop_lets_running_jobs_finish(tmp_path: Path) -> None:
    async with application(tmp_path) as app:
        await app.definition("work", "patient").add()
        with Script("worker", tmp_path, LEASE).ready() as worker:
            await eventually(lambda: len(effects(tmp_path)) == 1)
            worker.signal(signal.SIGTERM)
            late = await app.definition("work", "quick").add()
            (tmp_path / "go").touch()
            assert worker.process.wait(30) == GRACEFUL
        counts = await (await app.open_queue("work")).counts()
        assert (counts.completed_total, counts.waiting) == (1, 1)
        assert (await late.get()).state is JobState.WAITING


async def test_a_second_signal_hands_back_at_once(tmp_path: Path) -> None:
    async with application(tmp_path) as app:
        await app.definition("work", "hanging").add()
        with Script("worker", tmp_path, LEASE, 3600).ready() as worker:
            await eventually(lambda: len(effects(tmp_path)) == 1)
            worker.signal(signal.SIGTERM)
            worker.signal(signal.SIGINT)
            assert worker.process.wait(20) == HANDED_BACK
        counts = await (await app.open_queue("work")).counts()
    assert (counts.waiting, counts.active) == (1, 0)


async def test_a_frozen_worker_that_wakes_up_finds_its_late_verdict_refused(tmp_path: Path) -> None:
    async with application(tmp_path) as app:
        handle = await app.definition("work", "patient").add()
        with Script("worker", tmp_path, LEASE).ready() as frozen:
            await eventually(lambda: len(effects(tmp_path)) == 1)
            frozen.signal(signal.SIGSTOP)
            with Script("worker", tmp_path, LEASE).ready() as heir:
                await finished(tmp_path, 1, seconds=3 * LEASE + 10)
            (tmp_path / "go").touch()
            frozen.signal(signal.SIGCONT)
            await app.definition("work", "quick").add()  # it is awake, and works for others
            await finished(tmp_path, 2)
            assert frozen.stop() == GRACEFUL
            errors = lines(tmp_path / "worker-errors")
        counts, job = await (await app.open_queue("work")).counts(), await handle.get()
    assert [pid for job_id, _, pid in effects(tmp_path) if job_id == handle.id] == [frozen.pid, heir.pid]
    assert (job.state, job.attempts_made, job.crashes, counts.completed_total) == (JobState.COMPLETED, 1, 1, 2)
    assert "verdict refused: another run owns the job" in errors


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.2, 0.3, 0.5])
async def test_an_order_to_stop_that_comes_during_the_start_is_not_lost(moment: float, tmp_path: Path) -> None:
    with Script("worker", tmp_path, LEASE) as worker:
        with pytest.raises(TimeoutExpired):
            worker.process.wait(moment)
        assert worker.stop() in (GRACEFUL, -signal.SIGTERM)  # before Python has set up anything it just ends
