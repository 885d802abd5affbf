"""Schedules of corral that BullMQ edits, serves in part, or meets as ordinary jobs; and the keys they are made of."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from corral.job import NewJob
from corral.options import JobOptions, Keep
from corral.queue import Queue
from corral.schedule import Cron, Every, Overlap, Schedule
from corral.scheduler import Scheduler
from corral.slots import slot_id
from corral.storage.port import Added, Storage
from corral.timing import now_ms

from .node import Bull, NodeQueue
from .work import working

HOUR = 3_600_000


def plan(**fields: object) -> Schedule:
    """A schedule whose slot has just come."""
    now = now_ms()
    base = Schedule(
        key="tick", queue="mail", name="beat", timing=Every(3600), data='{"n":[1]}', anchor_at=now - HOUR, next_at=now
    )
    return replace(base, **fields)


async def put(storage: Storage, schedule: Schedule) -> Schedule:
    [stored] = await storage.put_schedules([schedule])
    return stored


async def the(storage: Storage) -> Schedule:
    [schedule] = (await storage.schedules(queue="mail")).items
    return schedule


def run_of(schedule: Schedule) -> NewJob:
    slot = schedule.next_at or 0
    return NewJob(
        queue="mail", name=schedule.name, data=schedule.data, id=slot_id("tick", slot), schedule="tick",
        scheduled_for=slot,
    )  # fmt: skip


async def test_a_run_that_corral_has_fired_is_an_ordinary_job_for_node(
    bull: Bull, storage: Storage, mail: Queue, major: int
) -> None:
    schedule = await put(storage, plan(overlap=Overlap.SKIP))
    slot = schedule.next_at or 0
    added = await storage.fire_schedule("mail", "tick", slot=slot, jobs=[run_of(schedule)], next_at=slot + HOUR)
    assert added == [Added(slot_id("tick", slot), True)]
    worker = await bull.hand(script={"*": {"echo": True}}, major=major)
    assert await worker.serve() == 1
    assert (await mail.get(slot_id("tick", slot))).result == '{"n":[1]}'
    after = await the(storage)
    assert (after.next_at, after.fired, after.last_at) == (slot + HOUR, 1, slot)
    assert await bull.keys.faults("mail", idle=True) == []


async def fire(storage: Storage, schedule: Schedule, next_at: int | None) -> list[Added] | None:
    return await storage.fire_schedule(
        "mail", "tick", slot=schedule.next_at or 0, jobs=[run_of(schedule)], next_at=next_at
    )


async def serve_next(bull: Bull, queue: NodeQueue, schedule: Schedule, major: int) -> str:
    """Let Node promote and run the job of the next slot; answers its id."""
    job_id = slot_id("tick", schedule.next_at or 0)
    await queue.job(job_id, "promote")
    assert await (await bull.hand(major=major)).serve(1) == 1
    return job_id


async def test_a_slot_that_node_has_served_is_not_fired_again(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    before = await put(storage, plan(next_at=now_ms() + HOUR))
    job_id = await serve_next(bull, queue, before, major)
    assert await fire(storage, before, (before.next_at or 0) + HOUR) is None
    after = await the(storage)
    assert (after.fired, after.last_at, after.last_job_id) == (1, before.next_at, job_id)
    assert after.next_at == (before.next_at or 0) + HOUR
    # From there corral goes on, and then Node again.
    assert await fire(storage, after, (after.next_at or 0) + HOUR) == [Added(slot_id("tick", after.next_at or 0), True)]
    assert await (await bull.hand(major=major)).serve() == 1
    third = await the(storage)
    assert (third.fired, third.last_at) == (2, after.next_at)
    await serve_next(bull, queue, third, major)
    assert (await the(storage)).fired == 3
    assert (await queue.call("getJobScheduler", "tick"))["iterationCount"] == 4
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_slot_that_node_has_put_into_the_queue_is_left_to_whoever_claims_it(
    bull: Bull, storage: Storage, mail: Queue, major: int
) -> None:
    queue = await bull.queue(major=major)
    before = await put(storage, plan(next_at=now_ms() + HOUR))
    job_id = slot_id("tick", before.next_at or 0)
    await queue.job(job_id, "promote")
    assert await fire(storage, before, (before.next_at or 0) + HOUR) is None
    async with working(mail) as notes:
        [run] = await notes.begun(1)
    assert (run.id, run.schedule, run.scheduled_for, run.data) == (job_id, "tick", before.next_at, '{"n":[1]}')
    after = await the(storage)
    assert (after.fired, after.last_at, after.last_job_id) == (1, before.next_at, job_id)
    assert after.next_at == (before.next_at or 0) + HOUR
    # The one that corral made is one of Node's own.
    await serve_next(bull, queue, after, major)
    assert (await the(storage)).fired == 2
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_limit_holds_however_the_runs_are_shared(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    options = JobOptions(keep_completed=Keep(count=0))
    await put(storage, plan(next_at=now_ms() + HOUR, limit=3, options=options))
    await serve_next(bull, queue, await the(storage), major)
    second = await the(storage)
    assert await fire(storage, second, (second.next_at or 0) + HOUR) is not None
    assert await (await bull.hand(major=major)).serve() == 1
    last = await the(storage)
    await serve_next(bull, queue, last, major)
    # Node makes none after the last; corral sees the slot due, and ends the schedule without another run.
    assert await fire(storage, await the(storage), None) == [Added(slot_id("tick", last.next_at or 0), False)]
    after = await the(storage)
    assert (after.fired, after.next_at) == (3, None)
    assert "waiting" not in await queue.counts()
    assert await queue.call("getJobSchedulers") == []


async def test_node_changes_a_schedule_of_corral(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    before = await put(storage, plan(next_at=now_ms() + HOUR, owner="shop"))
    repeat = {"pattern": "0 12 1 1 *", "tz": "Europe/Oslo", "limit": 7}
    template = {"name": "other", "data": {"m": 2}, "opts": {"attempts": 4, "priority": 9}}
    await queue.call("upsertJobScheduler", "tick", repeat, template)
    after = await the(storage)
    assert (after.timing, after.name, after.data) == (Cron("0 12 1 1 *", tz="Europe/Oslo"), "other", '{"m":2}')
    assert (after.options.attempts, after.priority, after.limit, after.owner) == (4, 9, 7, "shop")
    assert after.next_at == (await queue.call("getJobScheduler", "tick"))["next"]
    assert after.timing != before.timing
    assert await fire(storage, after, (after.next_at or 0) + HOUR) is not None
    assert await (await bull.hand(major=major)).serve() == 1
    # What the application declares comes back at its next start.
    await Scheduler(storage, owner="shop").reconcile([replace(before, next_at=None)])
    again = await the(storage)
    assert (again.timing, again.name, again.data, again.fired) == (before.timing, "beat", before.data, 1)
    assert (await queue.call("getJobScheduler", "tick"))["template"]["data"] == {"n": [1]}
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_scheduler_of_node_can_be_paused_and_resumed_here(
    bull: Bull, storage: Storage, mail: Queue, major: int
) -> None:
    queue = await bull.queue(major=major)
    repeat = {"pattern": "0 12 1 1 *", "tz": "Europe/Oslo"}
    await queue.call("upsertJobScheduler", "tick", repeat, {"name": "beat", "data": {"n": 1}})
    before = await the(storage)
    assert (before.owner, before.name, before.timing) == ("", "beat", Cron("0 12 1 1 *", tz="Europe/Oslo"))
    assert (await storage.schedules(due_by=(before.next_at or 0) + HOUR)).items == ()
    scheduler = Scheduler(storage)
    assert (await scheduler.pause("mail", "tick")).paused
    assert await queue.call("getJobSchedulers") == []
    assert await queue.counts() == {}
    resumed = await scheduler.resume("mail", "tick")
    assert resumed.next_at == before.next_at
    assert (await queue.call("getJobScheduler", "tick"))["next"] == before.next_at
    assert (await mail.counts()).delayed == 0  # the slot is no job of ours yet
    assert await queue.counts() == {"delayed": 1}


async def test_a_removed_schedule_of_corral_that_node_makes_anew_is_nodes(bull: Bull, storage: Storage) -> None:
    queue = await bull.queue()
    await put(storage, plan(next_at=now_ms() + HOUR, owner="shop"))
    assert await queue.call("removeJobScheduler", "tick") is True
    assert (await storage.schedules()).items == ()
    await queue.call("upsertJobScheduler", "tick", {"every": HOUR}, {"name": "theirs"})
    assert ((await the(storage)).owner, (await the(storage)).name) == ("", "theirs")


def comparable(fields: dict[str, str], slot: str) -> dict[str, Any]:
    """A job's hash without what differs from minute to minute."""
    opts = json.loads(fields["opts"])
    assert opts.pop("delay") > 0
    assert opts.pop("timestamp") > 0
    assert {"delay", "timestamp"} < set(fields)
    shown = {name: value for name, value in fields.items() if name not in ("opts", "delay", "timestamp")}
    return {**shown, "opts": json.loads(json.dumps(opts).replace(slot, "0"))}


