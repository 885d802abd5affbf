"""`corral schedules`."""

import json

import pytest
from msgspec.structs import replace

from corral.app.app import Corral
from corral.cli.load import load_app
from corral.schedule import Cron, Every, Schedule
from corral.scheduler import Scheduler
from corral.storage.port import Storage

from .helpers import MAILER, call, succeed, told, with_store

WEEKLY = "weekly-team-reports"


@pytest.fixture
def url(url: str) -> str:
    """A store with the schedules of the application, as a worker leaves them."""
    app: Corral = load_app(MAILER)

    async def work(storage: Storage) -> None:
        await app.scheduler(storage).reconcile(app.schedules.declared())

    with_store(url, work)
    return url


def put(url: str, schedule: Schedule) -> None:
    async def work(storage: Storage) -> None:
        await Scheduler(storage).put(schedule)

    with_store(url, work)


def test_schedules_are_listed_with_their_next_run(url: str) -> None:
    rows = {row["key"]: row for row in told("schedules", "list", "--url", url)}
    assert set(rows) == {WEEKLY, "computed-reports"}
    weekly = rows[WEEKLY]
    assert (weekly["queue"], weekly["job"], weekly["when"], weekly["state"]) == (
        "generate-report", "weekly", "0 9 * * 1 (Europe/Oslo)", "active",
    )  # fmt: skip
    assert weekly["next_at"] is not None


def test_a_schedule_is_shown_in_words(url: str) -> None:
    [shown] = told("schedules", "show", WEEKLY, "--url", url)
    assert shown["in_words"] == "At 09:00 on Monday"
    assert shown["owner"] == "teamspark"


def test_the_next_runs_keep_the_local_hour_over_the_change_of_clocks(url: str) -> None:
    put(url, Schedule(key="daily", queue="q", name="x", timing=Cron("30 8 1 * *", tz="Europe/Oslo")))
    rows = told("schedules", "next", "daily", "-n", "24", "--url", url)
    assert len(rows) == 24
    assert {str(row["local"])[11:19] for row in rows} == {"08:30:00"}
    assert {str(row["local"])[19:] for row in rows} == {"+01:00", "+02:00"}


def test_a_schedule_with_a_limit_has_no_more_next_runs_than_are_left(url: str) -> None:
    put(url, Schedule(key="thrice", queue="q", name="x", timing=Every(60), limit=3))
    assert len(told("schedules", "next", "thrice", "--url", url)) == 3


def test_a_schedule_is_run_now_and_its_next_run_stays(url: str) -> None:
    [before] = told("schedules", "show", WEEKLY, "--url", url)
    [added] = told("schedules", "run", WEEKLY, "--url", url)
    [job] = told("jobs", "show", str(added["id"]), "--url", url)
    assert (job["queue"], job["name"], job["schedule"]) == ("generate-report", "weekly", WEEKLY)
    assert told("schedules", "show", WEEKLY, "--url", url)[0]["next_at"] == before["next_at"]


def test_a_payload_made_at_each_run_needs_the_application(url: str) -> None:
    result = call("schedules", "run", "computed-reports", "--url", url)
    assert result.exit_code == 2
    assert "makes its payload in application 'teamspark'" in result.stderr
    [added] = told("schedules", "run", "computed-reports", "--app", MAILER, "--url", url)
    assert told("jobs", "show", str(added["id"]), "--url", url)[0]["data"] == {"made": "now"}


def test_a_schedule_is_paused_and_resumed(url: str) -> None:
    assert "paused schedule" in call("schedules", "pause", WEEKLY, "--url", url).stderr
    assert told("schedules", "show", WEEKLY, "--url", url)[0]["state"] == "paused"
    assert "next run 2" in call("schedules", "resume", WEEKLY, "--url", url).stderr
    assert told("schedules", "show", WEEKLY, "--url", url)[0]["state"] == "active"


@pytest.mark.parametrize("verb", ["pause", "resume", "run", "repair"])
def test_a_dry_run_says_what_would_be_done_and_nothing_else(url: str, verb: str) -> None:
    before = told("schedules", "show", WEEKLY, "--url", url)
    result = call("schedules", verb, WEEKLY, "--dry-run", "--url", url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"would {verb} schedule {before[0]['queue']}/{WEEKLY}\n"
    assert told("schedules", "show", WEEKLY, "--url", url) == before


def test_removing_a_schedule_asks_and_says_that_the_application_brings_it_back(url: str) -> None:
    result = call("schedules", "remove", WEEKLY, "--url", url)
    assert result.exit_code == 2
    assert "Application 'teamspark' declares it and will bring it back." in result.stderr
    succeed("schedules", "remove", WEEKLY, "--yes", "--url", url)
    assert [row["key"] for row in told("schedules", "list", "--url", url)] == ["computed-reports"]


@pytest.mark.parametrize("verb", ["show", "next", "run", "pause", "resume", "remove"])
def test_a_misspelled_schedule_is_not_found(url: str, verb: str) -> None:
    result = call("schedules", verb, "weekly-team-report", "-y", "--url", url)
    assert result.exit_code == 4
    assert f"did you mean '{WEEKLY}'?" in result.stderr


def test_a_key_of_two_queues_needs_the_queue(url: str) -> None:
    one = Schedule(key="nightly", queue="a", name="x", timing=Every(60))
    put(url, one)
    put(url, replace(one, queue="b"))
    result = call("schedules", "show", "nightly", "--url", url)
    assert result.exit_code == 6
    assert "say --queue a or --queue b" in result.stderr
    assert (
        json.loads(succeed("schedules", "show", "nightly", "--queue", "b", "-o", "json", "--url", url))["queue"] == "b"
    )
