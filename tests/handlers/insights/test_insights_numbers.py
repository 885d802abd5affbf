"""The statistics: values worked out by hand, and what must hold for every series."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.handlers.insights.numbers import (
    ewma,
    mann_kendall,
    robust_z,
    same_weekday,
    shift,
    spread,
    theil_sen,
    trend,
    weekday_factors,
    without_weekdays,
)

SERIES = st.lists(st.integers(0, 10_000).map(float), min_size=4, max_size=40)


def test_the_spread_of_normal_values_is_their_standard_deviation() -> None:
    chance = random.Random(1)
    values = [chance.gauss(100, 15) for _ in range(4_000)]

    assert spread(values) == pytest.approx(15, rel=0.05)


def test_one_wild_value_changes_the_spread_by_nothing() -> None:
    assert spread([10, 11, 12, 13, 1_000_000]) == spread([10, 11, 12, 13, 14])


def test_values_that_are_mostly_the_same_have_a_spread_all_the_same() -> None:
    assert spread([0, 0, 0, 0, 5]) == pytest.approx(1.2533)


def test_the_robust_score_counts_spreads_from_the_middle() -> None:
    others = [8.0, 9.0, 10.0, 11.0, 12.0]

    assert robust_z(10.0, others) == 0
    assert robust_z(10 + 1.4826 * 4, others) == pytest.approx(4)
    assert robust_z(10 - 1.4826 * 4, others) == pytest.approx(-4)


def test_what_never_varied_makes_every_change_a_wonder() -> None:
    assert robust_z(5, [5, 5, 5]) == 0
    assert robust_z(6, [5, 5, 5]) == math.inf
    assert robust_z(4, [5, 5, 5]) == -math.inf


def test_smoothing_halves_a_jump_in_a_half_life() -> None:
    smooth = ewma([0.0] + [100.0] * 7, half_life=7)

    assert smooth[0] == 0
    assert smooth[-1] == pytest.approx(50)


def test_the_slope_is_that_of_the_line_whatever_a_few_days_do() -> None:
    values = [5.0 + 2.0 * day for day in range(20)]
    values[3], values[11], values[17] = 900.0, -400.0, 0.0

    assert theil_sen(values) == pytest.approx(2.0)
    assert theil_sen([]) == theil_sen([4.0]) == 0


def test_the_chance_of_a_trend_is_what_counting_all_orders_says() -> None:
    """Of the 720 orders of six values, so many are at least as steady as this one."""
    values = [1.0, 3.0, 2.0, 5.0, 4.0, 6.0]

    def score(order: tuple[float, ...] | list[float]) -> int:
        return sum((b > a) - (b < a) for a, b in itertools.combinations(order, 2))

    exact = sum(abs(score(one)) >= score(values) for one in itertools.permutations(values)) / math.factorial(6)

    assert mann_kendall(values) == pytest.approx(exact, abs=0.01)


def test_ties_are_no_steps() -> None:
    assert mann_kendall([3.0] * 30) == 1.0
    assert mann_kendall([1.0, 2.0, 3.0]) == 1.0  # too few to say
    assert mann_kendall([float(day // 3) for day in range(30)]) < 0.001


@given(SERIES)
def test_a_series_and_its_mirror_are_as_likely(values: list[float]) -> None:
    assert mann_kendall(values) == pytest.approx(mann_kendall(values[::-1]))
    assert theil_sen(values) == pytest.approx(-theil_sen(values[::-1]))
    assert 0 <= mann_kendall(values) <= 1


def test_chance_alone_seldom_makes_a_trend() -> None:
    chance = random.Random(3)
    found = sum(mann_kendall([chance.gauss(100, 10) for _ in range(30)]) < 0.05 for _ in range(400))

    assert 5 <= found <= 36  # 20 are to be expected


def test_the_rhythm_of_the_week_is_taken_out() -> None:
    rhythm = [10.0, 10.0, 10.0, 10.0, 15.0, 15.0, 0.0]

    assert weekday_factors(rhythm * 5) == pytest.approx([1, 1, 1, 1, 1.5, 1.5, 1])  # a closed day divides by nothing
    assert without_weekdays(rhythm * 5) == pytest.approx(([10.0] * 6 + [0.0]) * 5)
    assert without_weekdays(rhythm * 3) == rhythm * 3  # too few weeks to know


def test_a_new_level_is_no_rhythm() -> None:
    assert without_weekdays([10.0] * 20 + [30.0] * 20)[:15] == pytest.approx([10.0] * 15)


def test_a_trend_is_seen_through_the_rhythm() -> None:
    values = [(100 + day) * (2.0 if day % 7 == 5 else 1.0) for day in range(56)]

    found = trend(without_weekdays(values))

    assert found.slope == pytest.approx(1, rel=0.25)
    assert found.p < 0.001


def test_the_same_weekday_of_the_weeks_before() -> None:
    values = [float(day) for day in range(30)]

    assert same_weekday(values, 28) == [21, 14, 7, 0]
    assert same_weekday(values, 28, weeks=2) == [21, 14]
    assert same_weekday(values, 3) == []


def test_the_day_on_which_the_level_changed_is_found() -> None:
    chance = random.Random(5)
    values = [chance.gauss(100, 5) for _ in range(18)] + [chance.gauss(140, 5) for _ in range(12)]

    found = shift(values)

    assert found is not None
    assert found.start == 18
    assert found.before == pytest.approx(100, abs=5)
    assert found.after == pytest.approx(140, abs=5)
    assert found.score > 1.9


def test_a_step_without_any_chance_is_certain() -> None:
    found = shift([10.0] * 10 + [20.0] * 10)

    assert found is not None
    assert (found.start, found.before, found.after, found.score) == (10, 10, 20, math.inf)


@pytest.mark.parametrize("values", [[5.0] * 20, [1.0, 2.0, 3.0], [0.0] * 19 + [100.0]])
def test_where_nothing_changed_nothing_is_found(values: list[float]) -> None:
    assert shift(values) is None


def test_chance_alone_seldom_makes_a_shift() -> None:
    chance = random.Random(9)
    found = [shift([chance.gauss(100, 10) for _ in range(30)]) for _ in range(400)]

    assert sum(one is not None and one.score > 1.9 for one in found) <= 12
