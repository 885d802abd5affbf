"""Rate limits with several windows, and rate limits per job name: exact over all workers, whatever the clock does."""

import pytest

from corral.job import JobState
from corral.options import Hold, QueueSettings, RateLimit
from corral.outcome import Completed, Released
from corral.storage.port import Storage
from corral.timing import now_ms

from .grouping import add_grouped, every_group, grouped, next_at, rates
from .helpers import (
    QUEUE,
    T0,
    add_ids,
    end,
    ids_of,
    new_job,
    served,
    start,
    start_one,
    tally,
    these,
    wish,
)

WAITING = JobState.WAITING
HOUR = 3_600_000


async def limit_names(storage: Storage, *, now: int = T0, **names: tuple[RateLimit, ...]) -> None:
    await storage.configure(QUEUE, QueueSettings(name_limits=names), now=now)


# -- several windows of the queue --------------------------------------------------------------------------------------


async def test_every_window_must_have_room(storage: Storage) -> None:
    settings = QueueSettings(rate_limit=RateLimit(2, per=1.0), more_limits=rates((3, 10.0), (4, 60.0)))
    info = await storage.configure(QUEUE, settings, now=T0)
    assert (info.rate_limit, info.more_limits) == (RateLimit(2, per=1.0), rates((3, 10.0), (4, 60.0)))
    assert await storage.queues() == [info]
    await add_ids(storage, *(f"j{n}" for n in range(9)))
    first = await storage.claim(QUEUE, wish(9), now=T0)
    assert (ids_of(first), first.held_until) == (["j0", "j1"], T0 + 1_000)
    second = await storage.claim(QUEUE, wish(9), now=T0 + 1_000)
    assert (ids_of(second), second.held_until) == (["j2"], T0 + 10_000)
    third = await storage.claim(QUEUE, wish(9), now=T0 + 10_000)
    assert (ids_of(third), third.held_until) == (["j3"], T0 + 60_000)
    held = await storage.claim(QUEUE, wish(9), now=T0 + 59_999)
    assert (held.jobs, held.held_until) == ((), T0 + 60_000)
    assert await served(storage, now=T0 + 60_000) == ["j4", "j5"]


async def test_further_windows_hold_without_a_first_one(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((1, 1.0), (2, 60.0))), now=T0)
    await add_ids(storage, "a", "b", "c", "d")
    assert await served(storage, now=T0) == ["a"]
    assert await served(storage, now=T0 + 999) == []
    assert await served(storage, now=T0 + 1_000) == ["b"]
    claimed = await storage.claim(QUEUE, wish(9), now=T0 + 2_000)
    assert (claimed.jobs, claimed.held_until) == ((), T0 + 60_000)
    assert await served(storage, now=T0 + 60_000) == ["c"]


async def test_further_windows_are_lifted_by_an_empty_list(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((1, 60.0))), now=T0)
    await add_ids(storage, "a", "b", "c")
    assert await served(storage) == ["a"]
    info = await storage.configure(QUEUE, QueueSettings(more_limits=()), now=T0)
    assert info.more_limits == ()
    claimed = await storage.claim(QUEUE, wish(9), now=T0)
    assert (ids_of(claimed), claimed.held_until) == (["b", "c"], None)


async def test_a_changed_window_begins_anew_and_one_set_again_goes_on(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((1, 60.0))), now=T0)
    await add_ids(storage, "a", "b", "c", "d")
    assert await served(storage) == ["a"]
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((1, 60.0), (50, 1.0))), now=T0)
    assert await served(storage) == []
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((2, 60.0))), now=T0)
    assert await served(storage) == ["b", "c"]


