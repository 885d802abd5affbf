"""Metrics and workers: what each side counts of the other's work."""

from corral.queue import Queue
from corral.storage.port import Storage
from corral.timing import now_ms

from .node import Bull
from .work import GUARD, fails, until, working

DAY = 86_400_000


async def test_node_reads_how_much_corral_has_done(bull: Bull, mail: Queue, major: int) -> None:
    async with working(mail):
        for _ in range(3):
            await (await mail.add("good")).result(timeout=GUARD)
    events = await bull.events(major=major)
    async with working(mail, fails()):
        bad = await mail.add("bad")
        await events.wait(event="failed", jobId=bad.id)
    queue = await bull.queue(major=major)
    completed, failed = await queue.call("getMetrics", "completed"), await queue.call("getMetrics", "failed")
    assert (completed["meta"]["count"], failed["meta"]["count"]) == (3, 1)
    text = await queue.call("exportPrometheusMetrics")
    assert 'bullmq_job_count{queue="mail", state="completed"} 3' in text
    assert 'bullmq_job_count{queue="mail", state="failed"} 1' in text


async def test_totals_grow_with_the_work_of_both_sides(bull: Bull, mail: Queue, major: int) -> None:
    hand = await bull.hand(major=major, metrics={"maxDataPoints": 60})
    for _ in range(2):
        await mail.add("n")
    await hand.serve()
    async with working(mail):
        await (await mail.add("n")).result(timeout=GUARD)
    counts = await mail.counts()
    assert (counts.completed, counts.completed_total) == (3, 3)


async def test_the_minutes_of_a_queue_hold_what_corral_has_done(mail: Queue, storage: Storage) -> None:
    async with working(mail):
        for _ in range(3):
            await (await mail.add("good")).result(timeout=GUARD)
    minutes = await storage.metrics("mail", since=now_ms() - DAY, until=now_ms() + DAY)
    assert sum(minute.completed for minute in minutes) == 3


async def test_node_lists_corrals_workers_by_name(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    async with working(mail, name="box-1"):

        async def listed() -> bool:
            return [worker["name"] for worker in await queue.call("getWorkers")] != []

        await until(listed)
        (worker,) = await queue.call("getWorkers")
        assert worker["name"] == "mail"
        assert ":w:box-1-" in worker["rawname"]  # and a few characters that tell two workers of one name apart
        assert await queue.call("getWorkersCount") == 1

    async def gone() -> bool:
        return await queue.call("getWorkersCount") == 0  # type: ignore[no-any-return]  # a number

    await until(gone)


async def test_corrals_events_reader_is_not_counted_as_a_worker(bull: Bull, mail: Queue) -> None:
    queue = await bull.queue()
    await bull.worker(worker_name="node-1")
    async with working(mail, name="box-1"):
        await (await mail.add("n")).result(timeout=GUARD)  # reads the events stream

        async def both() -> bool:
            return await queue.call("getWorkersCount") >= 2  # type: ignore[no-any-return]  # a number

        await until(both)
        names = sorted(worker["rawname"].rpartition(":w:")[2] for worker in await queue.call("getWorkers"))
        assert [name.rpartition("-")[0] for name in names] == ["box-1", "node"]
