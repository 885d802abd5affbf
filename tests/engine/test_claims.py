"""Jobs taken by hand, without a worker."""

import pytest

from corral import Corral, EventType, JobState
from corral.errors import ConfigError, JobCancelledError, LeaseLostError, ResultError
from corral.testing import FakeClock
from tests.engine.helpers import on_clock, past


async def test_a_claimed_job_is_ours_until_it_is_completed(app: Corral) -> None:
    queue = await app.queue("work").open()
    added = [await queue.add("one", {"a": 1}), await queue.add("two", {"a": 2}, priority=1)]
    first, second = await queue.claim(5, worker="by hand")
    assert (first.name, first.data, second.id) == ("two", {"a": 2}, added[0].id)
    assert (await added[0].get()).worker == "by hand"
    assert await queue.claim() == []
    await first.progress(50)
    await first.log("half done")
    await first.complete({"done": True})
    await second.complete()
    assert await added[1].result(timeout=5) == {"done": True}
    assert (await added[1].get()).progress == "50"
    assert (await queue.logs(first.id)).items == ("half done",)


async def test_a_failed_job_is_retried_as_its_options_say_and_then_fails(app: Corral) -> None:
    queue = await app.queue("work").open()
    handle = await queue.add("work", attempts=2)
    [job] = await queue.claim()
    await job.fail(ValueError("no luck"))
    [job] = await queue.claim()
    assert job.job.attempts_made == 1
    await job.fail("still no luck")
    stored = await handle.get()
    assert (stored.state, stored.failed_reason) == (JobState.FAILED, "CorralError: still no luck")


async def test_retry_snooze_release_and_wait_for_children_do_what_a_handler_could(app: Corral) -> None:
    queue = await app.queue("work").open()
    for name in ("retry", "snooze", "release", "wait"):
        await queue.add(name, attempts=2)
    retry, snooze, release, wait = await queue.claim(4)
    await queue.add("child", parent=(queue.name, wait.id))
    await retry.retry("busy", after=60)
    await snooze.snooze(60)
    await wait.wait_for_children()
    await release.release()
    jobs = [await queue.get(one.id) for one in (retry, snooze, release, wait)]
    assert [(job.state, job.attempts_made) for job in jobs] == [
        (JobState.DELAYED, 1), (JobState.DELAYED, 0), (JobState.WAITING, 0), (JobState.WAITING_CHILDREN, 0),
    ]  # fmt: skip
    assert [job.name for job in await queue.claim(2)] == ["release", "child"]


async def test_what_comes_after_the_lease_is_refused(app: Corral) -> None:
    clock = FakeClock()
    declared = app.queue("work")
    async with on_clock(app, clock=clock):
        queue = await declared.open()
        await queue.add("work")
        [job] = await queue.claim(lease=10)
        clock.advance(11)
        assert await queue.recover() == [job.id]
        for verb in (job.complete, job.release, lambda: job.extend(5), lambda: job.progress(1)):
            with pytest.raises(LeaseLostError):
                await verb()


async def test_extending_keeps_the_job_beyond_its_first_lease(app: Corral) -> None:
    clock = FakeClock()
    declared = app.queue("work")
    async with on_clock(app, clock=clock):
        queue = await declared.open()
        await queue.add("work")
        [job] = await queue.claim(lease=10)
        await job.extend(60)
        clock.advance(59)
        assert await queue.recover() == []
        await job.complete()
        assert [event.type for event in await past(queue, EventType.STALLED)] == []
        assert await queue.storage.workers() == []


async def test_extending_tells_of_a_cancellation(app: Corral) -> None:
    queue = await app.queue("work").open()
    handle = await queue.add("work")
    [job] = await queue.claim()
    await handle.cancel("enough")
    with pytest.raises(JobCancelledError, match="enough"):
        await job.extend(30)
    await job.fail("stopped")
    assert (await handle.get()).state is JobState.FAILED


async def test_as_a_context_manager_a_job_settles_itself(app: Corral) -> None:
    queue = await app.queue("work").open()
    good, bad, mine, stopped = [await queue.add(name) for name in ("good", "bad", "mine", "stopped")]
    jobs = {job.name: job for job in await queue.claim(4)}
    async with jobs["good"] as job:
        job.result = 7
    async with jobs["bad"]:
        raise ValueError("goes no further")
    async with jobs["mine"] as job:
        await job.snooze(60)
    with pytest.raises(SystemExit):
        async with jobs["stopped"]:
            raise SystemExit(1)
    states = [(await handle.get()).state for handle in (good, bad, mine, stopped)]
    assert states == [JobState.COMPLETED, JobState.FAILED, JobState.DELAYED, JobState.WAITING]
    assert (await good.get()).result == "7"


async def test_a_result_that_is_not_json_leaves_the_job_ours(app: Corral) -> None:
    queue = await app.queue("work").open()
    await queue.add("work")
    [job] = await queue.claim()
    with pytest.raises(ResultError):
        await job.complete(object())
    await job.complete()


@pytest.mark.parametrize("count", [0, 257, True])
async def test_a_count_that_cannot_be_meant_is_refused(app: Corral, count: int) -> None:
    queue = await app.queue("work").open()
    with pytest.raises(ConfigError, match="1 to 256"):
        await queue.claim(count)


async def test_a_paused_queue_gives_nothing(app: Corral) -> None:
    queue = await app.queue("work").open()
    await queue.add("work")
    await queue.pause()
    assert await queue.claim() == []
