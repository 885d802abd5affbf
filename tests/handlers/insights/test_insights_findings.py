"""What is found in figures, and what is not; and how it is said."""

from datetime import date, timedelta

import pytest

from corral.handlers.insights import Series
from corral.handlers.insights.findings import ranked
from corral.handlers.insights.words import compared, number
from tests.handlers.insights.business import LAST, figures, kinds, look, only, series


@pytest.mark.parametrize("seed", range(8))
def test_an_ordinary_month_has_nothing_to_tell(seed: int) -> None:
    assert [one for one in look(series(seed=seed)) if one.kind != "record"] == []


def test_a_day_that_is_far_off_is_told_with_what_is_usual() -> None:
    found = only(look(series(lambda ago, value: value * 0.4 if ago == 1 else value)), "anomaly")

    assert (found.day, found.severity, found.good) == ("2026-02-28", "critical", False)
    assert found.change == pytest.approx(-0.6, abs=0.05)
    assert found.text.startswith("Revenue was ")
    assert "on Saturday 28 February: " in found.text
    assert "is usual on a Saturday (-" in found.text


def test_a_good_day_is_no_alarm() -> None:
    found = only(look(series(lambda ago, value: value * 2.5 if ago == 3 else value)), "anomaly")

    assert (found.severity, found.good) == ("notice", True)


def test_a_quiet_sunday_is_what_sundays_are() -> None:
    """Sunday has 40 % of Saturday; against the day before it would look like a collapse."""
    assert "anomaly" not in kinds(look(series()))


def test_more_refunds_are_bad_and_fewer_are_good() -> None:
    more = series(lambda ago, value: value * 3 if ago == 1 else value, metric="refunds", better="down")
    fewer = series(lambda ago, value: value * 0.1 if ago == 1 else value, metric="refunds", better="down")

    assert only(look(more), "anomaly").good is False
    assert only(look(fewer), "anomaly").good is True


def test_spending_is_neither_good_nor_bad() -> None:
    spend = series(lambda ago, value: value * 3 if ago == 1 else value, metric="ad_spend", better=None)

    found = only(look(spend), "anomaly")
    assert (found.good, found.severity) == (None, "notice")


def test_a_month_is_compared_with_the_one_before() -> None:
    found = only(look(series(lambda ago, value: value * 1.3 if ago < 30 else value)), "comparison")

    assert found.change == pytest.approx(0.3, abs=0.03)
    assert "EUR in the last 30 days, " in found.text
    assert found.text.endswith(" % more than in the 30 days before.")


def test_a_month_is_not_compared_with_days_that_are_not_there() -> None:
    assert "comparison" not in kinds(look(series(lambda ago, value: value, days=45)))


def test_a_steady_decline_is_a_trend() -> None:
    found = only(look(series(lambda ago, value: value * (1 + ago * 0.01)), days=90), "trend")

    assert (found.good, found.severity) == (False, "warning")
    assert "has been falling steadily, by about" in found.text


def test_a_new_level_is_told_with_its_first_day() -> None:
    found = only(look(series(lambda ago, value: value * 1.5 if ago < 12 else value)), "shift")

    assert found.day == "2026-02-18"
    assert found.text.startswith("Since Wednesday 18 February, revenue is at about ")
    assert found.change == pytest.approx(0.5, abs=0.1)


def test_the_best_day_of_all_is_worth_a_word() -> None:
    found = only(look(series(lambda ago, value: 5_000 if ago == 8 else value)), "record")

    assert found.text == "Saturday 21 February was the best day for revenue in 160 days: 5,000 EUR."


def test_figures_that_stopped_coming_are_no_collapse() -> None:
    values = {day: value for day, value in figures().items() if day <= LAST - timedelta(days=4)}
    found = look(Series(metric="ad_spend", label="Ad spend", values=values, unit="EUR"))

    assert kinds(found) == ["stale"]
    assert found[0].text == "There are no figures for ad spend since Wednesday 25 February: is the sync working?"


def test_days_without_an_order_are_days_with_none() -> None:
    values = {day: value for day, value in figures().items() if day != LAST - timedelta(days=5)}
    found = only(look(Series(metric="orders", label="Orders", values=values)), "anomaly")

    assert (found.value, found.day) == (0, "2026-02-24")


def test_a_rate_on_a_day_without_sessions_is_what_it_was() -> None:
    values = {day: 2.0 + (day.day % 3) / 10 for day in figures() if day != LAST - timedelta(days=5)}

    found = look(Series(metric="conversion_rate", label="Conversion rate", values=values, unit="%", additive=False))
    assert "anomaly" not in kinds(found)


@pytest.mark.parametrize(
    "values",
    [{}, {LAST - timedelta(days=100): 5.0}, {LAST: 5.0}, {LAST - timedelta(days=day): 0.0 for day in range(90)}],
)
def test_hardly_any_figures_say_nothing(values: dict[date, float]) -> None:
    assert look(Series(metric="orders", label="Orders", values=values)) == []


def test_of_one_metric_not_everything_is_told() -> None:
    wild = series(lambda ago, value: value * (3 if ago % 9 == 0 else 1.4 if ago < 30 else 1))
    found = ranked([*look(wild, 90), *look(series(lambda ago, value: value * 0.7 if ago < 30 else value,
                                                  metric="orders", label="Orders", unit=""))], 4)  # fmt: skip

    assert len(found) <= 4
    assert sum(one.metric == "revenue" for one in found) <= 3
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12_345.6, "EUR", "12,346 EUR"),
        (12.345, "EUR", "12.35 EUR"),
        (12.0, "EUR", "12 EUR"),
        (2.44, "%", "2.4 %"),
        (1_000_000, "", "1,000,000"),
        (0.25, "", "0.2"),
    ],
)
def test_numbers_are_written_as_people_do(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.184, "18 % more than"), (-0.5, "50 % less than"), (2.0, "3 times as much as"), (9.0, "10 times as much as")],
)
def test_changes_are_said_so_that_they_can_be_imagined(fraction: float, text: str) -> None:
    assert compared(fraction) == text
