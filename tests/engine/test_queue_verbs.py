"""What an operator asks of a queue: counts, logs, events of one's own, drips."""

import asyncio

import pytest

from corral import ConfigError, Corral, EventType, JobContext, JobState, Priority, Queue
from tests.engine.helpers import GUARD, next_event, past, work_off


@pytest.fixture
async def queue(app: Corral) -> Queue:
    return await app.queue("mail").open()


async def test_waiting_jobs_are_counted_by_priority_best_first(queue: Queue) -> None:
    for priority, count in ((0, 5), (Priority.LOW, 2), (1, 3), (Priority.HIGH, 1), (7, 9)):
        await queue.add_bulk([("send", None, {"priority": int(priority)})] * count)
    await queue.add("send", group="t1")
    await queue.add("send", delay=60)
    found = await queue.counts_by_priority()
    assert list(found.items()) == [(1, 3), (7, 9), (10, 1), (0, 5), (2_000_000, 2)]


async def test_an_empty_queue_has_no_priorities(queue: Queue) -> None:
    assert await queue.counts_by_priority() == {}


async def test_jobs_of_several_queues_in_one_call_are_each_found_in_their_own(queue: Queue) -> None:
    other = Queue("post", queue.storage)
    jobs = [queue.new("letter", {"to": "ann"}), other.new("parcel", {"to": "bob"})]
    letter, parcel = await queue.add_jobs(jobs)
    assert (letter.queue.name, parcel.queue.name) == ("mail", "post")
    assert [(await one.get()).name for one in (letter, parcel)] == ["letter", "parcel"]


async def test_log_lines_are_dropped_but_for_the_newest(queue: Queue) -> None:
    handle = await queue.add("send")
    for number in range(5):
        await queue.log(handle.id, f"line {number}")
    assert await queue.clear_logs(handle.id, keep=2) == 2
    assert (await handle.logs()).items == ("line 3", "line 4")
    assert await queue.clear_logs(handle.id) == 0
    assert (await handle.logs()).items == ()


async def test_an_event_of_one_s_own_reaches_every_reader(queue: Queue) -> None:
    handle = await queue.add("send")
    await queue.publish("shipped", {"parcel": 7}, job_id=handle.id)
    event = await next_event(queue, EventType.CUSTOM)
    assert (event.name, event.detail, event.job_id) == ("shipped", '{"parcel":7}', handle.id)
    assert event.at > 0


@pytest.mark.parametrize("name", ["completed", "retries-exhausted", "two words", "", "7up"])
async def test_an_event_may_not_look_like_one_of_corral_s(queue: Queue, name: str) -> None:
    with pytest.raises(ConfigError, match="event name"):
        await queue.publish(name)
    assert await past(queue, EventType.CUSTOM) == []


async def test_failed_jobs_are_retried_as_a_drip(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> None:
        raise ValueError("no")

    await send.add_bulk([None] * 3)
    await work_off(app)
    queue = await mail.open()
    assert len(await queue.retry(after=3600, every=60)) == 3
    due = [job.run_at or 0 for job in (await queue.page(JobState.DELAYED, newest_first=False)).items]
    assert [later - due[0] for later in due] == [0, 60_000, 120_000]


async def test_a_handle_steers_its_job(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> int:
        return 7

    handle = await send.add(delay=3600)
    place = await handle.place()
    assert place is not None
    assert place.ahead == 0
    assert await handle.promote()
    await work_off(app)
    assert await handle.result(timeout=GUARD) == 7
    assert await handle.retry()
    assert await handle.remove()
    assert not await handle.retry()


async def test_progress_is_reported_from_outside(queue: Queue) -> None:
    handle = await queue.add("send")
    await queue.update(handle.id, progress={"done": 5})
    assert (await handle.get()).progress == '{"done":5}'


async def test_a_queue_tells_whether_as_many_run_as_may(app: Corral) -> None:
    mail = app.queue("mail", concurrency=4)
    running, go_on = asyncio.Event(), asyncio.Event()

    @mail.job("send")
    async def send(ctx: JobContext) -> None:
        running.set()
        await go_on.wait()

    queue = await mail.open()
    await queue.limit(concurrency=1)
    handle = await send.add()
    assert not await queue.full()
    async with await app.worker():
        async with asyncio.timeout(GUARD):
            await running.wait()
        assert await queue.full()
        assert [worker.queues for worker in await queue.workers()] == [("mail",)]
        go_on.set()
        await handle.result(timeout=GUARD)
    assert sum(bucket.completed for bucket in await queue.metrics()) == 1
