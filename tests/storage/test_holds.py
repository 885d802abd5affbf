"""Holds: nothing of a queue or a group starts for a while, and what follows begins carefully when that was asked."""

import pytest

from corral.event import EventType
from corral.job import JobState
from corral.options import GroupLimits, QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Limited, Released, Retried
from corral.storage.port import Refusal, Storage

from .grouping import (
    add_grouped,
    change_group,
    every_group,
    grouped,
    hold_group,
    hold_queue,
    limit_groups,
    next_at,
    one_by_one,
)
from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add_ids,
    end,
    ids_of,
    new_job,
    served,
    start,
    start_one,
    the,
    these,
    wish,
)

WAITING = JobState.WAITING


async def release_queue(storage: Storage, *, now: int = T0) -> None:
    await storage.configure(QUEUE, QueueSettings(hold=None), now=now)


# -- the queue ---------------------------------------------------------------------------------------------------------


async def test_a_held_queue_starts_nothing_until_the_hold_ends(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await add_grouped(storage, "g1")
    running = await start_one(storage)
    info = await hold_queue(storage, 5_000)
    assert (info.held_until, info.hold_reason, info.probing, info.paused) == (T0 + 5_000, "busy", False, False)
    assert await storage.queues() == [info]
    claimed = await storage.claim(QUEUE, wish(9), now=T0 + 4_999)
    assert (claimed.jobs, claimed.held_until, claimed.paused) == ((), T0 + 5_000, False)
    assert (await end(storage, running, Completed())).refused == {}  # what runs goes on
    claimed = await storage.claim(QUEUE, wish(9), now=T0 + 5_000)
    assert (len(claimed.jobs), claimed.held_until) == (2, None)


async def test_a_hold_answers_the_claim_of_a_settle_too(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    await hold_queue(storage, 5_000)
    settled = await storage.settle(QUEUE, [run.ends(Completed())], then=wish(1), now=T0 + 1)
    assert (settled.claimed.jobs, settled.claimed.held_until) == ((), T0 + 5_000)


async def test_a_held_queue_still_takes_due_jobs_in(storage: Storage) -> None:
    await hold_queue(storage, 5_000)
    await storage.add([new_job("a", delay_ms=100), new_job("b", delay_ms=9_000)], now=T0)
    claimed = await storage.claim(QUEUE, wish(9), now=T0 + 100)
    assert (claimed.jobs, claimed.held_until, claimed.next_at) == ((), T0 + 5_000, T0 + 9_000)
    assert (await the(storage, "a")).state is WAITING


async def test_a_hold_is_lifted_by_none(storage: Storage) -> None:
    await add_ids(storage, "a")
    await hold_queue(storage, 60_000, probe=True)
    info = await storage.configure(QUEUE, QueueSettings(hold=None), now=T0)
    assert (info.held_until, info.hold_reason, info.probing) == (None, "", False)
    assert await served(storage) == ["a"]


async def test_a_new_hold_replaces_the_old_one_even_when_it_ends_earlier(storage: Storage) -> None:
    await add_ids(storage, "a")
    await hold_queue(storage, 60_000, probe=True)
    info = await hold_queue(storage, 1_000)
    assert (info.held_until, info.probing) == (T0 + 1_000, False)
    assert await served(storage, now=T0 + 1_000) == ["a"]


async def test_a_hold_outlasts_a_pause_and_is_still_shown_when_it_is_over(storage: Storage) -> None:
    await add_ids(storage, "a")
    await hold_queue(storage, 5_000)
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0 + 1)
    assert (await storage.claim(QUEUE, wish(1), now=T0 + 2)).paused
    info = await storage.configure(QUEUE, QueueSettings(paused=False), now=T0 + 3)
    assert info.held_until == T0 + 5_000
    assert await served(storage, now=T0 + 4_999) == []
    assert await served(storage, now=T0 + 5_000) == ["a"]
    [info] = await storage.queues()
    assert info.held_until == T0 + 5_000


async def test_other_settings_leave_a_hold_as_it_is(storage: Storage) -> None:
    await add_ids(storage, "a")
    await hold_queue(storage, 5_000)
    info = await storage.configure(QUEUE, QueueSettings(concurrency=4), now=T0 + 1)
    assert info.held_until == T0 + 5_000
    assert await served(storage, now=T0 + 1) == []


async def test_a_hold_and_a_used_up_window_answer_the_later_end(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(1, per=9.0)), now=T0)
    await add_ids(storage, "a", "b", "c")
    assert await served(storage) == ["a"]
    await hold_queue(storage, 5_000)
    assert (await storage.claim(QUEUE, wish(1), now=T0 + 1)).held_until == T0 + 9_000
    await hold_queue(storage, 20_000)
    assert (await storage.claim(QUEUE, wish(1), now=T0 + 1)).held_until == T0 + 20_000