async def test_four_claimers_never_start_more_than_a_window_and_one_burst_in_any_stretch(storage: Storage) -> None:
    settings = QueueSettings(rate_limit=RateLimit(10, per=1.0), more_limits=rates((60, 10.0)))
    await storage.configure(QUEUE, settings, now=T0)
    await storage.add([new_job() for _ in range(600)], now=T0)
    starts: list[int] = []
    for tick in range(0, 60_000, 250):
        for claimer in range(4):
            now = T0 + tick + (claimer * 7) % 5
            claimed = await storage.claim(QUEUE, wish(3, worker=f"w-{claimer}"), now=now)
            starts += [now] * len(claimed.jobs)
    assert len(starts) == 360  # 60 in each of six windows of 10 s: neither too many nor a slot given away
    for count, per_ms in ((10, 1_000), (60, 10_000)):
        assert all(sum(at <= other < at + per_ms for other in starts) <= 2 * count for at in starts)
    in_windows = [sum(T0 + w * 10_000 <= at < T0 + (w + 1) * 10_000 for at in starts) for w in range(6)]
    assert in_windows == [60] * 6


async def test_a_clock_that_jumps_opens_every_window_and_closes_none_for_long(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((1, 10.0), (1, 20.0))), now=T0)
    await add_ids(storage, *(f"j{n}" for n in range(5)))
    assert await served(storage, now=T0) == ["j0"]
    assert await served(storage, now=T0 + HOUR) == ["j1"]
    assert await served(storage, now=T0 + 50) == ["j2"]
    assert await served(storage, now=T0 + 20_049) == []
    assert await served(storage, now=T0 + 20_050) == ["j3"]


async def test_a_claimer_whose_clock_is_a_little_behind_gets_no_window_of_its_own(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((2, 1.0))), now=T0)
    await add_ids(storage, "a", "b", "c", "d")
    assert await served(storage, now=T0 + 20) == ["a", "b"]
    assert await served(storage, now=T0 + 17) == []
    assert await served(storage, now=T0 + 1_020) == ["c", "d"]


async def test_windows_of_the_queue_bound_jobs_of_groups_too(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(more_limits=rates((3, 60.0))), now=T0)
    await add_grouped(storage, "a1", "a2", "b1", "b2")
    await add_ids(storage, "p1")
    assert len(await served(storage)) == 3
    assert await served(storage) == []
    assert len(await served(storage, now=T0 + 60_000)) == 2


# -- windows of a name -------------------------------------------------------------------------------------------------


async def test_a_name_starts_so_many_in_a_window_and_the_others_go_on(storage: Storage) -> None:
    await limit_names(storage, mail=rates((2, 1.0)))
    await storage.add([*(new_job(f"m{n}", "mail") for n in range(5)), new_job("o0", "other")], now=T0)
    claimed = await storage.claim(QUEUE, wish(9), now=T0 + 100)
    assert (ids_of(claimed), claimed.held_until) == (["m0", "m1", "o0"], None)
    assert await next_at(storage, now=T0 + 100) == T0 + 1_100
    assert await served(storage, now=T0 + 1_099) == []
    assert await served(storage, now=T0 + 1_100) == ["m2", "m3"]
    assert await served(storage, now=T0 + 2_100) == ["m4"]


async def test_a_name_limit_counts_over_claimers(storage: Storage) -> None:
    await limit_names(storage, mail=rates((3, 60.0)))
    await storage.add([new_job(None, "mail") for _ in range(9)], now=T0)
    assert [len(await served(storage, 2, now=T0 + n)) for n in range(4)] == [2, 1, 0, 0]


async def test_every_window_of_a_name_must_have_room(storage: Storage) -> None:
    await limit_names(storage, mail=rates((2, 1.0), (3, 10.0)))
    await storage.add([new_job(f"m{n}", "mail") for n in range(9)], now=T0)
    assert await served(storage, now=T0) == ["m0", "m1"]
    assert await served(storage, now=T0 + 1_000) == ["m2"]
    assert await next_at(storage, now=T0 + 1_000) == T0 + 10_000
    assert await served(storage, now=T0 + 9_999) == []
    assert await served(storage, now=T0 + 10_000) == ["m3", "m4"]


