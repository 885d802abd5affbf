"""claim: the best jobs that may run, each to one claimer."""

from collections.abc import Awaitable, Callable

import pytest

from corral.event import EventType
from corral.job import JobState
from corral.options import JobOptions, Priority, QueueSettings, RateLimit
from corral.outcome import Completed, Released, Retried
from corral.storage.port import BATCH, Claimed, Storage

from .helpers import (
    LEASE,
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
    start_one,
    tally,
    the,
    these,
    wish,
)


async def test_a_claimed_job_is_active_and_knows_who_has_it(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a", data='{"n":1}'))
    claimed = await storage.claim(QUEUE, wish(worker="anna"), now=T0 + 40)
    [job] = claimed.jobs
    assert (job.id, job.state, job.data, job.worker) == ("a", JobState.ACTIVE, '{"n":1}', "anna")
    assert (job.started_at, job.attempts_started, job.attempts_made) == (T0 + 40, 1, 0)
    assert await the(storage, "a") == job
    assert await tape.told() == [(EventType.ADDED, "a"), (EventType.ACTIVE, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.active) == (0, 1)


async def test_an_empty_queue_answers_an_empty_claim(storage: Storage, tape: Tape) -> None:
    assert await storage.claim(QUEUE, wish(10), now=T0) == Claimed()
    assert await tape.everything() == []


async def test_jobs_are_served_first_in_first_out(storage: Storage) -> None:
    await add_ids(storage, "c", "a")
    await add_ids(storage, "b")
    assert await served(storage, 2) == ["c", "a"]
    assert await served(storage, 2) == ["b"]


async def test_a_claim_takes_no_more_than_asked(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    assert len(await served(storage, 2)) == 2
    assert (await tally(storage)).waiting == 1


async def test_a_claim_of_none_takes_nothing(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await tape.events()
    assert (await storage.claim(QUEUE, wish(0), now=T0)).jobs == ()
    assert await tape.everything() == []
    assert (await tally(storage)).waiting == 1


async def test_one_claim_may_take_a_whole_batch(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}") for n in range(BATCH + 1)], now=T0)
    assert await served(storage, BATCH) == [f"j{n}" for n in range(BATCH)]
    assert (await tally(storage)).active == BATCH


async def test_a_claim_of_more_than_a_batch_brings_a_batch(storage: Storage) -> None:
    await storage.add([new_job() for _ in range(BATCH + 1)], now=T0)
    assert len(await served(storage, 1_000)) == BATCH


async def test_explicit_priorities_come_before_ordinary_jobs_and_low_ones_after(storage: Storage) -> None:
    order = (0, 2_097_151, 1_000_000, Priority.LOW, 1, 1_000_001, 10, 2)
    await storage.add([new_job(f"p{int(p)}", priority=int(p)) for p in order], now=T0)
    assert await served(storage) == ["p1", "p2", "p10", "p1000000", "p0", "p1000001", "p2000000", "p2097151"]


async def test_within_a_priority_jobs_keep_their_order(storage: Storage) -> None:
    for n in range(4):
        await storage.add([new_job(f"high{n}", priority=10), new_job(f"plain{n}")], now=T0 + n)
    assert await served(storage, now=T0 + 9) == [f"high{n}" for n in range(4)] + [f"plain{n}" for n in range(4)]


async def test_lifo_jobs_go_before_the_others_of_their_rank_newest_first(storage: Storage) -> None:
    await add_ids(storage, "first")
    await add(storage, new_job("l1", lifo=True), new_job("urgent", priority=1), new_job("l2", lifo=True))
    await add(storage, new_job("urgent-lifo", priority=1, lifo=True))
    assert await served(storage) == ["urgent-lifo", "urgent", "l2", "l1", "first"]


async def test_a_due_job_is_promoted_by_the_claim(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a", delay_ms=100))
    assert await served(storage, now=T0 + 99) == []
    assert await served(storage, now=T0 + 100) == ["a"]
    assert await tape.told() == [(EventType.ADDED, "a"), (EventType.ACTIVE, "a")]
    counts = await tally(storage)
    assert (counts.delayed, counts.active) == (0, 1)


async def test_due_jobs_are_served_by_due_time(storage: Storage) -> None:
    await add(storage, new_job("late", delay_ms=30), new_job("soon", delay_ms=10), new_job("mid", delay_ms=20))
    assert await served(storage, now=T0 + 50) == ["soon", "mid", "late"]


async def test_a_due_job_keeps_its_priority(storage: Storage) -> None:
    await add(storage, new_job("plain"), new_job("urgent", delay_ms=10, priority=1), new_job("low", priority=2_000_000))
    assert await served(storage, now=T0 + 10) == ["urgent", "plain", "low"]


async def test_a_claim_tells_when_the_next_delayed_job_falls_due(storage: Storage) -> None:
    await add(storage, new_job("b", delay_ms=700), new_job("a", delay_ms=300))
    assert (await storage.claim(QUEUE, wish(), now=T0)).next_at == T0 + 300
    claimed = await storage.claim(QUEUE, wish(5), now=T0 + 300)
    assert (ids_of(claimed), claimed.next_at) == (["a"], T0 + 700)
    assert (await storage.claim(QUEUE, wish(), now=T0 + 700)).next_at is None


async def test_many_due_jobs_are_all_promoted(storage: Storage) -> None:
    await storage.add([new_job(delay_ms=1 + n % 7) for n in range(600)], now=T0)
    assert len(await served(storage, now=T0 + 10)) == BATCH
    assert len(await served(storage, now=T0 + 10)) == BATCH
    assert len(await served(storage, now=T0 + 10)) == 600 - 2 * BATCH


async def test_a_job_not_started_within_its_lifespan_expires(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("old", options=JobOptions(lifespan_ms=1_000)), new_job("b"))
    await tape.events()
    assert await served(storage, now=T0 + 1_001) == ["b"]
    assert await tape.told() == [(EventType.EXPIRED, "old"), (EventType.FAILED, "old"), (EventType.ACTIVE, "b")]
    job = await the(storage, "old")
    assert (job.state, job.failed_reason, job.finished_at) == (JobState.FAILED, "expired", T0 + 1_001)
    assert (job.attempts_started, job.attempts_made) == (0, 0)
    counts = await tally(storage)
    assert (counts.waiting, counts.active, counts.failed, counts.failed_total) == (0, 1, 1, 1)


async def test_the_lifespan_of_a_delayed_job_begins_when_it_is_due(storage: Storage, tape: Tape) -> None:
    options = JobOptions(lifespan_ms=1_000)
    await add(
        storage, new_job("runs", delay_ms=5_000, options=options), new_job("dies", run_at=T0 + 7_000, options=options)
    )
    assert await served(storage, now=T0 + 5_999) == ["runs"]
    assert await served(storage, now=T0 + 8_001) == []
    assert (await the(storage, "dies")).failed_reason == "expired"


async def test_a_job_within_its_lifespan_runs(storage: Storage) -> None:
    await add(storage, new_job("a", options=JobOptions(lifespan_ms=1_000)))
    assert await served(storage, now=T0 + 999) == ["a"]


async def test_expired_jobs_do_not_use_up_a_claim(storage: Storage) -> None:
    dead = [new_job(f"dead{n}", options=JobOptions(lifespan_ms=10)) for n in range(250)]
    await storage.add([*dead, new_job("a"), new_job("b")], now=T0)
    assert await served(storage, 2, now=T0 + 11) == ["a", "b"]
    counts = await tally(storage)
    assert (counts.waiting, counts.failed) == (0, 250)


async def test_a_job_that_started_once_does_not_expire(storage: Storage) -> None:
    await add(storage, new_job("retried", options=JobOptions(lifespan_ms=100)))
    await run_through(storage, Retried(after_ms=5_000, reason="busy"))
    await add(storage, new_job("released", options=JobOptions(lifespan_ms=100)))
    await run_through(storage, Released())
    assert sorted(await served(storage, now=T0 + 6_000)) == ["released", "retried"]


async def test_a_paused_queue_serves_nothing_and_says_so(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    await tape.events()
    claimed = await storage.claim(QUEUE, wish(5), now=T0)
    assert (claimed.jobs, claimed.paused) == ((), True)
    assert await tape.told() == []
    counts = await tally(storage)
    assert (counts.waiting, counts.paused, counts.active) == (2, 2, 0)
    await storage.configure(QUEUE, QueueSettings(paused=False), now=T0)
    resumed = await storage.claim(QUEUE, wish(5), now=T0)
    assert (ids_of(resumed), resumed.paused) == (["a", "b"], False)


async def test_a_job_added_to_a_paused_queue_is_served_after_resuming(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    await add_ids(storage, "a")
    assert await served(storage) == []
    await storage.configure(QUEUE, QueueSettings(paused=False), now=T0)
    assert await served(storage) == ["a"]


async def test_pausing_one_queue_leaves_the_others_running(storage: Storage) -> None:
    await storage.add([new_job("a"), new_job("b", queue="other")], now=T0)
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    assert await served(storage, queue="other") == ["b"]


async def test_attempts_started_grows_with_every_claim(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    fences = []
    for _ in range(3):
        run = await start_one(storage, now=clock.tick())
        fences.append(run.job.fence)
        await end(storage, run, Released(), now=clock.now)
    assert fences == [1, 2, 3]


async def test_draining_the_queue_is_told_once(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    await served(storage, 1)
    assert EventType.DRAINED not in await tape.kinds()
    await served(storage, 1)
    await served(storage, 1)
    assert [entry for entry in await tape.everything() if entry[0] is EventType.DRAINED] == [(EventType.DRAINED, None)]


async def test_a_rate_limit_lets_exactly_so_many_start(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(3, per=1.0)), now=T0)
    await storage.add([new_job(f"j{n}") for n in range(10)], now=T0)
    first = await storage.claim(QUEUE, wish(10), now=T0 + 100)
    assert (ids_of(first), first.held_until) == (["j0", "j1", "j2"], T0 + 1_100)
    held = await storage.claim(QUEUE, wish(10), now=T0 + 1_099)
    assert (held.jobs, held.held_until) == ((), T0 + 1_100)
    assert await served(storage, 10, now=T0 + 1_100) == ["j3", "j4", "j5"]


async def test_a_rate_limit_counts_starts_over_several_claimers(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(5, per=2.0)), now=T0)
    await storage.add([new_job() for _ in range(20)], now=T0)
    starts = [len(await served(storage, 2, now=T0 + n)) for n in range(5)]
    assert starts == [2, 2, 1, 0, 0]
    assert (await tally(storage)).active == 5


async def test_a_lifted_rate_limit_holds_nothing(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(1, per=60)), now=T0)
    await add_ids(storage, "a", "b", "c")
    assert await served(storage) == ["a"]
    await storage.configure(QUEUE, QueueSettings(rate_limit=None), now=T0)
    claimed = await storage.claim(QUEUE, wish(5), now=T0)
    assert (ids_of(claimed), claimed.held_until) == (["b", "c"], None)


async def test_a_claim_that_the_limit_did_not_cut_short_uses_it_up_later(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(3, per=1.0)), now=T0)
    await add_ids(storage, "a", "b", "c", "d", "e")
    assert await served(storage, 1, now=T0) == ["a"]
    claimed = await storage.claim(QUEUE, wish(4), now=T0 + 900)
    assert (ids_of(claimed), claimed.held_until) == (["b", "c"], T0 + 1_000)


async def test_a_rate_limit_window_begins_with_a_start(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(1, per=1.0)), now=T0)
    await add(storage, new_job("dead", options=JobOptions(lifespan_ms=1)))
    assert await served(storage, now=T0 + 10) == []
    await add_ids(storage, "a", "b", now=T0 + 900)
    assert await served(storage, now=T0 + 900) == ["a"]
    assert await served(storage, now=T0 + 1_100) == []
    assert await served(storage, now=T0 + 1_900) == ["b"]


async def test_a_claimer_whose_clock_is_a_little_behind_gets_no_window_of_its_own(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(2, per=1.0)), now=T0)
    await add_ids(storage, "a", "b", "c", "d")
    assert await served(storage, now=T0 + 20) == ["a", "b"]
    assert await served(storage, now=T0 + 17) == []
    assert await served(storage, now=T0 + 1_019) == []
    assert await served(storage, now=T0 + 1_020) == ["c", "d"]


async def test_concurrency_is_kept_over_several_claimers(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=3), now=T0)
    await storage.add([new_job() for _ in range(10)], now=T0)
    assert [len(await served(storage, 2)) for _ in range(3)] == [2, 1, 0]
    assert (await tally(storage)).active == 3


async def test_a_run_that_ends_makes_room_under_the_concurrency_cap(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=1), now=T0)
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    assert await served(storage) == []
    await end(storage, run, Released())
    assert await served(storage) == ["a"]


async def test_a_cap_on_one_name_lets_other_names_through(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 2}), now=T0)
    slow = [new_job(f"slow{n}", "slow") for n in range(300)]
    await storage.add([*slow, new_job("fast0", "fast"), new_job("fast1", "fast")], now=T0)
    assert await served(storage, 4) == ["slow0", "slow1", "fast0", "fast1"]
    assert await served(storage, 4) == []
    counts = await tally(storage)
    assert (counts.active, counts.waiting) == (4, 298)


