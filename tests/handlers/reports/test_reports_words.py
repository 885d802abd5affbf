"""How values and days read."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

import pytest

from corral.errors import PayloadError
from corral.handlers.reports import Column, Figure, Period
from corral.handlers.reports.document import Kind
from corral.handlers.reports.output.pdf import breakable
from corral.handlers.reports.period import Rhythm, last_whole, parse_period
from corral.handlers.reports.sources.days import buckets
from corral.handlers.reports.words import (
    apart,
    change_of,
    clean,
    places_of,
    right_to_left,
    show,
    show_cell,
    show_seconds,
    symbol_of,
)

Better = Literal["up", "down"] | None

THURSDAY = date(2025, 10, 9)


@pytest.mark.parametrize(
    ("value", "kind", "unit", "words"),
    [
        (None, "text", "", "–"),
        (True, "text", "", "yes"),
        (1234567, "number", "", "1,234,567"),
        (-1234.5, "number", "", "−1,234.5"),
        (0.1 + 0.2, "number", "", "0.3"),
        (-0.001, "number", "", "0"),
        (87.5, "percent", "", "87.5%"),
        (100.0, "percent", "", "100%"),
        (12.5, "money", "EUR", "€12.50"),
        (-12.5, "money", "USD", "−$12.50"),
        (1234.0, "money", "NOK", "1,234.00 NOK"),
        (1500.0, "money", "JPY", "¥1,500"),
        (123456.78, "money", "USD", "$123,457"),
        (float("nan"), "number", "", "–"),
        (3, "number", "ms", "3 ms"),
        (33.69, "number", "×", "33.69×"),
        (date(2025, 10, 9), "date", "", "2025-10-09"),
        (datetime(2025, 10, 9, 8, 5, tzinfo=UTC), "time", "", "2025-10-09 08:05"),
        ("a\n b\tc\x07", "text", "", "a b c\ufffd"),
    ],
)
def test_a_value_in_words(value: object, kind: str, unit: str, words: str) -> None:
    assert show(value, kind, unit) == words  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.44, "0.4s"),
        (9.96, "10s"),
        (59.6, "1m 00s"),
        (323, "5m 23s"),
        (3_599.6, "1h 00m"),
        (90_061, "1d 1h"),
        (-5, "−5s"),
    ],
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    assert show_seconds(seconds) == words


@pytest.mark.parametrize(
    ("value", "before", "kind", "better", "change"),
    [
        (84, 75, "number", "up", ("+12% from 75", "up", "good")),
        (3, 2, "number", "up", ("+1 from 2", "up", "good")),
        (3, 5, "number", "up", ("−2 from 5", "down", "bad")),
        (3, 5, "number", "down", ("−2 from 5", "down", "good")),
        (3, 5, "number", None, ("−2 from 5", "down", "calm")),
        (5, 5, "number", "up", ("as before (5)", "level", "calm")),
        (2.41, 2.42, "percent", "up", ("as before (2.4%)", "level", "calm")),
        (87.5, 90.0, "percent", "up", ("−2.5 points from 90%", "down", "bad")),
        (100.0, 0.0, "money", "up", ("+$100.00 from $0.00", "up", "good")),
        (323.0, 400.0, "seconds", "down", ("−19% from 6m 40s", "down", "good")),
        (9_000_000, 20, "number", "up", ("+8,999,980 from 20", "up", "good")),
    ],
)
def test_a_change_in_words(value: float, before: float, kind: Kind, better: Better, change: object) -> None:
    unit = "USD" if kind == "money" else ""

    assert change_of(Figure(label="L", value=value, before=before, kind=kind, unit=unit, better=better)) == change


@pytest.mark.parametrize("figure", [Figure(label="L", value=1), Figure(label="L", value="x", before=1.0)])
def test_without_two_numbers_there_is_no_change(figure: Figure) -> None:
    assert change_of(figure) is None


def test_the_numbers_of_a_column_have_as_many_places_each() -> None:
    assert [places_of(cells) for cells in ([1, 2], [1.0, 2], [4.5, 3], [1.25, 1], [None, "x", True])] == [0, 0, 1, 2, 0]
    assert [show_cell(value, Column("C", "number"), 1) for value in (4, 4.5)] == ["4.0", "4.5"]


def test_a_name_from_right_to_left_takes_nothing_along() -> None:
    assert apart("Ann") == "Ann"
    assert apart("محمد") == "\u2068محمد\u2069"
    assert clean(apart("محمد")) == apart("محمد")
    assert (right_to_left("1 محمد"), right_to_left("Åsa محمد"), right_to_left("12")) == (True, False, False)


def test_marks_that_turn_what_follows_around_are_shown_as_unknown() -> None:
    assert clean("evil\u202egnp.exe") == "evil\ufffdgnp.exe"


def test_currencies_that_everybody_knows_have_their_sign() -> None:
    assert [symbol_of(code) for code in ("usd", "€", "NOK", "×", "")] == ["$", "€", "", "", ""]


def test_long_words_may_be_broken_at_their_joints_and_else_anywhere() -> None:
    assert breakable("short words only stay", 8) == "short words only stay"
    assert breakable("com.example.shop", 8) == "com.\u200bexample.\u200bshop"
    assert breakable("a" * 20, 8).split("\u200b") == ["a" * 8, "a" * 8, "a" * 4]


# -- periods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rhythm", "first", "last"),
    [("weekly", date(2025, 9, 29), date(2025, 10, 5)), ("monthly", date(2025, 9, 1), date(2025, 9, 30)),
     ("quarterly", date(2025, 7, 1), date(2025, 9, 30))],
)  # fmt: skip
def test_the_last_whole_week_month_and_quarter(rhythm: Rhythm, first: date, last: date) -> None:
    assert last_whole(rhythm, THURSDAY) == Period(first, last)


def test_on_a_monday_the_last_week_ended_yesterday() -> None:
    assert last_whole("weekly", date(2025, 10, 6)).last == date(2025, 10, 5)


def test_in_january_the_month_and_quarter_before_are_last_years() -> None:
    assert last_whole("monthly", date(2026, 1, 1)) == Period(date(2025, 12, 1), date(2025, 12, 31))
    assert last_whole("quarterly", date(2026, 3, 31)) == Period(date(2025, 10, 1), date(2025, 12, 31))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("7d", date(2025, 10, 2), date(2025, 10, 8)),
        ("2w", date(2025, 9, 25), date(2025, 10, 8)),
        ("30d", date(2025, 9, 9), date(2025, 10, 8)),
        ("1y", date(2024, 10, 9), date(2025, 10, 8)),
        ("2025-02", date(2025, 2, 1), date(2025, 2, 28)),
        ("2025-12", date(2025, 12, 1), date(2025, 12, 31)),
        ("2025-Q4", date(2025, 10, 1), date(2025, 12, 31)),
        ("2025-W01", date(2024, 12, 30), date(2025, 1, 5)),
    ],
)
def test_a_period_as_it_is_written(text: str, first: date, last: date) -> None:
    assert parse_period(text, THURSDAY) == Period(first, last)


@pytest.mark.parametrize(
    "text", ["", "0d", "7", "d", "401d", "2y", "2025-13", "2025-Q5", "2025-W54", "7 d", "-7d", "\u0667d"]
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(PayloadError, match=r"write 7d, 12w, 3m, 1y \(at most 400 days\)"):
        parse_period(text, THURSDAY)


@pytest.mark.parametrize(
    ("period", "before"),
    [
        (Period(date(2025, 10, 2), date(2025, 10, 8)), Period(date(2025, 9, 25), date(2025, 10, 1))),
        (Period(date(2025, 3, 1), date(2025, 3, 31)), Period(date(2025, 2, 1), date(2025, 2, 28))),
        (Period(date(2025, 7, 1), date(2025, 9, 30)), Period(date(2025, 4, 1), date(2025, 6, 30))),
    ],
)
def test_what_a_period_is_compared_with(period: Period, before: Period) -> None:
    assert period.before() == before


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2025, 10, 6), date(2025, 10, 12), "6–12 Oct 2025"),
        (date(2025, 9, 29), date(2025, 10, 5), "29 Sep – 5 Oct 2025"),
        (date(2024, 12, 30), date(2025, 1, 5), "30 Dec 2024 – 5 Jan 2025"),
        (date(2025, 1, 5), date(2025, 1, 5), "5 Jan 2025"),
    ],
)
def test_a_period_in_words(first: date, last: date, words: str) -> None:
    assert Period(first, last).words == words


def test_days_are_those_of_the_time_zone_also_when_clocks_change() -> None:
    day = Period(date(2025, 10, 26), date(2025, 10, 26), "Europe/Oslo")

    assert day.end_ms - day.begin_ms == 25 * 3_600_000
    assert day.begin_ms == datetime(2025, 10, 25, 22, tzinfo=UTC).timestamp() * 1000
    assert (day.day_of(day.begin_ms), day.day_of(day.end_ms)) == (date(2025, 10, 26), date(2025, 10, 27))


@pytest.mark.parametrize(
    ("days", "each", "count"), [(7, "day", 7), (45, "day", 45), (91, "week", 14), (365, "month", 13)]
)
def test_long_periods_are_shown_by_week_or_month(days: int, each: str, count: int) -> None:
    first = date(2024, 10, 9)
    found = buckets(Period(first, first + timedelta(days - 1)))

    assert (found.each, len(found.labels)) == (each, count)


def test_what_falls_outside_of_a_period_is_not_counted() -> None:
    period = Period(date(2025, 10, 6), date(2025, 10, 7))
    points = [(date(2025, 10, 5), 1.0), (date(2025, 10, 6), 2.0), (date(2025, 10, 6), 4.0), (date(2025, 10, 8), 8.0)]

    assert buckets(period).add_up(points) == (6.0, 0.0)
    assert buckets(period).mean(points) == (3.0, None)
    assert buckets(period).last(points) == (4.0, None)
