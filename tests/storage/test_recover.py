"""recover: jobs of dead workers go back to the front, until they have killed too many."""

import pytest

from corral.event import EventType
from corral.job import JobState
from corral.options import JobOptions, QueueSettings
from corral.outcome import Completed, Crashed
from corral.storage.port import Recovered, Refusal, Storage

from .helpers import LEASE, QUEUE, T0, Clock, Tape, add, add_ids, end, new_job, served, start, start_one, tally, the

LATE = T0 + LEASE + 1


async def test_a_job_whose_lease_ran_out_goes_back_to_the_front(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    await start_one(storage)
    await tape.events()
    assert await storage.recover(QUEUE, now=LATE) == Recovered(requeued=("a",))
    job = await the(storage, "a")
    assert (job.state, job.crashes, job.attempts_started, job.attempts_made) == (JobState.WAITING, 1, 1, 0)
    assert await tape.told() == [(EventType.STALLED, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.active) == (2, 0)
    assert await served(storage, now=LATE) == ["a", "b"]


async def test_a_living_lease_is_left_alone(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await start_one(storage)
    await tape.events()
    assert await storage.recover(QUEUE, now=T0 + LEASE - 1) == Recovered()
    assert await tape.everything() == []
    assert (await tally(storage)).active == 1


async def test_a_job_that_killed_too_many_workers_is_quarantined(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await start_one(storage)
    await storage.recover(QUEUE, now=LATE)
    await start_one(storage, now=LATE)
    await tape.events()
    assert await storage.recover(QUEUE, now=LATE + LEASE + 1) == Recovered(quarantined=("a",))
    job = await the(storage, "a")
    assert (job.state, job.crashes, job.finished_at) == (JobState.FAILED, 2, LATE + LEASE + 1)
    assert job.failed_reason
    assert job.attempts_made == 0
    assert await tape.told() == [(EventType.STALLED, "a"), (EventType.FAILED, "a")]
    counts = await tally(storage)
    assert (counts.failed, counts.failed_total, counts.waiting, counts.active) == (1, 1, 0, 0)


async def test_the_number_of_crashes_allowed_is_the_callers(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    for _ in range(4):
        await start_one(storage, now=clock.tick(), lease_ms=10)
        assert (await storage.recover(QUEUE, max_crashes=5, now=clock.tick(20))).requeued == ("a",)
    await start_one(storage, now=clock.tick(), lease_ms=10)
    assert (await storage.recover(QUEUE, max_crashes=5, now=clock.tick(20))).quarantined == ("a",)


async def test_a_first_crash_is_the_last_one_at_a_limit_of_one(storage: Storage) -> None:
    await add_ids(storage, "a")
    await start_one(storage)
    assert await storage.recover(QUEUE, max_crashes=1, now=LATE) == Recovered(quarantined=("a",))
    assert ((await the(storage, "a")).failed_reason or "").startswith("quarantined after 1 crash: ")


async def test_a_quarantined_jobs_reason_counts_its_crashes_in_plain_words(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await end(storage, await start_one(storage), Crashed("oom", limit=1))
    assert (await the(storage, "a")).failed_reason == "quarantined after 1 crash: oom"
    for _ in range(2):
        await end(storage, await start_one(storage), Crashed("oom", limit=2))
    assert (await the(storage, "b")).failed_reason == "quarantined after 2 crashes: oom"


async def test_recovery_goes_in_slices(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}") for n in range(7)], now=T0)
    await start(storage, 7)
    first = await storage.recover(QUEUE, limit=4, now=LATE)
    assert (len(first.requeued), first.more) == (4, True)
    second = await storage.recover(QUEUE, limit=4, now=LATE)
    assert (len(second.requeued), second.more) == (3, False)
    assert set(first.requeued) | set(second.requeued) == {f"j{n}" for n in range(7)}


async def test_recovered_jobs_keep_their_order_among_themselves(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    await start(storage, 3)
    await storage.recover(QUEUE, now=LATE)
    assert await served(storage, now=LATE) == ["a", "b", "c", "d"]


async def test_a_recovered_job_goes_to_the_front_of_its_own_priority_only(storage: Storage) -> None:
    await add(storage, new_job("plain"), new_job("plain2"))
    await start_one(storage)
    await add(storage, new_job("urgent", priority=1))
    await storage.recover(QUEUE, now=LATE)
    assert await served(storage, now=LATE) == ["urgent", "plain", "plain2"]


async def test_the_dead_workers_verdict_is_refused(storage: Storage) -> None:
    await add_ids(storage, "a")
    dead = await start_one(storage)
    await storage.recover(QUEUE, now=LATE)
    assert (await end(storage, dead, Completed(), now=LATE)).refused == {"a": Refusal.LEASE_LOST}
    assert (await the(storage, "a")).state is JobState.WAITING
    assert (await tally(storage)).completed_total == 0


async def test_recovering_twice_finds_nothing(storage: Storage) -> None:
    await add_ids(storage, "a")
    await start_one(storage)
    await storage.recover(QUEUE, now=LATE)
    assert await storage.recover(QUEUE, now=LATE) == Recovered()
    assert (await the(storage, "a")).crashes == 1


async def test_other_queues_are_not_touched(storage: Storage) -> None:
    await add(storage, new_job("a", queue="other"))
    await start_one(storage, queue="other")
    assert await storage.recover(QUEUE, now=LATE) == Recovered()
    assert (await the(storage, "a", queue="other")).state is JobState.ACTIVE


async def test_a_dead_workers_job_makes_room_under_the_caps(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=1, name_concurrency={"welcome": 1}), now=T0)
    await add_ids(storage, "a")
    await start_one(storage)
    assert await served(storage, now=LATE) == []
    await storage.recover(QUEUE, now=LATE)
    assert await served(storage, now=LATE) == ["a"]


async def test_a_paused_queue_is_recovered_too(storage: Storage) -> None:
    await add_ids(storage, "a")
    await start_one(storage)
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    assert (await storage.recover(QUEUE, now=LATE)).requeued == ("a",)
    counts = await tally(storage)
    assert (counts.waiting, counts.paused) == (1, 1)


@pytest.mark.parametrize(("allowed", "callers"), [(1, 5), (2, 1), (3, 2)])
async def test_the_number_of_crashes_allowed_may_be_the_jobs_own(
    storage: Storage, clock: Clock, allowed: int, callers: int
) -> None:
    await add(storage, new_job("a", options=JobOptions(attempts=3, max_crashes=allowed)), new_job("plain"))
    for _ in range(allowed - 1):
        await start_one(storage, now=clock.tick(), lease_ms=10)
        assert (await storage.recover(QUEUE, max_crashes=callers, now=clock.tick(20))).requeued == ("a",)
    await start_one(storage, now=clock.tick(), lease_ms=10)
    assert (await storage.recover(QUEUE, max_crashes=callers, now=clock.tick(20))).quarantined == ("a",)
    assert (await the(storage, "plain")).state is JobState.WAITING


@pytest.mark.parametrize(("allowed", "limit"), [(1, 5), (2, 1), (3, 2)])
async def test_the_number_of_crashes_of_a_child_process_may_be_the_jobs_own(
    storage: Storage, allowed: int, limit: int
) -> None:
    await add(storage, new_job("a", options=JobOptions(max_crashes=allowed)))
    for crash in range(1, allowed + 1):
        run = await start_one(storage)
        await end(storage, run, Crashed("oom", limit))
        assert (await the(storage, "a")).state is (JobState.FAILED if crash == allowed else JobState.WAITING)