@pytest.mark.parametrize("repeat", [{"every": HOUR, "limit": 9}, {"pattern": "0 12 1 1 *", "tz": "Asia/Tokyo"}])
async def test_the_next_run_that_corral_makes_is_the_one_that_node_would_make(
    bull: Bull, mail: Queue, major: int, repeat: dict[str, object]
) -> None:
    queue = await bull.queue(major=major)
    opts = {"attempts": 4, "backoff": {"type": "fixed", "delay": 3000}, "priority": 7}
    template = {"name": "größe", "data": {"list": [], "n": 0.5}, "opts": opts}
    made = []
    for key in ("here", "there"):
        await queue.call("upsertJobScheduler", key, repeat, template)
        first = int(await bull.keys.client.zscore(f"{bull.prefix}:mail:repeat", key) or 0)
        if await queue.state(f"repeat:{key}:{first}") == "delayed":
            await queue.job(f"repeat:{key}:{first}", "promote")
        if key == "here":
            async with working(mail) as notes:
                await notes.begun(1)
        else:
            assert await (await bull.hand(major=major)).serve(1) == 1
        second = int(await bull.keys.client.zscore(f"{bull.prefix}:mail:repeat", key) or 0)
        assert second > first
        fields = await bull.keys.client.hgetall(f"{bull.prefix}:mail:repeat:{key}:{second}")
        scheduler = await bull.keys.client.hgetall(f"{bull.prefix}:mail:repeat:{key}")
        scheduler.pop("offset", None)  # the two were made at different milliseconds
        told = json.dumps([comparable(fields, str(second)), scheduler], sort_keys=True)
        made.append(json.loads(told.replace(f'"{key}"', '"KEY"').replace(f":{key}:", ":KEY:")))
    assert made[0] == made[1]


async def test_an_end_holds_also_when_node_has_made_a_run_behind_it(bull: Bull, storage: Storage, major: int) -> None:
    queue = await bull.queue(major=major)
    first = now_ms() + HOUR
    before = await put(storage, plan(next_at=first, end_at=first + HOUR // 2))
    await serve_next(bull, queue, before, major)
    after = await the(storage)
    assert (after.fired, after.next_at) == (1, None)
    assert await queue.call("getJobSchedulers") == []
    assert "delayed" not in await queue.counts()
