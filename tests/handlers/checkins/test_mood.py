"""Mood over time, as plain figures: trends, weeks, lines, and what is worth a word."""

from collections.abc import Iterable
from datetime import date, timedelta

import pytest

from corral.handlers.checkins import (
    CheckinsSettings,
    Reply,
    about_all,
    about_group,
    about_person,
    slope,
    trend,
    weeks,
)

LAST = date(2025, 3, 30)


def days(moods: Iterable[int], *, last: date = LAST, person: str = "ann", **facts: int | str) -> list[Reply]:
    """A check-in a day, the last of them on `last`."""
    several = list(moods)
    first = last - timedelta(len(several) - 1)
    return [Reply(person, first + timedelta(at), mood, **facts) for at, mood in enumerate(several)]  # type: ignore[arg-type]


def kinds(replies: list[Reply], **settings: float) -> list[str]:
    return [one.kind for one in about_person("ann", replies, LAST, CheckinsSettings.load(**settings))]


# -- trends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "direction"),
    [([3] * 7, [4] * 7, "up"), ([4] * 7, [3] * 7, "down"), ([3] * 7, [3] * 7, "steady"), ([], [5], "new")],
)
def test_a_week_is_compared_with_the_one_before(before: list[int], now: list[int], direction: str) -> None:
    assert trend(days(before + now), LAST).direction == direction


def test_a_week_without_check_ins_has_no_mood() -> None:
    found = trend(days([3] * 5, last=LAST - timedelta(8)), LAST)
    assert (found.mood, found.before, found.change, found.direction) == (None, 3.0, None, "unknown")


def test_a_change_within_what_counts_as_steady_is_none() -> None:
    replies = days([3, 3, 3, 3, 3, 3, 3, 4], last=LAST)
    week_apart = [reply._replace(day=reply.day - timedelta(4)) for reply in replies[:4]] + replies[4:]
    assert trend(week_apart, LAST, steady=0.25).direction == "steady"
    assert trend(week_apart, LAST, steady=0.2).direction == "up"


def test_the_first_day_of_a_week_belongs_to_it_and_the_day_before_does_not() -> None:
    edge = [Reply("ann", LAST - timedelta(6), 5), Reply("ann", LAST - timedelta(7), 1)]
    assert trend(edge, LAST) == (5.0, 1.0, "up", 1)


def test_weeks_are_told_oldest_first_and_without_a_mood_of_too_few() -> None:
    replies = days([2] * 7, person="ann") + days([4] * 7, person="bo") + days([5] * 7, person="cy")
    replies += days([1] * 7, last=LAST - timedelta(7), person="ann")
    assert weeks(replies, LAST, 3, least=2) == [
        (LAST - timedelta(20), None, 0, 0),
        (LAST - timedelta(13), None, 1, 7),
        (LAST - timedelta(6), 3.67, 3, 21),
    ]


@pytest.mark.parametrize(
    ("moods", "found"),
    [
        ([3.0, 3.5, 4.0], 0.5),
        ([4.0, None, 3.0, 2.5], -0.5),
        ([3.0, 3.1, 3.2, 1.0, 3.4, 3.5], 0.1),
        ([3.0, 4.0], None),
    ],
)
def test_one_odd_week_hardly_moves_the_line_through_many(moods: list[float | None], found: float | None) -> None:
    assert slope(moods) == (None if found is None else pytest.approx(found))


# -- one person --------------------------------------------------------------------------------------------------------


def test_an_ordinary_month_is_worth_no_word() -> None:
    assert kinds(days([3, 4, 3, 4, 5, 3, 4] * 5, planned=3, done=2)) == []


def test_three_low_days_in_a_row_are_low_however_good_the_month_was() -> None:
    [found] = about_person("ann", days([5] * 30 + [2, 1, 2]), LAST, CheckinsSettings.load())
    assert (found.kind, found.subject, found.level) == ("low-mood", "ann", "warning")
    assert found.text == "Mood is low: 3.6 of 5 (the last 3 in a row are low)."


