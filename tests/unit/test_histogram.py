"""Histograms of durations, and the figures made of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.figures import Figures
from corral.histogram import Spread, bucket_of, merged, middle_of, percentile
from corral.storage.insight import Sample
from corral.timing import MAX_DURATION_MS

DURATIONS = st.integers(0, MAX_DURATION_MS)


@given(DURATIONS)
def test_a_bucket_stands_for_its_durations_within_seven_percent(ms: int) -> None:
    assert abs(middle_of(bucket_of(ms)) - ms) <= 0.0667 * ms


@given(DURATIONS, DURATIONS)
def test_longer_durations_have_higher_buckets(first: int, second: int) -> None:
    low, high = sorted((first, second))
    assert bucket_of(low) <= bucket_of(high)


def test_buckets_are_few_and_without_holes() -> None:
    numbers = [bucket_of(ms) for ms in range(200_000)]
    assert sorted(set(numbers)) == list(range(max(numbers) + 1))
    assert bucket_of(MAX_DURATION_MS) < 310


@pytest.mark.parametrize("ms", [0, -1, -10_000])
def test_no_time_and_a_clock_that_went_back_are_bucket_zero(ms: int) -> None:
    assert bucket_of(ms) == 0


def test_percentiles_of_many_durations_are_right_within_a_tenth() -> None:
    chance = random.Random(7)
    taken = sorted(int(chance.lognormvariate(5, 1.5)) for _ in range(20_000))
    histogram: dict[int, int] = {}
    for ms in taken:
        histogram[bucket_of(ms)] = histogram.get(bucket_of(ms), 0) + 1
    for share in (0.5, 0.95, 0.99):
        exact = taken[int(share * len(taken)) - 1]
        assert percentile(histogram, share) == pytest.approx(exact, rel=0.1)


def test_percentiles_of_few_durations_are_those_durations() -> None:
    histogram = {1: 1, 5: 1, 9: 1, 12: 1}
    assert [percentile(histogram, share) for share in (0, 0.25, 0.26, 0.5, 0.75, 0.99, 1)] == [1, 1, 5, 5, 9, 12, 12]
    assert percentile({}, 0.5) is None


@given(st.lists(st.dictionaries(st.integers(0, 300), st.integers(1, 9)), max_size=5))
def test_histograms_add_up(histograms: list[dict[int, int]]) -> None:
    assert sum(merged(histograms).values()) == sum(sum(one.values()) for one in histograms)


def test_a_spread_is_in_seconds_and_of_nothing_it_is_nothing() -> None:
    assert Spread.of({8: 2, 10: 2}) == Spread(4, 0.008, 0.010, 0.010, 0.009)
    assert Spread.of({}) == Spread()


SAMPLES = [
    Sample(at=60_000, name="mail", completed=3, wait={1: 3}, run={10: 3}),
    Sample(at=60_000, name="report", completed=1, failed=1, wait={2: 2}, run={8: 2}),
    Sample(at=120_000, name="mail", retried=1, run={12: 1}),
]


def test_figures_take_samples_together() -> None:
    figures = Figures.of(SAMPLES)
    assert (figures.completed, figures.failed, figures.retried, figures.attempts) == (4, 1, 1, 6)
    assert figures.failure_share == pytest.approx(1 / 3)
    assert (figures.wait.count, figures.run.count, figures.run.p99) == (5, 6, 0.012)
    assert Figures.of([]).failure_share == 0


def test_figures_by_name_and_by_time() -> None:
    assert {name: one.attempts for name, one in Figures.by_name(SAMPLES).items()} == {"mail": 4, "report": 2}
    assert {at: one.attempts for at, one in Figures.by_time(SAMPLES).items()} == {60_000: 5, 120_000: 1}
