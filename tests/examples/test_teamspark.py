"""TeamSpark's claims, by their numbers in its checklist. What takes time to show is in `test_demo.py`."""

import gzip
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from corral import (
    Corral,
    Cron,
    Exponential,
    JobContext,
    Keep,
    PayloadError,
    RateLimit,
    WorkerOptions,
)
from corral.handlers.email import EmailSettings
from corral.handlers.kit.database import Database
from corral.testing import FakeClock, added, app_in_memory, assert_added, drain, fire_schedules
from corral.testing.app import lent
from examples.teamspark.build import add_job, database_of, make_app
from examples.teamspark.payloads import JobType, SyncSlackJobData
from examples.teamspark.schedules import TABLE
from examples.teamspark.seed import fill
from examples.teamspark.settings import Settings, beside
from examples.teamspark.team import Team
from tests.redis_server import RedisServer

WELCOME = {
    "to": "user@example.com",
    "subject": "Welcome to TeamSpark!",
    "template": "welcome",
    "data": {"name": "John"},
}
TEAM_UPDATE = {
    "to": "team@example.com",
    "subject": "Weekly Team Update",
    "template": "team-update",
    "data": {"kudosCount": 25, "topPerformers": ["Alice", "Bob"]},
}
#: A Sunday, so that the weekly report is due the next morning.
SUNDAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
MONDAY_AT_NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own settings, nor a `.env` or `corral.toml` of the folder the tests are started in."""
    for name in [name for name in os.environ if name.startswith("REDIS_")]:
        monkeypatch.delenv(name)
    for name in ("CORRAL_URL", "WORKER_CONCURRENCY", "JOB_RETENTION_HOURS", "SMTP_HOST", "RESEND_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def platform(folder: Path, url: str = "sqlite:///corral.db", *, database: Database | None = None) -> Corral:
    email = EmailSettings(email_from="TeamSpark <team@example.com>", mail_dir=folder / "mail")
    return make_app(Settings(url=url, teamspark_home=folder), email=email, database=database)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """The platform's data, in a folder of the test's own."""
    return database_of(Settings(teamspark_home=tmp_path), "sqlite:///corral.db")


@pytest.fixture
async def app(tmp_path: Path, storage_url: str, database: Database) -> AsyncIterator[Corral]:
    """The platform on an empty store of each engine, with samples that end on a Sunday."""
    app = platform(tmp_path, storage_url, database=database)
    async with database:
        await fill(database, SUNDAY.date())
        async with lent(app, storage_url, FakeClock(SUNDAY)):
            yield app


def mails(folder: Path) -> list[EmailMessage]:
    files = sorted((folder / "mail").glob("*.eml"))
    return [message_from_bytes(file.read_bytes(), _class=EmailMessage, policy=policy.default) for file in files]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


# -- queues ------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-02")
async def test_m_ts_02_send_email_delivers_a_transactional_mail(app: Corral, tmp_path: Path) -> None:
    await add_job(app.queues["send-email"], "welcome-email", WELCOME)
    assert (await drain(app)).completed == 1
    assert [mail["To"] for mail in mails(tmp_path)] == ["user@example.com"]


@pytest.mark.mission("M-TS-03")
@pytest.mark.parametrize("kind", ["users", "channels", "messages"])
async def test_m_ts_03_sync_slack_has_its_jobs_and_asks_nobody_while_there_is_no_token(app: Corral, kind: str) -> None:
    data = {"workspaceId": "workspace-123", "syncType": kind}
    job = await add_job(app.queues["sync-slack"], f"sync-{kind}", data)
    assert (await drain(app)).completed == 1
    assert await job.result() == {**data, "items": 0, "pages": 0, "dryRun": True}


@pytest.mark.parametrize("kind", ["weekly", "monthly", "quarterly"])
@pytest.mark.mission("M-TS-04")
async def test_m_ts_04_generate_report_mails_a_report_to_each_reader(app: Corral, tmp_path: Path, kind: str) -> None:
    data = {"organizationId": "org-123", "reportType": kind, "recipientIds": ["user-1", "user-2", "nobody"]}
    job = await add_job(app.queues["generate-report"], f"{kind}-report", data)
    await drain(app)
    result = await job.result()
    assert isinstance(result, dict)
    assert (result["title"], result["mails"]) == (f"{kind.capitalize()} team report", 2)
    assert [one["format"] for one in result["documents"]] == ["html", "pdf"]
    assert {mail["To"] for mail in mails(tmp_path)} == {"Alice <alice@example.com>", "Bob <bob@example.com>"}
    assert {mail["Subject"].partition(" – ")[0] for mail in mails(tmp_path)} == {f"{kind.capitalize()} team report"}


@pytest.mark.mission("M-TS-04")
async def test_m_ts_04_a_report_that_runs_again_is_not_mailed_again(app: Corral, tmp_path: Path) -> None:
    data = {"organizationId": "org-123", "reportType": "weekly", "recipientIds": ["user-1"]}
    job = await add_job(app.queues["generate-report"], "weekly-report", data)
    await drain(app)
    await (await app.queues["generate-report"].open()).retry(job.id)
    again = await drain(app)
    assert (again.completed, len(mails(tmp_path))) == (1, 1)


@pytest.mark.mission("M-TS-04")
async def test_m_ts_04_a_report_for_nobody_fails_at_once(app: Corral) -> None:
    data = {"organizationId": "org-123", "reportType": "weekly", "recipientIds": ["user-99"]}
    await add_job(app.queues["generate-report"], "weekly-report", data)
    drained = await drain(app)
    assert (drained.failed, drained.retried) == (1, 0)
    assert drained.reasons == ("generate-report/weekly-report 1: nobody has one of the ids user-99",)


@pytest.mark.mission("M-TS-05")
async def test_m_ts_05_cleanup_deletes_old_temporary_files_and_nothing_else(app: Corral, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    (folder / "kept-folder").mkdir(parents=True)
    (tmp_path / "elsewhere.txt").write_text("not ours")
    for name in ("old.csv", "young.csv"):
        (folder / name).write_text("12345")
    (folder / "link.csv").symlink_to(tmp_path / "elsewhere.txt")
    then = time.time() - 48 * 3_600
    for name in ("old.csv", "link.csv"):
        os.utime(folder / name, (then, then), follow_symlinks=False)
    job = await add_job(app.queues["cleanup-old-data"], "temp-files", {"olderThanHours": 24})
    await drain(app)
    result = await job.result()
    assert isinstance(result, dict)
    assert (result["removed"], result["bytes"]) == (1, 5)
    assert sorted(path.name for path in folder.iterdir()) == ["kept-folder", "link.csv", "young.csv"]
    assert (tmp_path / "elsewhere.txt").exists()


@pytest.mark.mission("M-TS-05")
async def test_m_ts_05_logs_older_than_a_month_are_archived(app: Corral, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, days in (("old.log", 31), ("young.log", 29)):
        (logs / name).write_text("a line\n")
        then = time.time() - days * 86_400
        os.utime(logs / name, (then, then))
    await add_job(app.queues["cleanup-old-data"], "old-logs", {})
    assert (await drain(app)).completed == 1
    assert [path.name for path in logs.iterdir()] == ["young.log"]
    [archived] = [path for path in (tmp_path / "old-logs").rglob("*.gz") if path.is_file()]
    assert archived.name.startswith("old")
    assert gzip.decompress(archived.read_bytes()) == b"a line\n"


@pytest.mark.mission("M-TS-06")
async def test_m_ts_06_kudos_are_noted_and_mailed_once_however_often_the_job_runs(
    app: Corral, tmp_path: Path, database: Database
) -> None:
    data = {"organizationId": "org-123", "senderId": "user-1", "recipientId": "user-2", "message": "Well done!"}
    job = await add_job(app.queues["send-kudos-notification"], "kudos", data)
    await drain(app)
    await (await app.queues["send-kudos-notification"].open()).retry(job.id)
    await drain(app)
    [mail] = mails(tmp_path)
    assert (mail["To"], mail["Subject"]) == ("bob@example.com", "Alice gave you kudos")
    assert "Well done!" in text_of(mail)
    [praise] = await Team(database).book.kudos("org-123", SUNDAY.date(), SUNDAY.date())
    assert (praise.sender, praise.recipient) == ("user-1", "user-2")


@pytest.mark.mission("M-TS-07")
async def test_m_ts_07_a_checkin_is_stored_and_compared_with_the_week_before(app: Corral) -> None:
    queue = app.queues["process-checkin"]
    first = date(2026, 10, 31)
    results = []
    for day, mood in ((first, 2), (first + timedelta(7), 4), (first + timedelta(14), 4), (first + timedelta(21), 1)):
        data = {"organizationId": "org-123", "personId": "user-9", "day": day.isoformat(), "mood": mood}
        job = await add_job(queue, "checkin", data)
        await drain(app)
        results.append(await job.result())
    assert results == [
        {"mood": 2.0, "trend": "new", "insights": []},
        {"mood": 4.0, "trend": "up", "insights": []},
        {"mood": 4.0, "trend": "steady", "insights": []},
        {"mood": 1.0, "trend": "down", "insights": []},
    ]


@pytest.mark.parametrize(("kind", "value"), [("engagement", 0.8), ("performance", 0.781), ("satisfaction", 3.71)])
@pytest.mark.mission("M-TS-08")
async def test_m_ts_08_metrics_are_calculated_from_the_team_s_data(app: Corral, kind: str, value: float) -> None:
    data = {"organizationId": "org-123", "metricType": kind, "period": "weekly", "day": "2026-11-22"}
    job = await add_job(app.queues["calculate-metrics"], f"{kind}-metrics", data)
    await drain(app)
    result = await job.result()
    assert isinstance(result, dict)
    assert (result["value"], result["metricType"], result["firstDay"]) == (value, kind, "2026-11-16")


@pytest.mark.mission("M-TS-09")
async def test_m_ts_09_job_types_are_the_names_of_the_queues(app: Corral) -> None:
    assert set(app.queues) == set(JobType)
    job = await add_job(app.queues[JobType.SEND_EMAIL], "welcome-email", WELCOME)
    assert (await job.get()).queue == "send-email"


# -- workers and jobs --------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-11", "M-TS-12")
def test_m_ts_11_and_12_send_email_has_five_slots_and_starts_ten_a_second(tmp_path: Path) -> None:
    queue = platform(tmp_path).queues[JobType.SEND_EMAIL]
    assert (queue.concurrency, queue.rate_limit) == (5, RateLimit(10, per=1))


@pytest.mark.mission("M-TS-20")
async def test_m_ts_20_add_job_answers_a_job_with_an_id(app: Corral) -> None:
    job = await add_job(app.queues["send-email"], "welcome-email", WELCOME)
    assert (await job.get()).id == job.id == "1"


@pytest.mark.mission("M-TS-21")
async def test_m_ts_21_a_delay_of_a_minute_is_kept(app: Corral) -> None:
    reminder = {**WELCOME, "template": "reminder", "data": {"message": "It takes a minute."}}
    await add_job(app.queues["send-email"], "reminder", reminder, delay=60)
    assert (await drain(app)).seconds == 60


@pytest.mark.mission("M-TS-22", "M-TS-60")
async def test_m_ts_22_priority_1_goes_before_jobs_that_were_added_earlier(app: Corral) -> None:
    started: list[str] = []

    @app.middleware
    async def note(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        started.append(ctx.name)
        return await call_next()

    for _ in range(3):
        await add_job(app.queues["send-email"], "team-update", TEAM_UPDATE)
    await add_job(
        app.queues["send-email"], "urgent", {**WELCOME, "template": "urgent", "data": {"message": "!"}}, priority=1
    )
    await drain(app)
    assert started == ["urgent", "team-update", "team-update", "team-update"]


@pytest.mark.mission("M-TS-23")
def test_m_ts_23_the_jobs_have_the_names_that_callers_use(tmp_path: Path) -> None:
    app = platform(tmp_path)
    assert {"welcome-email", "reminder", "urgent", "team-update"} <= app.queues["send-email"].definitions.keys()
    assert "sync-users" in app.queues["sync-slack"].definitions
    assert "monthly-report" in app.queues["generate-report"].definitions
    assert "engagement-metrics" in app.queues["calculate-metrics"].definitions


# -- schedules ---------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-24")
def test_m_ts_24_the_table_of_schedules_has_a_name_a_queue_a_pattern_and_data_in_each_line(tmp_path: Path) -> None:
    stored = platform(tmp_path).schedules.declared()
    assert [(item.key, item.queue) for item in stored] == [(entry.name, entry.queue) for entry in TABLE]
    assert [item.timing for item in stored] == [Cron(entry.pattern) for entry in TABLE]


@pytest.mark.mission("M-TS-25")
async def test_m_ts_25_engagement_is_calculated_at_one_every_night(tmp_path: Path) -> None:
    clock = FakeClock(SUNDAY)
    async with app_in_memory(platform(tmp_path), clock=clock) as app:
        clock.advance_to(datetime(2026, 11, 23, 1, tzinfo=UTC))
        [job] = await fire_schedules(app)
    assert (job.queue, job.name, job.schedule) == (
        "calculate-metrics",
        "engagement-metrics",
        "daily-engagement-metrics",
    )
    assert job.scheduled_for == datetime(2026, 11, 23, 1, tzinfo=UTC).timestamp() * 1000


@pytest.mark.mission("M-TS-26")
async def test_m_ts_26_the_weekly_report_goes_out_on_monday_at_nine(tmp_path: Path, database: Database) -> None:
    clock = FakeClock(MONDAY_AT_NINE - timedelta(seconds=1))
    async with database, app_in_memory(platform(tmp_path, database=database), clock=clock) as app:
        await fill(database, SUNDAY.date())
        clock.advance(1)
        [job] = await fire_schedules(app)
        await drain(app)
        clock.advance(timedelta(days=1))
        on_tuesday = {job.schedule for job in await fire_schedules(app)}
    assert "daily-engagement-metrics" in on_tuesday
    assert "weekly-team-reports" not in on_tuesday
    assert (job.schedule, job.scheduled_for) == ("weekly-team-reports", MONDAY_AT_NINE.timestamp() * 1000)
    assert {mail["Subject"] for mail in mails(tmp_path)} == {"Weekly team report – TeamSpark: 16–22 Nov 2026"}


@pytest.mark.mission("M-TS-27")
async def test_m_ts_27_registering_the_table_again_changes_nothing(app: Corral) -> None:
    storage = await app.open()
    before = (await storage.schedules()).items
    await app.sync_schedules()
    assert (await storage.schedules()).items == before
    assert len(before) == len(TABLE)


# -- payloads ----------------------------------------------------------------------------------------------------------


async def refused(app: Corral, queue: JobType, name: str, data: Mapping[str, object]) -> tuple[str, ...]:
    with pytest.raises(PayloadError) as caught:
        await add_job(app.queues[queue], name, data)
    assert await added(app) == []
    return caught.value.errors


@pytest.mark.mission("M-TS-38")
async def test_m_ts_38_a_mail_carries_to_subject_template_and_data(app: Corral) -> None:
    await add_job(app.queues["send-email"], "team-update", TEAM_UPDATE)
    await assert_added(app, "team-update", data=TEAM_UPDATE)


@pytest.mark.mission("M-TS-38")
async def test_m_ts_38_a_mail_without_them_is_refused_with_every_complaint(app: Corral) -> None:
    errors = await refused(app, JobType.SEND_EMAIL, "team-update", {"to": "no address", "data": []})
    assert [error.partition(":")[0] for error in errors] == ["to", "subject", "template", "data"]


@pytest.mark.mission("M-TS-39")
def test_m_ts_39_a_slack_sync_is_about_users_channels_or_messages() -> None:
    for kind in ("users", "channels", "messages"):
        data = SyncSlackJobData.model_validate({"workspaceId": "workspace-123", "syncType": kind})
        said = data.model_dump(by_alias=True, exclude_defaults=True)
        assert said == {"workspaceId": "workspace-123", "syncType": kind}
    with pytest.raises(ValueError, match="syncType"):
        SyncSlackJobData.model_validate({"workspaceId": "workspace-123", "syncType": "emoji"})


@pytest.mark.mission("M-TS-40")
async def test_m_ts_40_a_report_is_weekly_monthly_or_quarterly_and_has_readers(app: Corral) -> None:
    data = {"organizationId": "org-123", "reportType": "yearly"}
    errors = await refused(app, JobType.GENERATE_REPORT, "weekly-report", data)
    assert {error.partition(":")[0] for error in errors} == {"reportType", "recipientIds"}


@pytest.mark.mission("M-TS-41")
async def test_m_ts_41_a_metric_has_one_of_three_types_and_three_periods(app: Corral) -> None:
    data = {"organizationId": "org-123", "metricType": "happiness", "period": "hourly"}
    errors = await refused(app, JobType.CALCULATE_METRICS, "engagement-metrics", data)
    assert [error.partition(":")[0] for error in errors] == ["metricType", "period"]


@pytest.mark.parametrize(
    ("queue", "name", "data", "wrong"),
    [
        (JobType.CLEANUP_OLD_DATA, "temp-files", {"olderThanHours": 0}, ["olderThanHours"]),
        (JobType.SEND_KUDOS_NOTIFICATION, "kudos", {"organizationId": "o"}, ["senderId", "recipientId", "message"]),
        (
            JobType.PROCESS_CHECKIN, "checkin",
            {"organizationId": "o", "personId": "p", "day": "yesterday", "mood": 6}, ["day", "mood"],
        ),
    ],
)  # fmt: skip
@pytest.mark.mission("M-TS-42")
async def test_m_ts_42_cleanup_kudos_and_checkins_have_payloads_that_are_checked(
    app: Corral, queue: JobType, name: str, data: dict[str, object], wrong: list[str]
) -> None:
    assert [error.partition(":")[0] for error in await refused(app, queue, name, data)] == wrong


@pytest.mark.mission("M-TS-43")
async def test_m_ts_43_templates_are_filled_with_the_data_of_the_job(app: Corral, tmp_path: Path) -> None:
    await add_job(app.queues["send-email"], "welcome-email", WELCOME)
    await add_job(app.queues["send-email"], "team-update", TEAM_UPDATE)
    await drain(app)
    texts = {str(mail["Subject"]): text_of(mail) for mail in mails(tmp_path)}
    assert "Welcome, John" in texts["Welcome to TeamSpark!"]
    assert "Kudos given: 25" in texts["Weekly Team Update"]
    assert "1. Alice\n2. Bob" in texts["Weekly Team Update"]


# -- errors, retention, settings ---------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-44")
async def test_m_ts_44_every_job_has_three_attempts_with_two_and_four_seconds_between(app: Corral) -> None:
    for queue in app.queues.values():
        for definition in queue.definitions.values():
            assert (definition.handler.options.attempts, definition.handler.options.backoff) == (3, Exponential(2))


@pytest.mark.mission("M-TS-44")
async def test_m_ts_44_a_job_may_ask_for_more_attempts(app: Corral) -> None:
    await add_job(app.queues["send-email"], "welcome-email", WELCOME, attempts=7)
    await assert_added(app, "welcome-email", attempts=7)


@pytest.mark.mission("M-TS-45")
def test_m_ts_45_failed_jobs_are_kept_for_a_day(tmp_path: Path) -> None:
    app = platform(tmp_path)
    assert {queue.settings().keep_failed for queue in app.queues.values()} == {Keep(age=86_400)}


@pytest.mark.mission("M-TS-47")
async def test_m_ts_47_a_mail_that_was_sent_is_not_sent_again_when_its_job_runs_again(
    app: Corral, tmp_path: Path
) -> None:
    job = await add_job(app.queues["send-email"], "welcome-email", WELCOME)
    await drain(app)
    first = await job.result()
    await (await app.queues["send-email"].open()).retry(job.id)
    await drain(app)
    again = await job.result()
    assert isinstance(first, dict)
    assert again == {"alreadySent": True, "messageId": first["messageId"]}
    assert len(mails(tmp_path)) == 1


@pytest.mark.mission("M-TS-55")
def test_m_ts_55_redis_url_names_the_store_unless_corral_url_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORRAL_URL", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://localhost:6379")
    assert make_app(Settings()).url == "redis://localhost:6379"
    monkeypatch.setenv("CORRAL_URL", "sqlite:///named.db")
    assert make_app(Settings()).url == "sqlite:///named.db"


@pytest.mark.mission("M-TS-55")
async def test_m_ts_55_the_platform_serves_the_redis_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a deployment has it: only REDIS_HOST and REDIS_PORT are set, one application adds and another one works."""
    with RedisServer() as server:
        monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
        monkeypatch.setenv("REDIS_PORT", str(server.port))
        web, background = make_app(Settings()), make_app(Settings())
        assert web.url == background.url == server.url
        async with web, background, await background.worker(options=WorkerOptions(stats_interval=0)):
            welcome = await add_job(web.queues["send-email"], "welcome-email", WELCOME)
            await welcome.result(timeout=30)
            assert {one.key for one in (await (await web.open()).schedules()).items} == {
                line.key for line in background.schedules.declared()
            }
        assert server.ask("ZCARD", "bull:send-email:completed") == b":1\r\n"
        assert server.ask("HGET", f"bull:send-email:{welcome.id}", "name") == b"$13\r\nwelcome-email\r\n"
    assert [mail["To"] for mail in mails(tmp_path / "teamspark-data")] == ["user@example.com"]


@pytest.mark.mission("M-TS-56")
def test_m_ts_56_worker_concurrency_sets_the_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "12")
    assert {queue.concurrency for queue in make_app(Settings()).queues.values()} == {12}


@pytest.mark.mission("M-TS-57")
def test_m_ts_57_job_retention_hours_sets_how_long_finished_jobs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_RETENTION_HOURS", "2")
    settings = [queue.settings() for queue in make_app(Settings()).queues.values()]
    assert {(one.keep_completed, one.keep_failed) for one in settings} == {(Keep(age=7_200), Keep(age=7_200))}


def test_the_platform_keeps_its_files_beside_its_store() -> None:
    assert beside("sqlite:////var/lib/teamspark/corral.db") == Path("/var/lib/teamspark/teamspark-data")
    assert beside("sqlite:///corral.db") == Path("teamspark-data")
    assert beside("redis://cache:6379/0") == Path("teamspark-data")


def test_putting_the_platform_together_writes_nothing(tmp_path: Path) -> None:
    make_app(Settings(url=f"sqlite:///{tmp_path}/corral.db"))
    assert list(tmp_path.iterdir()) == []
