"""The scheduler on a real store: each slot yields one job, whatever else goes wrong."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from msgspec.structs import replace

from corral.errors import ConfigError, RegistrationError, ScheduleNotFoundError
from corral.event import NOW, OLDEST, EventType
from corral.job import Job, JobState
from corral.options import JobOptions
from corral.outcome import Completed
from corral.schedule import Cron, Every, Missed, Overlap, Schedule
from corral.scheduler import Fired, PayloadFunction, Reconciled, Scheduler
from corral.slots import slot_id
from corral.storage.connect import connect
from corral.storage.port import Claim, Settlement, Storage, Token

START = 1_767_225_600_000  # 2026-01-01T00:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE
QUEUE = "reports"


@pytest.fixture
async def storage(local_url: str) -> AsyncIterator[Storage]:
    async with connect(local_url) as store:
        yield store


def hourly(
    key: str = "nightly", *, queue: str = QUEUE, data: str = "{}", timing: Cron | Every | None = None,
    limit: int | None = None, missed: Missed = Missed.ONCE, overlap: Overlap = Overlap.ALLOW, computed: bool = False,
    owner: str = "",
) -> Schedule:  # fmt: skip
    return Schedule(
        key=key, queue=queue, name="report", timing=timing or Cron("0 * * * *"), data=data, limit=limit, missed=missed,
        overlap=overlap, computed=computed, owner=owner,
    )  # fmt: skip


async def jobs(storage: Storage, queue: str = QUEUE) -> list[Job]:
    page = await storage.page(queue, list(JobState), limit=1000, newest_first=False)
    return sorted(page.items, key=lambda job: (job.scheduled_for or 0, job.id))


async def ran_for(storage: Storage, queue: str = QUEUE) -> list[int | None]:
    return [job.scheduled_for for job in await jobs(storage, queue)]


async def stored(storage: Storage, key: str = "nightly") -> Schedule:
    page = await storage.schedules(queue=QUEUE)
    return next(item for item in page.items if item.key == key)


async def finish_all(storage: Storage, now: int) -> None:
    token = Token(f"t{now}")
    claimed = await storage.claim(QUEUE, Claim(count=100, token=token, lease_ms=30_000), now=now)
    ends = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in claimed.jobs]
    await storage.settle(QUEUE, ends, now=now)


def made(fired: Sequence[Fired]) -> list[tuple[str, tuple[int, ...]]]:
    return [(one.key, one.slots) for one in fired]


# -- firing ----------------------------------------------------------------------------------------------------------


async def test_a_slot_that_has_come_becomes_one_job_that_knows_its_slot(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    declared = Schedule(
        key="nightly", queue=QUEUE, name="report", timing=Cron("0 3 * * *", tz="Europe/Oslo"), data='{"period":"day"}',
        options=JobOptions(attempts=4, timeout_ms=9_000), priority=7,
    )  # fmt: skip
    await scheduler.put(declared, now=START)
    slot = START + 2 * HOUR  # three o'clock in Oslo

    assert await scheduler.tick(slot - 1) == []
    [fired] = await scheduler.tick(slot + 250)

    assert (fired.queue, fired.key, fired.slots, fired.missed) == (QUEUE, "nightly", (slot,), 0)
    assert fired.next_at == slot + 24 * HOUR
    [job] = await jobs(storage)
    assert (job.id, job.schedule, job.scheduled_for) == (slot_id("nightly", slot), "nightly", slot)
    assert (job.name, job.data, job.priority) == ("report", '{"period":"day"}', 7)
    assert job.options == JobOptions(attempts=4, timeout_ms=9_000)
    assert job.state is JobState.WAITING
    after = await stored(storage)
    assert (after.next_at, after.last_at, after.last_job_id, after.fired) == (slot + 24 * HOUR, slot, job.id, 1)


async def test_a_slot_is_served_once_however_often_the_clock_is_asked(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(), now=START)
    assert len(await scheduler.tick(START + HOUR)) == 1
    assert await scheduler.tick(START + HOUR) == []
    assert await scheduler.tick(START + HOUR + 1) == []
    assert await ran_for(storage) == [START + HOUR]


async def test_many_schedulers_serve_every_slot_exactly_once(storage: Storage) -> None:
    schedulers = [Scheduler(storage) for _ in range(4)]
    for number in range(8):
        await schedulers[0].put(hourly(f"s{number}", timing=Every(600 + number)), now=START)
    await schedulers[0].put(hourly("elsewhere", queue="mail"), now=START)
    for now in range(START, START + 2 * HOUR + 1, MINUTE // 2):
        await asyncio.gather(*(scheduler.tick(now) for scheduler in schedulers))
    expected = [
        (f"s{number}", START + count * (600 + number) * 1_000)
        for number in range(8)
        for count in range(1, 2 * 3600 // (600 + number) + 1)
    ]
    assert sorted((job.schedule or "", job.scheduled_for or 0) for job in await jobs(storage)) == sorted(expected)
    assert await ran_for(storage, "mail") == [START + HOUR, START + 2 * HOUR]


async def test_schedulers_that_wake_together_share_the_work(storage: Storage) -> None:
    schedulers = [Scheduler(storage) for _ in range(3)]
    await schedulers[0].reconcile([hourly(f"s{number:03}") for number in range(400)], now=START)
    shares = await asyncio.gather(*(scheduler.tick(START + HOUR) for scheduler in schedulers))
    served = sorted(fired.key for share in shares for fired in share)
    assert served == [f"s{number:03}" for number in range(400)]
    assert all(len(share) > 0 for share in shares)


async def test_more_schedules_than_one_page_are_all_served(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    declared = [hourly(f"s{number:04}") for number in range(1_100)]
    assert len((await scheduler.reconcile(declared, now=START)).added) == 1_100
    assert len(await scheduler.tick(START + HOUR)) == 1_100
    assert (await storage.counts([QUEUE]))[0].waiting == 1_100


@pytest.mark.parametrize(
    ("missed", "expected"),
    [(Missed.SKIP, []), (Missed.ONCE, [START + 6 * HOUR]), (Missed.ALL, [START + n * HOUR for n in range(1, 7)])],
)
async def test_after_six_hours_without_a_scheduler_the_policy_decides(
    storage: Storage, missed: Missed, expected: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(missed=missed), now=START)
    now = START + 6 * HOUR + HOUR // 2
    assert made(await scheduler.tick(now)) == [("nightly", tuple(expected))]
    assert await ran_for(storage) == expected
    assert (await stored(storage)).next_at == START + 7 * HOUR
    assert f"missed 6 runs, policy {missed}: {len(expected)} jobs made" in caplog.text


async def test_a_limit_ends_the_schedule(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(limit=2), now=START)
    for hour in range(1, 6):
        await scheduler.tick(START + hour * HOUR)
    assert await ran_for(storage) == [START + HOUR, START + 2 * HOUR]
    after = await stored(storage)
    assert (after.fired, after.next_at) == (2, None)


async def test_without_overlap_a_slot_waits_for_nobody_and_is_left_out(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(overlap=Overlap.SKIP, limit=2), now=START)
    await scheduler.tick(START + HOUR)
    [left_out] = await scheduler.tick(START + 2 * HOUR)
    assert left_out.jobs == ()
    await finish_all(storage, START + 2 * HOUR + 1)
    await scheduler.tick(START + 3 * HOUR)
    await scheduler.tick(START + 4 * HOUR)
    # The run that was left out did not use up the limit.
    assert await ran_for(storage) == [START + HOUR, START + 3 * HOUR]
    assert (await stored(storage)).next_at is None


# -- payloads made at each run ---------------------------------------------------------------------------------------


async def test_a_computed_payload_is_made_when_its_run_comes(storage: Storage) -> None:
    numbers = iter(range(10))

    async def later() -> str:
        return f'{{"later":{next(numbers)}}}'

    payloads: dict[tuple[str, str], PayloadFunction] = {
        (QUEUE, "sync"): lambda: f'{{"sync":{next(numbers)}}}',
        (QUEUE, "async"): later,
    }
    scheduler = Scheduler(storage, payloads)
    await scheduler.put(hourly("sync", computed=True), now=START)
    await scheduler.put(hourly("async", computed=True, timing=Cron("30 * * * *")), now=START)
    for half in range(1, 5):
        await scheduler.tick(START + half * HOUR // 2)
    assert [job.data for job in await jobs(storage)] == ['{"later":0}', '{"sync":1}', '{"later":2}', '{"sync":3}']


async def test_a_payload_that_another_application_makes_is_left_to_it(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    await Scheduler(storage).put(hourly(computed=True, owner="shop"), now=START)
    assert await Scheduler(storage, {(QUEUE, "other"): lambda: "1"}).tick(START + HOUR) == []
    assert (await stored(storage)).next_at == START + HOUR
    shop = Scheduler(storage, {(QUEUE, "nightly"): lambda: '{"by":"shop"}'}, owner="shop")
    assert made(await shop.tick(START + HOUR + 5)) == [("nightly", (START + HOUR,))]
    assert caplog.records == []


async def never() -> str:
    await asyncio.Event().wait()
    return "{}"


def broken() -> str:
    raise RuntimeError("no database")


def cancelled() -> str:
    raise asyncio.CancelledError


@pytest.mark.parametrize("payload", [broken, cancelled, never])
async def test_a_payload_that_cannot_be_made_stops_no_other_schedule_and_keeps_its_slot(
    storage: Storage, payload: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corral.scheduler.PATIENCE_S", 0.05)
    answers: list[object] = [payload, lambda: '{"at":"last"}']

    def current() -> str | Awaitable[str]:
        call = answers[0]
        assert callable(call)
        answer: str | Awaitable[str] = call()
        return answer

    scheduler = Scheduler(storage, {(QUEUE, "bad"): current})
    await scheduler.put(hourly("bad", computed=True), now=START)
    await scheduler.put(hourly("good"), now=START)

    assert made(await scheduler.tick(START + HOUR)) == [("good", (START + HOUR,))]
    assert (await stored(storage, "bad")).next_at == START + HOUR
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "schedule 'bad' of queue 'reports' waits" in record.getMessage()
    assert record.exc_info is not None

    del answers[0]
    assert made(await scheduler.tick(START + HOUR + 1)) == [("bad", (START + HOUR,))]
    assert [job.data for job in await jobs(storage)] == ['{"at":"last"}', "{}"]


# -- reconciling -----------------------------------------------------------------------------------------------------


async def test_declaring_the_same_table_at_every_start_changes_nothing(storage: Storage) -> None:
    table = [hourly("a"), hourly("b", timing=Every(600)), hourly("c", timing=Cron("0 3 * * *", tz="Europe/Oslo"))]
    first = await Scheduler(storage, owner="app").reconcile(table, now=START)
    assert first == Reconciled(added=((QUEUE, "a"), (QUEUE, "b"), (QUEUE, "c")))
    before = (await storage.schedules()).items

    later = await Scheduler(storage, owner="app").reconcile(table, now=START + 5 * MINUTE)

    assert later == Reconciled(unchanged=3)
    assert (await storage.schedules()).items == before
    assert [item.next_at for item in before] == [START + HOUR, START + 10 * MINUTE, START + 2 * HOUR]
    assert {item.owner for item in before} == {"app"}


async def test_a_restart_after_the_slot_has_come_does_not_lose_it(storage: Storage) -> None:
    await Scheduler(storage, owner="app").reconcile([hourly()], now=START)
    scheduler = Scheduler(storage, owner="app")
    await scheduler.reconcile([hourly()], now=START + HOUR + 5_000)
    assert made(await scheduler.tick(START + HOUR + 5_000)) == [("nightly", (START + HOUR,))]


async def test_a_changed_timing_holds_from_now_and_a_changed_payload_leaves_the_slot(storage: Storage) -> None:
    scheduler = Scheduler(storage, owner="app")
    await scheduler.reconcile([hourly("a"), hourly("b")], now=START)
    table = [hourly("a", timing=Every(60)), hourly("b", data='{"new":true}')]
    assert await scheduler.reconcile(table, now=START + 7) == Reconciled(changed=((QUEUE, "a"), (QUEUE, "b")))
    assert (await stored(storage, "a")).next_at == START + 7 + MINUTE
    b = await stored(storage, "b")
    assert (b.next_at, b.data) == (START + HOUR, '{"new":true}')


async def test_what_is_no_longer_declared_is_pruned_and_what_others_own_is_not(storage: Storage) -> None:
    await Scheduler(storage, owner="other").reconcile([hourly("theirs")], now=START)
    await Scheduler(storage).put(hourly("persons"), now=START)
    scheduler = Scheduler(storage, owner="app")
    await scheduler.reconcile([hourly("a"), hourly("b"), hourly("a", queue="mail")], now=START)

    kept = await scheduler.reconcile([hourly("a")], prune=False, now=START)
    pruned = await scheduler.reconcile([hourly("a")], now=START)

    assert kept == Reconciled(unchanged=1)
    assert sorted(pruned.removed) == [("mail", "a"), (QUEUE, "b")]
    assert [item.key for item in (await storage.schedules()).items] == ["a", "persons", "theirs"]
    assert await Scheduler(storage).reconcile([], now=START) == Reconciled()
    assert (await storage.schedules()).total == 3


async def test_a_pause_outlives_a_restart(storage: Storage) -> None:
    scheduler = Scheduler(storage, owner="app")
    await scheduler.reconcile([hourly()], now=START)
    await scheduler.pause(QUEUE, "nightly", now=START)
    await scheduler.reconcile([hourly(data='{"new":1}')], now=START + 1)
    after = await stored(storage)
    assert (after.paused, after.data) == (True, '{"new":1}')
    assert await scheduler.tick(START + HOUR) == []


async def test_the_same_key_twice_in_one_queue_is_refused_and_nothing_written(storage: Storage) -> None:
    with pytest.raises(RegistrationError, match="schedule 'nightly' of queue 'reports' is declared twice"):
        await Scheduler(storage, owner="app").reconcile([hourly(), hourly()], now=START)
    assert (await storage.schedules()).total == 0


async def heal(scheduler: Scheduler) -> None:
    assert await scheduler.heal(START + HOUR) == [(QUEUE, "nightly")]


async def declare(scheduler: Scheduler) -> None:
    assert await scheduler.reconcile([hourly()], now=START + HOUR) == Reconciled(changed=((QUEUE, "nightly"),))


@pytest.mark.parametrize("mend", [heal, declare])
async def test_a_schedule_that_lost_its_next_run_gets_one(
    storage: Storage, mend: Callable[[Scheduler], Awaitable[None]]
) -> None:
    scheduler = Scheduler(storage, owner="app")
    await storage.put_schedules([hourly(owner="app"), hourly("ended", limit=0)], now=START)
    await storage.put_schedules([replace(hourly("resting"), paused=True)], now=START)
    assert await scheduler.tick(START + HOUR) == []
    await mend(scheduler)
    assert (await stored(storage)).next_at == START + 2 * HOUR
    assert (await stored(storage, "ended")).next_at is None
    assert (await stored(storage, "resting")).next_at is None


async def test_a_schedule_that_cannot_be_computed_holds_up_no_other_one(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    doomsday = 253_384_000_000_000  # in 9999: a line of every New Year's Day has no run left
    bad, good = hourly("bad", timing=Cron("0 0 1 1 *")), hourly("good", timing=Every(60))
    scheduler = Scheduler(storage)
    await storage.put_schedules([bad, good], now=START)
    assert await scheduler.heal(doomsday) == [(QUEUE, "good")]
    await storage.put_schedules([replace(item, next_at=doomsday) for item in (bad, good)], now=START)
    assert made(await scheduler.tick(doomsday)) == [("good", (doomsday,))]
    said = [record.getMessage() for record in caplog.records]
    assert ["cannot be armed" in said[0], "'bad' of queue 'reports' waits" in said[1], len(said)] == [True, True, 2]


# -- people ----------------------------------------------------------------------------------------------------------


async def test_a_paused_schedule_does_not_run_and_goes_on_from_when_it_is_resumed(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(missed=Missed.ALL), now=START)
    assert (await scheduler.pause(QUEUE, "nightly", now=START)).paused
    for hour in (1, 2, 3):
        assert await scheduler.tick(START + hour * HOUR) == []
    resumed = await scheduler.resume(QUEUE, "nightly", now=START + 3 * HOUR + 1)
    assert (resumed.paused, resumed.next_at) == (False, START + 4 * HOUR)
    await scheduler.tick(START + 4 * HOUR)
    assert await ran_for(storage) == [START + 4 * HOUR]


async def test_resuming_what_runs_leaves_its_slot(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(), now=START)
    assert (await scheduler.resume(QUEUE, "nightly", now=START + 5 * HOUR)).next_at == START + HOUR


async def test_a_run_now_is_beside_the_cadence(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(data='{"a":1}'), now=START)
    now = START + 7 * MINUTE
    added = await scheduler.run_now(QUEUE, "nightly", now=now)
    await scheduler.pause(QUEUE, "nightly", now=now)
    again = await scheduler.run_now(QUEUE, "nightly", now=now)
    assert added.fresh
    assert again.fresh
    found = await jobs(storage)
    assert {job.id for job in found} == {added.id, again.id}
    assert {(job.data, job.schedule, job.scheduled_for) for job in found} == {('{"a":1}', "nightly", now)}
    after = await stored(storage)
    assert (after.next_at, after.fired) == (START + HOUR, 0)


async def test_a_run_now_makes_its_payload_or_says_who_can(storage: Storage) -> None:
    shop = Scheduler(storage, {(QUEUE, "nightly"): lambda: '{"fresh":1}'}, owner="shop")
    await shop.reconcile([hourly(computed=True)], now=START)
    with pytest.raises(ConfigError, match="makes its payload in application 'shop'"):
        await Scheduler(storage).run_now(QUEUE, "nightly", now=START)
    await shop.run_now(QUEUE, "nightly", now=START)
    assert [job.data for job in await jobs(storage)] == ['{"fresh":1}']


async def test_the_same_key_again_is_an_update(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(timing=Cron("0 8 * * 1")), now=START)
    updated = await scheduler.put(hourly(timing=Cron("0 9 * * 1")), now=START)
    assert (await storage.schedules()).items == (updated,)
    assert updated.timing == Cron("0 9 * * 1")


async def test_an_edit_during_a_run_holds_for_the_next_slot_and_adds_no_stray_job(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(), now=START)
    await scheduler.tick(START + HOUR)
    edited = await scheduler.edit(hourly(timing=Cron("30 * * * *")), now=START + HOUR + 1)
    slot = START + HOUR + HOUR // 2
    assert (edited.next_at, edited.fired) == (slot, 1)
    await finish_all(storage, START + HOUR + 2)
    assert await scheduler.tick(slot - 1) == []
    await scheduler.tick(slot)
    assert await ran_for(storage) == [START + HOUR, slot]


async def test_a_dropped_schedule_runs_no_more_and_its_jobs_stay(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(), now=START)
    await scheduler.tick(START + HOUR)
    await scheduler.drop(QUEUE, "nightly")
    assert await scheduler.tick(START + 2 * HOUR) == []
    assert await ran_for(storage) == [START + HOUR]


async def test_an_unknown_schedule_is_answered_with_the_nearest_one(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(), now=START)
    for call in (scheduler.pause, scheduler.resume, scheduler.run_now, scheduler.drop, scheduler.get):
        with pytest.raises(ScheduleNotFoundError, match="'nihgtly' does not exist; did you mean 'nightly'"):
            await call(QUEUE, "nihgtly")
    with pytest.raises(ScheduleNotFoundError):
        await scheduler.edit(hourly("other"))
    with pytest.raises(ScheduleNotFoundError):
        await scheduler.get("mail", "nightly")


# -- running ---------------------------------------------------------------------------------------------------------


async def test_the_loop_fires_by_the_clock_until_it_is_stopped(storage: Storage) -> None:
    scheduler = Scheduler(storage)
    await scheduler.put(hourly(timing=Every(0.1)))
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler.run(stop))
    cursor, added = NOW, 0
    async with asyncio.timeout(10):
        while added < 3:
            events, cursor = await storage.events(QUEUE, after=cursor, timeout=5)
            added += sum(event.type is EventType.ADDED for event in events)
    stop.set()
    async with asyncio.timeout(1):
        await running
    slots = [job.scheduled_for or 0 for job in await jobs(storage)]
    anchor = (await stored(storage)).anchor_at
    assert len(set(slots)) == len(slots)
    assert all((slot - anchor) % 100 == 0 for slot in slots)


async def test_the_loop_heals_what_it_finds_and_lets_a_broken_schedule_rest(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    await storage.put_schedules([hourly("lost", timing=Every(0.1))])
    scheduler = Scheduler(storage, {(QUEUE, "bad"): broken})
    await scheduler.put(hourly("bad", timing=Every(0.1), computed=True))
    stop = asyncio.Event()
    running = asyncio.create_task(scheduler.run(stop))
    cursor, added = NOW, 0
    async with asyncio.timeout(10):
        while added < 4:
            events, cursor = await storage.events(QUEUE, after=cursor, timeout=5)
            added += sum(event.type is EventType.ADDED for event in events)
    stop.set()
    await running
    assert {job.schedule for job in await jobs(storage)} == {"lost"}
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


async def test_the_loop_waits_for_a_store_that_cannot_be_reached(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("corral.scheduler.POLL_S", 0.05)
    warned = asyncio.Event()
    caplog.handler.addFilter(lambda record: warned.set() or True)  # type: ignore[func-returns-value]
    store = connect(url)
    async with store:
        await Scheduler(store).put(hourly(timing=Every(0.1)))
    stop = asyncio.Event()
    running = asyncio.create_task(Scheduler(store).run(stop))
    async with asyncio.timeout(10):
        await warned.wait()
        async with store:
            events, _ = await store.events(QUEUE, after=OLDEST, timeout=5)
            stop.set()
            await running
    assert caplog.records[0].getMessage().startswith("schedules wait for the store: ")
    assert EventType.ADDED in {event.type for event in events}
