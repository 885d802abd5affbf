"""metrics: a queue's work by the minute."""

from corral.outcome import Completed, Failed, Released, Retried, Snoozed
from corral.storage.port import Bucket, Storage

from .helpers import MINUTE, QUEUE, T0, add, add_ids, end, new_job, run_through, start, start_one


async def test_finished_work_is_summed_by_minute(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    for outcome, minute in ((Completed(), 0), (Failed(reason="no"), 0), (Completed(), 2)):
        await run_through(storage, outcome, now=T0 + minute * MINUTE + 5)
    buckets = await storage.metrics(QUEUE, since=T0, until=T0 + 10 * MINUTE)
    assert [(b.at, b.completed, b.failed, b.retried) for b in buckets] == [(T0, 1, 1, 0), (T0 + 2 * MINUTE, 1, 0, 0)]


async def test_retries_are_counted_apart(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Retried(after_ms=0, reason="no"))
    await run_through(storage, Retried(after_ms=0, reason="no"))
    await run_through(storage, Completed())
    [bucket] = await storage.metrics(QUEUE, since=T0, until=T0 + MINUTE)
    assert (bucket.completed, bucket.failed, bucket.retried) == (1, 0, 2)


async def test_waiting_and_running_times_are_summed(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    a = await start_one(storage, now=T0 + 100)
    b = await start_one(storage, now=T0 + 400)
    await end(storage, a, Completed(), now=T0 + 1_000)
    await end(storage, b, Failed(reason="no"), now=T0 + 2_000)
    assert await storage.metrics(QUEUE, since=T0, until=T0 + MINUTE) == [
        Bucket(at=T0, completed=1, failed=1, wait_ms=500, run_ms=2_500)
    ]


async def test_a_delay_is_not_waiting(storage: Storage) -> None:
    await add(storage, new_job("a", delay_ms=5_000))
    await end(storage, await start_one(storage, now=T0 + 5_300), Completed(), now=T0 + 5_400)
    [bucket] = await storage.metrics(QUEUE, since=T0, until=T0 + MINUTE)
    assert (bucket.wait_ms, bucket.run_ms) == (300, 100)


async def test_work_counts_in_the_minute_it_ended(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage, now=T0 + MINUTE - 1, lease_ms=9 * MINUTE)
    await end(storage, run, Completed(), now=T0 + MINUTE)
    assert [bucket.at for bucket in await storage.metrics(QUEUE, since=T0, until=T0 + 2 * MINUTE)] == [T0 + MINUTE]


async def test_only_the_stretch_asked_for_comes(storage: Storage) -> None:
    await storage.add([new_job() for _ in range(5)], now=T0)
    for minute in range(5):
        await run_through(storage, Completed(), now=T0 + minute * MINUTE)
    buckets = await storage.metrics(QUEUE, since=T0 + MINUTE, until=T0 + 3 * MINUTE - 1)
    assert [bucket.at for bucket in buckets] == [T0 + MINUTE, T0 + 2 * MINUTE]


async def test_a_snooze_is_not_an_attempt_that_failed(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Snoozed(after_ms=9_999))
    buckets = await storage.metrics(QUEUE, since=T0, until=T0 + MINUTE)
    assert sum(bucket.completed + bucket.failed + bucket.retried for bucket in buckets) == 0


async def test_runs_that_were_no_attempts_add_no_time(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    a, b, c = await start(storage, 3, now=T0 + 100)
    verdicts = [a.ends(Completed()), b.ends(Snoozed(after_ms=9)), c.ends(Released())]
    await storage.settle(QUEUE, verdicts, now=T0 + 300)
    assert await storage.metrics(QUEUE, since=T0, until=T0 + MINUTE) == [
        Bucket(at=T0, completed=1, wait_ms=100, run_ms=200)
    ]


async def test_each_queue_has_its_own(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    assert await storage.metrics("other", since=T0, until=T0 + MINUTE) == []


async def test_a_refused_verdict_is_not_counted(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, Completed())
    await end(storage, run, Completed())
    [bucket] = await storage.metrics(QUEUE, since=T0, until=T0 + MINUTE)
    assert bucket.completed == 1
