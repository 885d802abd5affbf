"""Schedules as data, and the arithmetic of their slots."""

from datetime import datetime
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.job import check_job_id
from corral.options import JobOptions
from corral.schedule import Cron, Every, Missed, Overlap, Schedule
from corral.slots import CATCH_UP, GRACE_MS, armed, due_slots, next_slot, slot_id

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_767_225_600_000  # 2026-01-01T00:00Z, a Thursday
HOURLY = Cron("0 * * * *")


def schedule(
    timing: Cron | Every = HOURLY, *, start_at: int | None = None, end_at: int | None = None, limit: int | None = None,
    missed: Missed = Missed.ONCE, overlap: Overlap = Overlap.ALLOW, fired: int = 0,
    next_at: int | None | UnsetType = UNSET,
) -> Schedule:  # fmt: skip
    """A schedule that was registered at `START`."""
    bare = Schedule(
        key="nightly", queue="reports", name="report", timing=timing, start_at=start_at, end_at=end_at, limit=limit,
        missed=missed, overlap=overlap, fired=fired, anchor_at=START,
    )  # fmt: skip
    return replace(bare, next_at=next_slot(bare, START) if next_at is UNSET else next_at)


def slots(one: Schedule, after: int, count: int) -> list[int | None]:
    found: list[int | None] = []
    at: int | None = after
    for _ in range(count):
        at = None if at is None else next_slot(one, at)
        found.append(at)
    return found


# -- the next slot ---------------------------------------------------------------------------------------------------


def test_an_interval_counts_from_when_it_was_registered() -> None:
    one = schedule(Every(90))
    assert slots(one, START, 3) == [START + 90_000, START + 180_000, START + 270_000]
    assert next_slot(one, START + 89_999) == START + 90_000
    assert next_slot(one, START + 90_000) == START + 180_000
    assert next_slot(one, START - HOUR) == START
    assert next_slot(one, START + 90_000 * 10**6 + 1) == START + 90_000 * (10**6 + 1)


def test_an_interval_with_a_start_runs_at_the_start_and_counts_from_there() -> None:
    later = schedule(Every(60), start_at=START + 5 * HOUR + 7)
    assert slots(later, START, 2) == [START + 5 * HOUR + 7, START + 5 * HOUR + 60_007]
    earlier = schedule(Every(60), start_at=START - 30_000)
    assert next_slot(earlier, START) == START + 30_000


def test_a_cron_line_with_a_start_may_run_at_the_start_but_not_before() -> None:
    assert next_slot(schedule(start_at=START + 5 * HOUR), START) == START + 5 * HOUR
    assert next_slot(schedule(start_at=START + 5 * HOUR + 1), START) == START + 6 * HOUR
    assert next_slot(schedule(start_at=START - DAY), START) == START + HOUR


def test_the_end_is_the_last_instant_that_may_run() -> None:
    assert slots(schedule(end_at=START + 2 * HOUR), START, 3) == [START + HOUR, START + 2 * HOUR, None]
    assert slots(schedule(end_at=START + 2 * HOUR - 1), START, 2) == [START + HOUR, None]
    assert next_slot(schedule(Every(60), end_at=START + 59_999), START) is None
    assert next_slot(schedule(end_at=START - 1), START) is None


def test_a_limit_that_is_used_up_ends_the_schedule() -> None:
    assert next_slot(schedule(limit=3, fired=2), START) == START + HOUR
    assert next_slot(schedule(limit=3, fired=3), START) is None
    assert next_slot(schedule(limit=3, fired=4), START) is None


