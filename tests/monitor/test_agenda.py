"""Schedules as they are shown: state, what was missed, and the runs to come across clock changes."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.job import Job, JobState
from corral.monitor.agenda import runs, schedule_row
from corral.schedule import Cron, Every, Schedule

HOUR = 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-03-28T12:00")
NIGHTLY = Schedule(
    key="nightly", queue="mail", name="digest", timing=Cron("30 2 * * *", "Europe/Oslo"),
    next_at=ms("2026-03-29T01:00"), data='{"to":"ada","token":"hunter2"}',
)  # fmt: skip
HOURLY = Schedule(key="h", queue="mail", name="x", timing=Every(3600), next_at=NOW, anchor_at=NOW)


def test_a_schedule_is_told_in_words() -> None:
    row = schedule_row(NIGHTLY, None, NOW)
    assert (row.when, row.words, row.tz, row.state) == ("30 2 * * *", "At 02:30 every day", "Europe/Oslo", "active")
    assert row.preview == '{"to":"ada","token":"••••"}'
    assert schedule_row(HOURLY, None, NOW).when == "every 3600 s"


@pytest.mark.parametrize(
    ("schedule", "state"),
    [
        (replace(NIGHTLY, paused=True), "paused"),
        (replace(NIGHTLY, next_at=None), "lost"),
        (replace(NIGHTLY, next_at=None, limit=3, fired=3), "ended"),
        (replace(NIGHTLY, next_at=NOW - 4_000), "active"),
        (replace(NIGHTLY, next_at=NOW - 6_000), "overdue"),
        (replace(NIGHTLY, next_at=NOW - 6_000, paused=True), "paused"),
    ],
)
def test_its_state_is_one_word(schedule: Schedule, state: str) -> None:
    assert schedule_row(schedule, None, NOW).state == state


def test_missed_slots_are_counted() -> None:
    row = schedule_row(replace(HOURLY, next_at=NOW - 5 * HOUR, anchor_at=NOW - 5 * HOUR), None, NOW + 1)
    assert (row.overdue_ms, row.missed) == (5 * HOUR + 1, 6)
    assert schedule_row(replace(HOURLY, next_at=NOW - 999 * HOUR, anchor_at=0), None, NOW).missed == 100


def test_how_the_last_run_ended_is_told() -> None:
    last = Job(
        id="1", queue="mail", name="x", state=JobState.COMPLETED, data="{}", started_at=NOW - 50, finished_at=NOW
    )
    row = schedule_row(replace(HOURLY, last_at=NOW, last_job_id="1"), last, NOW)
    assert (row.last_state, row.last_run_ms) == (JobState.COMPLETED, 50)


def test_runs_are_shown_in_two_zones_and_marked_where_clocks_change() -> None:
    first, second = runs(NIGHTLY, count=2, now=NOW, tz="America/New_York")
    assert (first.there, first.here) == ("2026-03-29T03:00:00+02:00", "2026-03-28T21:00:00-04:00")
    assert first.mark == "clocks go forward 1 h in Europe/Oslo"
    assert (second.there, second.mark) == ("2026-03-30T02:30:00+02:00", "")


def test_clocks_of_the_reader_are_marked_too() -> None:
    daily = replace(NIGHTLY, timing=Cron("0 12 * * *", "UTC"), next_at=ms("2026-10-24T12:00"))
    marks = [run.mark for run in runs(daily, count=3, now=daily.next_at or 0, tz="Europe/Oslo")]
    assert marks == ["", "clocks go back 1 h in Europe/Oslo", ""]


def test_half_an_hour_is_told_as_it_is() -> None:
    daily = replace(NIGHTLY, timing=Cron("0 12 * * *", "Australia/Lord_Howe"), next_at=ms("2026-04-04T01:00"))
    assert "clocks go back 30 min in Australia/Lord_Howe" in [run.mark for run in runs(daily, count=3, now=NOW)]


def test_runs_end_where_the_schedule_does() -> None:
    assert len(runs(replace(HOURLY, limit=5, fired=2), count=10, now=NOW)) == 3
    assert len(runs(replace(HOURLY, end_at=NOW + HOUR), count=10, now=NOW)) == 2
    assert len(runs(HOURLY, count=500, now=NOW)) == 100


def test_a_paused_schedule_is_foretold_as_if_it_were_not() -> None:
    [run] = runs(replace(HOURLY, paused=True, next_at=None), count=1, now=NOW)
    assert run.at == NOW + HOUR


def test_a_zone_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="time zone"):
        runs(HOURLY, count=1, now=NOW, tz="Europe/Atlantis")
