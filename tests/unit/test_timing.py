"""Units and instants: the border between people's seconds and the engine's milliseconds."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.errors import ConfigError
from corral.timing import MAX_DURATION_MS, instant_ms, now_ms, to_datetime, to_ms, to_seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (1, 1_000),
        (1.5, 1_500),
        (0.001, 1),
        (0.0011, 2),
        (0.1 + 0.2, 300),  # 0.30000000000000004: binary dust is no extra millisecond
        (timedelta(minutes=2), 120_000),
        (timedelta(microseconds=1), 1),
        (MAX_DURATION_MS // 1000, MAX_DURATION_MS),
    ],
)
def test_a_duration_becomes_milliseconds_rounded_up(value: float | timedelta, expected: int) -> None:
    assert to_ms(value, "delay") == expected


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        timedelta(seconds=-1),
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        "5",
        None,
        [1],
        10**12,
        10**400,
    ],
)
def test_what_is_no_duration_is_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigError, match="delay") as caught:
        to_seconds(value, "delay")  # type: ignore[arg-type]  # what a caller without types may pass
    assert caught.value.key == "delay"


def test_milliseconds_given_for_seconds_are_recognised_by_their_size() -> None:
    with pytest.raises(ConfigError, match="durations are in seconds"):
        to_ms(86_400_000 * 30, "delay")


def test_a_minimum_is_kept() -> None:
    assert to_seconds(0.1, "every", minimum=0.1) == 0.1
    with pytest.raises(ConfigError, match=r"at least 0\.1 s"):
        to_seconds(0.0999, "every", minimum=0.1)


@given(st.floats(min_value=0, max_value=3e8))
def test_nothing_is_ever_shortened_by_more_than_float_dust(seconds: float) -> None:
    assert to_ms(seconds, "delay") >= seconds * 1000 - 0.001
    assert to_ms(seconds, "delay") < seconds * 1000 + 1.001


def test_an_aware_datetime_is_an_instant_whatever_its_zone() -> None:
    expected = 1_767_225_600_000
    assert instant_ms(datetime(2026, 1, 1, tzinfo=UTC), "at") == expected
    assert instant_ms(datetime(2026, 1, 1, 1, tzinfo=ZoneInfo("Europe/Oslo")), "at") == expected
    assert instant_ms(1_767_225_600, "at") == expected
    assert instant_ms(1_767_225_600.25, "at") == expected + 250


class _NoOffset(tzinfo):
    """A zone that does not know its offset: Python calls such a datetime naive, too."""

    def utcoffset(self, at: datetime | None) -> timedelta | None:
        return None

    def dst(self, at: datetime | None) -> timedelta | None:
        return None

    def tzname(self, at: datetime | None) -> str | None:
        return None


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001  # naive is the point
        datetime(2026, 1, 1, tzinfo=_NoOffset()),
        -1,
        True,
        float("nan"),
        float("inf"),
        "2026-01-01",
        None,
        10**400,
    ],
)
def test_what_is_no_point_in_time_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="at "):
        instant_ms(value, "at")  # type: ignore[arg-type]  # what a caller without types may pass


def test_epoch_milliseconds_given_for_seconds_are_refused() -> None:
    with pytest.raises(ConfigError, match="epoch seconds"):
        instant_ms(1_767_225_600_000, "at")


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_an_instant_survives_the_way_to_a_datetime_and_back(at: int) -> None:
    assert instant_ms(to_datetime(at), "at") == at


def test_the_clock_is_in_milliseconds_since_1970() -> None:
    assert abs(now_ms() - datetime.now(UTC).timestamp() * 1000) < 5_000