@pytest.mark.parametrize(
    ("day", "line", "expected"),
    [
        ("2026-03-07T12:00-05:00", "30 2 * * *", ["2026-03-08T07:00", "2026-03-09T06:30", "2026-03-10T06:30"]),
        ("2026-10-31T12:00-04:00", "30 1 * * *", ["2026-11-01T05:30", "2026-11-02T06:30"]),
        ("2026-10-31T23:30-04:00", "0 * * * *", [f"2026-11-01T0{hour}:00" for hour in (4, 5, 6, 7)]),
    ],
)
def test_slots_of_a_zone_follow_its_clock_changes(day: str, line: str, expected: list[str]) -> None:
    after = round(datetime.fromisoformat(day).timestamp() * 1000)
    found = slots(schedule(Cron(line, tz="America/New_York")), after, len(expected))
    assert found == [round(datetime.fromisoformat(f"{at}Z").timestamp() * 1000) for at in expected]


TIMINGS = st.sampled_from(
    [HOURLY, Cron("*/7 3-9 * * 1-5", tz="Europe/Oslo"), Cron("*/10 * * * * *"), Every(0.1), Every(7.3)]
)


@given(TIMINGS, st.none() | st.integers(0, DAY), st.none() | st.integers(0, 3 * DAY), st.integers(-DAY, 3 * DAY))
def test_a_slot_lies_after_the_question_and_within_the_schedules_time(
    timing: Cron | Every, start: int | None, end: int | None, after: int
) -> None:
    one = schedule(
        timing,
        start_at=None if start is None else START + start,
        end_at=None if end is None else START + end,
        next_at=None,
    )
    found = next_slot(one, START + after)
    last = START + 10 * DAY if one.end_at is None else one.end_at
    first = max(START + after + 1, START - 2 * DAY if one.start_at is None else one.start_at)
    assert found is None or first <= found <= last
    # No slot is passed over: asked from just before its answer, the schedule answers the same.
    assert found is None or next_slot(one, found - 1) == found


# -- what is due -----------------------------------------------------------------------------------------------------


def test_nothing_is_due_before_the_slot_has_come() -> None:
    assert due_slots(schedule(), START + HOUR - 1) == ([], START + HOUR, 0)
    assert due_slots(schedule(next_at=None), START + HOUR) == ([], None, 0)


@pytest.mark.parametrize("missed", Missed)
@pytest.mark.parametrize("late", [0, 1, GRACE_MS])
def test_a_slot_up_to_the_grace_late_runs_under_every_policy(missed: Missed, late: int) -> None:
    assert due_slots(schedule(missed=missed), START + HOUR + late) == ([START + HOUR], START + 2 * HOUR, 0)


@pytest.mark.parametrize(
    ("missed", "expected"), [(Missed.SKIP, []), (Missed.ONCE, [START + HOUR]), (Missed.ALL, [START + HOUR])]
)
def test_a_slot_later_than_the_grace_is_missed(missed: Missed, expected: list[int]) -> None:
    assert due_slots(schedule(missed=missed), START + HOUR + GRACE_MS + 1) == (expected, START + 2 * HOUR, 1)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [(Missed.SKIP, []), (Missed.ONCE, [START + 6 * HOUR]), (Missed.ALL, [START + n * HOUR for n in range(1, 7)])],
)
def test_after_six_hours_without_a_scheduler_the_policy_decides(missed: Missed, expected: list[int]) -> None:
    now = START + 6 * HOUR + HOUR // 2
    assert due_slots(schedule(missed=missed), now) == (expected, START + 7 * HOUR, 6)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [(Missed.SKIP, [6]), (Missed.ONCE, [6]), (Missed.ALL, [1, 2, 3, 4, 5, 6])],
)
def test_back_in_time_for_a_slot_the_policy_decides_on_the_older_ones_only(missed: Missed, expected: list[int]) -> None:
    now = START + 6 * HOUR + 500
    assert due_slots(schedule(missed=missed), now) == ([START + n * HOUR for n in expected], START + 7 * HOUR, 5)


def test_the_grace_can_be_chosen() -> None:
    assert due_slots(schedule(missed=Missed.SKIP), START + HOUR + 501, grace_ms=500).slots == []
    assert due_slots(schedule(missed=Missed.SKIP), START + HOUR + 500, grace_ms=500).slots == [START + HOUR]


