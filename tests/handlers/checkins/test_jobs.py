"""The check-in jobs on a real store and both kinds of database."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.handlers.checkins import SCHEMA, Checkins, CheckinsSettings, Insight, ProcessCheckin, bundle
from corral.handlers.kit.database import Database
from corral.options import Exponential
from corral.signals import Discard
from corral.storage.port import Storage
from tests.handlers.databases import differences, opened_at_once
from tests.handlers.desk import Desk

DAY = date(2025, 3, 30)


class Ear:
    """Hears what is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []
        self.deaf = False

    async def __call__(self, id: str, insight: Insight) -> object:
        if self.deaf:
            raise ConnectionError("nobody listens")
        self.heard.append((id, insight.kind, insight.subject))
        return None


@pytest.fixture
async def database(app_database: str) -> AsyncIterator[Database]:
    """An open database."""
    made = Database(app_database)
    async with made:
        yield made


@pytest.fixture
def ear() -> Ear:
    """Who is told."""
    return Ear()


@pytest.fixture
def desk(memory: Storage, database: Database, ear: Ear) -> Desk:
    """A worker's desk for the jobs."""
    return Desk.of(memory, bundle(database=database, tell=ear))


def checkin(day: date | None = DAY, mood: int = 4, person: str = "ann", **more: object) -> Mapping[str, object]:
    facts: dict[str, object] = {"organizationId": "org", "personId": person, "mood": mood, **more}
    return facts if day is None else {**facts, "day": day.isoformat()}


# -- tables ------------------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["checkins_0001"] * 4


# -- checkin -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-07")
async def test_a_check_in_is_kept_and_compared_with_the_week_before(desk: Desk) -> None:
    results = []
    for weeks, mood in ((0, 2), (1, 4), (2, 4), (3, 1)):
        results.append(await desk.send(checkin(DAY + timedelta(7 * weeks), mood), "checkin"))
    assert [(one["mood"], one["trend"]) for one in results] == [
        (2.0, "new"), (4.0, "up"), (4.0, "steady"), (1.0, "down"),
    ]  # fmt: skip


async def test_what_was_answered_is_kept_with_it(desk: Desk, database: Database) -> None:
    answers = [{"question": "What was good?", "answer": "The demo"}]
    await desk.send(checkin(answers=answers, comment="Fine", teamId="red", goalsPlanned=3, goalsDone=2), "checkin")
    [reply] = await Checkins(database).replies("org", DAY, 1)
    assert reply == ("ann", DAY, 4, 3, 2, "red")


async def test_a_second_check_in_of_the_day_replaces_the_first(desk: Desk, database: Database) -> None:
    await desk.send(checkin(mood=1), "checkin")
    assert (await desk.send(checkin(mood=5), "checkin"))["mood"] == 5.0
    assert len(await Checkins(database).replies("org", DAY, 7)) == 1


async def test_a_job_that_runs_again_does_not_undo_a_correction_that_was_sent_after_it(database: Database) -> None:
    store = Checkins(database)
    wrong, right = (ProcessCheckin(organization_id="org", person_id="ann", mood=mood) for mood in (1, 5))
    assert await store.record(wrong, DAY, job="1", sent_at=1_000)
    assert await store.record(right, DAY, job="2", sent_at=2_000)
    assert not await store.record(wrong, DAY, job="1", sent_at=1_000)
    assert [reply.mood for reply in await store.replies("org", DAY, 1)] == [5]


async def test_without_a_day_it_is_about_the_day_it_was_sent_in_the_time_zone_of_the_settings(
    memory: Storage, database: Database
) -> None:
    settings = CheckinsSettings.load(checkins_time_zone="Pacific/Kiritimati")  # 14 hours before UTC
    desk = Desk.of(memory, bundle(settings, database=database))
    ctx = await desk.begin(checkin(None), "checkin")
    await desk.run(ctx)
    sent = datetime.fromtimestamp(ctx.job.created_at / 1000, settings.zone).date()
    assert [reply.day for reply in await Checkins(database).replies("org", sent, 1)] == [sent]


async def test_a_day_that_is_still_to_come_is_refused_for_good(desk: Desk) -> None:
    with pytest.raises(Discard, match="still to come"):
        await desk.send(checkin(datetime.now(UTC).date() + timedelta(3)), "checkin")


async def test_people_and_organizations_are_kept_apart(desk: Desk, database: Database) -> None:
    await desk.send(checkin(mood=1), "checkin")
    await desk.send(checkin(mood=5, person="bo"), "checkin")
    await desk.send({**checkin(mood=3), "organizationId": "other"}, "checkin")
    assert [reply.mood for reply in await Checkins(database).replies("org", DAY, 1, person="bo")] == [5]
    assert len(await Checkins(database).replies("other", DAY, 1)) == 1


# -- insights ----------------------------------------------------------------------------------------------------------


async def low_days(desk: Desk, count: int = 3, person: str = "ann") -> list[list[str]]:
    found = []
    for back in range(count - 1, -1, -1):
        result = await desk.send(checkin(DAY - timedelta(back), 1, person), "checkin")
        found.append(result["insights"])
    return found


@pytest.mark.mission("M-TS-07")
async def test_the_third_low_day_is_told_and_the_next_ones_are_not(desk: Desk, ear: Ear) -> None:
    assert await low_days(desk, 5) == [[], [], ["low-mood"], [], []]
    assert [heard[1:] for heard in ear.heard] == [("low-mood", "ann")]


