"""settle: each verdict does what it says, and a stale one does nothing."""

import json

import pytest

from corral.event import EventType
from corral.job import Job, JobState
from corral.options import QueueSettings
from corral.outcome import Completed, Crashed, Failed, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import BATCH, Refusal, Settled, Settlement, Storage

from .helpers import (
    QUEUE,
    T0,
    Clock,
    Tape,
    add,
    add_ids,
    end,
    ids_of,
    new_job,
    new_token,
    run_through,
    served,
    start,
    start_one,
    tally,
    the,
    wish,
)

OUTCOMES: tuple[Outcome, ...] = (
    Completed(),
    Failed(reason="no"),
    Retried(after_ms=5, reason="no"),
    Snoozed(after_ms=5),
    Parked(),
    Released(),
    Crashed(reason="killed"),
)
ALL_OUTCOMES = pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)


async def test_completed_keeps_the_result(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage, now=T0 + 10)
    assert await end(storage, run, Completed(result='{"sent":1}'), now=T0 + 30) == Settled()
    job = await the(storage, "a")
    assert (job.state, job.result, job.finished_at) == (JobState.COMPLETED, '{"sent":1}', T0 + 30)
    assert (job.attempts_started, job.attempts_made, job.failed_reason) == (1, 1, None)
    told = {event.type: event for event in await tape.events()}
    assert (told[EventType.COMPLETED].job_id, told[EventType.COMPLETED].detail) == ("a", '{"sent":1}')
    counts = await tally(storage)
    assert (counts.active, counts.completed, counts.completed_total, counts.failed_total) == (0, 1, 1, 0)


async def test_failed_keeps_reason_and_trace(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, Failed(reason='no "such" box', trace="Traceback …"), now=T0 + 30)
    job = await the(storage, "a")
    assert (job.state, job.failed_reason, job.finished_at) == (JobState.FAILED, 'no "such" box', T0 + 30)
    assert (job.traces, job.attempts_made, job.result) == (("Traceback …",), 1, None)
    told = {event.type: event for event in await tape.events()}
    assert json.loads(told[EventType.FAILED].detail or "null") == 'no "such" box'
    assert EventType.RETRYING not in told
    counts = await tally(storage)
    assert (counts.active, counts.failed, counts.failed_total, counts.completed_total) == (0, 1, 1, 0)


async def test_retried_comes_back_after_its_delay(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, Retried(after_ms=400, reason="busy", trace="line 1"), now=T0 + 100)
    job = await the(storage, "a")
    assert (job.state, job.run_at, job.finished_at) == (JobState.DELAYED, T0 + 500, None)
    assert (job.failed_reason, job.traces, job.attempts_made) == ("busy", ("line 1",), 1)
    assert await tape.told() == [(EventType.ADDED, "a"), (EventType.ACTIVE, "a"), (EventType.RETRYING, "a")]
    counts = await tally(storage)
    assert (counts.delayed, counts.active, counts.failed, counts.failed_total) == (1, 0, 0, 0)
    assert await served(storage, now=T0 + 499) == []
    assert (await start_one(storage, now=T0 + 500)).job.attempts_started == 2


async def test_a_retry_without_delay_can_be_claimed_at_once(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Retried(after_ms=0, reason="busy"))
    assert await served(storage) == ["b", "a"]


async def test_snoozed_uses_up_no_attempt(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, Snoozed(after_ms=400), now=T0 + 100)
    job = await the(storage, "a")
    assert (job.state, job.run_at) == (JobState.DELAYED, T0 + 500)
    assert (job.attempts_started, job.attempts_made, job.failed_reason) == (1, 0, None)
    assert await tape.told() == [(EventType.ADDED, "a"), (EventType.ACTIVE, "a"), (EventType.SNOOZED, "a")]
    assert (await tally(storage)).delayed == 1
    assert await served(storage, now=T0 + 500) == ["a"]


