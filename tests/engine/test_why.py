"""Why is it not running, asked of real queues on each engine."""

import asyncio

import pytest

from corral import Cause, Corral, GroupLimits, JobContext, JobNotFoundError, Queue, RateLimit, WorkerOptions
from corral.storage.port import Claim, Token
from tests.engine.helpers import GUARD, work_off


@pytest.fixture
async def queue(app: Corral) -> Queue:
    return await app.queue("mail").open()


async def causes(queue: Queue, job_id: str) -> list[Cause]:
    return [reason.cause for reason in (await queue.why(job_id)).reasons]


async def started(queue: Queue, count: int) -> None:
    wish = Claim(count=count, token=Token("t"), lease_ms=600_000, worker="w")
    assert len((await queue.storage.claim(queue.name, wish)).jobs) == count


async def test_a_job_without_a_worker_says_so(queue: Queue) -> None:
    handle = await queue.add("send")
    answer = await handle.why()
    assert [reason.cause for reason in answer.reasons] == [Cause.NO_WORKER]
    assert answer.starts_at is None


async def test_a_paused_queue_says_why(queue: Queue) -> None:
    handle = await queue.add("send")
    await queue.pause("maintenance until ten")
    answer = await handle.why()
    assert answer.reasons[0].text == "the queue is paused: maintenance until ten"


async def test_a_hold_and_a_full_window_tell_their_end(queue: Queue) -> None:
    await queue.limit(RateLimit(1, per=3600))
    handles = [await queue.add("send") for _ in range(2)]
    await started(queue, 1)
    assert await causes(queue, handles[1].id) == [Cause.RATE_LIMITED, Cause.NO_WORKER]
    await queue.hold(7200)
    assert (await causes(queue, handles[1].id))[0] is Cause.HELD


async def test_the_whole_queue_or_a_name_may_be_at_its_cap(queue: Queue) -> None:
    await queue.limit(concurrency=1)
    await queue.limit_name("send", concurrency=1)
    handles = [await queue.add("send") for _ in range(2)]
    await started(queue, 1)
    assert await causes(queue, handles[1].id) == [Cause.QUEUE_FULL, Cause.NAME_FULL, Cause.NO_WORKER]


async def test_a_group_tells_what_holds_it(queue: Queue) -> None:
    await queue.limit_groups(GroupLimits(concurrency=1, rate_limits=(RateLimit(1, per=3600),)))
    handles = [await queue.add("send", group="t1") for _ in range(2)]
    await started(queue, 1)
    await queue.group("t1").pause()
    await queue.group("t1").hold(3600)
    assert await causes(queue, handles[1].id) == [
        Cause.GROUP_PAUSED, Cause.GROUP_HELD, Cause.GROUP_LIMITED, Cause.GROUP_FULL, Cause.NO_WORKER,
    ]  # fmt: skip


async def test_jobs_before_it_are_counted(queue: Queue) -> None:
    handles = [await queue.add("send") for _ in range(5)]
    answer = await handles[4].why()
    assert answer.reasons[-1].text == "4 jobs are before it"
    assert answer.starts_at is None


async def test_a_delayed_job_and_a_parent_say_what_they_wait_for(app: Corral, queue: Queue) -> None:
    first = await queue.add("part", delay=3600)
    last = await queue.add("whole", after=first)
    assert await causes(queue, first.id) == [Cause.DELAYED, Cause.NO_WORKER]
    reasons = (await last.why()).reasons
    assert reasons[0].text == f"it waits for 1 job: mail/{first.id}"


async def test_a_job_that_expires_first_says_so(queue: Queue) -> None:
    handle = await queue.add("send", lifespan=60)
    reasons = (await handle.why()).reasons
    assert [(reason.cause, reason.certain) for reason in reasons] == [(Cause.NO_WORKER, True), (Cause.EXPIRES, True)]


async def test_the_lifespan_of_a_delayed_job_begins_when_it_is_due(queue: Queue) -> None:
    handle = await queue.add("send", lifespan=60, delay=120)
    job, answer = await handle.get(), await handle.why()
    assert answer.reasons[-1].cause is Cause.EXPIRES
    assert answer.reasons[-1].until == job.created_at + 180_000


async def test_what_happened_instead_is_told(app: Corral, queue: Queue) -> None:
    handle = await queue.add("send")
    await handle.cancel("no need")
    assert (await handle.why()).text.startswith("it failed for good")
    assert "no need" in (await handle.why()).text
    with pytest.raises(JobNotFoundError):
        await queue.why("nobody")


async def test_a_worker_that_lacks_the_handler_is_told_from_one_that_is_busy(app: Corral) -> None:
    mail = app.queues.get("mail") or app.queue("mail", concurrency=1)
    running, go_on = asyncio.Event(), asyncio.Event()

    @mail.job("send")
    async def send(ctx: JobContext) -> None:
        running.set()
        await go_on.wait()

    queue = await mail.open()
    handle = await send.add()
    async with await app.worker(options=WorkerOptions(stats_interval=0, shutdown_timeout=5)):
        async with asyncio.timeout(GUARD):
            await running.wait()
        assert await causes(queue, handle.id) == [Cause.RUNNING]
        stranger = await queue.add("unknown", delay=3600)
        assert await causes(queue, stranger.id) == [Cause.DELAYED, Cause.NO_HANDLER]
        go_on.set()
        await handle.result(timeout=GUARD)
    await work_off(app)
