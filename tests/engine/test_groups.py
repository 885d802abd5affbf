"""Groups and limits as callers write them, and change them at run time."""

import asyncio
from collections import Counter

import pytest

from corral import Corral, GroupLimits, JobContext, JobState, Queue, QueueFullError, RateLimit
from tests.engine.helpers import GUARD, Meter, ending, on_clock, work_off, working


@pytest.fixture
async def queue(app: Corral) -> Queue:
    return await app.queue("mail").open()


# -- groups ------------------------------------------------------------------------------------------------------------


async def test_groups_are_served_in_turn_however_much_one_of_them_brings(app: Corral) -> None:
    mail = app.queue("mail", concurrency=1)
    order: list[str] = []

    @mail.job("send")
    async def send(ctx: JobContext) -> None:
        order.append(ctx.job.group or "")

    for _ in range(6):
        await send.add(group="large")
    for _ in range(2):
        await send.add(group="small")
    await work_off(app)
    assert Counter(order[:4]) == {"large": 2, "small": 2}
    assert Counter(order) == {"large": 6, "small": 2}


async def test_a_group_runs_as_many_at_once_as_it_may(app: Corral) -> None:
    mail = app.queue("mail", concurrency=8, group_limits=GroupLimits(concurrency=2))
    meter = Meter()
    meter.full_at = 2

    @mail.job("send")
    async def send() -> None:
        with meter:
            await meter.full.wait()
            await asyncio.sleep(0.001)

    handles = await send.add_bulk([None] * 8, group="t1")
    async with working(app):
        for handle in handles:
            await handle.result(timeout=GUARD)
    assert meter.most == 2


