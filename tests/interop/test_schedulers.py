"""Job schedulers: made on either side, served, listed, changed and removed on the other."""

import json
from collections import Counter
from itertools import pairwise

from corral.app.app import Corral
from corral.cron import next_after
from corral.event import EventType
from corral.job import JobState
from corral.queue import Queue
from corral.schedule import Cron, Every, Schedule
from corral.scheduler import Scheduler
from corral.storage.port import Storage
from corral.timing import now_ms
from corral.worker.worker import WorkerOptions

from .node import Bull, NodeQueue
from .work import GUARD, until, working

HOUR = 3_600_000


async def upsert(queue: NodeQueue, repeat: dict[str, object], *, key: str = "tick", **opts: object) -> None:
    await queue.call("upsertJobScheduler", key, repeat, {"name": "beat", "data": {"n": [1]}, "opts": opts})


async def test_corral_serves_a_scheduler_of_node_run_after_run(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await upsert(queue, {"every": 300}, attempts=2)
    async with working(mail) as notes:
        runs = await notes.begun(4)
        await queue.call("removeJobScheduler", "tick")
    assert {run.name for run in runs} == {"beat"}
    assert all(json.loads(run.data) == {"n": [1]} and run.options.attempts == 2 for run in runs)
    slots = [int(run.id.rpartition(":")[2]) for run in runs]
    assert all(later - earlier >= 300 and (later - earlier) % 300 == 0 for earlier, later in pairwise(slots))
    assert len(set(notes.ids)) == len(notes.ids)
    assert all((run.started_at or 0) >= slot for run, slot in zip(runs[1:], slots[1:], strict=False))


async def test_a_pattern_of_node_gets_its_next_run_when_corral_takes_one(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await upsert(queue, {"pattern": "0 12 1 1 *", "tz": "Europe/Oslo", "limit": 5})
    (first,) = (await mail.page(JobState.DELAYED)).items
    assert first.schedule == "tick"
    async with working(mail) as notes:
        await queue.job(first.id, "promote")
        await notes.begun(1)
    (second,) = (await mail.page(JobState.DELAYED)).items
    slot = int(first.id.rpartition(":")[2])
    assert second.run_at == next_after("0 12 1 1 *", "Europe/Oslo", slot)
    scheduler = await queue.call("getJobScheduler", "tick")
    assert (scheduler["next"], scheduler["iterationCount"]) == (second.run_at, 2)
    # Node goes on from there: the iteration that corral made is one of its own.
    await queue.job(second.id, "promote")
    assert await (await bull.hand(major=major)).serve() == 1
    (third,) = (await mail.page(JobState.DELAYED)).items
    assert third.run_at == next_after("0 12 1 1 *", "Europe/Oslo", second.run_at or 0)


async def test_corral_lets_the_pending_run_of_node_start_at_once(bull: Bull, mail: Queue, major: int) -> None:
    await upsert(await bull.queue(major=major), {"pattern": "0 12 1 1 *"})
    (pending,) = (await mail.page(JobState.DELAYED)).items
    assert await mail.promote(pending.id) == [pending.id]
    worker = await bull.worker(major=major)
    assert [run["id"] for run in await worker.runs(1)] == [pending.id]

    async def next_one_is_there() -> bool:
        return (await mail.counts()).delayed == 1

    await until(next_one_is_there)


async def test_a_limit_of_node_ends_the_schedule_here(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await upsert(queue, {"every": 100, "limit": 3})
    async with working(mail) as notes:
        await notes.begun(3)
        await (await mail.add("after")).result(timeout=GUARD)

        async def all_done() -> bool:
            counts = await mail.counts()
            return (counts.delayed, counts.completed) == (0, 4)

        await until(all_done)
    assert len([run for run in notes.runs if run.name == "beat"]) == 3


async def test_a_run_of_node_that_fails_here_is_retried_without_making_another_iteration(
    bull: Bull, mail: Queue
) -> None:
    queue = await bull.queue()
    await upsert(queue, {"every": HOUR}, attempts=3)
    (pending,) = (await mail.page(JobState.WAITING)).items

    async def act(ctx: object, data: object) -> object:
        raise RuntimeError("boom")

    events = await bull.events()
    async with working(mail, act):
        await events.wait(event="failed", jobId=pending.id)
    assert (await mail.get(pending.id)).attempts_made == 3
    assert (await mail.counts()).delayed == 1


async def test_workers_of_both_sides_share_a_scheduler_and_no_slot_runs_twice(bull: Bull, mail: Queue) -> None:
    queue = await bull.queue()
    await upsert(queue, {"every": 100})
    worker = await bull.worker()
    async with working(mail) as notes:

        async def twenty() -> bool:
            return len(notes.runs) + len(await worker.runs()) >= 20

        await until(twenty)
        await queue.call("removeJobScheduler", "tick")
    ran = Counter(notes.ids + [run["id"] for run in await worker.runs()])
    assert [job_id for job_id, times in ran.items() if times > 1] == []


def app_on(url: str, *, every: float = 0.3) -> Corral:
    """An application with one queue and one schedule."""
    app = Corral(url)
    mail = app.queue("mail")

    @mail.job("beat")
    async def beat(data: dict[str, list[int]]) -> None: ...

    app.schedule("tick", Every(every), beat, {"n": [1]}, attempts=2)
    return app


async def test_a_schedule_of_corral_is_listed_in_node(bull: Bull, storage: Storage, store_url: str, major: int) -> None:
    async with app_on(store_url, every=3600) as app:
        await app.sync_schedules()
        queue = await bull.queue(major=major)
        (scheduler,) = await queue.call("getJobSchedulers")
        assert (scheduler["key"], scheduler["name"], int(scheduler["every"])) == ("tick", "beat", HOUR)
        assert scheduler["template"]["data"] == {"n": [1]}
        (schedule,) = (await storage.schedules(queue="mail")).items
        assert scheduler["next"] == schedule.next_at
        assert await queue.call("getJobSchedulersCount") == 1


async def test_a_schedule_of_corral_is_served_by_node_while_corral_is_away(
    bull: Bull, store_url: str, major: int
) -> None:
    async with app_on(store_url) as app:
        await app.sync_schedules()
    worker = await bull.worker(script={"*": {"echo": True}}, major=major)
    runs = await worker.runs(4)
    assert all((run["name"], run["data"], run["opts"]["attempts"]) == ("beat", {"n": [1]}, 2) for run in runs)
    slots = [int(run["id"].rpartition(":")[2]) for run in runs]
    assert len(set(slots)) == 4
    assert all((later - earlier) % 300 == 0 for earlier, later in pairwise(slots))


async def test_a_cron_schedule_of_corral_is_read_in_node_with_its_zone(
    bull: Bull, storage: Storage, major: int
) -> None:
    timing = Cron("30 2 * * 1-5", tz="Europe/Oslo")
    next_at = timing.next_after(now_ms())
    await storage.put_schedules(
        [Schedule(key="nightly", queue="mail", name="report", timing=timing, next_at=next_at, limit=9)]
    )
    queue = await bull.queue(major=major)
    (scheduler,) = await queue.call("getJobSchedulers")
    told = {key: scheduler.get(key) for key in ("key", "name", "pattern", "tz", "next", "limit")}
    assert told == {
        "key": "nightly", "name": "report", "pattern": "30 2 * * 1-5", "tz": "Europe/Oslo", "next": next_at, "limit": 9,
    }  # fmt: skip


async def test_node_removes_a_schedule_of_corral_for_good(
    bull: Bull, storage: Storage, store_url: str, major: int
) -> None:
    async with app_on(store_url, every=3600) as app:
        await app.sync_schedules()
    queue = await bull.queue(major=major)
    assert await queue.call("removeJobScheduler", "tick") is True
    assert (await storage.schedules(queue="mail")).items == ()
    assert await queue.call("getJobSchedulers") == []


async def test_corral_removes_a_scheduler_of_node_for_good(
    bull: Bull, storage: Storage, mail: Queue, major: int
) -> None:
    queue = await bull.queue(major=major)
    await upsert(queue, {"pattern": "0 12 1 1 *"})
    assert await storage.drop_schedules("mail", ["tick"]) == ["tick"]
    assert await queue.call("getJobSchedulers") == []
    assert await queue.counts() == {}
    assert await bull.keys.faults("mail", idle=True) == []


async def test_node_and_corral_share_a_schedule_of_corral_and_no_slot_runs_twice(bull: Bull, store_url: str) -> None:
    app = app_on(store_url, every=0.1)
    ran: list[str] = []

    @app.on("completed")
    async def note(event: object, job: object) -> None:
        ran.append(str(getattr(job, "scheduled_for", None)))

    async with app:
        await app.sync_schedules()
        worker = await bull.worker()
        options = WorkerOptions(stats_interval=0, shutdown_timeout=5)
        async with await app.worker(options=options):

            async def twenty() -> bool:
                return len(ran) + len(await worker.runs()) >= 20

            await until(twenty)
    there = [run["id"].rpartition(":")[2] for run in await worker.runs()]
    assert [slot for slot, times in Counter(ran + there).items() if times > 1] == []


async def test_corrals_scheduler_heals_nothing_that_is_not_broken(
    bull: Bull, storage: Storage, mail: Queue, major: int
) -> None:
    queue = await bull.queue(major=major)
    await upsert(queue, {"every": HOUR, "startDate": 4_000_000_000_000})
    scheduler = Scheduler(storage)
    await scheduler.reconcile([], prune=True)
    (pending,) = (await mail.page(JobState.DELAYED)).items
    assert pending.run_at == 4_000_000_000_000
    events, _ = await storage.events("mail", after="")
    assert EventType.REMOVED not in [event.type for event in events]
