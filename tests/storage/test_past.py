"""What is kept of attempts that did not complete their job: when they ran, where, and how they ended."""

from corral.job import MAX_PAST, MAX_PAST_REASON, JobState, PastAttempt
from corral.outcome import Completed, Crashed, Failed, Released, Retried, Snoozed
from corral.storage.port import Storage

from .helpers import LEASE, QUEUE, T0, Clock, add_ids, end, run_through, start_one, the, these


async def test_attempts_are_told_with_their_times_and_workers(storage: Storage) -> None:
    await add_ids(storage, "a")
    await end(storage, await start_one(storage), Retried(after_ms=400, reason="busy", trace="Trace"), now=T0 + 100)
    await end(storage, await start_one(storage, now=T0 + 500), Retried(after_ms=0, reason="late"), now=T0 + 900)
    await end(storage, await start_one(storage, now=T0 + 901), Failed(reason="no", trace="Trace"), now=T0 + 950)
    assert (await the(storage, "a")).past == (
        PastAttempt(1, T0, T0 + 100, "w-1", "retried", "busy", 400, traced=True),
        PastAttempt(2, T0 + 500, T0 + 900, "w-1", "retried", "late", 0),
        PastAttempt(3, T0 + 901, T0 + 950, "w-1", "failed", "no", traced=True),
    )


async def test_a_job_that_comes_off_at_once_has_none(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    assert (await the(storage, "a")).past == ()


async def test_snoozes_and_hand_backs_are_no_attempts(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Snoozed(after_ms=0), now=clock.tick())
    await run_through(storage, Released(), now=clock.tick())
    assert (await the(storage, "a")).past == ()


async def test_the_success_after_them_leaves_them(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Retried(after_ms=0, reason="busy"), now=clock.tick())
    await run_through(storage, Completed(), now=clock.tick())
    job = await the(storage, "a")
    assert [(one.number, one.reason) for one in job.past] == [(1, "busy")]
    assert (job.state, job.attempts_made) == (JobState.COMPLETED, 2)


async def test_a_claimed_job_knows_of_them(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Retried(after_ms=0, reason="busy"), now=clock.tick())
    run = await start_one(storage, now=clock.tick())
    assert [(one.number, one.reason) for one in run.job.past] == [(1, "busy")]


async def test_a_crash_is_told_and_the_next_attempt_has_its_number(storage: Storage) -> None:
    await add_ids(storage, "a")
    await end(storage, await start_one(storage), Crashed(reason="killed", limit=5), now=T0 + 10)
    await start_one(storage, now=T0 + 20)
    late = T0 + 20 + LEASE + 1
    await storage.recover(QUEUE, max_crashes=5, now=late)
    await end(storage, await start_one(storage, now=late), Failed(reason="no"), now=late + 5)
    first, second, third = (await the(storage, "a")).past
    assert first == PastAttempt(1, T0, T0 + 10, "w-1", "crashed", "killed")
    assert (second.number, second.outcome, second.started_at, second.ended_at) == (1, "crashed", T0 + 20, late)
    assert second.reason == "the worker running it was lost"
    assert third == PastAttempt(1, late, late + 5, "w-1", "failed", "no")


async def test_the_crash_that_ends_a_job_is_the_last_one(storage: Storage) -> None:
    for n, job_id in enumerate(("told", "found")):
        await add_ids(storage, job_id)
        run = await start_one(storage, now=T0 + n)
        if job_id == "told":
            await end(storage, run, Crashed(reason="killed", limit=1), now=T0 + n)
        else:
            await storage.recover(QUEUE, max_crashes=1, now=T0 + LEASE + 2)
        job = await the(storage, job_id)
        assert (job.state, job.attempts_made) == (JobState.FAILED, 0)
        assert [(one.number, one.outcome) for one in job.past] == [(1, "crashed")]
        assert "quarantined" in (job.failed_reason or "")


async def test_who_was_asked_to_stop_failed_for_that(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), reason="enough", now=T0 + 5)
    await end(storage, run, Retried(after_ms=5, reason="busy", trace="Trace"), now=T0 + 10)
    assert (await the(storage, "a")).past == (PastAttempt(1, T0, T0 + 10, "w-1", "failed", "cancelled: enough"),)


async def test_the_latest_are_kept(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    for n in range(MAX_PAST + 3):
        await run_through(storage, Retried(after_ms=0, reason=f"no {n}"), now=clock.tick())
    past = (await the(storage, "a")).past
    assert [one.number for one in past] == list(range(4, MAX_PAST + 4))
    assert past[-1].reason == f"no {MAX_PAST + 2}"


async def test_a_long_reason_is_cut_at_the_end_of_a_character(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    for padding in range(4):
        await run_through(storage, Retried(after_ms=0, reason="x" * padding + "🐎é" * 400), now=clock.tick())
    for padding, one in enumerate((await the(storage, "a")).past):
        assert ("x" * padding + "🐎é" * 400).startswith(one.reason)
        assert MAX_PAST_REASON - 4 < len(one.reason.encode()) <= MAX_PAST_REASON


async def test_counted_anew_they_are_numbered_anew(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed(reason="no"), now=clock.tick())
    await storage.retry(QUEUE, these("a"), reset_attempts=True, now=clock.tick())
    await run_through(storage, Failed(reason="no"), now=clock.tick())
    await storage.retry(QUEUE, these("a"), reset_attempts=False, now=clock.tick())
    await run_through(storage, Failed(reason="no"), now=clock.tick())
    assert [one.number for one in (await the(storage, "a")).past] == [1, 1, 2]


async def test_lists_leave_them_out(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed(reason="no"), now=clock.tick())
    [job] = (await storage.page(QUEUE, [JobState.FAILED], lean=True)).items
    assert job.past == ()