def test_a_week_that_is_low_on_average_is_low() -> None:
    [found] = about_person("ann", days([1, 3, 1, 3]), LAST, CheckinsSettings.load())
    assert found.text == "Mood is low: 2.0 of 5 (4 check-ins in 7 days)."


def test_two_low_days_say_nothing_yet() -> None:
    assert kinds(days([2, 1])) == []


def test_low_days_that_ended_are_not_low() -> None:
    assert kinds(days([1, 1, 1, 4, 4])) == []


def test_a_fall_is_told_before_it_is_low() -> None:
    assert kinds(days([5] * 28 + [4, 3, 4, 3, 4, 3, 4])) == ["drop"]


def test_a_rise_after_a_low_month_is_good_news() -> None:
    [found] = about_person("ann", days([2] * 28 + [4] * 7), LAST, CheckinsSettings.load())
    assert (found.kind, found.level) == ("recovery", "info")


def test_silence_of_somebody_who_used_to_check_in_is_told() -> None:
    [found] = about_person("ann", days([4] * 20, last=LAST - timedelta(9)), LAST, CheckinsSettings.load())
    assert (found.kind, found.text) == ("silence", "No check-in for 9 days, after 20 in the four weeks before.")


def test_silence_of_somebody_who_hardly_ever_checks_in_is_not() -> None:
    assert kinds(days([4, 4, 4], last=LAST - timedelta(9))) == []


def test_goals_that_are_mostly_missed_are_told() -> None:
    assert kinds(days([4] * 6, planned=2, done=0)) == ["goals-missed"]
    assert kinds(days([4] * 6, planned=2, done=1)) == []


def test_goals_beyond_those_planned_do_not_make_up_for_missed_ones() -> None:
    replies = [*days([4] * 5, planned=2, done=0, last=LAST - timedelta(1)), Reply("ann", LAST, 4, 0, 40)]
    assert kinds(replies) == ["goals-missed"]


# -- many people -------------------------------------------------------------------------------------------------------


def group(moods: dict[str, int], *, before: int | None = None) -> list[Reply]:
    replies = [reply for person, mood in moods.items() for reply in days([mood] * 3, person=person, team="red")]
    if before is not None:
        replies += [reply for person in moods for reply in days([before] * 20, person=person, last=LAST - timedelta(7))]
    return replies


def test_a_team_of_two_is_never_spoken_about() -> None:
    assert list(about_group("red", group({"ann": 1, "bo": 1}), LAST, CheckinsSettings.load())) == []


def test_a_low_team_is_told_without_naming_anybody() -> None:
    [found] = about_group("red", group({"ann": 1, "bo": 2, "cy": 3}), LAST, CheckinsSettings.load())
    assert (found.kind, found.subject) == ("team-low-mood", "red")
    assert found.text == "The team's mood is low: 2.0 of 5 from 3 people."


def test_a_fall_of_a_team_is_told() -> None:
    falling = group({"ann": 3, "bo": 3, "cy": 3}, before=4)
    assert [one.kind for one in about_group("red", falling, LAST, CheckinsSettings.load())] == ["team-drop"]


def test_all_of_it_is_about_people_then_teams_then_the_whole() -> None:
    replies = group({"ann": 1, "bo": 2, "cy": 1})
    found = [(one.kind, one.subject) for one in about_all(replies, LAST, CheckinsSettings.load())]
    assert found == [
        ("low-mood", "ann"),
        ("low-mood", "bo"),
        ("low-mood", "cy"),
        ("team-low-mood", "red"),
        ("team-low-mood", ""),
    ]


def test_of_one_team_the_whole_is_that_team() -> None:
    found = about_all(group({"ann": 1, "bo": 3, "cy": 3}), LAST, CheckinsSettings.load(), group="red")
    assert [(one.kind, one.subject) for one in found] == [("low-mood", "ann"), ("team-low-mood", "red")]