@pytest.mark.parametrize("timing", [Every(1), Cron("* * * * * *")])
def test_a_year_of_seconds_is_no_storm(timing: Cron | Every) -> None:
    now = START + 365 * DAY + 400
    everything = due_slots(schedule(timing, missed=Missed.ALL), now)
    assert everything.slots == [now - 400 - 1_000 * n for n in reversed(range(CATCH_UP))]
    assert (everything.next_at, everything.missed) == (now + 600, CATCH_UP - 1)
    assert due_slots(schedule(timing, missed=Missed.ONCE), now) == ([now - 400], now + 600, CATCH_UP - 1)
    assert due_slots(schedule(timing, missed=Missed.ONCE), now + 600).slots == [now + 600]


def test_the_newest_slot_is_found_across_a_long_silence_of_the_line() -> None:
    new_year = schedule(Cron("* * * 1 1 *"))  # every second of New Year's Day
    now = START + 200 * DAY
    assert due_slots(new_year, now).slots == [START + DAY - 1_000]
    assert due_slots(replace(new_year, missed=Missed.ALL), now).slots == [
        START + DAY - 1_000 * n for n in range(CATCH_UP, 0, -1)
    ]


def test_a_limit_bounds_the_catching_up_and_ends_the_schedule() -> None:
    now = START + 6 * HOUR + 500
    assert due_slots(schedule(missed=Missed.ALL, limit=5, fired=2), now) == (
        [START + HOUR, START + 2 * HOUR, START + 3 * HOUR],
        None,
        5,
    )
    assert due_slots(schedule(limit=1), START + HOUR).next_at is None
    assert due_slots(schedule(limit=2), START + HOUR).next_at == START + 2 * HOUR
    assert due_slots(schedule(limit=2, fired=2, next_at=START + HOUR), START + HOUR) == ([], None, 0)