async def test_released_goes_back_to_the_front_without_using_up_an_attempt(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    await tape.events()
    await end(storage, run, Released())
    job = await the(storage, "a")
    assert (job.state, job.attempts_started, job.attempts_made, job.crashes) == (JobState.WAITING, 1, 0, 0)
    assert await tape.told() == [(EventType.RELEASED, "a")]
    assert (await tally(storage)).waiting == 2
    assert await served(storage) == ["a", "b"]


async def test_a_released_job_goes_to_the_front_of_its_own_priority_only(storage: Storage) -> None:
    await add(storage, new_job("plain"), new_job("plain2"))
    run = await start_one(storage)
    await add(storage, new_job("urgent", priority=1), new_job("lifo", lifo=True))
    await end(storage, run, Released())
    assert await served(storage) == ["urgent", "plain", "lifo", "plain2"]


async def test_jobs_released_together_keep_their_order(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    runs = await start(storage, 3)
    await storage.settle(QUEUE, [run.ends(Released()) for run in runs], now=T0)
    assert await served(storage) == ["a", "b", "c", "d"]


async def test_parked_without_children_is_not_stuck(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Parked())
    assert (await the(storage, "a")).attempts_made == 0
    assert await served(storage) == ["a"]


async def test_crashed_goes_back_and_is_counted(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    await tape.events()
    await end(storage, run, Crashed(reason="killed by signal 9", limit=2))
    job = await the(storage, "a")
    assert (job.state, job.crashes, job.attempts_made) == (JobState.WAITING, 1, 0)
    assert await tape.told() == [(EventType.STALLED, "a")]
    assert await served(storage, 1) == ["a"]
    counts = await tally(storage)
    assert (counts.waiting, counts.active, counts.failed) == (1, 1, 0)


async def test_crashed_at_its_limit_is_quarantined(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Crashed(reason="killed by signal 9", limit=2))
    await tape.events()
    await run_through(storage, Crashed(reason="killed by signal 9", limit=2), now=T0 + 50)
    job = await the(storage, "a")
    assert (job.state, job.crashes, job.finished_at) == (JobState.FAILED, 2, T0 + 50)
    assert "killed by signal 9" in (job.failed_reason or "")
    assert await tape.told() == [(EventType.ACTIVE, "a"), (EventType.STALLED, "a"), (EventType.FAILED, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.failed, counts.failed_total) == (0, 1, 1)


async def test_a_stale_token_is_refused_and_changes_nothing(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await tape.events()
    before = await the(storage, "a")
    stale = Settlement(job_id="a", token=new_token(), outcome=Completed(result="1"))
    assert (await storage.settle(QUEUE, [stale], now=T0 + 1)).refused == {"a": Refusal.LEASE_LOST}
    assert await the(storage, "a") == before
    assert await tape.everything() == []
    assert (await tally(storage)).active == 1
    assert not (await end(storage, run, Completed())).refused


@ALL_OUTCOMES
async def test_a_lost_lease_is_refused_whatever_the_outcome(storage: Storage, tape: Tape, outcome: Outcome) -> None:
    await add_ids(storage, "a")
    lost = await start_one(storage)
    await storage.recover(QUEUE, now=T0 + 60_000)
    current = await start_one(storage, now=T0 + 60_000)
    await tape.events()
    before = await the(storage, "a")
    assert (await end(storage, lost, outcome, now=T0 + 60_001)).refused == {"a": Refusal.LEASE_LOST}
    assert await the(storage, "a") == before == current.job
    assert await tape.everything() == []
    counts = await tally(storage)
    assert (counts.active, counts.completed_total, counts.failed_total) == (1, 0, 0)


@ALL_OUTCOMES
async def test_repeating_a_settlement_is_refused_and_changes_nothing(
    storage: Storage, tape: Tape, outcome: Outcome
) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    assert not (await end(storage, run, outcome)).refused
    await tape.events()
    before, counted = await the(storage, "a"), await tally(storage)
    assert (await end(storage, run, outcome, now=T0 + 1)).refused == {"a": Refusal.LEASE_LOST}
    assert await the(storage, "a") == before
    assert await tally(storage) == counted
    assert await tape.everything() == []


async def test_a_job_that_is_not_there_is_reported_missing(storage: Storage, tape: Tape) -> None:
    verdict = Settlement(job_id="ghost", token=new_token(), outcome=Completed())
    assert (await storage.settle(QUEUE, [verdict], now=T0)).refused == {"ghost": Refusal.JOB_MISSING}
    assert await tape.everything() == []
    assert (await tally(storage)).completed_total == 0


async def test_a_job_of_another_queue_is_missing_here(storage: Storage) -> None:
    await add(storage, new_job("a", queue="other"))
    run = await start_one(storage, queue="other")
    assert (await storage.settle(QUEUE, [run.ends(Completed())], now=T0)).refused == {"a": Refusal.JOB_MISSING}
    assert (await the(storage, "a", queue="other")).state is JobState.ACTIVE


async def test_a_batch_is_refused_item_by_item(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    a, b, c = await start(storage, 3)
    await end(storage, b, Completed())
    verdicts = [a.ends(Completed()), b.ends(Completed()), c.ends(Failed(reason="no"))]
    ghost = Settlement(job_id="ghost", token=a.token, outcome=Completed())
    settled = await storage.settle(QUEUE, [*verdicts, ghost], now=T0)
    assert settled.refused == {"b": Refusal.LEASE_LOST, "ghost": Refusal.JOB_MISSING}
    counts = await tally(storage)
    assert (counts.completed, counts.failed, counts.active) == (2, 1, 0)
    assert (counts.completed_total, counts.failed_total) == (2, 1)


async def test_a_stale_verdict_does_not_spoil_the_valid_one_beside_it(storage: Storage) -> None:
    await add_ids(storage, "a")
    stale = await start_one(storage, lease_ms=10)
    await storage.recover(QUEUE, now=T0 + 11)
    valid = await start_one(storage, now=T0 + 11)
    verdicts = [stale.ends(Failed(reason="no")), valid.ends(Completed(result="1"))]
    await storage.settle(QUEUE, verdicts, now=T0 + 12)
    job = await the(storage, "a")
    assert (job.state, job.result) == (JobState.COMPLETED, "1")


async def test_a_batch_of_mixed_outcomes_is_told_in_order(storage: Storage, tape: Tape) -> None:
    await storage.add([new_job(f"j{n}") for n in range(5)], now=T0)
    runs = await start(storage, 5)
    await tape.events()
    outcomes: list[Outcome] = [
        Completed(), Failed(reason="no"), Retried(after_ms=9, reason="no"), Snoozed(after_ms=9), Released()
    ]  # fmt: skip
    await storage.settle(QUEUE, [run.ends(outcome) for run, outcome in zip(runs, outcomes, strict=True)], now=T0)
    kinds = [EventType.COMPLETED, EventType.FAILED, EventType.RETRYING, EventType.SNOOZED, EventType.RELEASED]
    assert sorted(await tape.told()) == sorted((kind, f"j{n}") for n, kind in enumerate(kinds))
    counts = await tally(storage)
    assert (counts.completed, counts.failed, counts.delayed, counts.waiting, counts.active) == (1, 1, 2, 1, 0)


async def test_settling_claims_what_fits_in_one_call(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    run = await start_one(storage)
    claim = wish(2, worker="anna")
    settled = await storage.settle(QUEUE, [run.ends(Completed())], then=claim, now=T0 + 5)
    assert ids_of(settled.claimed) == ["b", "c"]
    assert {job.worker for job in settled.claimed.jobs} == {"anna"}
    b = Settlement(job_id="b", token=claim.token, outcome=Completed())
    assert not (await storage.settle(QUEUE, [b], now=T0 + 6)).refused


async def test_settling_makes_room_for_its_own_claim(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=1, name_concurrency={"welcome": 1}), now=T0)
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    settled = await storage.settle(QUEUE, [run.ends(Completed())], then=wish(5), now=T0)
    assert ids_of(settled.claimed) == ["b"]


async def test_a_released_job_may_be_claimed_again_in_the_same_call(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    settled = await storage.settle(QUEUE, [run.ends(Released())], then=wish(), now=T0)
    assert [(job.id, job.attempts_started) for job in settled.claimed.jobs] == [("a", 2)]


async def test_a_refused_settlement_does_not_stop_the_claim(storage: Storage) -> None:
    await add_ids(storage, "a")
    ghost = Settlement(job_id="ghost", token=new_token(), outcome=Completed())
    settled = await storage.settle(QUEUE, [ghost], then=wish(), now=T0)
    assert (ids_of(settled.claimed), settled.refused) == (["a"], {"ghost": Refusal.JOB_MISSING})


async def test_settling_nothing_is_a_claim(storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("b", delay_ms=100))
    settled = await storage.settle(QUEUE, [], then=wish(), now=T0)
    assert (ids_of(settled.claimed), settled.claimed.next_at, settled.refused) == (["a"], T0 + 100, {})


async def test_a_paused_queue_still_takes_verdicts(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    settled = await storage.settle(QUEUE, [run.ends(Completed())], then=wish(), now=T0)
    assert (settled.claimed.jobs, settled.claimed.paused, settled.refused) == ((), True, {})
    assert (await the(storage, "a")).state is JobState.COMPLETED


async def test_a_full_batch_is_settled_and_claimed_in_one_call(storage: Storage) -> None:
    await storage.add([new_job() for _ in range(2 * BATCH)], now=T0)
    runs = await start(storage, BATCH)
    settled = await storage.settle(QUEUE, [run.ends(Completed()) for run in runs], then=wish(BATCH), now=T0)
    assert (len(settled.claimed.jobs), settled.refused) == (BATCH, {})
    counts = await tally(storage)
    assert (counts.completed_total, counts.active, counts.waiting) == (BATCH, BATCH, 0)


async def test_attempts_are_counted_through_a_long_life(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    life: list[Outcome] = [
        Retried(after_ms=0, reason="one"), Snoozed(after_ms=0), Released(), Crashed(reason="oom", limit=9),
        Retried(after_ms=0, reason="two"), Completed(result="7"),
    ]  # fmt: skip
    for outcome in life:
        await run_through(storage, outcome, now=clock.tick())
    job: Job = await the(storage, "a")
    assert (job.attempts_started, job.attempts_made, job.crashes) == (6, 3, 1)
    assert (job.state, job.result, job.failed_reason) == (JobState.COMPLETED, "7", "two")
    assert job.started_at == job.finished_at == clock.now


async def test_the_last_ten_traces_are_kept(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    for n in range(12):
        await run_through(storage, Retried(after_ms=0, reason="no", trace=f"trace {n}"), now=clock.tick())
    await run_through(storage, Failed(reason="no", trace="trace 12"), now=clock.tick())
    assert (await the(storage, "a")).traces == tuple(f"trace {n}" for n in range(3, 13))


async def test_a_failure_without_trace_leaves_the_traces(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Retried(after_ms=0, reason="no", trace="trace"), now=clock.tick())
    await run_through(storage, Failed(reason="still no"), now=clock.tick())
    job = await the(storage, "a")
    assert (job.traces, job.failed_reason) == (("trace",), "still no")


async def test_going_idle_is_told_when_the_last_active_job_ends(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    a, b = await start(storage, 2)
    await end(storage, a, Completed())
    assert (EventType.IDLE, None) not in await tape.everything()
    await end(storage, b, Completed())
    assert (await tape.everything()).count((EventType.IDLE, None)) == 1


async def test_a_queue_with_waiting_jobs_is_not_idle(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Completed())
    assert (EventType.IDLE, None) not in await tape.everything()