async def test_a_check_in_that_comes_late_does_not_say_it_again(desk: Desk, ear: Ear) -> None:
    await low_days(desk, 4)
    assert (await desk.send(checkin(DAY - timedelta(4), 1), "checkin"))["insights"] == []
    assert len(ear.heard) == 1


async def test_after_the_quiet_time_it_is_said_again(desk: Desk, ear: Ear) -> None:
    await low_days(desk, 12)
    assert [heard[1] for heard in ear.heard] == ["low-mood", "low-mood"]
    assert len({heard[0] for heard in ear.heard}) == 2


async def test_a_run_that_died_before_it_told_is_made_up_for_by_the_next(desk: Desk, ear: Ear) -> None:
    for back in (2, 1):
        await desk.send(checkin(DAY - timedelta(back), 1), "checkin")
    ear.deaf = True
    ctx = await desk.begin(checkin(DAY, 1), "checkin")
    with pytest.raises(ConnectionError):
        await desk.run(ctx)
    ear.deaf = False
    again = await desk.run(await desk.retry(ctx))
    assert (again["insights"], len(ear.heard)) == (["low-mood"], 1)


async def test_an_insight_is_told_under_the_same_id_by_every_run(desk: Desk, ear: Ear, database: Database) -> None:
    await low_days(desk)
    [insight] = await Checkins(database).insights("org")
    assert ear.heard == [(f"insight-{insight.id}", "low-mood", "ann")]


@pytest.mark.mission("M-TS-07")
async def test_looking_at_everybody_finds_what_no_single_check_in_shows(desk: Desk) -> None:
    for person in ("ann", "bo", "cy"):
        for back in (3, 2, 1):
            await desk.send(checkin(DAY - timedelta(back), 2, person, teamId="red"), "checkin")
    for back in range(20, 8, -1):
        await desk.send(checkin(DAY - timedelta(back), 4, "dee"), "checkin")
    ctx = await desk.begin({"organizationId": "org", "day": DAY.isoformat()}, "checkin-insights")
    result = await desk.run(ctx)
    assert result["replies"] == 21
    assert sorted(result["insights"]) == ["silence", "team-low-mood", "team-low-mood"]
    assert (await desk.run(await desk.retry(ctx)))["insights"] == []


# -- trends ------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-07")
async def test_the_moods_of_a_team_are_followed_week_by_week_and_kept(desk: Desk, database: Database) -> None:
    for week, mood in enumerate((2, 3, 4)):
        for person in ("ann", "bo", "cy"):
            await desk.send(checkin(DAY - timedelta(7 * (2 - week)), mood, person, teamId="red"), "checkin")
    asked = {"organizationId": "org", "teamId": "red", "day": DAY.isoformat(), "weeks": 3}
    result = await desk.send(asked, "mood-trends")
    assert (result["trend"], result["perWeek"]) == ("up", 1.0)
    assert [(week["mood"], week["people"]) for week in result["weeks"]] == [(2.0, 3), (3.0, 3), (4.0, 3)]
    await desk.send(asked, "mood-trends")
    assert [week.mood for week in await Checkins(database).moods("org", "red")] == [2.0, 3.0, 4.0]


async def test_the_mood_of_too_few_people_is_not_told(desk: Desk) -> None:
    await desk.send(checkin(), "checkin")
    result = await desk.send({"organizationId": "org", "day": DAY.isoformat(), "weeks": 2}, "mood-trends")
    assert (result["trend"], [week["mood"] for week in result["weeks"]]) == ("unknown", [None, None])


# -- the bundle --------------------------------------------------------------------------------------------------------


def test_the_jobs_have_three_attempts(tmp_path: object) -> None:
    made = bundle(database=Database("sqlite:///app.db"))
    assert (made.queue, [one.name for one in made]) == (
        "process-checkin",
        ["checkin", "process-checkin", "mood-trends", "checkin-insights"],
    )
    assert {(one.handler.options.attempts, one.handler.options.backoff) for one in made} == {(3, Exponential(2))}


def test_a_payload_is_refused_with_every_complaint() -> None:
    app = Corral("sqlite:///:memory:")
    queue = app.include(bundle(database=Database("sqlite:///app.db")))
    with pytest.raises(PayloadError) as caught:
        queue.definition("checkin").new({"organizationId": "org", "day": "yesterday", "mood": 6, "smile": True})
    assert [error.partition(":")[0] for error in caught.value.errors] == ["personId", "day", "mood", "smile"]


def test_names_may_be_written_as_in_python() -> None:
    assert ProcessCheckin.model_validate({"organization_id": "o", "person_id": "p", "mood": 3}).organization_id == "o"


def test_what_somebody_wrote_shows_in_no_representation() -> None:
    written = ProcessCheckin.model_validate(
        {**checkin(), "comment": "hush", "answers": [{"question": "Why?", "answer": "hush"}]}
    )
    assert "hush" not in repr(written)


@pytest.mark.parametrize(
    ("name", "value"), [("checkins_time_zone", "Mars/Olympus"), ("checkins_low_mood", 9), ("checkins_min_group", 0)]
)
def test_settings_that_cannot_be_meant_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        CheckinsSettings.load(**{name: value})


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKINS_LOW_MOOD", "2.5")
    assert CheckinsSettings.load().checkins_low_mood == 2.5
