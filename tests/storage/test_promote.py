"""promote: delayed jobs run now."""

from corral.event import EventType
from corral.job import JobState
from corral.outcome import Completed, Retried
from corral.storage.port import Storage

from .helpers import QUEUE, T0, Tape, add, add_ids, all_in, new_job, run_through, served, start_one, tally, the, these


async def test_a_promoted_job_waits_no_longer(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a", delay_ms=60_000))
    await tape.events()
    assert await storage.promote(QUEUE, these("a"), now=T0 + 5) == ["a"]
    assert (await the(storage, "a")).state is JobState.WAITING
    assert await tape.everything() == [(EventType.WAITING, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.delayed) == (1, 0)
    assert await served(storage, now=T0 + 5) == ["a"]


async def test_a_promoted_job_is_not_promoted_again_when_its_time_comes(storage: Storage) -> None:
    await add(storage, new_job("a", delay_ms=100))
    await storage.promote(QUEUE, these("a"), now=T0)
    await run_through(storage, Completed())
    claimed = await served(storage, now=T0 + 100)
    assert claimed == []
    assert (await the(storage, "a")).state is JobState.COMPLETED


async def test_only_delayed_jobs_are_promoted(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "done", "running", "idle")
    await run_through(storage, Completed())
    await start_one(storage)
    await tape.events()
    assert await storage.promote(QUEUE, these("done", "running", "idle", "ghost"), now=T0) == []
    assert await storage.promote(QUEUE, all_in(*JobState), now=T0) == []
    assert await tape.everything() == []


async def test_a_promoted_job_joins_the_end_of_its_priority(storage: Storage) -> None:
    await add(storage, new_job("late", delay_ms=900), new_job("urgent", delay_ms=900, priority=1), new_job("plain"))
    assert sorted(await storage.promote(QUEUE, all_in(JobState.DELAYED), now=T0)) == ["late", "urgent"]
    assert await served(storage) == ["urgent", "plain", "late"]


async def test_promotion_by_state_takes_those_asked_for(storage: Storage) -> None:
    jobs = [new_job(f"j{n}", ("x", "y")[n % 2], delay_ms=1_000) for n in range(6)]
    await storage.add(jobs, now=T0)
    assert sorted(await storage.promote(QUEUE, all_in(JobState.DELAYED, name="x"), now=T0)) == ["j0", "j2", "j4"]
    assert await storage.promote(QUEUE, all_in(JobState.DELAYED, limit=1), now=T0) == ["j1"]
    assert (await tally(storage)).delayed == 2


async def test_a_retry_in_waiting_can_be_promoted(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Retried(after_ms=60_000, reason="no"))
    await storage.promote(QUEUE, these("a"), now=T0)
    assert (await start_one(storage)).job.attempts_made == 1
