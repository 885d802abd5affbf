"""Steps, effects, pauses and kinds of failures in handlers that run in processes of their own."""

from pathlib import Path

import pytest

from corral import Corral, EventType
from tests.engine import step_processes
from tests.engine.helpers import GUARD, ending, next_event, working

pytestmark = pytest.mark.slow  # starts interpreters


@pytest.mark.parametrize("handler", [step_processes.trip, step_processes.trip_async])
async def test_the_step_that_was_finished_before_its_process_died_is_not_done_again(
    app: Corral, handler: object, tmp_path: Path
) -> None:
    queue = app.queue("work")
    trip = queue.job("trip", process=True)(handler)  # type: ignore[call-overload]
    done = tmp_path / "done"
    async with working(app):
        handle = await trip.add(str(done))
        assert await handle.result(timeout=GUARD) == ["FIRST", "SECOND", "EFFECT", ["first", "second"]]
    assert done.read_text().split() == ["first", "second", "effect"]
    job = await handle.get()
    assert (job.crashes, job.attempts_made) == (1, 1)


async def test_a_pause_and_the_kind_of_a_failure_cross_the_pipe(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)
    pause = queue.job("pause", process=True)(step_processes.pause)
    fail = queue.job("fail", process=True)(step_processes.fail)
    live = await app.open_queue("work")
    async with working(app):
        held = await pause.add(group="a")
        await next_event(live, EventType.LIMITED, job_id=held.id)
        failed = [await fail.add(order, group="b") for order in (7, 8)]
        jobs = [await ending(handle) for handle in failed]
    assert jobs[0].fingerprint == jobs[1].fingerprint
    [kind] = (await live.failures()).items
    assert (kind.type, kind.message, kind.jobs) == ("LookupError", "no order #", 2)
