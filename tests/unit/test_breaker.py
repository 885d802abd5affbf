"""The circuit breaker's rules: when it opens, what a probe decides, and whose hold it leaves alone."""

import pytest

from corral.breaker import Attempt, Breaker, Gauge, Standing, judge, opened
from corral.errors import ConfigError
from corral.options import Hold

BREAKER = Breaker(share=0.5, minimum=10, window=60, cooldown=30)
NOW = 1_700_000_000_000


def gauge(*endings: bool, at: int = NOW, breaker: Breaker = BREAKER) -> Gauge:
    """One that has seen these: True is a failure."""
    made = Gauge(breaker)
    for failed in endings:
        made.note(at, failed=failed)
    return made


def attempt(*, failed: bool, started: int = NOW, took: int = 100) -> Attempt:
    return Attempt(started, started + took, failed)


# -- the gauge ---------------------------------------------------------------------------------------------------------


def test_it_trips_at_the_share_of_failures_and_not_below_the_least_number_of_attempts() -> None:
    assert gauge(*[True] * 9).tripped(NOW) is None
    assert gauge(*[True] * 10).tripped(NOW) == "10 of 10 attempts failed within 60 s"
    assert gauge(*[True] * 5, *[False] * 5).tripped(NOW) == "5 of 10 attempts failed within 60 s"
    assert gauge(*[True] * 5, *[False] * 6).tripped(NOW) is None


def test_what_is_older_than_the_window_does_not_count() -> None:
    old = gauge(*[True] * 10, at=NOW - 61_000)
    assert old.tripped(NOW) is None
    recent = gauge(*[True] * 10, at=NOW - 50_000)
    assert recent.tripped(NOW) is not None


def test_a_gauge_keeps_no_more_than_its_window() -> None:
    made = Gauge(BREAKER)
    for minute in range(1_000):
        made.note(NOW + minute * 6_000, failed=True)
    assert len(made._slices) <= 11


def test_a_gauge_that_was_cleared_begins_anew() -> None:
    made = gauge(*[True] * 10)
    made.clear()
    assert made.tripped(NOW) is None


# -- the judge ---------------------------------------------------------------------------------------------------------


def test_a_closed_breaker_opens_for_its_cool_down_when_its_gauge_says_so() -> None:
    hold = judge(BREAKER, Standing(), attempt(failed=True), "10 of 12 attempts failed")
    assert hold == Hold(for_ms=30_000, reason="breaker[1]: 10 of 12 attempts failed", probe=True)
    assert judge(BREAKER, Standing(), attempt(failed=True), None) == "as it is"


def held(streak: int = 1, until: int = NOW) -> Standing:
    return Standing(until, opened(BREAKER, streak, "why").reason, True)


def test_a_probe_that_went_well_closes_it() -> None:
    assert judge(BREAKER, held(), attempt(failed=False), None) is None


def test_a_failed_probe_opens_it_for_twice_as_long() -> None:
    hold = judge(BREAKER, held(), attempt(failed=True), None)
    assert hold == Hold(for_ms=60_000, reason="breaker[2]: the probe failed", probe=True)
    again = judge(BREAKER, held(2), attempt(failed=True), None)
    assert again == Hold(for_ms=120_000, reason="breaker[3]: the probe failed", probe=True)


def test_the_cool_down_grows_up_to_its_maximum() -> None:
    assert [BREAKER.cooldown_ms(streak) for streak in (1, 2, 7, 8, 1_000)] == [
        30_000, 60_000, 1_920_000, 3_600_000, 3_600_000,
    ]  # fmt: skip


@pytest.mark.parametrize("failed", [True, False])
def test_a_run_that_began_before_the_hold_ended_is_no_probe(failed: bool) -> None:
    straggler = attempt(failed=failed, started=NOW - 1, took=60_000)
    assert judge(BREAKER, held(), straggler, "10 of 10 attempts failed") == "as it is"


@pytest.mark.parametrize("probing", [True, False])
@pytest.mark.parametrize("failed", [True, False])
def test_a_hold_that_a_person_set_is_neither_lifted_nor_replaced(failed: bool, probing: bool) -> None:
    theirs = Standing(NOW + 60_000, "maintenance until noon", probing)
    assert judge(BREAKER, theirs, attempt(failed=failed), "10 of 10 attempts failed") == "as it is"


def test_a_persons_hold_that_is_over_keeps_nothing_from_opening() -> None:
    theirs = Standing(NOW - 1, "maintenance until noon", False)
    assert isinstance(judge(BREAKER, theirs, attempt(failed=True), "10 of 10 attempts failed"), Hold)


def test_a_hold_that_was_lifted_by_hand_counts_as_closed() -> None:
    assert judge(BREAKER, Standing(None, "", False), attempt(failed=False), None) == "as it is"


# -- what may be asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"share": 0}, "breaker share must be above 0 and at most 1, not 0"),
        ({"share": 1.5}, "breaker share"),
        ({"minimum": 0}, "breaker minimum must be 1 attempt or more, not 0"),
        ({"by": "tenant"}, "breaker by must be 'queue' or 'group', not 'tenant'"),
        ({"window": 0}, "breaker window"),
        ({"cooldown": -1}, "breaker cooldown"),
    ],
)
def test_a_breaker_that_cannot_be_meant_is_refused(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Breaker(**keywords)  # type: ignore[arg-type]
