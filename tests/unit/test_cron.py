"""Cron lines: their fields, and what they do when clocks change, held against a search through every minute."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.cron import ALIASES, MAX_LINE, check_cron, explain, next_after, zone
from corral.errors import ConfigError

NEW_YORK = "America/New_York"
BERLIN = "Europe/Berlin"
LORD_HOWE = "Australia/Lord_Howe"  # changes its clocks by half an hour
SANTIAGO = "America/Santiago"  # goes forward at midnight
TROLL = "Antarctica/Troll"  # changes its clocks by two hours


def millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def local(text: str, tz: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz), fold=fold)


def runs(line: str, tz: str, after: datetime) -> Iterator[int]:
    at = millis(after)
    while True:
        at = next_after(line, tz, at)
        yield at


def shown(line: str, tz: str, after: str, count: int) -> list[str]:
    """The next runs as a person there reads them: day, time and offset."""
    found = islice(runs(line, tz, local(after, tz)), count)
    return [f"{datetime.fromtimestamp(at / 1000, ZoneInfo(tz)):%d %H:%M%z}" for at in found]


# -- when clocks change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "tz", "after", "expected"),
    [
        # New York, 8 March 2026: 02:00 becomes 03:00
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["08 03:00-0400", "09 02:30-0400"]),
        ("0,30 2 * * *", NEW_YORK, "2026-03-07T12:00", ["08 03:00-0400", "09 02:00-0400", "09 02:30-0400"]),
        ("0 2,3 * * *", NEW_YORK, "2026-03-07T12:00", ["08 03:00-0400", "09 02:00-0400", "09 03:00-0400"]),
        ("*/15 * * * *", NEW_YORK, "2026-03-08T01:40", ["08 01:45-0500", "08 03:00-0400", "08 03:15-0400"]),
        ("0 */2 * * *", NEW_YORK, "2026-03-07T23:00", ["08 00:00-0500", "08 04:00-0400", "08 06:00-0400"]),
        ("*/20 2 * * *", NEW_YORK, "2026-03-07T23:00", ["09 02:00-0400", "09 02:20-0400", "09 02:40-0400"]),
        # New York, 1 November 2026: 02:00 becomes 01:00 again
        ("30 1 * * *", NEW_YORK, "2026-10-31T12:00", ["01 01:30-0400", "02 01:30-0500"]),
        ("0 1-2 * * *", NEW_YORK, "2026-10-31T12:00", ["01 01:00-0400", "01 02:00-0500", "02 01:00-0500"]),
        ("0 * * * *", NEW_YORK, "2026-11-01T00:30", ["01 01:00-0400", "01 01:00-0500", "01 02:00-0500"]),
        (
            "*/15 * * * *",
            NEW_YORK,
            "2026-11-01T00:50",
            [f"01 01:{minute}{offset}" for offset in ("-0400", "-0500") for minute in ("00", "15", "30", "45")],
        ),
        (
            "*/15 1 * * *",
            NEW_YORK,
            "2026-10-31T12:00",
            [f"01 01:{minute}{offset}" for offset in ("-0400", "-0500") for minute in ("00", "15", "30", "45")],
        ),
        # Berlin, 29 March and 25 October 2026
        ("30 2 * * 0", BERLIN, "2026-03-28T12:00", ["29 03:00+0200", "05 02:30+0200"]),
        ("30 2 * * 0", BERLIN, "2026-10-24T12:00", ["25 02:30+0200", "01 02:30+0100"]),
        # Lord Howe Island, 4 October 2026: 02:00 becomes 02:30; 5 April 2026: 02:00 becomes 01:30 again
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["04 02:30+1100", "05 02:15+1100"]),
        ("0 */3 * * *", LORD_HOWE, "2026-10-03T23:00", ["04 00:00+1030", "04 03:00+1100", "04 06:00+1100"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", ["05 01:45+1100", "06 01:45+1030"]),
        ("0 */2 * * *", LORD_HOWE, "2026-04-04T23:00", ["05 00:00+1100", "05 02:00+1030", "05 04:00+1030"]),
        # Santiago, 6 September 2026: midnight becomes 01:00
        ("0 0 * * *", SANTIAGO, "2026-09-05T12:00", ["06 01:00-0300", "07 00:00-0300"]),
        ("@daily", SANTIAGO, "2026-09-05T12:00", ["06 01:00-0300", "07 00:00-0300"]),
    ],
)
@pytest.mark.mission("M-AI-34")
def test_a_run_near_a_clock_change(line: str, tz: str, after: str, expected: list[str]) -> None:
    assert shown(line, tz, after, len(expected)) == expected


def test_a_start_inside_the_repeated_hour_looks_forward_only() -> None:
    second_pass = local("2026-11-01T01:15", NEW_YORK, fold=1)
    assert next_after("30 1 * * *", NEW_YORK, millis(second_pass)) == millis(local("2026-11-02T01:30", NEW_YORK))
    assert next_after("30 * * * *", NEW_YORK, millis(second_pass)) == millis(second_pass) + 15 * 60_000


def test_a_line_with_seconds_obeys_the_same_rules_as_one_without() -> None:
    eve = millis(local("2026-03-07T12:00", NEW_YORK))
    gap = millis(local("2026-03-08T03:00", NEW_YORK))
    assert next_after("0 30 2 * * *", NEW_YORK, eve) == gap
    assert next_after("15 30 2 * * *", NEW_YORK, eve) == gap
    assert next_after("*/10 30 2 * * *", NEW_YORK, eve) == millis(local("2026-03-09T02:30", NEW_YORK))


def test_the_second_before_a_clock_change_leads_to_the_change_itself() -> None:
    change = millis(local("2026-03-08T03:00", NEW_YORK))
    for line in ("* * * * * *", "0 * * * *", "*/15 * * * *", "0 3 * * *"):
        assert next_after(line, NEW_YORK, change - 1_000) == change


# -- against a search through every minute ---------------------------------------------------------------------------


class Field(NamedTuple):
    """A field of a cron line, as text and as the values it stands for."""

    text: str
    values: frozenset[int]


class Window(NamedTuple):
    """A zone and a stretch of days around one of its clock changes."""

    tz: str
    start: str
    days: int = 4


WINDOWS = [
    Window(NEW_YORK, "2026-03-06"),
    Window(NEW_YORK, "2026-10-30"),
    Window(BERLIN, "2026-03-27"),
    Window(BERLIN, "2026-10-23"),
    Window(LORD_HOWE, "2026-04-03"),
    Window(LORD_HOWE, "2026-10-02"),
    Window(SANTIAGO, "2026-04-03"),
    Window(SANTIAGO, "2026-09-04"),
    Window(TROLL, "2026-03-27"),
    Window(TROLL, "2026-10-23"),
    Window("Asia/Kathmandu", "2028-02-27"),  # no clock change, an odd offset, and a 29 February
    Window("UTC", "2099-12-30"),
]


@cache
def minutes(window: Window) -> list[tuple[int, datetime]]:
    """Every minute of the window: the instant, and what clocks there show."""
    start = datetime.fromisoformat(window.start).replace(tzinfo=ZoneInfo(window.tz)).astimezone(UTC)
    instants = (start + timedelta(minutes=count) for count in range(window.days * 1440))
    return [(millis(at), at.astimezone(ZoneInfo(window.tz)).replace(tzinfo=None)) for at in instants]


def matches(fields: tuple[Field, ...], wall: datetime) -> bool:
    minute, hour, day, month, weekday = fields
    if wall.minute not in minute.values or wall.hour not in hour.values or wall.month not in month.values:
        return False
    of_month = wall.day in day.values
    of_week = wall.isoweekday() in weekday.values or wall.isoweekday() % 7 in weekday.values  # Sunday is 0 and 7
    both = day.text.startswith("*") or weekday.text.startswith("*")
    return (of_month and of_week) if both else (of_month or of_week)


def searched(fields: tuple[Field, ...], window: Window) -> list[int]:
    """What the rules ask for, by walking through every minute.

    A line that follows the clock runs whenever the clock shows a named time. Any other runs, for each named time, at
    the first instant at which the clock shows that time or a later one: this is the gap's end, and the first pass.
    """
    if fields[0].text.startswith("*") or fields[1].text.startswith("*"):
        return [at for at, wall in minutes(window) if matches(fields, wall)]
    found: dict[int, None] = {}
    named = minutes(window)[0][1]
    for at, wall in minutes(window):
        while named <= wall:
            if matches(fields, named):
                found[at] = None
            named += timedelta(minutes=1)
    return list(found)


@st.composite
def field(draw: st.DrawFn, low: int, high: int, *, up_to: int | None = None) -> Field:
    """A field whose values go from `low` to `high`, of which no larger ones than `up_to` are named."""
    every, top = range(low, high + 1), high if up_to is None else up_to
    first, last = sorted((draw(st.integers(low, top)), draw(st.integers(low, top))))
    step = draw(st.integers(1, top))
    some = draw(st.lists(st.integers(low, top), min_size=1, max_size=4))
    # A single value with a step means: from there on.
    stepped = range(first, last + 1)[::step] if first < last else range(first, high + 1)[::step]
    return draw(
        st.sampled_from(
            [
                Field("*", frozenset(every)),
                Field(f"*/{step}", frozenset(every[::step])),
                Field(f"{first}", frozenset({first})),
                Field(f"{first}-{last}", frozenset(range(first, last + 1))),
                Field(f"{first}-{last}/{step}", frozenset(stepped)),
                Field(",".join(map(str, some)), frozenset(some)),
            ]
        )
    )


ANY = Field("*", frozenset(range(32)))
FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
#: Without the 31 February.
COMES_TRUE = st.tuples(field(0, 59), field(0, 23), st.just(ANY), field(1, 12), field(0, 7))
#: Most clocks change between midnight and three.
NIGHTLY = st.tuples(field(0, 59), field(0, 23, up_to=3), st.just(ANY), st.just(ANY), st.just(ANY))


@settings(max_examples=120, deadline=None)
@given(window=st.sampled_from(WINDOWS), fields=FIELDS | NIGHTLY, skipped=st.integers(0, 4 * 1440 - 1))
def test_a_random_line_runs_exactly_when_a_search_through_every_minute_says(
    window: Window, fields: tuple[Field, ...], skipped: int
) -> None:
    line = " ".join(one.text for one in fields)
    after = minutes(window)[skipped][0]
    expected = [at for at in searched(fields, window) if at > after][:40]
    answered: list[int] = []
    at = after
    while len(answered) < len(expected):
        at = next_after(line, window.tz, at)
        answered.append(at)
    assert answered == expected


@settings(max_examples=60, deadline=None)
@given(second=field(0, 59), minute=field(0, 59), hour=field(0, 23, up_to=3))
def test_a_random_line_with_seconds_runs_when_a_search_through_every_second_says(
    second: Field, minute: Field, hour: Field
) -> None:
    line = f"{second.text} {minute.text} {hour.text} * * *"
    start = datetime(2026, 6, 1, tzinfo=UTC)
    day = (start + timedelta(seconds=count) for count in range(1, 4 * 3600))
    named = (at for at in day if at.hour in hour.values and at.minute in minute.values and at.second in second.values)
    expected = [millis(at) for at in islice(named, 20)]
    assert list(islice(runs(line, "UTC", start), len(expected))) == expected


@settings(max_examples=100, deadline=None)
@given(
    fields=COMES_TRUE,
    tz=st.sampled_from([one.tz for one in WINDOWS]),
    at=st.integers(1_700_000_000_000, 2_500_000_000_000),
)
def test_the_answer_is_later_than_the_question_and_the_first_there_is(
    fields: tuple[Field, ...], tz: str, at: int
) -> None:
    line = " ".join(one.text for one in fields)
    found = next_after(line, tz, at)
    assert found > at
    assert found % 1000 == 0
    assert next_after(line, tz, (at + found) // 2) == found
    assert next_after(line, tz, found - 1) == found


# -- the calendar ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "after", "expected"),
    [
        ("0 0 29 2 *", "2026-01-01", ["2028-02-29", "2032-02-29"]),
        ("0 0 29 2 *", "2096-01-01", ["2096-02-29", "2104-02-29"]),  # 2100 is no leap year
        ("0 0 31 * *", "2026-01-31", ["2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31"]),
        ("0 0 30 * *", "2026-01-31", ["2026-03-30", "2026-04-30"]),
        ("0 0 L * *", "2028-01-31", ["2028-02-29", "2028-03-31", "2028-04-30"]),
        ("0 0 LW * *", "2026-01-01", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("0 0 * * 5L", "2026-01-01", ["2026-01-30", "2026-02-27"]),
        ("0 0 * * MON#2", "2026-01-01", ["2026-01-12", "2026-02-09"]),
        ("0 0 13 * FRI", "2026-01-01", ["2026-01-02", "2026-01-09", "2026-01-13"]),  # either of the two
        ("0 0 * JAN,jul MON-TUE", "2026-01-20", ["2026-01-26", "2026-01-27", "2026-07-06"]),
        ("0 0 * * 7", "2026-01-01", ["2026-01-04", "2026-01-11"]),  # Sunday is 0 and 7
        ("0 0 1 1 *", "2026-06-01", ["2027-01-01", "2028-01-01"]),
        ("0 0 1 1 *", "2037-06-01", ["2038-01-01", "2039-01-01"]),  # past 32 bits
    ],
)
def test_days_and_months(line: str, after: str, expected: list[str]) -> None:
    found = islice(runs(line, "UTC", datetime.fromisoformat(after).replace(tzinfo=UTC)), len(expected))
    assert [f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}" for at in found] == expected


def test_six_fields_have_the_seconds_first() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert list(islice(runs("*/20 0 9 * * *", "UTC", start), 4)) == [
        millis(start.replace(hour=9)) + offset for offset in (0, 20_000, 40_000, 86_400_000)
    ]


def test_the_fraction_of_a_second_is_no_reason_to_run_again_or_late() -> None:
    noon = millis(datetime(2026, 1, 1, 12, tzinfo=UTC))
    assert next_after("* * * * * *", "UTC", noon) == noon + 1_000
    assert next_after("* * * * * *", "UTC", noon + 1) == noon + 1_000
    assert next_after("* * * * * *", "UTC", noon - 1) == noon


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_means_its_line_in_any_spelling(alias: str) -> None:
    at = millis(datetime(2026, 5, 5, 5, 5, tzinfo=UTC))
    assert next_after(alias, "UTC", at) == next_after(ALIASES[alias], "UTC", at)
    assert next_after(f" {alias.upper()} ", "UTC", at) == next_after(ALIASES[alias], "UTC", at)


@pytest.mark.parametrize("tz", ["UTC", NEW_YORK])
@pytest.mark.parametrize("line", ["0 0 1 1 *", "* * 1 1 *"])
def test_a_line_has_no_run_after_the_end_of_time(line: str, tz: str) -> None:
    with pytest.raises(ConfigError, match="never comes true"):
        next_after(line, tz, millis(datetime(9999, 6, 1, tzinfo=UTC)))


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * 0 *",
        "* * * * 8",
        "60 * * * * *",
        "-1 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/x * * * *",
        "a * * * *",
        "1, * * * *",
        "1--2 * * * *",
        "* * * FOO *",
        "* * * * MON#6",
        "* * * * XL",
        "² * * * *",
        "0 0 30 2 *",  # there is no 30 February
        "0 0 31 2,4,6,9,11 *",
        "@reboot",
        "@",
        "every day",
        "1" * 5_000 + " * * * *",
        "1," * MAX_LINE + "1 * * * *",
        "* * * * *\x00",
        None,
        5,
        ["* * * * *"],
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(line: object) -> None:
    with pytest.raises(ConfigError) as caught:
        check_cron(line, "UTC")  # type: ignore[arg-type]  # what a caller without types may pass
    assert caught.value.key == "cron"


@pytest.mark.parametrize(
    "tz",
    ["", "Europe/Osl", "CEST+9", "../UTC", "/etc/localtime", "Europe", "x" * 5_000, "U\x00", "\ud800", None, 5, []],
)
def test_an_unknown_zone_is_refused(tz: object) -> None:
    with pytest.raises(ConfigError, match="IANA name") as caught:
        check_cron("* * * * *", tz)  # type: ignore[arg-type]  # what a caller without types may pass
    assert caught.value.key == "tz"


def test_a_zone_is_known_by_its_name() -> None:
    assert zone("Europe/Oslo").key == "Europe/Oslo"


@settings(max_examples=120, deadline=None)
@given(st.text("*/-,#L0123456789 MONFEB@?", max_size=30) | st.text(max_size=20))
def test_any_text_is_either_a_line_or_a_config_error(line: str) -> None:
    try:
        check_cron(line, BERLIN)
    except ConfigError:
        line = "@daily"
    assert next_after(line, BERLIN, 0) > 0


@pytest.mark.parametrize(
    ("line", "words"), [("0 9 * * 1", "At 09:00 on Monday"), ("@hourly", "At the start of every hour")]
)
def test_a_line_can_be_told_in_words(line: str, words: str) -> None:
    assert explain(line) == words
