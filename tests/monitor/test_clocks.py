"""What a list of schedules says before clocks change."""

from datetime import UTC, datetime

import pytest

from corral.monitor.agenda import schedule_row
from corral.monitor.clocks import clock_change
from corral.schedule import Cron, Every, Schedule
from corral.timing import Millis

OSLO = "Europe/Oslo"
SPRING, AUTUMN = "29 Mar: clocks go forward, 02:30 does not exist: ", "25 Oct: clocks go back, 02:30 comes twice: "


def ms(year: int, month: int, day: int, hour: int = 12) -> Millis:
    return round(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1_000)


def told(
    timing: Cron | Every, now: Millis, *, start_at: Millis | None = None, end_at: Millis | None = None
) -> str | None:  # fmt: skip
    plan = Schedule(
        key="k", queue="report", name="weekly", timing=timing, anchor_at=now, next_at=now + 1, start_at=start_at,
        end_at=end_at,
    )  # fmt: skip
    return clock_change(schedule_row(plan, None, now), now)


@pytest.mark.parametrize(
    ("line", "tz", "now", "said"),
    [
        ("30 2 * * *", OSLO, ms(2026, 3, 20), f"{SPRING}it runs at 03:00"),
        ("30 */2 * * *", OSLO, ms(2026, 3, 20), f"{SPRING}that run is left out"),
        ("30 2 * * *", OSLO, ms(2026, 10, 20), f"{AUTUMN}it runs the first time only"),
        ("30 */2 * * *", OSLO, ms(2026, 10, 20), f"{AUTUMN}it runs both times"),
        ("15 30 1 * * *", "America/New_York", ms(2026, 10, 25),
         "1 Nov: clocks go back, 01:30:15 comes twice: it runs the first time only"),
        ("45 1 * * *", "Australia/Lord_Howe", ms(2026, 4, 1),
         "5 Apr: clocks go back, 01:45 comes twice: it runs the first time only"),
    ],
)  # fmt: skip
def test_a_run_whose_time_is_left_out_or_comes_twice_is_told_of(line: str, tz: str, now: Millis, said: str) -> None:
    assert told(Cron(line, tz=tz), now) == said


@pytest.mark.parametrize(
    ("line", "tz", "now"),
    [
        ("0 9 * * *", OSLO, ms(2026, 3, 20)),  # in no gap
        ("30 2 * * 1", OSLO, ms(2026, 3, 20)),  # not on that day
        ("*/5 * * * *", OSLO, ms(2026, 10, 20)),  # there are many of them
        ("0 * * * *", OSLO, ms(2026, 10, 20)),
        ("30 2 * * *", "UTC", ms(2026, 3, 20)),
        ("30 2 * * *", OSLO, ms(2026, 3, 1)),  # too far away
        ("30 2 * * *", OSLO, ms(2026, 3, 29)),  # it is over
    ],
)
def test_nothing_is_said_of_other_runs(line: str, tz: str, now: Millis) -> None:
    assert told(Cron(line, tz=tz), now) is None


def test_a_schedule_that_does_not_run_then_is_not_warned_of() -> None:
    now, line = ms(2026, 3, 20), Cron("30 2 * * *", tz=OSLO)
    assert told(line, now, end_at=ms(2026, 3, 25)) is None
    assert told(line, now, start_at=ms(2026, 4, 1)) is None
    assert told(line, now, end_at=ms(2026, 4, 25)) is not None
    assert told(Every(3_600), now) is None
