"""Schedules as an application declares them: stored at start, fired by the clock, run by workers."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest

from corral import Corral, Cron, EventType, Every, JobContext, JobState, Missed, Overlap
from corral.errors import ConfigError, PayloadError, RegistrationError, ScheduleNotFoundError
from corral.schedule import Schedule
from corral.testing import FakeClock, assert_added, drain, fire_schedules
from tests.engine.helpers import next_event, on_clock, work_off, working

#: What a run saw: its slot and its payload.
Run: TypeAlias = tuple[datetime | None, dict[str, Any]]
#: A Sunday, 00:00.
START = datetime(2026, 3, 1, tzinfo=UTC)


def metrics(url: str, **keywords: Any) -> tuple[Corral, Any, list[Run]]:
    """An application with one job that keeps its payload and the slot it ran for."""
    app = Corral(url, **keywords)
    seen: list[Run] = []

    @app.queue("metrics").job("engagement-metrics")
    async def engagement(ctx: JobContext, data: dict[str, Any]) -> None:
        seen.append((ctx.scheduled_for, data))

    return app, engagement, seen


async def stored(app: Corral) -> list[Schedule]:
    return list((await (await app.open()).schedules()).items)


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-24")
async def test_m_ts_24_a_schedule_is_a_key_a_timing_a_job_and_its_data(local_url: str) -> None:
    app, engagement, _ = metrics(local_url)
    app.schedule("hourly", Cron("0 * * * *"), engagement, {"organizationId": "all"}, attempts=4, priority=2)
    async with app:
        await app.sync_schedules()
        [schedule] = await stored(app)
    assert (schedule.key, schedule.queue, schedule.name, schedule.timing, schedule.data) == (
        "hourly", "metrics", "engagement-metrics", Cron("0 * * * *"), '{"organizationId":"all"}',
    )  # fmt: skip
    assert (schedule.options.attempts, schedule.priority, schedule.owner) == (4, 2, "app")


@pytest.mark.mission("M-TS-25")
async def test_m_ts_25_the_daily_metrics_come_at_one_every_night(local_url: str) -> None:
    app, engagement, seen = metrics(local_url)
    app.schedule("daily-engagement-metrics", Cron("0 1 * * *"), engagement, {"period": "daily"})
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        for _ in range(3):
            clock.advance(timedelta(days=1))
            await fire_schedules(app)
            await drain(app)
    assert seen == [(START + timedelta(days=day, hours=1), {"period": "daily"}) for day in range(3)]


@pytest.mark.mission("M-TS-26", "M-AI-34")
async def test_m_ts_26_the_weekly_reports_come_on_monday_at_nine_in_the_zone_of_the_schedule(local_url: str) -> None:
    app, report, seen = metrics(local_url)
    app.schedule("weekly-team-reports", Cron("0 9 * * 1", tz="Europe/Oslo"), report, {})
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        for _ in range(5):
            clock.advance(timedelta(days=7))
            await fire_schedules(app)
            await drain(app)
    # Oslo changes to summer time on 29 March.
    assert [slot for slot, _ in seen] == [datetime(2026, 3, day, 8, tzinfo=UTC) for day in (2, 9, 16, 23)] + [
        datetime(2026, 3, 30, 7, tzinfo=UTC)
    ]


@pytest.mark.mission("M-TS-27", "M-BI-24")
async def test_m_ts_27_registering_the_table_at_every_boot_is_idempotent_replaces_and_prunes(url: str) -> None:
    async def boot(table: dict[str, str], **keywords: Any) -> dict[str, Schedule]:
        app, engagement, _ = metrics(url)
        for key, line in table.items():
            app.schedule(key, Cron(line), engagement, {"key": key})
        async with app:
            await app.sync_schedules(**keywords)
            return {schedule.key: schedule for schedule in await stored(app)}

    first = await boot({"daily": "0 1 * * *", "weekly": "0 9 * * 1"})
    assert await boot({"daily": "0 1 * * *", "weekly": "0 9 * * 1"}) == first
    changed = await boot({"daily": "0 2 * * *", "weekly": "0 9 * * 1"})
    assert changed["daily"].timing == Cron("0 2 * * *")
    assert changed["daily"].next_at != first["daily"].next_at
    assert changed["weekly"] == first["weekly"]
    assert list(await boot({"daily": "0 2 * * *"}, prune=False)) == ["daily", "weekly"]
    assert list(await boot({"daily": "0 2 * * *"})) == ["daily"]


async def test_schedules_of_people_and_of_other_applications_are_not_pruned(url: str) -> None:
    billing, bill, _ = metrics(url, name="billing")
    billing.schedule("invoices", Every(3600), bill, {})
    app, engagement, _ = metrics(url, name="team")
    app.schedule("metrics", Every(60), engagement, {})
    async with billing, app:
        await billing.sync_schedules()
        await app.scheduler(await app.open()).put(
            Schedule(key="by-hand", queue="metrics", name="engagement-metrics", timing=Every(60))
        )
        await app.sync_schedules()
        await billing.sync_schedules()
        assert [schedule.key for schedule in await stored(app)] == ["by-hand", "invoices", "metrics"]


async def test_a_worker_stores_the_table_and_fires_it(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("tick")
    async def tick(ctx: JobContext) -> str:
        return str(ctx.scheduled_for)

    app.schedule("ticker", Every(0.1), tick)
    async with working(app):
        live = await queue.open()
        first = await next_event(live, EventType.COMPLETED)
        second = await next_event(live, EventType.COMPLETED, after=first.cursor)
    jobs = [await live.get(str(event.job_id)) for event in (first, second)]
    assert [job.schedule for job in jobs] == ["ticker", "ticker"]
    apart = (jobs[1].scheduled_for or 0) - (jobs[0].scheduled_for or 0)
    assert (apart > 0, apart % 100) == (True, 0)


async def test_a_worker_that_runs_no_schedules_leaves_the_table_alone(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("tick")
    async def tick() -> None: ...

    app.schedule("ticker", Every(0.1), tick)
    await work_off(app, run_schedules=False)
    assert await stored(app) == []


# -- what becomes of a slot --------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-37")
async def test_a_computed_payload_is_made_anew_for_each_run(local_url: str) -> None:
    app, engagement, seen = metrics(local_url)
    numbers = iter(range(10))
    app.schedule("counted", Every(60), engagement, lambda: {"number": next(numbers)})
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        for _ in range(3):
            clock.advance(60)
            await fire_schedules(app)
            await drain(app)
    assert [data for _, data in seen] == [{"number": 0}, {"number": 1}, {"number": 2}]


async def test_a_computed_payload_that_is_refused_keeps_its_slot_and_stops_no_other(
    local_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, engagement, seen = metrics(local_url)
    payloads: list[Any] = ["no dict", {"now": "right"}]
    app.schedule("broken", Every(60), engagement, lambda: payloads.pop(0))
    app.schedule("whole", Every(60), engagement, {"whole": True})
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        clock.advance(60)
        assert [job.schedule for job in await fire_schedules(app)] == ["whole"]
        assert "schedule 'broken'" in caplog.text
        clock.advance(10)
        assert [job.schedule for job in await fire_schedules(app)] == ["broken"]
        await drain(app)
    assert seen == [
        (START + timedelta(seconds=60), {"whole": True}), (START + timedelta(seconds=60), {"now": "right"}),
    ]  # fmt: skip


async def test_without_overlap_a_slot_is_left_out_while_the_previous_run_is_not_over(local_url: str) -> None:
    app, engagement, seen = metrics(local_url)
    app.schedule("slow", Every(60), engagement, {}, overlap=Overlap.SKIP)
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        clock.advance(60)
        assert len(await fire_schedules(app)) == 1
        clock.advance(60)
        assert await fire_schedules(app) == []
        await drain(app)
        clock.advance(60)
        assert len(await fire_schedules(app)) == 1
        await drain(app)
    assert [slot for slot, _ in seen] == [START + timedelta(minutes=1), START + timedelta(minutes=3)]


@pytest.mark.parametrize(("missed", "hours"), [(Missed.SKIP, []), (Missed.ONCE, [6]), (Missed.ALL, [1, 2, 3, 4, 5, 6])])
async def test_the_policy_decides_about_slots_that_nobody_served(
    local_url: str, missed: Missed, hours: list[int]
) -> None:
    app, engagement, seen = metrics(local_url)
    app.schedule("hourly", Cron("0 * * * *"), engagement, {}, missed=missed)
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        clock.advance(timedelta(hours=6, minutes=30))
        await fire_schedules(app)
        await drain(app)
    assert [slot for slot, _ in seen] == [START + timedelta(hours=hour) for hour in hours]


async def test_a_schedule_keeps_to_its_start_its_end_and_its_limit(local_url: str) -> None:
    app, engagement, seen = metrics(local_url)
    app.schedule("window", Every(3600), engagement, {"which": "window"}, start=START + timedelta(hours=2, minutes=5),
                 end=START + timedelta(hours=4, minutes=5), missed=Missed.ALL)  # fmt: skip
    app.schedule("twice", Every(3600), engagement, {"which": "twice"}, limit=2)
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        for _ in range(8):
            clock.advance(3600)
            await fire_schedules(app)
            await drain(app)
    slots = {which: [slot for slot, data in seen if data == {"which": which}] for which in ("window", "twice")}
    assert slots["window"] == [START + timedelta(hours=hour, minutes=5) for hour in (2, 3, 4)]
    assert slots["twice"] == [START + timedelta(hours=hour) for hour in (1, 2)]


async def test_the_jobs_of_a_schedule_carry_its_options(local_url: str) -> None:
    app, engagement, _ = metrics(local_url)
    app.schedule("urgent", Every(60), engagement, {"a": 1}, priority=1, attempts=5, timeout=30)
    clock = FakeClock(START)
    async with on_clock(app, clock=clock):
        clock.advance(60)
        await fire_schedules(app)
        [job] = await assert_added(app, engagement, priority=1, attempts=5, schedule="urgent", data={"a": 1})
    assert job.options.timeout_ms == 30_000


# -- by hand -----------------------------------------------------------------------------------------------------------


async def test_run_now_adds_a_job_beside_the_cadence_and_a_pause_stops_only_that(url: str) -> None:
    app, engagement, _ = metrics(url)
    app.schedule("hourly", Cron("0 * * * *"), engagement, lambda: {"made": "now"})
    async with app:
        await app.sync_schedules()
        scheduler = app.scheduler(await app.open())
        before = await scheduler.get("metrics", "hourly")
        await scheduler.pause("metrics", "hourly")
        added = await scheduler.run_now("metrics", "hourly")
        job = await (await app.open_queue("metrics")).get(added.id)
        assert (job.state, job.data, job.schedule) == (JobState.WAITING, '{"made":"now"}', "hourly")
        await app.sync_schedules()  # a restart does not lift the pause
        assert (await scheduler.get("metrics", "hourly")).paused
        resumed = await scheduler.resume("metrics", "hourly")
    assert (resumed.next_at, resumed.fired) == (before.next_at, before.fired)


async def test_an_unknown_schedule_is_answered_with_the_nearest_one(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("tick")
    async def tick() -> None: ...

    app.schedule("nightly-report", Every(60), tick)
    await app.sync_schedules()
    with pytest.raises(ScheduleNotFoundError, match="did you mean 'nightly-report'"):
        await app.scheduler(await app.open()).run_now("work", "nightly-reports")


# -- declared badly ----------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Any, dict[str, Any], type[Exception]]] = {
    "no timing": ("0 1 * * *", {}, ConfigError),
    "limit 0": (Every(60), {"limit": 0}, ConfigError),
    "naive start": (Every(60), {"start": datetime(2026, 1, 1)}, ConfigError),  # noqa: DTZ001  # what is refused
    "unknown option": (Every(60), {"colour": "red"}, ConfigError),
    "attempts 0": (Every(60), {"attempts": 0}, ConfigError),
    "unknown policy": (Every(60), {"missed": "sometimes"}, ConfigError),
    "unknown overlap": (Every(60), {"overlap": "queue"}, ConfigError),
    "a delay": (Every(60), {"delay": 60}, ConfigError),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_meant_is_refused_where_it_is_declared(local_url: str, what: str) -> None:
    timing, options, error = BAD[what]
    app, engagement, _ = metrics(local_url)
    with pytest.raises(error):
        app.schedule("bad", timing, engagement, {}, **options)
    assert len(app.schedules) == 0


def test_a_payload_that_the_job_refuses_is_refused_when_the_schedule_is_declared(local_url: str) -> None:
    app, engagement, _ = metrics(local_url)
    with pytest.raises(PayloadError):
        app.schedule("bad", Every(60), engagement, [1, 2])
    with pytest.raises(PayloadError):
        app.schedule("bad", Every(60), engagement, {"x": float("nan")})
    assert len(app.schedules) == 0


def test_a_key_is_declared_once(local_url: str) -> None:
    app, engagement, _ = metrics(local_url)
    app.schedule("hourly", Every(3600), engagement, {})
    with pytest.raises(RegistrationError, match="declared already"):
        app.schedule("hourly", Every(60), engagement, {})