def test_slots_that_are_skipped_use_up_no_run() -> None:
    assert due_slots(schedule(missed=Missed.SKIP, limit=1), START + HOUR + HOUR // 2) == ([], START + 2 * HOUR, 1)


def test_the_last_slot_runs_even_when_the_end_has_passed_since() -> None:
    assert due_slots(schedule(end_at=START + HOUR), START + HOUR + 500) == ([START + HOUR], None, 0)


def test_without_overlap_only_one_of_the_missed_slots_runs() -> None:
    one = schedule(missed=Missed.ALL, overlap=Overlap.SKIP)
    assert due_slots(one, START + 6 * HOUR + 500) == ([START + 6 * HOUR], START + 7 * HOUR, 5)


def test_without_overlap_the_limit_is_judged_when_the_next_slot_comes() -> None:
    one = schedule(overlap=Overlap.SKIP, limit=1)
    assert due_slots(one, START + HOUR) == ([START + HOUR], START + 2 * HOUR, 0)
    assert due_slots(replace(one, fired=1, next_at=START + 2 * HOUR), START + 2 * HOUR) == ([], None, 0)


@settings(deadline=None)
@given(TIMINGS, st.sampled_from(Missed), st.lists(st.integers(1, 6 * HOUR), max_size=12))
def test_however_often_it_is_asked_no_slot_runs_twice_and_all_misses_none(
    timing: Cron | Every, missed: Missed, pauses: list[int]
) -> None:
    one, now = schedule(timing, missed=missed), START
    ran: list[int] = []
    for pause in pauses:
        now += pause
        due = due_slots(one, now)
        ran += due.slots
        assert due.next_at is not None
        assert due.next_at > now
        one = replace(one, next_at=due.next_at, fired=one.fired + len(due.slots))
    assert all(earlier < later for earlier, later in pairwise(ran))
    assert all(slot == next_slot(one, slot - 1) for slot in ran)


@settings(deadline=None)
@given(st.lists(st.integers(1, 40 * HOUR), min_size=1, max_size=10))
def test_all_catches_up_on_every_slot_while_they_are_few(pauses: list[int]) -> None:
    one, now = schedule(HOURLY, missed=Missed.ALL), START
    ran: list[int] = []
    for pause in pauses:
        now += pause
        due = due_slots(one, now)
        ran += due.slots
        one = replace(one, next_at=due.next_at)
    assert ran == list(range(START + HOUR, now + 1, HOUR))


# -- arming ----------------------------------------------------------------------------------------------------------


def test_a_new_schedule_is_armed_from_now() -> None:
    fresh = armed(schedule(Every(60), next_at=None), None, START + 7)
    assert (fresh.anchor_at, fresh.next_at) == (START + 7, START + 60_007)


def test_an_unchanged_schedule_is_left_as_it_is() -> None:
    stored = replace(schedule(Every(60)), fired=4, last_at=START, last_job_id="x", paused=True)
    assert armed(schedule(Every(60), next_at=None), stored, START + DAY) == stored


def test_a_changed_payload_leaves_the_pending_slot() -> None:
    stored = schedule(Every(60))
    changed = armed(replace(stored, data='{"a":1}', options=JobOptions(attempts=3), next_at=None), stored, START + DAY)
    assert changed == replace(stored, data='{"a":1}', options=JobOptions(attempts=3))


def test_a_changed_timing_counts_from_now() -> None:
    stored = schedule(Every(60))
    changed = armed(replace(stored, timing=Every(50)), stored, START + 7)
    assert (changed.anchor_at, changed.next_at) == (START + 7, START + 50_007)
    assert armed(replace(stored, timing=HOURLY), stored, START + 7).next_at == START + HOUR


def test_a_raised_limit_revives_a_schedule_in_its_old_rhythm() -> None:
    ended = schedule(Every(60), limit=2, fired=2, next_at=None)
    revived = armed(replace(ended, limit=3), ended, START + HOUR + 1)
    assert (revived.anchor_at, revived.next_at) == (START, START + HOUR + 60_000)


def test_a_schedule_without_a_next_slot_gets_one_unless_it_has_ended() -> None:
    lost = schedule(next_at=None)
    assert armed(lost, lost, START + 1).next_at == START + HOUR
    ended = schedule(end_at=START, next_at=None)
    assert armed(ended, ended, START + 1) == ended


# -- data ------------------------------------------------------------------------------------------------------------


def test_the_id_of_a_slot_is_one_that_no_caller_can_choose() -> None:
    assert slot_id("nightly", START) == f"repeat:nightly:{START}"
    with pytest.raises(ConfigError):
        check_job_id(slot_id("nightly", START))


def test_a_schedule_survives_storage() -> None:
    one = schedule(Cron("0 3 * * *", tz="Europe/Oslo"), start_at=1, end_at=2, limit=3, missed=Missed.ALL, next_at=7)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Schedule) == one
    other = schedule(Every(0.5), overlap=Overlap.SKIP)
    assert msgspec.json.decode(msgspec.json.encode(other), type=Schedule) == other


@pytest.mark.parametrize("seconds", [0, 0.05, -1, float("nan"), "60", True, 1e10])
def test_an_interval_that_cannot_be_meant_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="every must be"):
        Every(seconds)


def test_a_cron_line_is_checked_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="cron line"):
        Cron("61 * * * *")
    with pytest.raises(ConfigError, match="time zone"):
        Cron("0 * * * *", tz="Europe/Olso")


def test_a_schedule_ends_after_its_end_or_its_limit() -> None:
    one = schedule(end_at=START + HOUR, limit=2, fired=1)
    assert not one.ended(START + HOUR)
    assert one.ended(START + HOUR + 1)
    assert replace(one, fired=2).ended(START)
    assert not schedule().ended(START + 1000 * DAY)


def test_an_interval_of_a_minute_and_a_line_of_every_minute_have_the_same_slots() -> None:
    assert slots(schedule(Cron("* * * * *")), START, 50) == slots(schedule(Every(60)), START, 50)
