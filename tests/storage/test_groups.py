"""Groups: jobs that take turns, each group with its own order, so that a long one does not keep a short one waiting."""

import math
from collections.abc import Awaitable, Callable

import pytest

from corral.event import EventType
from corral.job import JobState, ParentRef
from corral.options import JobOptions, QueueSettings
from corral.outcome import Completed, Crashed, Failed, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import JobPatch, Storage

from .grouping import add_grouped, change_group, every_group, grouped, one_by_one
from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add,
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
    the,
    these,
    wish,
)

WAITING, DELAYED, ACTIVE = JobState.WAITING, JobState.DELAYED, JobState.ACTIVE


async def test_groups_take_turns(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert await served(storage) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_groups_take_turns_over_claims_of_one_job_each(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert await one_by_one(storage, 8) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_a_claim_goes_on_where_the_last_one_stopped(storage: Storage) -> None:
    await add_grouped(storage, *(f"{group}{n}" for n in range(1, 4) for group in "abc"))
    assert await served(storage, 2) == ["a1", "b1"]
    assert await served(storage, 3) == ["c1", "a2", "b2"]
    assert await served(storage, 9) == ["c2", "a3", "b3", "c3"]


async def test_equal_turns_are_taken_in_the_byte_order_of_the_ids(storage: Storage) -> None:
    names = ["b", "a", "B", "é", "a b", "ab", "10", "9", "日"]
    await storage.add([grouped(None, name) for name in names], now=T0)
    claimed = await storage.claim(QUEUE, wish(20), now=T0)
    assert [job.group for job in claimed.jobs] == sorted(names, key=lambda name: name.encode())


async def test_a_group_that_had_nothing_for_a_while_gets_no_credit_for_it(storage: Storage) -> None:
    await add_grouped(storage, "b1", *(f"a{n}" for n in range(1, 9)))
    assert await one_by_one(storage, 6) == ["a1", "b1", "a2", "a3", "a4", "a5"]
    await add_grouped(storage, "b2", "b3", "b4")
    assert await one_by_one(storage, 6) == ["a6", "b2", "a7", "b3", "a8", "b4"]


async def test_a_group_that_comes_later_is_not_put_behind_those_that_were_served_before(storage: Storage) -> None:
    await add_grouped(storage, *(f"a{n}" for n in range(10)))
    await one_by_one(storage, 5)
    await add_grouped(storage, *(f"z{n}" for n in range(3)))
    assert sorted(await one_by_one(storage, 4)) == ["a5", "a6", "z0", "z1"]


async def test_new_groups_that_keep_coming_do_not_starve_an_old_one(storage: Storage) -> None:
    await add_grouped(storage, "z1", "z2", "z3")
    assert await one_by_one(storage, 1) == ["z1"]
    seen: list[str] = []
    for n in range(14):
        await storage.add([grouped(f"n{n}", f"group-{n}"), grouped(f"m{n}", f"another-{n}")], now=T0)
        seen += await one_by_one(storage, 1)
    assert {"z2", "z3"} <= set(seen)


async def test_a_job_and_the_answer_of_a_claim_tell_the_group(storage: Storage) -> None:
    await storage.add([grouped("x", "customer 7"), new_job("y")], now=T0)
    assert ((await the(storage, "x")).group, (await the(storage, "y")).group) == ("customer 7", None)
    claimed = await storage.claim(QUEUE, wish(2), now=T0)
    assert {job.id: job.group for job in claimed.jobs} == {"x": "customer 7", "y": None}
    assert list(claimed.jobs) == await storage.get(QUEUE, ids_of(claimed))


async def test_the_group_stays_with_a_finished_job_and_one_that_runs_again(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    run = await start_one(storage)
    assert run.job.group == "a"
    await end(storage, run, Completed())
    assert (await the(storage, "a1")).group == "a"
    await storage.retry(QUEUE, these("a1"), now=T0)
    assert (await start_one(storage)).job.group == "a"


# -- jobs without a group ----------------------------------------------------------------------------------------------


async def test_urgent_jobs_without_a_group_go_before_everything(storage: Storage) -> None:
    await add_grouped(storage, "a1", "b1")
    await storage.add([new_job("plain"), new_job("hot", priority=10), new_job("hotter", priority=1)], now=T0)
    assert (await served(storage))[:2] == ["hotter", "hot"]


async def test_low_jobs_without_a_group_go_after_everything(storage: Storage) -> None:
    await storage.add([new_job("low", priority=1_000_001)], now=T0)
    await add_grouped(storage, "a1", "a2", "b1")
    await storage.add([new_job("plain")], now=T0)
    assert (await served(storage))[-1] == "low"


async def test_a_low_job_of_a_group_goes_before_low_jobs_without_one(storage: Storage) -> None:
    await storage.add([new_job("low", priority=2_000_000), grouped("a1", priority=2_000_001)], now=T0)
    assert await served(storage) == ["a1", "low"]


async def test_plain_jobs_take_turns_with_the_groups_as_one_of_them(storage: Storage) -> None:
    await add_ids(storage, "p1", "p2", "p3")
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    assert await served(storage) == ["p1", "a1", "b1", "p2", "a2", "b2", "p3"]


async def test_plain_jobs_take_turns_over_claims_of_one_job_each(storage: Storage) -> None:
    await add_ids(storage, "p1", "p2", "p3")
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    assert await one_by_one(storage, 7) == ["p1", "a1", "b1", "p2", "a2", "b2", "p3"]


async def test_plain_jobs_get_no_credit_for_a_time_in_which_there_were_none(storage: Storage) -> None:
    await add_grouped(storage, *(f"a{n}" for n in range(1, 9)))
    await one_by_one(storage, 4)
    await add_ids(storage, "p1", "p2", "p3")
    assert await one_by_one(storage, 6) == ["p1", "a5", "p2", "a6", "p3", "a7"]


async def test_group_limits_do_not_bind_plain_jobs(storage: Storage) -> None:
    await change_group(storage, "a", paused=True)
    await add_grouped(storage, "a1", "a2")
    await add_ids(storage, "p1", "p2", "p3")
    assert await served(storage) == ["p1", "p2", "p3"]


async def test_without_groups_everything_is_as_before(storage: Storage) -> None:
    await storage.add(
        [new_job("low", priority=2_000_000), new_job("p1"), new_job("hot", priority=5), new_job("p0", lifo=True)],
        now=T0,
    )
    await add_grouped(storage, "a1")
    await storage.remove(QUEUE, these("a1"), now=T0)
    assert await served(storage) == ["hot", "p0", "p1", "low"]


# -- the order within a group ------------------------------------------------------------------------------------------


async def test_within_a_group_priority_decides_and_then_who_came_first(storage: Storage) -> None:
    await storage.add(
        [
            grouped("a-low", priority=2_000_000), grouped("a1"), grouped("a2"),
            grouped("a-hot", priority=10), grouped("a-hotter", priority=1), grouped("a-first", lifo=True),
        ],
        now=T0,
    )  # fmt: skip
    assert await served(storage) == ["a-hotter", "a-hot", "a-first", "a1", "a2", "a-low"]


async def test_an_urgent_job_of_a_group_does_not_hasten_the_groups_turn(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2")
    await storage.add([grouped("b-hot", priority=1)], now=T0)
    assert await served(storage) == ["a1", "b-hot", "a2"]


async def test_a_released_job_goes_to_the_front_of_its_group(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3")
    run = await start_one(storage)
    await end(storage, run, Released())
    assert (await the(storage, "a1")).group == "a"
    assert await served(storage) == ["a1", "a2", "a3"]


async def test_jobs_of_several_groups_that_are_released_together_keep_their_order(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3", "b1", "b2", "b3")
    runs = await start(storage, 4)
    assert [run.job.id for run in runs] == ["a1", "b1", "a2", "b2"]
    await storage.settle(QUEUE, [run.ends(Released()) for run in reversed(runs)], now=T0)
    page = await storage.page(QUEUE, [WAITING])
    assert ids_of(page.items) == ["a1", "a2", "a3", "b1", "b2", "b3"]


async def test_recovered_and_crashed_jobs_go_to_the_front_of_their_group(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3")
    await start_one(storage)
    recovered = await storage.recover(QUEUE, now=T0 + LEASE + 1)
    assert recovered.requeued == ("a1",)
    later = T0 + LEASE + 2
    run = await start_one(storage, now=later)
    assert run.job.id == "a1"
    await end(storage, run, Crashed("oom", limit=5), now=later)
    assert await served(storage, now=later) == ["a1", "a2", "a3"]


async def test_a_changed_priority_moves_a_job_within_its_group(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "a3", "b1")
    await storage.update(QUEUE, [JobPatch(job_id="a3", priority=1)], now=T0)
    assert await served(storage) == ["a3", "b1", "a1", "a2"]


async def test_a_changed_priority_does_not_cost_the_only_job_of_a_group_its_turn(storage: Storage) -> None:
    await add_grouped(storage, "a1", "b1", "c1")
    assert await served(storage, 1) == ["a1"]
    assert await storage.update(QUEUE, [JobPatch(job_id="b1", priority=9)], now=T0) == ["b1"]
    assert await served(storage) == ["b1", "c1"]


async def test_an_expired_job_of_a_group_is_dropped_on_the_way(storage: Storage, tape: Tape) -> None:
    dead = [grouped(f"a{n}", options=JobOptions(lifespan_ms=10)) for n in range(120)]
    await storage.add([*dead, grouped("a-last"), grouped("b1")], now=T0)
    await tape.events()
    assert sorted(await served(storage, 2, now=T0 + 11)) == ["a-last", "b1"]
    assert (await tape.told()).count((EventType.EXPIRED, "a0")) == 1
    counts = await tally(storage)
    assert (counts.waiting, counts.failed, counts.active) == (0, 120, 2)
    assert (await every_group(storage))["a"].waiting == 0


# -- coming back -------------------------------------------------------------------------------------------------------


async def test_a_delayed_job_enters_its_group_when_it_falls_due(storage: Storage) -> None:
    await storage.add([grouped("a1", delay_ms=1_000), grouped("b1"), grouped("b2"), grouped("b3")], now=T0)
    assert (await the(storage, "a1")).state is DELAYED
    assert set(await every_group(storage)) == {"b"}
    claimed = await storage.claim(QUEUE, wish(1), now=T0)
    assert (ids_of(claimed), claimed.next_at) == (["b1"], T0 + 1_000)
    assert sorted(await served(storage, 2, now=T0 + 1_000)) == ["a1", "b2"]


@pytest.mark.parametrize("outcome", [Retried(after_ms=0, reason="no"), Snoozed(after_ms=0)])
async def test_a_job_that_goes_back_at_once_goes_to_the_end_of_its_group(
    storage: Storage, outcome: Retried | Snoozed
) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    await end(storage, await start_one(storage), outcome)
    page = await storage.page(QUEUE, [WAITING])
    assert ids_of(page.items) == ["a2", "a1", "b1"]
    assert (await every_group(storage))["a"].waiting == 2


async def test_retried_and_snoozed_jobs_come_back_to_their_group(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    first, second = await start(storage, 2)
    await end(storage, first, Retried(after_ms=100, reason="no"))
    await end(storage, second, Snoozed(after_ms=50))
    assert {id: info.waiting for id, info in (await every_group(storage)).items()} == {"a": 1}
    await storage.claim(QUEUE, wish(0), now=T0 + 100)
    assert {id: info.waiting for id, info in (await every_group(storage)).items()} == {"a": 2, "b": 1}
    assert ids_of((await storage.page(QUEUE, [WAITING])).items) == ["a2", "a1", "b1"]


async def test_promoted_and_retried_by_hand_jobs_enter_their_groups(storage: Storage) -> None:
    await storage.add([grouped("a1", delay_ms=60_000), grouped("b1"), grouped("b2")], now=T0)
    await storage.promote(QUEUE, these("a1"), now=T0)
    assert await run_through(storage, Failed("no")) == "a1"
    await storage.retry(QUEUE, these("a1"), now=T0)
    infos = await every_group(storage)
    assert (infos["a"].waiting, infos["b"].waiting) == (1, 2)
    assert sorted(await served(storage, 2)) == ["a1", "b1"]


async def test_a_parent_enters_its_group_when_its_children_have_ended(storage: Storage) -> None:
    parent = grouped("a-parent", children=1)
    child = grouped("b-child", parent=ParentRef(QUEUE, "a-parent"))
    await storage.add([parent, child], now=T0)
    assert set(await every_group(storage)) == {"b"}
    assert await run_through(storage, Completed()) == "b-child"
    assert (await every_group(storage))["a"].waiting == 1
    assert (await start_one(storage)).job.group == "a"


async def test_a_parked_job_leaves_its_group_and_comes_back_to_it(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    run = await start_one(storage)
    await add(storage, grouped("b1", parent=ParentRef(QUEUE, "a1")))
    await end(storage, run, Parked())
    assert set(await every_group(storage)) == {"b"}
    await run_through(storage, Completed())
    assert await served(storage) == ["a1"]


# -- what is counted and listed ----------------------------------------------------------------------------------------


async def test_grouped_jobs_are_counted_as_waiting(storage: Storage) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    await add_ids(storage, "p1")
    counts = await tally(storage)
    assert (counts.waiting, counts.paused, counts.waiting_children) == (4, 0, 0)
    assert counts.oldest_waiting_at == T0
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    counts = await tally(storage)
    assert (counts.waiting, counts.paused) == (4, 4)
    assert await served(storage) == []
    await storage.configure(QUEUE, QueueSettings(paused=False), now=T0)
    await served(storage, 3)
    counts = await tally(storage)
    assert (counts.waiting, counts.active, counts.paused) == (1, 3, 0)


async def test_the_oldest_waiting_job_may_be_one_of_a_group(storage: Storage) -> None:
    await add_grouped(storage, "a1", now=T0)
    await add_ids(storage, "p1", now=T0 + 500)
    assert (await tally(storage)).oldest_waiting_at == T0


async def test_pages_show_grouped_jobs_after_the_others_by_group_and_in_their_order(storage: Storage) -> None:
    await storage.add(
        [
            grouped("c1"), grouped("a1"), grouped("b1"), new_job("plain"), new_job("low", priority=2_000_000),
            grouped("a2"), grouped("a-hot", priority=3),
        ],
        now=T0,
    )  # fmt: skip
    page = await storage.page(QUEUE, [WAITING])
    assert (ids_of(page.items), page.total) == (["plain", "low", "a-hot", "a1", "a2", "b1", "c1"], 7)
    page = await storage.page(QUEUE, [WAITING], start=3, limit=2)
    assert (ids_of(page.items), page.total) == (["a1", "a2"], 7)
    assert {job.state for job in page.items} == {WAITING}


async def test_jobs_waiting_in_groups_are_not_shown_as_waiting_for_children(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    page = await storage.page(QUEUE, [JobState.WAITING_CHILDREN])
    assert (page.items, page.total) == ((), 0)


@pytest.mark.parametrize("state", [WAITING, DELAYED, ACTIVE, JobState.COMPLETED, JobState.FAILED])
async def test_pages_and_selections_of_every_state_can_be_of_one_group(storage: Storage, state: JobState) -> None:
    delay = 60_000 if state is DELAYED else 0
    await storage.add(
        [grouped("a1", delay_ms=delay), new_job("p1", delay_ms=delay), grouped("b1", delay_ms=delay)], now=T0
    )
    runs = await start(storage, 3 * (state not in (WAITING, DELAYED)))
    outcomes: dict[JobState, Outcome] = {JobState.COMPLETED: Completed(), JobState.FAILED: Failed("no")}
    outcome = outcomes.get(state)
    await storage.settle(QUEUE, [run.ends(outcome) for run in runs if outcome], now=T0)
    page = await storage.page(QUEUE, [state], group="a")
    assert (ids_of(page.items), page.total) == (["a1"], 1)
    assert (await storage.page(QUEUE, [state], group="z")).total == 0
    assert (await storage.page(QUEUE, [state], group="a", name="other")).total == 0
    verb = storage.cancel if state in (WAITING, DELAYED, ACTIVE) else storage.remove
    assert await verb(QUEUE, all_in(state, group="b"), now=T0) == ["b1"]
    assert await verb(QUEUE, all_in(state, group="z"), now=T0) == []


async def test_a_selection_of_waiting_jobs_takes_grouped_ones_too(storage: Storage) -> None:
    await add_grouped(storage, "b1", "a1")
    await add_ids(storage, "p1")
    assert await storage.remove(QUEUE, all_in(WAITING, limit=2), now=T0) == ["p1", "a1"]
    assert await storage.cancel(QUEUE, all_in(WAITING, older_than_ms=0), now=T0) == ["b1"]
    assert (await tally(storage)).waiting == 0
    assert await every_group(storage) == {}


async def test_groups_tells_what_waits_and_what_runs(storage: Storage) -> None:
    await add_grouped(storage, "b1", "b2", "b3", "a1", "c1")
    await served(storage, 2)
    page = await storage.groups(QUEUE)
    assert [(info.id, info.waiting, info.active) for info in page.items] == [("a", 0, 1), ("b", 2, 1), ("c", 1, 0)]
    assert page.total == 3
    page = await storage.groups(QUEUE, start=1, limit=1)
    assert ([info.id for info in page.items], page.total) == (["b"], 3)
    assert await every_group(storage, "unknown") == {}


async def test_a_group_with_nothing_left_leaves_no_trace(storage: Storage) -> None:
    await add_grouped(storage, "a1", "b1", "c1", "d1")
    await storage.remove(QUEUE, these("a1"), now=T0)
    await storage.cancel(QUEUE, these("b1"), now=T0)
    await run_through(storage, Completed())
    await end(storage, await start_one(storage), Retried(after_ms=10, reason="no"))
    assert await every_group(storage) == {}


async def test_the_last_waiting_job_of_all_groups_drains_the_queue(storage: Storage, tape: Tape) -> None:
    await add_grouped(storage, "a1", "b1")
    first = await start_one(storage)
    assert EventType.DRAINED not in await tape.kinds()
    second = await start_one(storage)
    assert EventType.DRAINED in await tape.kinds()
    await end(storage, first, Completed())
    assert EventType.IDLE not in await tape.kinds()
    await end(storage, second, Completed())
    assert EventType.IDLE in await tape.kinds()


async def test_obliterating_forgets_groups_and_their_settings(storage: Storage) -> None:
    await change_group(storage, "a", paused=True)
    await add_grouped(storage, "a1", "b1", "b2")
    await served(storage, 1)
    await storage.obliterate(QUEUE, force=True)
    assert await every_group(storage) == {}
    await add_grouped(storage, "b9", "a9")
    assert await served(storage) == ["a9", "b9"]


async def test_adding_a_grouped_job_twice_leaves_it_as_it_is(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    [again] = await storage.add([grouped("a1", "other")], now=T0)
    assert not again.fresh
    assert {id: info.waiting for id, info in (await every_group(storage)).items()} == {"a": 1}


# -- fairness ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 7])
async def test_a_small_group_among_a_hundred_big_ones_waits_at_most_three_times_its_share(
    storage: Storage, slots: int
) -> None:
    big = [f"big-{n:02}" for n in range(99)]
    await storage.add([grouped(None, big[n % 99]) for n in range(99 * 20)], now=T0)  # all of them always have work
    waits: list[int] = []
    served_so_far, sent, asked_at = 0, 0, 0
    now = T0
    await storage.add([grouped("small-0", "small")], now=now)
    while len(waits) < 8:
        now += 1
        claimed = await storage.claim(QUEUE, wish(slots), now=now)
        assert len(claimed.jobs) == slots  # no slot stays empty while jobs wait
        for place, job in enumerate(claimed.jobs, 1):
            if job.group == "small":
                waits.append(served_so_far + place - asked_at)
        served_so_far += slots
        if len(waits) > sent:  # each comes somewhere else in the round
            sent += 1
            asked_at = served_so_far
            await storage.add([grouped(f"small-{sent}", "small")], now=now)
    p99 = sorted(waits)[math.ceil(len(waits) * 0.99) - 1]
    assert p99 <= 3 * 100


async def test_skew_of_one_to_a_thousand_does_not_slow_the_small_group(storage: Storage) -> None:
    await storage.add([grouped(None, "big") for _ in range(1_000)], now=T0)
    await storage.add([grouped("small", "small")], now=T0)
    assert "small" in await served(storage, 2)


async def test_every_group_gets_the_same_share_whatever_it_has_waiting(storage: Storage) -> None:
    sizes = {"a": 400, "b": 40, "c": 400, "d": 60}
    await storage.add([grouped(None, id) for id, size in sizes.items() for _ in range(size)], now=T0)
    jobs = [job for _ in range(10) for job in (await storage.claim(QUEUE, wish(16), now=T0)).jobs]
    assert {id: sum(job.group == id for job in jobs) for id in sizes} == dict.fromkeys(sizes, 40)


# -- waking ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["added", "promoted", "unpaused"])
async def test_a_group_that_gets_work_wakes_who_waits(storage: Storage, way: str) -> None:
    await change_group(storage, "a", paused=True)
    await storage.add([grouped("a1"), grouped("b-later", delay_ms=60_000)], now=T0)
    await storage.claim(QUEUE, wish(1), now=T0)
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "added": lambda: storage.add([grouped("c1")], now=T0),
        "promoted": lambda: storage.promote(QUEUE, these("b-later"), now=T0),
        "unpaused": lambda: change_group(storage, "a", paused=False),
    }
    await ways[way]()
    assert await storage.wait([QUEUE], timeout=30)
    assert len(await served(storage)) == 1