async def test_after_a_hold_with_probe_one_job_runs_at_once_until_it_is_lifted(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c", "d", "e")
    await hold_queue(storage, 1_000, probe=True)
    assert await served(storage, now=T0 + 999) == []
    [probe] = await start(storage, 9, now=T0 + 1_000)
    assert await served(storage, now=T0 + 1_000) == []
    await end(storage, probe, Completed(), now=T0 + 1_001)
    [probe] = await start(storage, 9, now=T0 + 1_001)
    assert probe.job.id == "b"
    await release_queue(storage, now=T0 + 1_002)
    assert await served(storage, now=T0 + 1_002) == ["c", "d", "e"]


async def test_a_probe_waits_for_what_ran_before_the_hold(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    running = await start_one(storage)
    await hold_queue(storage, 1_000, probe=True)
    assert await served(storage, now=T0 + 1_000) == []
    await end(storage, running, Completed(), now=T0 + 1_001)
    assert await served(storage, now=T0 + 1_001) == ["b"]


async def test_a_dead_workers_probe_is_replaced(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await hold_queue(storage, 1_000, probe=True)
    assert len(await served(storage, now=T0 + 1_000)) == 1
    later = T0 + 1_001 + LEASE
    await storage.recover(QUEUE, now=later)
    assert await served(storage, now=later) == ["a"]
    assert await served(storage, now=later) == []


async def test_a_lifted_hold_and_a_probe_that_ends_wake_who_waits(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await hold_queue(storage, 1_000, probe=True)
    [probe] = await start(storage, 9, now=T0 + 1_000)
    await storage.claim(QUEUE, wish(1), now=T0 + 1_000)
    await end(storage, probe, Completed(), now=T0 + 1_001)
    assert await storage.wait([QUEUE], timeout=30)
    assert len(await served(storage, now=T0 + 1_001)) == 1
    await storage.claim(QUEUE, wish(1), now=T0 + 1_001)
    await release_queue(storage, now=T0 + 1_002)
    assert await storage.wait([QUEUE], timeout=30)
    assert await served(storage, now=T0 + 1_002) == ["c"]


# -- a group -----------------------------------------------------------------------------------------------------------


async def test_a_held_group_starts_nothing_and_the_others_go_on(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    await add_ids(storage, "p1")
    await hold_group(storage, "a", 5_000)
    info = (await every_group(storage))["a"]
    assert (info.held_until, info.hold_reason, info.probing) == (T0 + 5_000, "busy", False)
    claimed = await storage.claim(QUEUE, wish(9), now=T0)
    assert (sorted(ids_of(claimed)), claimed.held_until) == (["b1", "b2", "p1"], None)
    assert await next_at(storage, now=T0 + 1) == T0 + 5_000
    assert await served(storage, now=T0 + 4_999) == []
    assert await served(storage, now=T0 + 5_000) == ["a1", "a2"]


async def test_a_hold_of_a_group_without_jobs_waits_for_them(storage: Storage) -> None:
    await hold_group(storage, "a", 5_000)
    assert await next_at(storage) is None
    await add_grouped(storage, "a1", now=T0 + 1_000)
    assert await served(storage, now=T0 + 1_000) == []
    assert await next_at(storage, now=T0 + 1_000) == T0 + 5_000
    assert await served(storage, now=T0 + 5_000) == ["a1"]


async def test_a_hold_of_a_group_is_lifted_by_none(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    await hold_group(storage, "a", 60_000, probe=True)
    await change_group(storage, "a", hold=None)
    info = (await every_group(storage))["a"]
    assert (info.held_until, info.hold_reason, info.probing) == (None, "", False)
    assert await served(storage) == ["a1"]


async def test_a_new_hold_of_a_group_replaces_the_old_one(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2")
    await hold_group(storage, "a", 60_000, probe=True)
    await hold_group(storage, "a", 1_000)
    assert await served(storage, now=T0 + 999) == []
    assert await served(storage, now=T0 + 1_000) == ["a1", "a2"]


async def test_a_hold_outlasts_a_pause_of_the_group(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    await hold_group(storage, "a", 5_000)
    await change_group(storage, "a", paused=True)
    assert await next_at(storage) is None
    await change_group(storage, "a", paused=False)
    assert await served(storage, now=T0 + 4_999) == []
    assert await served(storage, now=T0 + 5_000) == ["a1"]


async def test_after_a_hold_with_probe_one_job_of_the_group_runs_at_once(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3", "b1", "b2")
    await hold_group(storage, "a", 1_000, probe=True)
    assert (await every_group(storage))["a"].probing
    runs = await start(storage, 9, now=T0 + 1_000)
    assert sorted(run.job.id for run in runs) == ["a1", "b1", "b2"]
    assert await served(storage, now=T0 + 1_000) == []
    [probe] = [run for run in runs if run.job.group == "a"]
    await end(storage, probe, Retried(after_ms=60_000, reason="no"), now=T0 + 1_001)
    assert await served(storage, now=T0 + 1_001) == ["a2"]
    await change_group(storage, "a", hold=None, now=T0 + 1_002)
    assert await served(storage, now=T0 + 1_002) == ["a3"]


async def test_a_probe_and_a_cap_of_a_group_hold_together(storage: Storage) -> None:
    await limit_groups(storage, concurrency=3)
    await storage.add([grouped(f"a{n}") for n in range(6)], now=T0)
    running = await start(storage, 2)
    await hold_group(storage, "a", 1_000, probe=True)
    await end(storage, running[0], Completed(), now=T0 + 1)
    assert await served(storage, now=T0 + 1_000) == []
    await end(storage, running[1], Completed(), now=T0 + 1_000)
    assert await served(storage, now=T0 + 1_000) == ["a2"]


async def test_a_dead_workers_probe_of_a_group_is_replaced(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2")
    await hold_group(storage, "a", 1_000, probe=True)
    assert await served(storage, now=T0 + 1_000) == ["a1"]
    later = T0 + 1_001 + LEASE
    await storage.recover(QUEUE, now=later)
    assert await served(storage, now=later) == ["a1"]


async def test_a_group_whose_hold_is_set_shows_it_until_it_is_lifted(storage: Storage) -> None:
    await hold_group(storage, "a", 1_000)
    await storage.recover(QUEUE, now=T0 + 60_000)
    assert (await every_group(storage))["a"].held_until == T0 + 1_000
    await change_group(storage, "a", hold=None, now=T0 + 60_000)
    assert await every_group(storage) == {}


# -- the other side asks for a pause -----------------------------------------------------------------------------------


async def test_a_limited_job_goes_back_to_the_front_and_its_queue_is_held(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b", "c")
    run = await start_one(storage)
    await tape.events()
    await end(storage, run, Limited(after_ms=3_000, reason="429"), now=T0 + 10)
    job = await the(storage, "a")
    assert (job.state, job.attempts_made, job.attempts_started, job.crashes) == (WAITING, 0, 1, 0)
    [event] = [event for event in await tape.events() if event.type is EventType.LIMITED]
    assert (event.job_id, event.name, event.detail) == ("a", "welcome", str(T0 + 3_010))
    [info] = await storage.queues()
    assert (info.held_until, info.hold_reason, info.probing) == (T0 + 3_010, "429", False)
    claimed = await storage.claim(QUEUE, wish(9), now=T0 + 3_009)
    assert (claimed.jobs, claimed.held_until) == ((), T0 + 3_010)
    assert await served(storage, now=T0 + 3_010) == ["a", "b", "c"]


async def test_a_limited_job_of_a_group_holds_its_group_only(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    run = await start_one(storage)
    await end(storage, run, Limited(after_ms=3_000, reason="slow down"))
    info = (await every_group(storage))["a"]
    assert (info.held_until, info.hold_reason, info.waiting, info.active) == (T0 + 3_000, "slow down", 2, 0)
    [queue] = await storage.queues()
    assert queue.held_until is None
    assert await served(storage) == ["b1", "b2"]
    assert await next_at(storage) == T0 + 3_000
    assert await served(storage, now=T0 + 3_000) == ["a1", "a2"]


async def test_a_limited_job_of_a_group_may_hold_the_whole_queue(storage: Storage) -> None:
    await add_grouped(storage, "a1", "b1")
    await end(storage, await start_one(storage), Limited(after_ms=3_000, group=False))
    assert (await every_group(storage))["a"].held_until is None
    assert await served(storage, now=T0 + 2_999) == []
    assert sorted(await served(storage, now=T0 + 3_000)) == ["a1", "b1"]


async def test_limited_only_lengthens_a_hold_and_keeps_its_probe(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    first, second = await start(storage, 2)
    await hold_queue(storage, 5_000, probe=True)
    await end(storage, first, Limited(after_ms=1_000, reason="shorter"))
    [info] = await storage.queues()
    assert (info.held_until, info.hold_reason, info.probing) == (T0 + 5_000, "shorter", True)
    await end(storage, second, Limited(after_ms=9_000, reason="longer"))
    [info] = await storage.queues()
    assert (info.held_until, info.hold_reason, info.probing) == (T0 + 9_000, "longer", True)
    assert await served(storage, now=T0 + 9_000) == ["b"]


async def test_limited_only_lengthens_the_hold_of_a_group_and_keeps_its_probe(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3")
    first, second = await start(storage, 2)
    await hold_group(storage, "a", 5_000, probe=True)
    await end(storage, first, Limited(after_ms=1_000, reason="shorter"))
    assert (await every_group(storage))["a"].held_until == T0 + 5_000
    await end(storage, second, Limited(after_ms=9_000, reason="longer"))
    info = (await every_group(storage))["a"]
    assert (info.held_until, info.hold_reason, info.probing) == (T0 + 9_000, "longer", True)
    assert await served(storage, now=T0 + 9_000) == ["a2"]


async def test_limited_jobs_of_one_call_keep_their_order(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    runs = await start(storage, 2)
    await storage.settle(QUEUE, [run.ends(Limited(after_ms=100)) for run in reversed(runs)], now=T0)
    assert ids_of((await storage.page(QUEUE, [WAITING])).items) == ["a", "b", "c"]


async def test_a_limited_verdict_and_the_claim_of_the_same_call_agree(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    run = await start_one(storage)
    settled = await storage.settle(QUEUE, [run.ends(Limited(after_ms=3_000))], then=wish(9), now=T0)
    assert (ids_of(settled.claimed), settled.claimed.next_at) == (["b1"], T0 + 3_000)


async def test_a_limited_run_that_was_cancelled_fails_and_holds_nothing(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), reason="enough", now=T0)
    await end(storage, run, Limited(after_ms=60_000))
    assert (await the(storage, "a")).state is JobState.FAILED
    [info] = await storage.queues()
    assert info.held_until is None
    assert await served(storage) == ["b"]


async def test_a_limited_verdict_without_a_lease_changes_nothing(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, Failed("no"))
    refused = (await end(storage, run, Limited(after_ms=60_000))).refused
    assert refused == {"a": Refusal.LEASE_LOST}
    [info] = await storage.queues()
    assert info.held_until is None


@pytest.mark.parametrize("group", [None, "a"])
async def test_a_limited_job_uses_no_attempt_however_often(storage: Storage, group: str | None) -> None:
    await storage.add([new_job("x", group=group)], now=T0)
    now = T0
    for _ in range(4):
        run = await start_one(storage, now=now)
        await end(storage, run, Limited(after_ms=100), now=now)
        now += 100
    job = await the(storage, "x")
    assert (job.attempts_made, job.attempts_started, job.crashes) == (0, 4, 0)


async def test_a_group_with_limits_and_a_hold_obeys_both(storage: Storage) -> None:
    await change_group(storage, "a", limits=GroupLimits(concurrency=1))
    await add_grouped(storage, "a1", "a2", "a3")
    run = await start_one(storage)
    await hold_group(storage, "a", 1_000)
    await end(storage, run, Released(), now=T0 + 1)
    assert await one_by_one(storage, 3, now=T0 + 999) == []
    assert await one_by_one(storage, 3, now=T0 + 1_000) == ["a1"]
