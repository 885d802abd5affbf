"""retry with gaps: not all at once."""

from corral.event import EventType
from corral.job import JobState, ParentRef
from corral.outcome import Completed, Failed
from corral.storage.port import Storage

from .helpers import QUEUE, T0, Tape, add, add_ids, all_in, new_job, run_through, served, tally, the, these, wish


async def fail_all(storage: Storage, *ids: str) -> None:
    """Jobs that have failed in this order, a millisecond apart."""
    await add_ids(storage, *ids)
    for n in range(len(ids)):
        await run_through(storage, Failed("no"), now=T0 + n)


async def due(storage: Storage, *ids: str) -> list[int | None]:
    return [(await the(storage, id)).run_at for id in ids]


async def test_each_job_comes_a_gap_after_the_one_before(storage: Storage, tape: Tape) -> None:
    await fail_all(storage, "a", "b", "c")
    await tape.events()
    now = T0 + 100
    assert await storage.retry(QUEUE, all_in(JobState.FAILED), every_ms=1_000, now=now) == ["a", "b", "c"]
    assert [(await the(storage, id)).state for id in "abc"] == [JobState.WAITING, JobState.DELAYED, JobState.DELAYED]
    assert await due(storage, "b", "c") == [now + 1_000, now + 2_000]
    told = await tape.events()
    assert [(event.type, event.job_id, event.detail) for event in told] == [
        (EventType.WAITING, "a", None),
        (EventType.DELAYED, "b", str(now + 1_000)),
        (EventType.DELAYED, "c", str(now + 2_000)),
    ]
    counts = await tally(storage)
    assert (counts.waiting, counts.delayed, counts.failed) == (1, 2, 0)
    assert await served(storage, now=now + 1_000) == ["a", "b"]
    assert await served(storage, now=now + 2_000) == ["c"]


async def test_all_of_them_may_wait_first(storage: Storage) -> None:
    await fail_all(storage, "a", "b")
    await storage.retry(QUEUE, all_in(JobState.FAILED), after_ms=5_000, now=T0 + 100)
    assert await due(storage, "a", "b") == [T0 + 5_100] * 2
    assert await served(storage, now=T0 + 5_101) == ["a", "b"]


async def test_both_may_be_asked_for(storage: Storage) -> None:
    await fail_all(storage, "a", "b", "c")
    await storage.retry(QUEUE, all_in(JobState.FAILED), after_ms=5_000, every_ms=10, now=T0 + 100)
    assert await due(storage, "a", "b", "c") == [T0 + 5_100, T0 + 5_110, T0 + 5_120]


async def test_the_order_of_the_ids_counts_and_only_jobs_that_are_retried(storage: Storage) -> None:
    await fail_all(storage, "a", "b", "c")
    await add_ids(storage, "waits")
    chosen = these("c", "ghost", "waits", "a")
    assert await storage.retry(QUEUE, chosen, after_ms=10, every_ms=1_000, now=T0 + 100) == ["c", "a"]
    assert await due(storage, "c", "a") == [T0 + 110, T0 + 1_110]


async def test_a_sleeping_worker_learns_of_the_first_one(storage: Storage) -> None:
    await fail_all(storage, "a")
    await storage.retry(QUEUE, these("a"), after_ms=700, now=T0 + 100)
    claimed = await storage.claim(QUEUE, wish(0), now=T0 + 101)
    assert claimed.next_at == T0 + 800


async def test_a_job_retried_later_starts_afresh(storage: Storage) -> None:
    await fail_all(storage, "a")
    await storage.retry(QUEUE, these("a"), after_ms=700, now=T0 + 100)
    job = await the(storage, "a")
    assert (job.state, job.attempts_made, job.finished_at, job.result) == (JobState.DELAYED, 0, None, None)
    await storage.promote(QUEUE, these("a"), now=T0 + 101)
    assert await run_through(storage, Completed(), now=T0 + 102) == "a"


async def test_a_parent_waits_for_a_child_that_is_retried_later(storage: Storage) -> None:
    await add(storage, new_job("up", children=1), new_job("kid", parent=ParentRef(QUEUE, "up")))
    await run_through(storage, Failed("no"))
    await storage.retry(QUEUE, these("kid"), after_ms=700, now=T0)
    assert (await the(storage, "up")).pending_children == 1
    await run_through(storage, Completed("1"), now=T0 + 701)
    assert await served(storage, now=T0 + 701) == ["up"]