async def test_a_capped_name_flows_again_when_one_of_it_ends(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await add(storage, new_job("s1", "slow"), new_job("s2", "slow"), new_job("f1", "fast"))
    run = await start_one(storage)
    assert await served(storage) == ["f1"]
    await end(storage, run, Retried(after_ms=60_000, reason="busy"))
    assert await served(storage) == ["s2"]


@pytest.mark.parametrize("way", ["removed", "cancelled", "expired"])
async def test_a_capped_name_flows_on_when_its_next_job_is_taken_away(storage: Storage, way: str) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    options = JobOptions(lifespan_ms=100)
    await add(storage, new_job("s1", "slow"), new_job("s2", "slow", options=options), new_job("s3", "slow"))
    run = await start_one(storage)
    assert await served(storage) == []
    await end(storage, run, Completed())
    take_away: dict[str, Callable[[], Awaitable[object]]] = {
        "removed": lambda: storage.remove(QUEUE, these("s2"), now=T0),
        "cancelled": lambda: storage.cancel(QUEUE, these("s2"), now=T0),
        "expired": lambda: storage.claim(QUEUE, wish(0), now=T0 + 101),
    }
    await take_away[way]()
    assert await served(storage, now=T0 + 101) == ["s3"]


async def test_the_next_of_a_capped_name_goes_before_a_later_one_when_the_first_has_expired(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await add(storage, new_job("s1", "slow"))
    await add(storage, new_job("s2", "slow", options=JobOptions(lifespan_ms=100)), new_job("s3", "slow"))
    await add(storage, new_job("later", "slow", delay_ms=50))
    run = await start_one(storage)
    assert await served(storage) == []
    await end(storage, run, Completed(), now=T0 + 101)
    assert await served(storage, 1, now=T0 + 101) == ["s3"]


async def test_both_caps_hold_together(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=3, name_concurrency={"slow": 1}), now=T0)
    await storage.add([new_job(f"{name}{n}", name) for n in range(4) for name in ("slow", "fast")], now=T0)
    assert await served(storage, 8) == ["slow0", "fast0", "fast1"]


async def test_the_lease_lasts_from_the_claim(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.claim(QUEUE, wish(token=new_token(), lease_ms=LEASE), now=T0 + 500)
    assert (await storage.recover(QUEUE, now=T0 + 500 + LEASE - 1)).requeued == ()
    assert (await storage.recover(QUEUE, now=T0 + 500 + LEASE + 1)).requeued == ("a",)


async def test_of_a_capped_name_one_set_aside_goes_before_newer_ones_when_another_expires(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await add(storage, new_job("runs", "slow"))
    run = await start_one(storage)
    await add(storage, new_job("dies", "slow", options=JobOptions(lifespan_ms=100)), new_job("older", "slow"))
    assert await served(storage) == []  # both are set aside
    await end(storage, run, Completed(), now=T0 + 1)
    await add(storage, new_job("newer", "slow"), now=T0 + 2)
    assert await served(storage, now=T0 + 200) == ["older"]
