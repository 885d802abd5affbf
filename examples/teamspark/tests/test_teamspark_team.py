"""What the platform adds to the ready-made handlers: its people, its samples, and who hears of what."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral import Corral, Keep
from corral.handlers.email import EmailSettings
from corral.handlers.kit.database import Database
from corral.handlers.metrics import Span
from corral.handlers.notifications import Inbox
from corral.handlers.reports import Period
from corral.testing import drain
from examples.teamspark import seed
from examples.teamspark.build import add_job, database_of, make_app
from examples.teamspark.payloads import JobType
from examples.teamspark.schedules import ORGANIZATION, TABLE
from examples.teamspark.seed import fill
from examples.teamspark.settings import Settings
from examples.teamspark.tables import SCHEMA, sessions
from examples.teamspark.team import Team
from tests.handlers.databases import differences

TODAY = date(2026, 11, 22)
WEEK = Span(TODAY - timedelta(6), TODAY)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """The platform's data with the samples, open."""
    database = database_of(Settings(teamspark_home=tmp_path), "sqlite:///corral.db")
    Team(database)
    async with database:
        await fill(database, TODAY)
        yield database


@pytest.fixture
async def app(platform_url: str, tmp_path: Path, database: Database) -> AsyncIterator[Corral]:
    """The platform on each engine, open."""
    email = EmailSettings(email_from="TeamSpark <team@example.com>", mail_dir=tmp_path / "mail")
    async with make_app(Settings(url=platform_url, teamspark_home=tmp_path), email=email, database=database) as app:
        yield app


# -- people and samples ------------------------------------------------------------------------------------------------


async def test_the_migrations_make_the_tables_that_are_declared(tmp_path: Path) -> None:
    assert await differences(f"sqlite:///{tmp_path / 'fresh.db'}", SCHEMA) == []


async def test_the_samples_are_the_same_every_time(database: Database) -> None:
    async def everything() -> tuple[object, ...]:
        team = Team(database)
        replies = await team.checkins.replies(ORGANIZATION, TODAY, 30)
        return await team.people(), replies, await team.facts(ORGANIZATION, None, WEEK), len(replies)

    before = await everything()
    assert await fill(database, TODAY) == 5
    assert await everything() == before
    assert before[-1] == 15


async def test_the_seed_writes_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEAMSPARK_HOME", str(tmp_path / "home"))
    await seed.main()
    assert "5 people are in <Database sqlite+aiosqlite:///" in capsys.readouterr().out
    assert (tmp_path / "home" / "team.db").exists()


async def test_people_are_found_with_their_addresses(database: Database) -> None:
    team = Team(database)
    assert await team.addresses(["user-2", "nobody"]) == {"user-2": "Bob <bob@example.com>"}
    found = await team.find(ORGANIZATION, ["user-1", "nobody"])
    assert [(one.name, one.email) for one in found.values()] == [("Alice", "alice@example.com")]
    assert await team.find("another", ["user-1"]) == {}
    assert await team.leads(ORGANIZATION) == ["user-1"]


async def test_facts_are_of_an_organization_or_a_team_of_it(database: Database) -> None:
    team = Team(database)
    facts = await team.facts(ORGANIZATION, None, WEEK)
    assert facts.people == 5
    assert sum(one.count for one in facts.activities if one.kind == "check-in") == 9
    assert (await team.facts(ORGANIZATION, "team-2", WEEK)).activities == []
    assert (await team.facts("another", None, WEEK)).people == 0


async def test_a_report_s_facts_are_told_day_by_day_and_person_by_person(database: Database) -> None:
    found = await Team(database).report(ORGANIZATION, Period(WEEK.first, WEEK.last))
    assert found is not None
    assert (found.people, len(found.days), found.checkins, found.kudos) == (5, 7, 9, 4)
    alice = next(one for one in found.members if one.name == "Alice")
    assert (alice.checkins, alice.kudos_given, alice.kudos_received, alice.goals_done) == (3, 1, 2, 12)
    assert found.highlights == ("Alice was praised 2 times",)
    assert await Team(database).report("another", Period(WEEK.first, WEEK.last)) is None


