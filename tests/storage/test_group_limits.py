"""What bounds a single group: jobs at once, starts in a window, size, a pause. The others go on."""

from collections.abc import Awaitable, Callable

import pytest

from corral.errors import QueueFullError
from corral.event import EventType
from corral.job import JobState
from corral.options import GroupChange, GroupLimits, QueueSettings, RateLimit
from corral.outcome import Completed, Crashed, Failed, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import Storage

from .grouping import (
    add_grouped,
    change_group,
    every_group,
    grouped,
    limit_groups,
    next_at,
    one_by_one,
    rates,
)
from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add_ids,
    all_in,
    end,
    ids_of,
    new_job,
    run_through,
    served,
    start,
    start_one,
    tally,
    these,
    wish,
)

WAITING = JobState.WAITING

# -- jobs at once ------------------------------------------------------------------------------------------------------


async def test_no_group_runs_more_jobs_at_once_than_it_may(storage: Storage) -> None:
    await limit_groups(storage, concurrency=2)
    await add_grouped(storage, "a1", "a2", "a3", "b1", "c1", "c2", "c3", "c4")
    assert await served(storage) == ["a1", "b1", "c1", "a2", "c2"]
    assert await served(storage) == []
    assert {id: info.active for id, info in (await every_group(storage)).items()} == {"a": 2, "b": 1, "c": 2}