async def test_names_are_limited_each_for_itself(storage: Storage) -> None:
    await limit_names(storage, x=rates((1, 10.0)), y=rates((1, 5.0)))
    await storage.add([new_job(f"{name}{n}", name) for name in "xy" for n in range(3)], now=T0)
    assert await served(storage) == ["x0", "y0"]
    assert await next_at(storage) == T0 + 5_000
    assert (await storage.claim(QUEUE, wish(0), now=T0)).freed_at == T0 + 5_000
    assert await served(storage, now=T0 + 5_000) == ["y1"]
    assert await served(storage, now=T0 + 10_000) == ["x1", "y2"]


async def test_jobs_set_aside_for_their_name_are_waiting_and_keep_their_place(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add([new_job("m1", "mail"), new_job("m2", "mail"), new_job("a"), new_job("b")], now=T0)
    assert await served(storage, 2) == ["m1", "a"]
    assert (await tally(storage)).waiting == 2
    assert ids_of((await storage.page(QUEUE, [WAITING])).items) == ["m2", "b"]
    assert await served(storage, now=T0 + 60_000) == ["m2", "b"]


async def test_a_released_job_has_used_its_start(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add([new_job("m1", "mail")], now=T0)
    await end(storage, await start_one(storage), Released())
    assert await served(storage) == []
    assert await served(storage, now=T0 + 60_000) == ["m1"]


async def test_a_table_of_name_limits_replaces_the_one_before_and_lets_go_what_it_held(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add([new_job(f"m{n}", "mail") for n in range(4)], now=T0)
    assert await served(storage) == ["m0"]
    info = await storage.configure(QUEUE, QueueSettings(name_limits={"other": rates((1, 1.0))}), now=T0)
    assert info.name_limits == {"other": rates((1, 1.0))}
    assert await storage.queues() == [info]
    assert await served(storage) == ["m1", "m2", "m3"]


async def test_a_lifted_name_limit_wakes_nobody_later(storage: Storage) -> None:
    await limit_names(storage, welcome=rates((1, 2.0)))
    await add_ids(storage, "a", "b", "c")
    claimed = await storage.claim(QUEUE, wish(9), now=T0)
    assert (ids_of(claimed), claimed.next_at) == (["a"], T0 + 2_000)
    await limit_names(storage)
    one = await storage.claim(QUEUE, wish(1), now=T0 + 1)
    assert (ids_of(one), one.next_at, one.freed_at) == (["b"], None, None)


async def test_a_changed_name_limit_begins_anew_and_one_set_again_goes_on(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add([new_job(f"m{n}", "mail") for n in range(6)], now=T0)
    assert await served(storage) == ["m0"]
    await limit_names(storage, mail=rates((1, 60.0)), other=rates((5, 1.0)))
    assert await served(storage) == []
    await limit_names(storage, mail=rates((2, 60.0)))
    assert await served(storage) == ["m1", "m2"]


async def test_a_removed_job_makes_room_for_nobody_but_holds_up_nobody_either(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add([new_job(f"m{n}", "mail") for n in range(3)], now=T0)
    assert await served(storage) == ["m0"]
    await storage.remove(QUEUE, these("m1"), now=T0)
    assert await served(storage, now=T0 + 59_999) == []
    assert await served(storage, now=T0 + 60_000) == ["m2"]


async def test_a_cap_and_a_limit_on_one_name_hold_together(storage: Storage) -> None:
    settings = QueueSettings(name_concurrency={"mail": 1}, name_limits={"mail": rates((2, 60.0))})
    await storage.configure(QUEUE, settings, now=T0)
    await storage.add([new_job(f"m{n}", "mail") for n in range(5)], now=T0)
    for job_id in ("m0", "m1"):
        [run] = await start(storage, 9)
        assert run.job.id == job_id
        assert await served(storage) == []
        await end(storage, run, Completed())
    assert await served(storage) == []
    run = await start_one(storage, now=T0 + 60_000)
    assert run.job.id == "m2"
    assert await served(storage, now=T0 + 60_000) == []
    await end(storage, run, Completed(), now=T0 + 60_001)
    assert await served(storage, now=T0 + 60_001) == ["m3"]


async def test_many_jobs_over_their_names_limit_do_not_hide_one_of_another_name(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add([*(new_job(None, "mail") for _ in range(400)), new_job("o", "other")], now=T0)
    assert len(await served(storage, 2)) == 2
    assert (await tally(storage)).waiting == 399
    assert len(await served(storage, 9, now=T0 + 60_000)) == 1


async def test_a_clock_that_goes_back_does_not_close_a_name_for_long(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 10.0)))
    await storage.add([new_job(f"m{n}", "mail") for n in range(4)], now=T0)
    assert await served(storage, now=T0 + HOUR) == ["m0"]
    assert await served(storage, now=T0 + 20) == ["m1"]
    assert await served(storage, now=T0 + 9_999) == []
    assert await served(storage, now=T0 + 10_020) == ["m2"]


async def test_a_name_limit_inside_a_group_sets_the_job_aside_and_its_group_goes_on(storage: Storage) -> None:
    await limit_names(storage, mail=rates((1, 60.0)))
    await storage.add(
        [grouped("a1", name="mail"), grouped("a2", name="mail"), grouped("a3"), grouped("b1", name="mail")], now=T0
    )
    assert await served(storage) == ["a1", "a3"]
    assert await next_at(storage) == T0 + 60_000
    assert {id: info.waiting for id, info in (await every_group(storage)).items()} == {"a": 1, "b": 1}
    await add_grouped(storage, "a4", now=T0)
    assert ids_of((await storage.page(QUEUE, [WAITING])).items) == ["a2", "a4", "b1"]
    assert len(await served(storage, now=T0 + 60_000)) == 2
    assert len(await served(storage, now=T0 + 120_000)) == 1


@pytest.mark.parametrize("grouped_too", [False, True])
async def test_name_limits_are_exact_over_a_minute(storage: Storage, grouped_too: bool) -> None:
    await limit_names(storage, mail=rates((5, 1.0)))
    jobs = [new_job(None, "mail", group="ab"[n % 2] if grouped_too else None) for n in range(400)]
    await storage.add(jobs, now=T0)
    starts: list[int] = []
    for tick in range(0, 60_000, 250):
        for claimer in range(2):
            now = T0 + tick + claimer
            starts += [now] * len((await storage.claim(QUEUE, wish(4), now=now)).jobs)
    assert len(starts) == 300
    assert all(sum(at <= other < at + 1_000 for other in starts) <= 10 for at in starts)


# -- what is told of a window that is used up --------------------------------------------------------------------------


async def test_queues_tell_until_when_a_used_up_limit_lets_nothing_start(storage: Storage) -> None:
    set_up = await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(2, per=60.0)), now=T0)
    await add_ids(storage, "a", "b", "c")
    assert await served(storage, 1, now=T0) == ["a"]
    assert await storage.queues() == [set_up]  # there is room for another
    assert await served(storage, now=T0 + 500) == ["b"]
    [info] = await storage.queues()
    assert info.limited_until == T0 + 60_000
    # It is no setting: a change of something else leaves it alone, and a changed limit begins anew.
    changed = await storage.configure(QUEUE, QueueSettings(concurrency=9), now=T0 + 600)
    assert changed.limited_until is None
    assert [one.limited_until for one in await storage.queues()] == [T0 + 60_000]
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(3, per=60.0)), now=T0 + 700)
    assert [one.limited_until for one in await storage.queues()] == [None]


async def test_a_used_up_limit_is_told_of_by_the_stores_own_clock(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(1, per=3_600.0)))
    await storage.add([new_job("a"), new_job("b")])
    begun = now_ms()
    claimed = await storage.claim(QUEUE, wish(1))
    assert ids_of(claimed) == ["a"]
    [info] = await storage.queues()
    assert info.limited_until is not None
    assert begun + 3_000_000 < info.limited_until < now_ms() + 4_200_000


async def test_a_hold_is_no_used_up_limit(storage: Storage) -> None:
    settings = QueueSettings(rate_limit=RateLimit(5, per=60.0), hold=Hold(for_ms=600_000, reason="slow down"))
    await storage.configure(QUEUE, settings)
    [info] = await storage.queues()
    assert (info.limited_until, info.hold_reason) == (None, "slow down")
