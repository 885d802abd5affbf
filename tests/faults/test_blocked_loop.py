"""A handler that blocks the event loop keeps its job: leases are renewed from a thread of their own."""

from pathlib import Path

import pytest

from corral.storage.connect import connect
from tests.faults.helpers import Script, effects, eventually, finished, job_of
from tests.faults.scripts import application, url_of

LEASE = 1.0


@pytest.mark.slow  # three leases of a second
@pytest.mark.parametrize("handler", ["sleeper", "looper"])
async def test_a_loop_blocked_for_three_leases_does_not_run_the_job_again(handler: str, tmp_path: Path) -> None:
    async with application(tmp_path) as app:
        blocked = await app.definition("work", handler).add({"seconds": 3 * LEASE})
        with Script("worker", tmp_path, LEASE).ready() as first:
            await eventually(lambda: len(effects(tmp_path)) == 1)
            with Script("worker", tmp_path, LEASE).ready() as second:
                other = await app.definition("work", "quick").add()
                await eventually(lambda: len(effects(tmp_path)) == 2)
                await finished(tmp_path, 2)
                assert (await second_look(tmp_path, blocked.id)) == (1, 0)
                assert effects(tmp_path) == [(blocked.id, 1, first.pid), (other.id, 1, second.pid)]


async def second_look(folder: Path, job_id: str) -> tuple[int, int]:
    """How often the job was claimed, and how many workers it is said to have lost."""
    async with connect(url_of(folder)) as storage:
        job = await job_of(storage, job_id)
    return job.attempts_started, job.crashes
