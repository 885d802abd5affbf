"""The figures and the periods they are about, as plain functions."""

from datetime import date

import pytest

from corral.handlers.metrics import (
    Activity,
    Facts,
    Figure,
    Span,
    before,
    engagement,
    last_over,
    performance,
    satisfaction,
    span_of,
)

WEEK = Span(date(2025, 3, 24), date(2025, 3, 30))
WORK_DAYS = frozenset({1, 2, 3, 4, 5})


def figure(kind: object, people: int, *activities: Activity, least: int = 3) -> Figure:
    assert callable(kind)
    made = kind(Facts(WEEK, people, activities), work_days=WORK_DAYS, least=least)
    assert isinstance(made, Figure)
    return made


# -- periods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("daily", "2024-02-14", "2024-02-14"),
        ("weekly", "2024-02-12", "2024-02-18"),
        ("monthly", "2024-02-01", "2024-02-29"),
    ],
)
def test_a_day_is_in_a_day_a_week_from_monday_and_a_month(period: str, first: str, last: str) -> None:
    span = span_of(period, date(2024, 2, 14))  # type: ignore[arg-type]
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    ("period", "first", "days"),
    [("daily", "2024-12-31", 1), ("weekly", "2024-12-23", 7), ("monthly", "2024-12-01", 31)],
)
def test_the_last_period_that_is_over_on_new_year(period: str, first: str, days: int) -> None:
    span = last_over(period, date(2025, 1, 1))  # type: ignore[arg-type]
    assert (span.first.isoformat(), span.days) == (first, days)


def test_the_period_before_a_long_month_may_be_a_short_one() -> None:
    assert before("monthly", span_of("monthly", date(2025, 3, 31))) == (date(2025, 2, 1), date(2025, 2, 28))


def test_a_week_has_as_many_work_days_as_are_wanted() -> None:
    assert WEEK.work_days(WORK_DAYS) == 5
    assert WEEK.work_days(frozenset({6, 7})) == 2


# -- engagement --------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-08")
def test_engagement_is_the_share_of_people_who_did_something() -> None:
    made = figure(
        engagement,
        4,
        Activity("ann", "check-in", 5, 4.0),
        Activity("bo", "kudos-given"),
        Activity("ann", "kudos-received"),
    )
    assert made.value == 0.5
    assert made.parts == {
        "people": 4, "active": 2, "checkIns": 5, "checkInRate": 0.25, "kudos": 1, "kudosPerPerson": 0.25,
        "recognised": 0.25,
    }  # fmt: skip


def test_who_only_gets_kudos_or_has_plans_is_not_active() -> None:
    assert figure(engagement, 2, Activity("ann", "kudos-received"), Activity("bo", "goal-planned", 3)).value == 0.0


def test_a_word_of_the_application_s_own_is_an_activity() -> None:
    assert figure(engagement, 1, Activity("ann", "posted-idea")).value == 1.0


def test_more_active_people_than_the_head_count_knows_are_not_more_than_all() -> None:
    made = figure(engagement, 1, Activity("ann", "check-in"), Activity("bo", "check-in"))
    assert (made.value, made.parts["people"]) == (1.0, 2)


def test_nobody_has_no_engagement() -> None:
    made = figure(engagement, 0)
    assert (made.value, made.note) == (None, "there are no people")


# -- performance -------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-08")
def test_performance_is_the_share_of_planned_goals_that_were_reached() -> None:
    made = figure(
        performance, 9,
        Activity("ann", "goal-planned", 4), Activity("ann", "goal-done", 4),
        Activity("bo", "goal-planned", 4), Activity("bo", "goal-done", 1),
        Activity("cy", "goal-planned", 2), Activity("cy", "goal-done", 1),
    )  # fmt: skip
    assert (made.value, made.parts["median"], made.parts["people"]) == (0.6, 0.5, 3)


def test_goals_that_were_not_planned_make_up_for_nobody_s() -> None:
    made = figure(
        performance,
        2,
        Activity("ann", "goal-planned", 2),
        Activity("ann", "goal-done", 9),
        Activity("bo", "goal-planned", 2),
    )
    assert (made.value, made.parts["extra"], made.parts["median"]) == (0.5, 7, None)


def test_without_plans_there_is_no_performance() -> None:
    made = figure(performance, 2, Activity("ann", "goal-done", 3))
    assert (made.value, made.note) == (None, "no goals were planned")


# -- satisfaction ------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-08")
def test_satisfaction_is_the_mean_of_everybody_s_mean() -> None:
    made = figure(
        satisfaction, 3,
        Activity("ann", "check-in", 5, 5.0), Activity("bo", "check-in", 1, 1.0), Activity("cy", "survey", 1, 3.0),
    )  # fmt: skip
    assert (made.value, made.parts["answers"], made.parts["good"], made.parts["low"]) == (3.0, 7, 0.333, 0.333)
    assert made.parts["spread"] == 1.63


def test_the_satisfaction_of_two_people_is_their_own_business() -> None:
    made = figure(satisfaction, 2, Activity("ann", "check-in", 1, 2.0), Activity("bo", "check-in", 1, 3.0))
    assert (made.value, dict(made.parts)) == (None, {"people": 2, "answers": 2})
    assert made.note == "3 people must have answered for it not to be somebody's own"
    assert figure(satisfaction, 2, Activity("ann", "check-in", 1, 2.0), least=1).value == 2.0


def test_a_check_in_without_a_mood_says_nothing_about_satisfaction() -> None:
    assert figure(satisfaction, 1, Activity("ann", "check-in")).note == "nobody answered"