# -- jobs --------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-07")
async def test_the_lead_hears_once_of_somebody_whose_mood_stays_low(app: Corral, database: Database) -> None:
    today = datetime.now(UTC).date()
    for back in (2, 1, 0):
        day = (today - timedelta(back)).isoformat()
        data = {"organizationId": ORGANIZATION, "personId": "user-2", "day": day, "mood": 1}
        await add_job(app.queues[JobType.PROCESS_CHECKIN], "checkin", data)
        await drain(app)
    notes = [note for note in await Inbox(database).notes(ORGANIZATION, "user-1") if note.kind == "insight"]
    assert [(note.title, note.url) for note in notes] == [("Bob: low mood", "/people/user-2")]


@pytest.mark.mission("M-TS-04")
async def test_a_custom_report_has_the_rows_of_its_time(app: Corral, tmp_path: Path) -> None:
    data = {
        "organizationId": ORGANIZATION,
        "startDate": (TODAY - timedelta(6)).isoformat(),
        "endDate": TODAY.isoformat(),
        "formats": ["csv"],
        "recipientIds": ["user-3"],
    }
    job = await add_job(app.queues[JobType.GENERATE_REPORT], "custom-report", data)
    await drain(app)
    result = await job.result()
    assert isinstance(result, dict)
    assert result["mails"] == 1
    [document] = (tmp_path / "reports").rglob("*.csv")
    text = document.read_text(encoding="utf-8-sig")
    assert "Saved the release" in text
    assert len(text.strip().splitlines()) == 5


@pytest.mark.mission("M-TS-05")
async def test_sessions_that_are_over_are_removed(app: Corral, database: Database, tmp_path: Path) -> None:
    now = int(datetime.now(UTC).timestamp() * 1000)
    async with database.begin() as connection:
        rows = [
            {"digest": name, "person": "user-1", "expires_at": at}
            for name, at in (("old", now - 1), ("new", now + 10**8))
        ]
        await database.upsert(connection, sessions, rows, key=["digest"])
    job = await add_job(app.queues[JobType.CLEANUP_OLD_DATA], "sessions", {})
    await drain(app)
    result = await job.result()
    assert isinstance(result, dict)
    assert result["removed"] == 1
    async with database.connect() as connection:
        assert list(await connection.scalars(sa.select(sessions.c.digest))) == ["new"]


@pytest.mark.mission("M-TS-06")
async def test_a_team_update_reaches_everybody_in_the_team(app: Corral, database: Database, tmp_path: Path) -> None:
    data = {
        "organizationId": ORGANIZATION,
        "recipientIds": [one.id for one in await Team(database).people(ORGANIZATION)],
        "title": "Weekly Team Update",
        "kudosCount": 25,
        "topPerformers": ["Alice", "Bob"],
    }
    job = await add_job(app.queues[JobType.SEND_KUDOS_NOTIFICATION], "team-update", data)
    await drain(app)
    result = await job.result()
    assert isinstance(result, dict)
    assert (result["inbox"], result["email"]) == (5, 5)
    assert len(list((tmp_path / "mail").glob("*.eml"))) == 5


# -- where it lives ----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-55", "M-TS-56", "M-TS-57")
async def test_the_environment_says_where_the_platform_lives_and_how_much_it_does_at_once(
    monkeypatch: pytest.MonkeyPatch, platform_url: str, tmp_path: Path
) -> None:
    name = {"sqlite": "CORRAL_URL", "redis": "REDIS_URL"}[platform_url.partition(":")[0]]
    for variable, value in ((name, platform_url), ("WORKER_CONCURRENCY", "12"), ("JOB_RETENTION_HOURS", "2")):
        monkeypatch.setenv(variable, value)
    async with make_app(Settings()) as app:
        assert app.url == platform_url
        assert {queue.concurrency for queue in app.queues.values()} == {12}
        assert {queue.settings().keep_failed for queue in app.queues.values()} == {Keep(age=7_200)}
        data = {"workspaceId": "workspace-123", "syncType": "users"}
        job = await add_job(app.queues[JobType.SYNC_SLACK], "sync-users", data)
        assert (await drain(app)).completed == 1
        assert (await job.get()).id == "1"


def test_the_guide_names_every_job_and_every_schedule(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "guides" / "teamspark.md").read_text(encoding="utf-8")
    app = make_app(Settings(url="sqlite:///corral.db", teamspark_home=tmp_path))
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for queue in app.queues.values():
        assert set(re.findall(r"`([^`]+)`", rows[queue.name])[1:]) == queue.definitions.keys()
    for entry in TABLE:
        assert re.findall(r"`([^`]+)`", rows[entry.name]) == [entry.name, entry.queue, entry.pattern]