async def test_a_paused_group_waits_and_the_others_go_on(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> None: ...

    queue = await mail.open()
    await queue.group("t1").pause()
    waits, runs = await send.add(group="t1"), await send.add(group="t2")
    async with working(app):
        await runs.result(timeout=GUARD)
        assert (await waits.get()).state is JobState.WAITING
        assert (await queue.group("t1").info()).paused
        await queue.group("t1").resume()
        await waits.result(timeout=GUARD)


async def test_groups_are_listed_and_found_by_their_id(queue: Queue) -> None:
    for number in range(20):
        await queue.add("send", group=f"tenant-{number}")
    await queue.group("tenant-3").limit(GroupLimits(concurrency=5))
    page = await queue.groups(limit=5)
    assert (len(page.items), page.total) == (5, 20)
    for number in range(20):
        assert (await queue.group(f"tenant-{number}").info()).waiting == 1
    assert (await queue.group("tenant-3").info()).limits == GroupLimits(concurrency=5)
    assert (await queue.group("nobody").info()).waiting == 0
    assert [job.group for job in (await queue.page(JobState.WAITING, group="tenant-7")).items] == ["tenant-7"]
    await queue.drain(group="tenant-7")
    assert (await queue.counts()).waiting == 19


async def test_a_group_is_held_and_let_go(app: Corral) -> None:
    async with on_clock(app):
        mail = app.queue("mail")

        @mail.job("send")
        async def send() -> None: ...

        queue = await mail.open()
        await queue.group("t1").hold(60, "429 from the other side")
        handle, other = await send.add(group="t1"), await send.add(group="t2")
        async with working(app):
            await other.result(timeout=GUARD)
            assert (await handle.get()).state is JobState.WAITING
            assert (await queue.group("t1").info()).hold_reason == "429 from the other side"
            await queue.group("t1").lift()
            await handle.result(timeout=GUARD)


# -- full --------------------------------------------------------------------------------------------------------------


async def test_a_full_group_refuses_and_names_itself(queue: Queue) -> None:
    await queue.limit_groups(GroupLimits(max_size=2))
    await queue.add_bulk([("send", None, {"group": "t1"})] * 2)
    with pytest.raises(QueueFullError, match="t1"):
        await queue.add("send", group="t1")
    assert (await queue.add("send", group="t2")).fresh


async def test_an_add_waits_for_room_as_long_as_it_is_told_to(app: Corral) -> None:
    mail = app.queue("mail", add_limit=RateLimit(1, per=0.2))

    @mail.job("send")
    async def send() -> None: ...

    await work_off(app)  # the worker stores the limit
    assert (await send.add(wait=GUARD)).fresh
    assert (await send.add(wait=GUARD)).fresh


async def test_a_queue_whose_adds_wait_says_so_once(app: Corral) -> None:
    mail = app.queue("mail", add_limit=RateLimit(1, per=0.2), when_full="wait")

    @mail.job("send")
    async def send() -> None: ...

    await work_off(app)
    handles = [await send.add() for _ in range(3)]
    assert [handle.fresh for handle in handles] == [True] * 3


async def test_an_add_gives_up_when_its_time_is_over(queue: Queue) -> None:
    await queue.limit(adds=RateLimit(1, per=3600))
    await queue.add("send")
    with pytest.raises(QueueFullError):
        await queue.add("send", wait=0.05)


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_several_windows_and_limits_of_names_come_from_the_declaration(app: Corral) -> None:
    fast, slow = RateLimit(10, per=1), RateLimit(100, per=60)
    mail = app.queue("mail", rate_limit=[fast, slow], group_limits=GroupLimits(concurrency=3))

    @mail.job("send", rate_limit=RateLimit(5, per=1))
    async def send() -> None: ...

    await work_off(app)
    info = await (await mail.open()).info()
    assert (info.rate_limit, info.more_limits) == (fast, (slow,))
    assert info.group_limits == GroupLimits(concurrency=3)
    assert dict(info.name_limits) == {"send": (RateLimit(5, per=1),)}


async def test_limits_change_at_run_time_and_what_is_left_out_stays(queue: Queue) -> None:
    await queue.limit([RateLimit(10), RateLimit(100, per=60)], concurrency=4)
    await queue.limit_name("send", RateLimit(5), concurrency=2)
    await queue.limit_name("other", concurrency=7)
    info = await queue.limit(adds=RateLimit(1000))
    assert (info.rate_limit, info.more_limits, info.concurrency) == (RateLimit(10), (RateLimit(100, per=60),), 4)
    assert dict(info.name_concurrency) == {"send": 2, "other": 7}
    assert dict(info.name_limits) == {"send": (RateLimit(5),)}
    await queue.limit_name("send", None, concurrency=None)
    info = await queue.limit(None, concurrency=None, adds=None)
    assert (info.rate_limit, info.more_limits, info.concurrency, info.add_limit) == (None, (), None, None)
    assert (dict(info.name_limits), dict(info.name_concurrency)) == ({}, {"other": 7})


@pytest.mark.mission("M-AI-23")
async def test_a_job_s_own_limit_counts_its_name_or_key_alone(app: Corral) -> None:
    async with on_clock(app) as app:
        mail = app.queue("mail")

        @mail.job("send")
        async def send() -> None: ...

        @mail.job("other")
        async def other() -> None: ...

        limited = await send.add_bulk([None] * 3, limit=RateLimit(2, per=3600))
        free = await other.add()
        async with working(app):
            await ending(free)
            await ending(limited[1])
            assert (await limited[2].get()).state is JobState.WAITING
            assert (await limited[2].get()).group == "send"


async def test_a_hold_stops_the_queue_until_it_is_lifted(app: Corral) -> None:
    mail = app.queue("mail")

    @mail.job("send")
    async def send() -> None: ...

    queue = await mail.open()
    await queue.hold(3600, "the other side is down")
    handle = await send.add()
    assert 0 < await queue.limited_for() <= 3600
    async with working(app):
        assert (await handle.get()).state is JobState.WAITING
        await queue.lift()
        await handle.result(timeout=GUARD)
    assert await queue.limited_for() == 0.0
