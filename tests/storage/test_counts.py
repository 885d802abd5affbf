"""counts: how many jobs are in each state, for any number of queues."""

from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Completed, Failed, Retried
from corral.storage.port import QueueCounts, Storage

from .helpers import QUEUE, T0, add, add_ids, new_job, run_through, start_one, tally, these


async def test_every_state_is_counted(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}") for n in range(6)], now=T0)
    for outcome in (Completed(), Completed(), Failed(reason="no"), Retried(after_ms=9_999, reason="no")):
        await run_through(storage, outcome)
    await start_one(storage)
    await add(storage, new_job(delay_ms=9_999), new_job(children=1), now=T0 + 3)
    assert await tally(storage) == QueueCounts(
        queue=QUEUE,
        waiting=1,
        active=1,
        delayed=2,
        waiting_children=1,
        completed=2,
        failed=1,
        completed_total=2,
        failed_total=1,
        added_total=8,
        oldest_waiting_at=T0,
    )


async def test_queues_are_answered_in_the_order_asked_for(storage: Storage) -> None:
    await storage.add([new_job(queue="a"), new_job(queue="b"), new_job(queue="b")], now=T0)
    counts = await storage.counts(["b", "unknown", "a"])
    assert [(entry.queue, entry.waiting) for entry in counts] == [("b", 2), ("unknown", 0), ("a", 1)]
    assert counts[1] == QueueCounts(queue="unknown")
    assert await storage.counts([]) == []


async def test_counting_does_not_create_a_queue(storage: Storage) -> None:
    await storage.counts(["unknown"])
    assert await storage.queues() == []


async def test_waiting_jobs_of_a_paused_queue_are_held(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    counts = await tally(storage)
    assert (counts.waiting, counts.paused) == (2, 2)
    await storage.remove(QUEUE, these("a"), now=T0)
    assert (await tally(storage)).paused == 1


async def test_the_oldest_waiting_job_is_told(storage: Storage) -> None:
    assert (await tally(storage)).oldest_waiting_at is None
    await add_ids(storage, "a", now=T0 + 10)
    await add_ids(storage, "b", now=T0 + 20)
    assert (await tally(storage)).oldest_waiting_at == T0 + 10
    await start_one(storage, now=T0 + 30)
    assert (await tally(storage)).oldest_waiting_at == T0 + 20
    await start_one(storage, now=T0 + 30)
    assert (await tally(storage)).oldest_waiting_at is None


async def test_the_oldest_waiting_job_need_not_be_the_next_one(storage: Storage) -> None:
    await add(storage, new_job(priority=2_000_000), now=T0)
    await add(storage, new_job(priority=1), now=T0 + 9)
    assert (await tally(storage)).oldest_waiting_at == T0


async def test_counts_agree_with_pages(storage: Storage) -> None:
    await storage.add([new_job(delay_ms=n % 3) for n in range(30)], now=T0)
    for n in range(9):
        await run_through(storage, (Completed(), Failed(reason="no"), Retried(after_ms=50, reason="no"))[n % 3])
    counts = await tally(storage)
    for state in ("waiting", "active", "delayed", "completed", "failed"):
        page = await storage.page(QUEUE, [JobState(state)])
        assert page.total == getattr(counts, state), state
