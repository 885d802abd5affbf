"""Schedules: one next run each, turned into jobs once, however many schedulers there are."""

import asyncio

from msgspec.structs import replace

from corral.event import EventType
from corral.job import JobState
from corral.options import JobOptions
from corral.outcome import Completed, Failed
from corral.schedule import Cron, Every, Missed, Overlap, Schedule
from corral.storage.port import Added, Storage

from .helpers import MINUTE, QUEUE, T0, Tape, new_job, run_through, start_one, tally, the, these

NEXT = T0 + MINUTE


def plan(key: str = "daily", *, queue: str = QUEUE, **fields: object) -> Schedule:
    base = Schedule(key=key, queue=queue, name="report", timing=Every(60), anchor_at=T0, next_at=T0)
    return replace(base, **fields)


async def put(storage: Storage, *schedules: Schedule) -> None:
    await storage.put_schedules(schedules, now=T0 - MINUTE)


async def all_schedules(storage: Storage) -> list[Schedule]:
    return list((await storage.schedules()).items)


async def test_a_schedule_is_stored_as_it_was_given(storage: Storage) -> None:
    schedule = plan(
        timing=Cron("*/5 8 * * 1-5", tz="Europe/Oslo"),
        data='{"n":1}',
        options=JobOptions(attempts=2),
        priority=4,
        start_at=T0,
        end_at=T0 + 9,
        limit=3,
        missed=Missed.ALL,
        overlap=Overlap.SKIP,
        owner="shop",
        computed=True,
    )
    assert await storage.put_schedules([schedule], now=T0) == [schedule]
    assert await all_schedules(storage) == [schedule]


async def test_putting_again_replaces_but_keeps_what_has_happened(storage: Storage) -> None:
    await put(storage, plan())
    await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=[new_job("run")], next_at=NEXT, now=T0)
    [before] = await all_schedules(storage)
    [stored] = await storage.put_schedules([plan(name="other", next_at=T0 + 5, fired=77)], now=T0)
    assert (stored.name, stored.next_at) == ("other", T0 + 5)
    assert (stored.fired, stored.last_at, stored.last_job_id) == (1, before.last_at, "run")
    assert await all_schedules(storage) == [stored]


async def test_the_same_key_in_two_queues_is_two_schedules(storage: Storage) -> None:
    await put(storage, plan(), plan(queue="other"))
    assert (await storage.schedules()).total == 2
    assert [schedule.queue for schedule in (await storage.schedules(queue="other")).items] == ["other"]


async def test_firing_makes_the_jobs_and_arms_the_next_slot(storage: Storage, tape: Tape) -> None:
    await put(storage, plan())
    jobs = [new_job("run", "report", schedule="daily", scheduled_for=T0)]
    added = await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=jobs, next_at=NEXT, now=T0)
    assert added == [Added("run", True)]
    job = await the(storage, "run")
    assert (job.state, job.schedule, job.scheduled_for) == (JobState.WAITING, "daily", T0)
    [schedule] = await all_schedules(storage)
    assert (schedule.next_at, schedule.last_at, schedule.last_job_id, schedule.fired) == (NEXT, T0, "run", 1)
    assert await tape.told() == [(EventType.ADDED, "run")]
    assert (await tally(storage)).waiting == 1


async def test_a_slot_fires_once(storage: Storage) -> None:
    await put(storage, plan())
    first = await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=[new_job()], next_at=NEXT, now=T0)
    second = await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=[new_job()], next_at=NEXT, now=T0)
    assert (first is not None, second) == (True, None)
    assert (await tally(storage)).waiting == 1
    [schedule] = await all_schedules(storage)
    assert schedule.fired == 1


async def test_of_racing_schedulers_one_fires(storage: Storage) -> None:
    await put(storage, plan())
    async with storage.sibling() as other:
        answers = await asyncio.gather(
            *(
                handle.fire_schedule(QUEUE, "daily", slot=T0, jobs=[new_job()], next_at=NEXT, now=T0)
                for handle in (storage, other) * 10
            )
        )
    assert sum(answer is not None for answer in answers) == 1
    assert (await tally(storage)).waiting == 1


async def test_a_slot_that_is_not_the_pending_one_does_not_fire(storage: Storage) -> None:
    await put(storage, plan())
    for slot in (T0 - 1, T0 + 1, NEXT):
        assert await storage.fire_schedule(QUEUE, "daily", slot=slot, jobs=[new_job()], next_at=NEXT, now=T0) is None
    [schedule] = await all_schedules(storage)
    assert (schedule.next_at, schedule.fired) == (T0, 0)
    assert (await tally(storage)).waiting == 0


async def test_a_schedule_that_is_not_there_does_not_fire(storage: Storage) -> None:
    assert await storage.fire_schedule(QUEUE, "ghost", slot=T0, jobs=[new_job()], next_at=NEXT, now=T0) is None
    assert (await tally(storage)).waiting == 0