async def test_the_cap_of_a_group_holds_over_several_claimers(storage: Storage) -> None:
    await limit_groups(storage, concurrency=3)
    await storage.add([grouped(None, "a") for _ in range(10)], now=T0)
    assert [len(await served(storage, 2)) for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize(
    "outcome",
    [
        Completed(),
        Failed("no"),
        Retried(after_ms=60_000, reason="no"),
        Snoozed(after_ms=60_000),
        Released(),
        Crashed("oom", limit=9),
        Crashed("oom", limit=1),
    ],
    ids=lambda outcome: f"{type(outcome).__name__}-{getattr(outcome, 'limit', '')}",
)
async def test_a_run_that_ends_frees_the_slot_of_its_group(storage: Storage, outcome: Outcome) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2", "b1")
    first, _ = await start(storage, 5)
    assert await served(storage) == []
    await end(storage, first, outcome)
    assert len(await served(storage)) == 1
    assert await served(storage) == []
    assert (await every_group(storage))["a"].active == 1


async def test_a_parked_job_frees_the_slot_of_its_group(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2")
    run = await start_one(storage)
    await end(storage, run, Parked())  # it has no children: it goes to the end of its group at once
    assert await one_by_one(storage, 2) == ["a2"]


async def test_a_slot_is_filled_by_the_very_call_that_frees_it(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2", "a3")
    run = await start_one(storage)
    settled = await storage.settle(QUEUE, [run.ends(Completed())], then=wish(5), now=T0)
    assert ids_of(settled.claimed) == ["a2"]


async def test_a_dead_workers_jobs_free_the_slots_of_their_groups(storage: Storage) -> None:
    await limit_groups(storage, concurrency=2)
    await add_grouped(storage, "a1", "a2", "a3", "b1")
    await start(storage, 5)
    later = T0 + LEASE + 1
    assert await served(storage, now=later) == []
    recovered = await storage.recover(QUEUE, now=later)
    assert sorted(recovered.requeued) == ["a1", "a2", "b1"]
    assert {id: (info.waiting, info.active) for id, info in (await every_group(storage)).items()} == {
        "a": (3, 0),
        "b": (1, 0),
    }
    assert sorted(await served(storage, now=later)) == ["a1", "a2", "b1"]


async def test_a_quarantined_or_cancelled_job_of_a_dead_worker_frees_its_slot(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2", "a3")
    await start_one(storage)
    later = T0 + LEASE + 1
    assert (await storage.recover(QUEUE, max_crashes=1, now=later)).quarantined == ("a1",)
    run = await start_one(storage, now=later)
    await storage.cancel(QUEUE, these(run.job.id), now=later)
    assert (await storage.recover(QUEUE, max_crashes=9, now=later + LEASE + 1)).quarantined == ("a2",)
    assert await served(storage, now=later + LEASE + 1) == ["a3"]


async def test_blocked_groups_cost_the_others_nothing(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await storage.add([grouped(None, f"g{n:03}") for n in range(300) for _ in range(2)], now=T0)
    assert len(await served(storage, 256)) == 256
    assert len(await served(storage, 256)) == 44
    await add_grouped(storage, "z1")
    assert await served(storage, 1) == ["z1"]
    assert await served(storage, 256) == []


async def test_a_groups_own_limits_stand_in_place_of_those_for_all(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await change_group(storage, "b", limits=GroupLimits(concurrency=3))
    await change_group(storage, "c", limits=GroupLimits())
    await storage.add([grouped(None, id) for id in "abc" for _ in range(5)], now=T0)
    await served(storage)
    infos = await every_group(storage)
    assert {id: info.active for id, info in infos.items()} == {"a": 1, "b": 3, "c": 5}
    assert {id: info.limits for id, info in infos.items()} == {
        "a": None,
        "b": GroupLimits(concurrency=3),
        "c": GroupLimits(),
    }


async def test_a_group_without_limits_of_its_own_again_has_those_for_all(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await change_group(storage, "a", limits=GroupLimits(concurrency=2))
    await add_grouped(storage, "a1", "a2", "a3", "a4")
    [first, second] = await start(storage, 9)
    await change_group(storage, "a", limits=None)
    await end(storage, first, Completed())
    assert await served(storage) == []
    await end(storage, second, Completed())
    assert await served(storage) == ["a3"]
    assert (await every_group(storage))["a"].limits is None


@pytest.mark.parametrize("whose", ["all", "its own"])
async def test_limits_can_be_raised_lowered_and_lifted_while_jobs_run(storage: Storage, whose: str) -> None:
    async def limit(concurrency: int | None) -> None:
        limits = GroupLimits(concurrency=concurrency)
        settings = {
            "all": QueueSettings(group_limits=limits),
            "its own": QueueSettings(groups={"a": GroupChange(limits=limits)}),
        }
        await storage.configure(QUEUE, settings[whose], now=T0)

    await limit(1)
    await storage.add([grouped(f"a{n}") for n in range(9)], now=T0)
    runs = await start(storage, 9)
    assert len(runs) == 1
    await limit(3)
    runs += await start(storage, 9)
    assert len(runs) == 3
    await limit(2)
    await end(storage, runs[0], Completed())
    assert await served(storage) == []
    await end(storage, runs[1], Completed())
    assert len(await served(storage)) == 1
    await limit(None)
    assert len(await served(storage)) == 5


async def test_the_limits_for_all_groups_can_be_taken_away(storage: Storage) -> None:
    info = await limit_groups(storage, concurrency=1)
    assert info.group_limits == GroupLimits(concurrency=1)
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    assert await served(storage) == ["a1", "b1"]
    info = await storage.configure(QUEUE, QueueSettings(group_limits=None), now=T0)
    assert info.group_limits is None
    assert await storage.queues() == [info]
    assert await served(storage) == ["a2", "b2"]


# -- starts in a window ------------------------------------------------------------------------------------------------


async def test_a_group_starts_so_many_in_a_window_that_begins_with_its_first_start(storage: Storage) -> None:
    await limit_groups(storage, rate_limits=rates((2, 1.0)))
    await add_grouped(storage, "a1", "a2", "a3", "a4", "a5", "b1")
    assert await served(storage, now=T0 + 100) == ["a1", "b1", "a2"]
    claimed = await storage.claim(QUEUE, wish(5), now=T0 + 100)
    assert (claimed.jobs, claimed.next_at, claimed.held_until) == ((), T0 + 1_100, None)
    assert (await every_group(storage))["a"].free_at == T0 + 1_100
    assert await served(storage, now=T0 + 1_099) == []
    assert await served(storage, now=T0 + 1_100) == ["a3", "a4"]
    assert await served(storage, now=T0 + 9_000) == ["a5"]


async def test_every_window_of_a_group_must_have_room(storage: Storage) -> None:
    await limit_groups(storage, rate_limits=rates((2, 1.0), (3, 10.0)))
    await storage.add([grouped(f"a{n}") for n in range(9)], now=T0)
    assert await served(storage, now=T0) == ["a0", "a1"]
    assert await next_at(storage, now=T0) == T0 + 1_000
    assert await served(storage, now=T0 + 1_000) == ["a2"]
    assert await next_at(storage, now=T0 + 1_000) == T0 + 10_000
    assert await served(storage, now=T0 + 9_999) == []
    assert await served(storage, now=T0 + 10_000) == ["a3", "a4"]


async def test_the_window_of_a_group_outlives_its_jobs(storage: Storage) -> None:
    await limit_groups(storage, rate_limits=rates((1, 60.0)))
    await add_grouped(storage, "a1")
    await run_through(storage, Completed())
    await add_grouped(storage, "a2", now=T0 + 1)
    assert await served(storage, now=T0 + 59_999) == []
    assert await served(storage, now=T0 + 60_000) == ["a2"]


async def test_a_closed_window_of_an_empty_group_leaves_no_trace(storage: Storage) -> None:
    await limit_groups(storage, rate_limits=rates((1, 60.0)))
    await add_grouped(storage, "a1")
    await run_through(storage, Completed())
    await storage.recover(QUEUE, now=T0 + 60_001)
    assert await every_group(storage) == {}


async def test_next_at_is_the_earliest_of_what_falls_due_and_what_is_freed(storage: Storage) -> None:
    await change_group(storage, "a", limits=GroupLimits(rate_limits=rates((1, 5.0))))
    await change_group(storage, "b", limits=GroupLimits(rate_limits=rates((1, 3.0))))
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    await storage.add([new_job("later", delay_ms=4_000)], now=T0)
    await served(storage)
    assert await next_at(storage) == T0 + 3_000
    assert await served(storage, now=T0 + 3_000) == ["b2"]
    assert await next_at(storage, now=T0 + 3_000) == T0 + 4_000
    assert (await storage.claim(QUEUE, wish(0), now=T0 + 3_000)).freed_at == T0 + 5_000  # what is due is no part of it
    assert await served(storage, now=T0 + 4_000) == ["later"]
    assert await next_at(storage, now=T0 + 4_000) == T0 + 5_000


async def test_a_group_whose_window_is_used_up_but_has_nothing_waiting_frees_nothing(storage: Storage) -> None:
    await limit_groups(storage, rate_limits=rates((1, 5.0)))
    await add_grouped(storage, "a1")
    await served(storage)
    assert await next_at(storage) is None


async def test_a_changed_window_begins_anew_and_one_set_again_goes_on(storage: Storage) -> None:
    await change_group(storage, "a", limits=GroupLimits(rate_limits=rates((1, 60.0))))
    await add_grouped(storage, "a1", "a2", "a3", "a4")
    assert await served(storage) == ["a1"]
    await change_group(storage, "a", limits=GroupLimits(rate_limits=rates((1, 60.0))))
    assert await served(storage) == []
    await change_group(storage, "a", limits=GroupLimits(rate_limits=rates((2, 60.0))))
    assert await served(storage) == ["a2", "a3"]


async def test_no_group_starts_more_than_two_windows_full_in_any_stretch_of_one(storage: Storage) -> None:
    await limit_groups(storage, rate_limits=rates((5, 1.0), (40, 10.0)))
    await storage.add([grouped(None, group) for group in "ab" for _ in range(400)], now=T0)
    starts: dict[str, list[int]] = {"a": [], "b": []}
    for tick in range(0, 60_000, 250):
        for claimer in range(4):  # whose clocks differ a little
            now = T0 + tick + (claimer * 7) % 5
            for job in (await storage.claim(QUEUE, wish(2, worker=f"w-{claimer}"), now=now)).jobs:
                starts[job.group or ""].append(now)
    for times in starts.values():
        assert len(times) == 240  # 40 in each of six windows of 10 s: neither too many nor a slot given away
        for count, per_ms in ((5, 1_000), (40, 10_000)):
            assert all(sum(at <= other < at + per_ms for other in times) <= 2 * count for at in times)


async def test_a_clock_that_jumps_forward_opens_the_window_and_one_that_goes_back_does_not_close_it_for_long(
    storage: Storage,
) -> None:
    hour = 3_600_000
    await limit_groups(storage, rate_limits=rates((1, 10.0)))
    await storage.add([grouped(f"a{n}") for n in range(5)], now=T0)
    assert await served(storage, now=T0) == ["a0"]
    assert await served(storage, now=T0 + hour) == ["a1"]
    await storage.recover(QUEUE, now=T0 + 20)
    assert await served(storage, now=T0 + 20) == ["a2"]
    assert await served(storage, now=T0 + 9_000) == []
    assert await served(storage, now=T0 + 10_020) == ["a3"]


async def test_a_job_may_bring_the_rates_of_its_group(storage: Storage) -> None:
    await change_group(storage, "a", limits=GroupLimits(concurrency=5))
    jobs = [grouped(f"a{n}", group_rates=rates((1, 60.0))) for n in range(3)]
    await storage.add(jobs, now=T0)
    assert (await every_group(storage))["a"].limits == GroupLimits(concurrency=5, rate_limits=(RateLimit(1, per=60.0),))
    assert await served(storage) == ["a0"]
    await storage.add([grouped("a3"), grouped("a4", group_rates=rates((1, 60.0)))], now=T0 + 1)
    assert await served(storage, now=T0 + 2) == []
    await storage.add([grouped("a5", group_rates=rates((2, 60.0)))], now=T0 + 3)
    assert len(await served(storage, now=T0 + 4)) == 2


async def test_rates_brought_by_a_job_leave_other_groups_alone(storage: Storage) -> None:
    await storage.add(
        [grouped("a1", group_rates=rates((1, 60.0))), grouped("a2"), grouped("b1"), grouped("b2")], now=T0
    )
    assert await served(storage) == ["a1", "b1", "b2"]


# -- size --------------------------------------------------------------------------------------------------------------


async def test_a_full_group_refuses_an_add_and_the_whole_call_with_it(storage: Storage, tape: Tape) -> None:
    await limit_groups(storage, max_size=2)
    await add_grouped(storage, "a1", "a2")
    await tape.events()
    with pytest.raises(QueueFullError, match="'a'") as refusal:
        await storage.add([new_job("p1"), grouped("b1"), grouped("a3"), new_job("o1", queue="other")], now=T0)
    assert (refusal.value.queue, refusal.value.retry_after) == (QUEUE, 1.0)
    assert QUEUE in str(refusal.value)
    assert await tape.events() == []
    assert await storage.get(QUEUE, ["p1", "b1", "a3"]) == [None] * 3
    assert ((await tally(storage)).waiting, (await tally(storage, "other")).waiting) == (2, 0)
    assert {id: info.waiting for id, info in (await every_group(storage)).items()} == {"a": 2}
    assert await served(storage) == ["a1", "a2"]


async def test_jobs_of_one_call_fill_a_group_together(storage: Storage) -> None:
    await limit_groups(storage, max_size=3)
    with pytest.raises(QueueFullError):
        await storage.add([grouped(f"a{n}") for n in range(4)], now=T0)
    await storage.add([grouped(f"a{n}") for n in range(3)], now=T0)
    assert (await every_group(storage))["a"].waiting == 3


async def test_a_refused_add_does_not_set_the_rates_of_the_group(storage: Storage) -> None:
    await limit_groups(storage, max_size=1)
    await add_grouped(storage, "a1")
    with pytest.raises(QueueFullError):
        await storage.add([grouped("a2", group_rates=rates((1, 60.0)))], now=T0)
    assert (await every_group(storage))["a"].limits is None


async def test_running_delayed_and_known_jobs_do_not_fill_a_group(storage: Storage) -> None:
    await limit_groups(storage, max_size=1)
    await add_grouped(storage, "a1")
    await start_one(storage)
    await storage.add([grouped("a2", delay_ms=1_000), grouped("a3", delay_ms=1_000), grouped("a4")], now=T0)
    [known] = await storage.add([grouped("a4")], now=T0)
    assert not known.fresh
    assert (await every_group(storage))["a"].waiting == 1


async def test_a_full_group_refuses_a_delayed_job_too(storage: Storage) -> None:
    await limit_groups(storage, max_size=1)
    with pytest.raises(QueueFullError):
        await storage.add([grouped("a1"), grouped("a2", delay_ms=1_000)], now=T0)
    await storage.add([grouped("a2", delay_ms=1_000), grouped("a1")], now=T0)
    with pytest.raises(QueueFullError):
        await storage.add([grouped("a3", delay_ms=1_000)], now=T0)


async def test_jobs_that_come_back_are_never_refused(storage: Storage) -> None:
    await limit_groups(storage, max_size=1)
    await storage.add([grouped("a2", delay_ms=100), grouped("a3", delay_ms=100), grouped("a1")], now=T0)
    run = await start_one(storage)
    await add_grouped(storage, "a4")
    await end(storage, run, Released())
    await storage.promote(QUEUE, these("a3"), now=T0)
    await storage.claim(QUEUE, wish(0), now=T0 + 100)
    assert (await every_group(storage))["a"].waiting == 4
    with pytest.raises(QueueFullError):
        await add_grouped(storage, "a5", now=T0 + 100)
    assert len(await served(storage, now=T0 + 100)) == 4


async def test_a_groups_own_size_stands_in_place_of_that_for_all(storage: Storage) -> None:
    await limit_groups(storage, max_size=1)
    await change_group(storage, "b", limits=GroupLimits(max_size=2))
    await add_grouped(storage, "a1", "b1", "b2")
    for job_id in ("a2", "b3"):
        with pytest.raises(QueueFullError):
            await add_grouped(storage, job_id)


# -- a pause -----------------------------------------------------------------------------------------------------------


async def test_a_paused_group_starts_nothing_and_the_others_go_on(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    run = await start_one(storage)
    await change_group(storage, "a", paused=True)
    claimed = await storage.claim(QUEUE, wish(9), now=T0)
    assert (ids_of(claimed), claimed.paused, claimed.next_at) == (["b1", "b2"], False, None)
    assert (await end(storage, run, Completed())).refused == {}
    await add_grouped(storage, "a3")
    assert await served(storage) == []
    info = (await every_group(storage))["a"]
    assert (info.paused, info.waiting, info.active) == (True, 2, 0)
    await change_group(storage, "a", paused=False)
    assert await served(storage) == ["a2", "a3"]


async def test_a_pause_of_a_group_holds_while_the_queue_is_paused_and_resumed(storage: Storage) -> None:
    await change_group(storage, "a", paused=True)
    await add_grouped(storage, "a1", "b1")
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    await storage.configure(QUEUE, QueueSettings(paused=False), now=T0)
    assert await served(storage) == ["b1"]


async def test_jobs_of_a_paused_group_can_be_removed_cancelled_and_counted(storage: Storage) -> None:
    await change_group(storage, "a", paused=True)
    await add_grouped(storage, "a1", "a2", "a3")
    await storage.remove(QUEUE, these("a1"), now=T0)
    await storage.cancel(QUEUE, all_in(WAITING, limit=1), now=T0)
    assert (await tally(storage)).waiting == 1
    assert (await every_group(storage))["a"].waiting == 1


async def test_a_change_of_one_group_leaves_its_other_settings_and_other_groups_as_they_are(storage: Storage) -> None:
    await change_group(storage, "a", limits=GroupLimits(concurrency=2))
    await change_group(storage, "b", limits=GroupLimits(max_size=7))
    await change_group(storage, "a", paused=True)
    infos = await every_group(storage)
    assert (infos["a"].limits, infos["a"].paused) == (GroupLimits(concurrency=2), True)
    assert (infos["b"].limits, infos["b"].paused) == (GroupLimits(max_size=7), False)


async def test_settings_of_a_group_stay_when_it_has_no_jobs_and_go_when_they_are_taken_back(storage: Storage) -> None:
    await change_group(storage, "a", paused=True, limits=GroupLimits(concurrency=1))
    assert set(await every_group(storage)) == {"a"}
    await change_group(storage, "a", paused=False, limits=None)
    assert await every_group(storage) == {}


# -- waking ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["settled", "recovered", "raised"])
async def test_what_frees_a_group_wakes_who_waits(storage: Storage, way: str) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2")
    run = await start_one(storage)
    await storage.claim(QUEUE, wish(1), now=T0)
    assert run.job.id == "a1"
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "settled": lambda: end(storage, run, Completed()),
        "recovered": lambda: storage.recover(QUEUE, now=T0 + LEASE + 1),
        "raised": lambda: limit_groups(storage, concurrency=2),
    }
    await ways[way]()
    assert await storage.wait([QUEUE], timeout=30)
    assert len(await served(storage, now=T0 + LEASE + 1)) == 1


async def test_an_add_to_another_queue_and_its_groups_changes_nothing_here(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await storage.add([grouped("a1", queue="other"), grouped("a2", queue="other")], now=T0)
    await add_grouped(storage, "a3", "a4")
    assert await served(storage, queue="other") == ["a1", "a2"]
    assert await served(storage) == ["a3"]
    assert set(await every_group(storage, "other")) == {"a"}


async def test_a_pause_of_a_group_writes_no_event_of_the_queue(storage: Storage, tape: Tape) -> None:
    await change_group(storage, "a", paused=True)
    assert EventType.PAUSED not in await tape.kinds()


async def test_plain_jobs_go_on_while_every_group_is_blocked(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    await served(storage)
    await add_ids(storage, "p1", "p2")
    await storage.add([new_job("low", priority=2_000_000)], now=T0)
    assert await served(storage) == ["p1", "p2", "low"]


async def test_a_job_that_comes_twice_in_one_call_takes_no_place_in_the_group_of_the_second(storage: Storage) -> None:
    await limit_groups(storage, max_size=1)
    await add_grouped(storage, "a1")
    answers = await storage.add([new_job("twice"), new_job("twice", group="a")], now=T0)
    assert [answer.fresh for answer in answers] == [True, False]
