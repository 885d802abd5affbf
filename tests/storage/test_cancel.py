"""cancel: pending jobs fail at once, active ones are asked to stop."""

import pytest

from corral.event import EventType
from corral.job import PENDING, JobState, NewJob
from corral.outcome import Completed, Failed
from corral.storage.port import Selection, Storage

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add,
    add_ids,
    all_in,
    beat,
    end,
    new_job,
    run_through,
    served,
    start_one,
    tally,
    the,
    these,
)


@pytest.mark.parametrize(
    "pending",
    [new_job("a"), new_job("a", delay_ms=60_000), new_job("a", children=1)],
    ids=["waiting", "delayed", "parked"],
)
async def test_a_pending_job_fails_at_once(storage: Storage, tape: Tape, pending: NewJob) -> None:
    await add(storage, pending)
    await tape.events()
    assert await storage.cancel(QUEUE, these("a"), reason="wrong list", now=T0 + 10) == ["a"]
    job = await the(storage, "a")
    assert (job.state, job.finished_at, job.attempts_made) == (JobState.FAILED, T0 + 10, 0)
    assert (job.failed_reason or "").startswith("cancelled")
    assert "wrong list" in (job.failed_reason or "")
    assert await tape.told() == [(EventType.CANCELLED, "a"), (EventType.FAILED, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.delayed, counts.waiting_children) == (0, 0, 0)
    assert (counts.failed, counts.failed_total) == (1, 1)
    assert await served(storage, now=T0 + 60_000) == []


async def test_without_a_reason_it_is_still_said_to_be_cancelled(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.cancel(QUEUE, these("a"), now=T0)
    assert ((await the(storage, "a")).failed_reason or "").startswith("cancelled")


async def test_an_active_job_is_asked_to_stop_and_goes_on_until_it_does(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await tape.events()
    assert await storage.cancel(QUEUE, these("a"), reason="wrong list", now=T0 + 10) == ["a"]
    assert (await the(storage, "a")).state is JobState.ACTIVE
    assert await tape.told() == [(EventType.CANCELLED, "a")]
    assert (await tally(storage)).active == 1
    pulse = await storage.heartbeat(beat(), [run.lease], lease_ms=LEASE, now=T0 + 20)
    assert [lease for lease, _ in pulse.cancelled] == [run.lease]
    assert not (await end(storage, run, Failed(reason="cancelled: wrong list"), now=T0 + 30)).refused
    assert await tape.told() == [(EventType.FAILED, "a")]
    assert (await tally(storage)).failed_total == 1


async def test_an_active_job_may_still_finish_before_it_hears(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), now=T0)
    assert not (await end(storage, run, Completed())).refused
    assert (await the(storage, "a")).state is JobState.COMPLETED


async def test_finished_jobs_are_not_touched(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Completed())
    await run_through(storage, Failed(reason="no"))
    await tape.events()
    assert await storage.cancel(QUEUE, these("a", "b", "ghost"), reason="late", now=T0) == []
    assert await storage.cancel(QUEUE, all_in(*JobState), reason="late", now=T0) == []
    assert (await the(storage, "b")).failed_reason == "no"
    assert await tape.everything() == []


async def test_everything_pending_can_be_cancelled_at_once(storage: Storage) -> None:
    await add(storage, new_job("running"))
    await start_one(storage)
    await add(storage, new_job("a"), new_job("b", delay_ms=900), new_job("c", "other"))
    assert sorted(await storage.cancel(QUEUE, all_in(*PENDING), now=T0)) == ["a", "b", "c"]
    counts = await tally(storage)
    assert (counts.active, counts.waiting, counts.delayed, counts.failed) == (1, 0, 0, 3)


async def test_cancelling_pending_jobs_is_not_going_idle(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a"), new_job("b", delay_ms=900))
    await storage.cancel(QUEUE, all_in(*PENDING), now=T0)
    assert EventType.IDLE not in await tape.kinds()


async def test_a_name_and_a_limit_narrow_the_choice(storage: Storage) -> None:
    await add(storage, *(new_job(f"j{n}", ("x", "y")[n % 2]) for n in range(6)))
    assert await storage.cancel(QUEUE, all_in(JobState.WAITING, name="x", limit=2), now=T0) == ["j0", "j2"]
    assert await served(storage) == ["j1", "j3", "j4", "j5"]


async def test_an_empty_selection_means_no_job(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.cancel(QUEUE, Selection(), now=T0) == []
    assert (await tally(storage)).waiting == 1


async def test_a_cancelled_job_can_be_retried_and_is_cancelled_no_longer(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), now=T0)
    await end(storage, run, Failed(reason="cancelled"))
    await storage.retry(QUEUE, these("a"), now=T0)
    again = await start_one(storage)
    pulse = await storage.heartbeat(beat(), [again.lease], lease_ms=LEASE, now=T0 + 1)
    assert pulse.cancelled == ()
