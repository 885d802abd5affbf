"""The metrics jobs on a real store and both kinds of database."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.handlers.kit.database import Database
from corral.handlers.metrics import (
    METRIC_JOBS,
    SCHEMA,
    Activity,
    ActivityLog,
    CalculateMetrics,
    Facts,
    Figures,
    MetricsSettings,
    Span,
    bundle,
)
from corral.options import Exponential
from corral.schedule import Cron
from corral.storage.port import Storage
from corral.testing import FakeClock, app_in_memory, drain, fire_schedules
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.desk import Desk

WEEK = Span(date(2025, 3, 24), date(2025, 3, 30))


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database."""
    made = Database(app_database)
    async with made:
        yield made


@pytest.fixture
def desk(memory: Storage, database: Database) -> Desk:
    """A worker's desk for the jobs."""
    return Desk.of(memory, bundle(database=database))


def activity(person: str, kind: str, day: date = WEEK.first, **more: object) -> Mapping[str, object]:
    return {"organizationId": "org", "personId": person, "kind": kind, "day": day.isoformat(), **more}


def asked(metric: str, period: str = "weekly", day: date | None = WEEK.last, **more: object) -> Mapping[str, object]:
    facts: dict[str, object] = {"organizationId": "org", "metricType": metric, "period": period, **more}
    return facts if day is None else {**facts, "day": day.isoformat()}


async def a_week(desk: Desk) -> None:
    """Three people check in, one plans, one praises; and in the week before one of them was there."""
    for person, mood in (("ann", 5), ("bo", 4), ("cy", 3)):
        await desk.send(activity(person, "check-in", value=mood, teamId="red"), "record-activity")
    await desk.send(activity("ann", "goal-planned", WEEK.last, count=4), "record-activity")
    await desk.send(activity("ann", "goal-done", WEEK.last, count=3), "record-activity")
    await desk.send(activity("bo", "check-in", WEEK.first - timedelta(1), value=1), "record-activity")


# -- tables ------------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["metrics_0001"] * 4


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-08")
@pytest.mark.parametrize(
    ("metric", "value", "previous"),
    [("engagement", 1.0, 1.0), ("performance", 0.75, None), ("satisfaction", 4.0, None)],
)
async def test_each_figure_is_calculated_from_what_people_did_and_kept(
    desk: Desk, database: Database, metric: str, value: float, previous: float | None
) -> None:
    await a_week(desk)
    result = await desk.send(asked(metric), f"{metric}-metrics")
    assert (result["value"], result["previous"], result["firstDay"], result["lastDay"]) == (
        value, previous, "2025-03-24", "2025-03-30",
    )  # fmt: skip
    [kept] = await Figures(database).history("org", metric, "weekly")  # type: ignore[arg-type]
    assert (kept.figure.value, kept.previous, kept.span) == (value, previous, WEEK)
    assert dict(kept.figure.parts) == result["parts"]


async def test_a_figure_that_is_calculated_again_replaces_the_one_there_was(desk: Desk, database: Database) -> None:
    await a_week(desk)
    await desk.send(asked("performance"), "performance-metrics")
    await desk.send(activity("ann", "goal-done", WEEK.last), "record-activity")
    await desk.send(asked("performance"), "performance-metrics")
    assert [one.figure.value for one in await Figures(database).history("org", "performance", "weekly")] == [1.0]


@pytest.mark.parametrize(("period", "checkins"), [("daily", 3), ("weekly", 3), ("monthly", 4)])
async def test_a_figure_is_about_a_day_a_week_or_a_month(desk: Desk, period: str, checkins: int) -> None:
    await a_week(desk)
    result = await desk.send(asked("engagement", period, WEEK.first), "engagement-metrics")
    assert result["parts"]["checkIns"] == checkins


async def test_a_team_s_figure_is_of_that_team(desk: Desk, database: Database) -> None:
    await a_week(desk)
    await desk.send(activity("dee", "check-in", value=1, teamId="blue"), "record-activity")
    result = await desk.send(asked("satisfaction", teamId="red"), "satisfaction-metrics")
    assert result["value"] == 4.0
    assert await Figures(database).history("org", "satisfaction", "weekly") == []
    assert len(await Figures(database).history("org", "satisfaction", "weekly", team="red")) == 1


async def test_history_is_told_oldest_first(desk: Desk, database: Database) -> None:
    await a_week(desk)
    for back in (0, 14, 7):
        await desk.send(asked("engagement", day=WEEK.last - timedelta(back)), "engagement-metrics")
    kept = await Figures(database).history("org", "engagement", "weekly", limit=2)
    assert [one.span.first for one in kept] == [WEEK.first - timedelta(7), WEEK.first]