async def test_missed_slots_can_be_made_up_for_in_one_step(storage: Storage) -> None:
    await put(storage, plan())
    jobs = [new_job(f"run{n}", schedule="daily", scheduled_for=T0 + n * MINUTE) for n in range(3)]
    added = await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=jobs, next_at=T0 + 3 * MINUTE, now=T0)
    assert added == [Added(f"run{n}", True) for n in range(3)]
    [schedule] = await all_schedules(storage)
    assert (schedule.fired, schedule.last_job_id) == (3, "run2")


async def test_skipped_slots_arm_the_next_one_without_a_job(storage: Storage) -> None:
    await put(storage, plan())
    assert await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=[], next_at=NEXT, now=T0) == []
    [schedule] = await all_schedules(storage)
    assert (schedule.next_at, schedule.fired, schedule.last_job_id) == (NEXT, 0, None)


async def test_an_ended_schedule_has_no_next_slot(storage: Storage) -> None:
    await put(storage, plan())
    await storage.fire_schedule(QUEUE, "daily", slot=T0, jobs=[new_job("run")], next_at=None, now=T0)
    [schedule] = await all_schedules(storage)
    assert (schedule.next_at, schedule.fired) == (None, 1)
    assert (await storage.schedules(due_by=T0 + 10**12)).items == ()


async def test_an_unfinished_run_keeps_the_next_one_out_where_overlap_is_skipped(storage: Storage) -> None:
    await put(storage, plan(overlap=Overlap.SKIP))
    fire = [T0 + n * MINUTE for n in range(5)]
    answers = [await _fire(storage, fire[0], "run0"), await _fire(storage, fire[1], "run1")]
    assert answers == [[Added("run0", True)], []]
    run = await start_one(storage)
    assert await _fire(storage, fire[2], "run2") == []
    assert (await tally(storage)).waiting == 0
    await storage.settle(QUEUE, [run.ends(Completed())], now=fire[2])
    assert await _fire(storage, fire[3], "run3") == [Added("run3", True)]
    [schedule] = await all_schedules(storage)
    assert (schedule.next_at, schedule.last_job_id) == (fire[4], "run3")


async def test_a_failed_or_removed_run_is_finished(storage: Storage) -> None:
    await put(storage, plan(overlap=Overlap.SKIP))
    await _fire(storage, T0, "run0")
    await run_through(storage, Failed(reason="no"))
    assert await _fire(storage, T0 + MINUTE, "run1") == [Added("run1", True)]
    await storage.remove(QUEUE, these("run1"), now=T0)
    assert await _fire(storage, T0 + 2 * MINUTE, "run2") == [Added("run2", True)]


async def test_runs_may_overlap_where_that_is_allowed(storage: Storage) -> None:
    await put(storage, plan(overlap=Overlap.ALLOW))
    assert await _fire(storage, T0, "run0") == [Added("run0", True)]
    assert await _fire(storage, T0 + MINUTE, "run1") == [Added("run1", True)]
    assert (await tally(storage)).waiting == 2


async def test_a_run_that_exists_already_is_not_made_again(storage: Storage) -> None:
    await put(storage, plan())
    await storage.add([new_job("run")], now=T0)
    assert await _fire(storage, T0, "run") == [Added("run", False)]
    assert (await tally(storage)).waiting == 1


async def test_dropped_schedules_are_gone_and_named(storage: Storage) -> None:
    await put(storage, plan("a"), plan("b"), plan("a", queue="other"))
    assert await storage.drop_schedules(QUEUE, ["a", "ghost"]) == ["a"]
    assert [(entry.queue, entry.key) for entry in await all_schedules(storage)] == [(QUEUE, "b"), ("other", "a")]
    assert await storage.drop_schedules(QUEUE, []) == []


async def test_dropping_a_schedule_leaves_its_jobs(storage: Storage) -> None:
    await put(storage, plan())
    await _fire(storage, T0, "run")
    await storage.drop_schedules(QUEUE, ["daily"])
    assert (await the(storage, "run")).state is JobState.WAITING


async def test_schedules_are_listed_by_queue_and_key_in_stretches(storage: Storage) -> None:
    await put(storage, plan("b", queue="q2"), plan("c", queue="q1"), plan("a", queue="q2"), plan("d", queue="q1"))
    page = await storage.schedules(start=1, limit=2)
    assert ([(entry.queue, entry.key) for entry in page.items], page.total) == ([("q1", "d"), ("q2", "a")], 4)


async def test_only_armed_unpaused_schedules_are_due(storage: Storage) -> None:
    await put(
        storage,
        plan("due"),
        plan("exact", next_at=T0 + 5),
        plan("later", next_at=T0 + 6),
        plan("paused", paused=True),
        plan("ended", next_at=None),
    )
    page = await storage.schedules(due_by=T0 + 5)
    assert ([entry.key for entry in page.items], page.total) == (["due", "exact"], 2)
    assert (await storage.schedules(queue="other", due_by=T0 + 5)).items == ()


async def _fire(storage: Storage, slot: int, job_id: str) -> list[Added] | None:
    """Turn one slot of the usual schedule into one job, and arm the slot a minute later."""
    jobs = [new_job(job_id, schedule="daily", scheduled_for=slot)]
    return await storage.fire_schedule(QUEUE, "daily", slot=slot, jobs=jobs, next_at=slot + MINUTE, now=slot)
