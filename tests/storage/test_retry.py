"""retry: finished jobs run again."""

import pytest

from corral.event import EventType
from corral.job import FINISHED, JobState
from corral.outcome import Completed, Crashed, Failed, Outcome, Retried
from corral.storage.port import Selection, Storage

from .helpers import (
    QUEUE,
    T0,
    Clock,
    Tape,
    add,
    add_ids,
    all_in,
    new_job,
    run_through,
    served,
    start_one,
    tally,
    the,
    these,
)


@pytest.mark.parametrize("outcome", [Completed(result="1"), Failed(reason="no")], ids=["completed", "failed"])
async def test_a_finished_job_runs_again(storage: Storage, tape: Tape, outcome: Outcome) -> None:
    await add_ids(storage, "a")
    await run_through(storage, outcome)
    await tape.events()
    assert await storage.retry(QUEUE, these("a"), now=T0 + 10) == ["a"]
    job = await the(storage, "a")
    assert (job.state, job.finished_at, job.attempts_started) == (JobState.WAITING, None, 1)
    assert await tape.everything() == [(EventType.WAITING, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.completed, counts.failed) == (1, 0, 0)
    assert counts.completed_total + counts.failed_total == 1
    run = await start_one(storage, now=T0 + 11)
    assert run.job.attempts_started == 2


async def test_attempts_start_afresh_unless_told_otherwise(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    for _ in range(2):
        await run_through(storage, Retried(after_ms=0, reason="no"))
    for _ in range(2):
        await run_through(storage, Failed(reason="no"))
    await storage.retry(QUEUE, these("a"), now=T0)
    await storage.retry(QUEUE, these("b"), reset_attempts=False, now=T0)
    assert [(await the(storage, id)).attempts_made for id in "ab"] == [0, 2]
    assert [(await the(storage, id)).attempts_started for id in "ab"] == [2, 2]


async def test_a_quarantined_job_gets_its_crashes_forgiven(storage: Storage) -> None:
    await add_ids(storage, "a")
    for _ in range(2):
        await run_through(storage, Crashed(reason="oom", limit=2))
    await storage.retry(QUEUE, these("a"), now=T0)
    await run_through(storage, Crashed(reason="oom", limit=2))
    assert (await the(storage, "a")).state is JobState.WAITING


async def test_only_finished_jobs_are_retried(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("running"), new_job("idle"), new_job("later", delay_ms=9_000))
    await start_one(storage)
    await tape.events()
    assert await storage.retry(QUEUE, these("running", "idle", "later", "ghost"), now=T0) == []
    assert await storage.retry(QUEUE, all_in(*JobState), now=T0) == []
    assert await tape.everything() == []
    counts = await tally(storage)
    assert (counts.active, counts.waiting, counts.delayed) == (1, 1, 1)


async def test_retried_jobs_join_the_end_of_the_queue(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Failed(reason="no"))
    await storage.retry(QUEUE, these("a"), now=T0)
    assert await served(storage) == ["b", "a"]


async def test_a_retried_job_keeps_its_priority(storage: Storage) -> None:
    await add(storage, new_job("urgent", priority=1))
    await run_through(storage, Failed(reason="no"))
    await add_ids(storage, "plain")
    await storage.retry(QUEUE, these("urgent"), now=T0)
    assert await served(storage) == ["urgent", "plain"]


async def test_all_failed_jobs_can_be_retried_at_once(storage: Storage) -> None:
    await add(storage, *(new_job(f"j{n}", ("x", "y")[n % 2]) for n in range(10)))
    for n in range(10):
        await run_through(storage, Failed(reason="no"), now=T0 + n)
    assert sorted(await storage.retry(QUEUE, all_in(JobState.FAILED, name="x"), now=T0 + 20)) == [
        "j0", "j2", "j4", "j6", "j8"
    ]  # fmt: skip
    assert await storage.retry(QUEUE, all_in(JobState.FAILED, limit=2), now=T0 + 20) == ["j1", "j3"]
    counts = await tally(storage)
    assert (counts.waiting, counts.failed, counts.failed_total) == (7, 3, 10)


async def test_the_reason_of_the_last_failure_stays_after_a_success(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed(reason="no box", trace="trace"))
    await storage.retry(QUEUE, these("a"), now=T0)
    await run_through(storage, Completed(result="2"))
    job = await the(storage, "a")
    assert (job.state, job.result, job.failed_reason) == (JobState.COMPLETED, "2", "no box")


async def test_totals_count_every_finish(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    for _ in range(3):
        await run_through(storage, Completed(), now=clock.tick())
        await storage.retry(QUEUE, all_in(*FINISHED), now=clock.tick())
    counts = await tally(storage)
    assert (counts.waiting, counts.completed, counts.completed_total) == (1, 0, 3)


async def test_an_empty_selection_means_no_job(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed(reason="no"))
    assert await storage.retry(QUEUE, Selection(), now=T0) == []


async def test_the_old_verdict_cannot_be_repeated_on_a_retried_job(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.settle(QUEUE, [run.ends(Failed(reason="no"))], now=T0)
    await storage.retry(QUEUE, these("a"), now=T0)
    await start_one(storage)
    assert (await storage.settle(QUEUE, [run.ends(Completed())], now=T0)).refused == {"a": "lease-lost"}
    assert (await the(storage, "a")).state is JobState.ACTIVE