async def test_why_there_is_no_value_is_said(desk: Desk) -> None:
    result = await desk.send(asked("performance"), "performance-metrics")
    assert (result["value"], result["change"], result["note"]) == (None, None, "no goals were planned")


async def test_people_who_were_not_active_lately_are_no_longer_among_the_people(desk: Desk) -> None:
    await a_week(desk)
    await desk.send(activity("old", "check-in", WEEK.last - timedelta(90)), "record-activity")
    await desk.send(activity("away", "check-in", WEEK.last - timedelta(89)), "record-activity")
    assert (await desk.send(asked("engagement"), "engagement-metrics"))["parts"]["people"] == 4


async def test_a_head_count_of_the_application_s_own_says_how_many_people_there_are(database: Database) -> None:
    async def ten(organization: str, team: str | None) -> int:
        return {("org", "red"): 10}[organization, str(team)]

    assert (await ActivityLog(database, people=ten).facts("org", "red", WEEK)).people == 10


# -- activities --------------------------------------------------------------------------------------------------------


async def test_an_activity_whose_job_runs_again_counts_once(desk: Desk, database: Database) -> None:
    ctx = await desk.begin(activity("ann", "kudos-given", count=2), "record-activity")
    await desk.run(ctx)
    await desk.run(await desk.retry(ctx))
    facts = await ActivityLog(database).facts("org", None, WEEK)
    assert facts.activities == [Activity("ann", "kudos-given", 2, None)]


async def test_activities_of_a_kind_are_summed_by_person_and_score(desk: Desk, database: Database) -> None:
    for mood in (3, 3, 5):
        await desk.send(activity("ann", "check-in", value=mood), "record-activity")
    facts = await ActivityLog(database).facts("org", None, WEEK)
    assert sorted((one.count, one.value) for one in facts.activities) == [(1, 5.0), (2, 3.0)]


# -- the bundle --------------------------------------------------------------------------------------------------------


class Fixed:
    """A source of the application's own."""

    async def facts(self, organization: str, team: str | None, span: Span) -> Facts:
        """The same every week."""
        return Facts(span, 2, [Activity("ann", "check-in", 1, 4.0)])


async def test_a_source_of_the_application_s_own_takes_the_place_of_the_log(
    memory: Storage, database: Database
) -> None:
    made = bundle(database=database, source=Fixed())
    assert tuple(one.name for one in made) == METRIC_JOBS
    result = await Desk.of(memory, made).send(asked("engagement"), "engagement-metrics")
    assert (result["value"], result["change"]) == (0.5, 0.0)


async def test_a_schedule_s_slot_decides_the_day_however_late_it_runs() -> None:
    clock = FakeClock(datetime(2026, 3, 1, 0, 59, tzinfo=UTC))
    app = Corral("sqlite:///:memory:")
    settings = MetricsSettings.load(metrics_time_zone="America/New_York")  # where it is still the evening before
    database = Database("sqlite:///app.db")
    queue = app.include(bundle(settings, database=database, source=Fixed()))
    database.attach(app)
    job = queue.definition("engagement-metrics")
    data = CalculateMetrics(organization_id="org", metric_type="engagement", period="daily")
    app.schedule("daily", Cron("0 1 * * *"), job, data)
    async with app_in_memory(app, clock=clock), database:
        clock.advance(60)
        await fire_schedules(app)
        clock.advance(3 * 86_400)
        await drain(app)
        [kept] = await Figures(database).history("org", "engagement", "daily")
    assert kept.span.first == date(2026, 2, 27)


def test_the_jobs_have_three_attempts() -> None:
    made = bundle(database=Database("sqlite:///app.db"))
    assert (made.queue, [one.name for one in made]) == ("calculate-metrics", [*METRIC_JOBS, "record-activity"])
    assert {(one.handler.options.attempts, one.handler.options.backoff) for one in made} == {(3, Exponential(2))}


@pytest.mark.mission("M-TS-41")
def test_a_payload_is_refused_with_every_complaint() -> None:
    queue = Corral("sqlite:///:memory:").include(bundle(database=Database("sqlite:///app.db")))
    with pytest.raises(PayloadError) as caught:
        queue.definition("engagement-metrics").new({"organizationId": "", "metricType": "joy", "period": "hourly"})
    assert [error.partition(":")[0] for error in caught.value.errors] == ["organizationId", "metricType", "period"]


@pytest.mark.parametrize(
    ("name", "value"), [("metrics_time_zone", "Nowhere"), ("metrics_work_days", []), ("metrics_work_days", [0, 8])]
)
def test_settings_that_cannot_be_meant_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        MetricsSettings.load(**{name: value})


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_WORK_DAYS", "[1, 2, 3, 4]")
    assert MetricsSettings.load().metrics_work_days == {1, 2, 3, 4}
