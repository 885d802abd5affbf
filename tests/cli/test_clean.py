"""`corral jobs clean`, M-TS-36, 37 and 57."""

import pytest

from corral.cli.backend.direct_acts import DirectActs
from corral.cli.backend.port import Row
from corral.job import NewJob

from .helpers import FAILED, HOUR, call, finish, heed_cancel, press_ctrl_c, put, succeed, told

DAY = 24 * HOUR


@pytest.mark.mission("M-TS-37")
def test_m_ts_37_the_output_is_the_guides_to_the_character(url: str) -> None:
    finish(url, "send-email", 150, ago=DAY + HOUR)
    finish(url, "send-email", 3, FAILED, ago=DAY + HOUR)
    assert succeed("jobs", "clean", "--url", url) == (
        "🧹 Cleaning job queues...\n"
        "✅ Cleaned 150 completed jobs from send-email\n"
        "❌ Cleaned 3 failed jobs from send-email\n"
        "📊 send-email: waiting=0, active=0, completed=0, failed=0\n"
    )


@pytest.mark.mission("M-TS-36")
def test_m_ts_36_old_finished_jobs_of_every_queue_are_cleaned_and_no_others(url: str) -> None:
    finish(url, "send-email", 2, ago=2 * DAY)
    finish(url, "send-email", 1, ago=HOUR)
    finish(url, "generate-report", 4, FAILED, ago=2 * DAY)
    put(url, NewJob(queue="generate-report", name="waits"), NewJob(queue="calculate-metrics", name="waits"))
    assert succeed("jobs", "clean", "--url", url).splitlines() == [
        "🧹 Cleaning job queues...",
        "📊 calculate-metrics: waiting=1, active=0, completed=0, failed=0",
        "❌ Cleaned 4 failed jobs from generate-report",
        "📊 generate-report: waiting=1, active=0, completed=0, failed=0",
        "✅ Cleaned 2 completed jobs from send-email",
        "📊 send-email: waiting=0, active=0, completed=1, failed=0",
    ]


@pytest.mark.mission("M-TS-36")
def test_m_ts_36_the_guides_own_spelling_works_too(url: str) -> None:
    finish(url, "send-email", 1, ago=2 * DAY)
    assert "✅ Cleaned 1 completed jobs from send-email" in succeed("jobs:clean", "--url", url)


@pytest.mark.mission("M-TS-57")
def test_m_ts_57_how_old_is_old_comes_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(url, "send-email", 1, ago=3 * HOUR)
    assert "✅" not in succeed("jobs", "clean", "--url", url)
    monkeypatch.setenv("JOB_RETENTION_HOURS", "2")
    assert "✅ Cleaned 1 completed jobs" in succeed("jobs", "clean", "--url", url)


def test_the_flag_beats_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(url, "send-email", 1, ago=3 * HOUR)
    monkeypatch.setenv("JOB_RETENTION_HOURS", "2")
    assert "✅" not in succeed("jobs", "clean", "--older-than", "4h", "--url", url)


def test_one_state_of_one_queue_up_to_a_limit(url: str) -> None:
    finish(url, "a", 5, ago=DAY)
    finish(url, "a", 1, FAILED, ago=DAY)
    finish(url, "b", 1, ago=DAY)
    words = (
        "jobs",
        "clean",
        "--queue",
        "a",
        "--state",
        "completed",
        "--older-than",
        "1h",
        "--limit",
        "3",
        "--url",
        url,
    )
    assert told(*words) == [
        {
            "queue": "a",
            "cleaned_completed": 3,
            "cleaned_failed": 0,
            "waiting": 0,
            "active": 0,
            "completed": 2,
            "failed": 1,
        }
    ]


def test_more_jobs_than_one_step_takes_are_all_cleaned(url: str) -> None:
    for _ in range(5):
        finish(url, "a", 250, ago=2 * DAY)
    finish(url, "b", 2, ago=2 * DAY)
    out = succeed("jobs", "clean", "--url", url)
    assert "✅ Cleaned 1250 completed jobs from a" in out
    assert "✅ Cleaned 2 completed jobs from b" in out
    [operation] = told("operations", "list", "--url", url)  # few are deleted at once
    assert (operation["action"], operation["state"], operation["done"]) == ("clean", "done", 1_250)


def test_more_jobs_than_one_call_takes_are_all_cleaned(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corral.cli.clean.MOST", 10)
    finish(url, "a", 25, ago=2 * DAY)
    assert told("jobs", "clean", "--limit", "22", "--url", url)[0]["cleaned_completed"] == 22
    assert told("jobs", "clean", "--url", url)[0]["cleaned_completed"] == 3


def test_an_interrupted_clean_says_which_queues_are_through(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for queue in ("a", "b", "c"):
        finish(url, queue, 2, ago=2 * DAY)
    whole = DirectActs.clean

    async def twice(
        back: DirectActs, queue: str, state: str, *, older_than: float, limit: int, background: bool
    ) -> Row:
        if queue == "b":
            await press_ctrl_c()
        return await whole(back, queue, state, older_than=older_than, limit=limit, background=background)

    monkeypatch.setattr(DirectActs, "clean", twice)
    heed_cancel(monkeypatch, "clean")
    result = call("jobs", "clean", "--url", url)
    assert result.exit_code == 130
    assert "queues that are through: 1, with 2 jobs removed" in result.stderr
    assert {row["queue"]: row["completed"] for row in told("queues", "list", "--url", url)} == {"a": 0, "b": 2, "c": 2}


def test_queues_that_fit_a_pattern_are_cleaned(url: str) -> None:
    for queue in ("send-a", "send-b", "report"):
        finish(url, queue, 1, ago=2 * DAY)
    rows = told("queues", "clean", "--match", "send-*", "--url", url)
    assert {row["queue"]: row["cleaned_completed"] for row in rows} == {"send-a": 1, "send-b": 1}
    assert call("queues", "clean", "--url", url).exit_code == 2
    assert call("queues", "clean", "--match", "nix*", "--url", url).exit_code == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--state", "waiting"), 2), (("--older-than", "old"), 2), (("--queue", "b"), 4), (("--limit", "0"), 2)],
)
def test_what_cannot_be_meant_cleans_nothing(url: str, words: tuple[str, ...], code: int) -> None:
    finish(url, "a", 1, ago=2 * DAY)
    assert call("jobs", "clean", *words, "--url", url).exit_code == code
    assert told("queues", "list", "--url", url)[0]["completed"] == 1
