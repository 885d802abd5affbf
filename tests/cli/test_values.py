"""What people type: durations, times, priorities, back-offs, payloads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corral.cli.values import backoff, duration, moment, payload, priority
from corral.cli.worker import queue_slots, set_slots
from corral.errors import ConfigError, PayloadError
from corral.options import Exponential, Fixed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("2h", 7_200), ("7d", 604_800), ("1w", 604_800), ("500ms", 0.5), ("1h30m", 5_400),
     ("1.5h", 5_400), ("90", 90), ("0", 0), (" 10S ", 10)],
)  # fmt: skip
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5x", "-5s", "5 minutes", "1h30", "nan", "inf", "1e3"])
def test_what_is_no_duration_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a duration; write"):
        duration(text)


def test_a_time_is_iso_or_relative() -> None:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert moment("2026-11-22T09:00Z") == datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    assert moment("2026-11-22T09:00+02:00") == datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
    assert moment("+30m", now) == now + timedelta(minutes=30)
    assert moment("-1h", now) == now - timedelta(hours=1)


def test_a_time_without_a_zone_is_this_machines() -> None:
    assert moment("2026-11-22T09:00") == datetime(2026, 11, 22, 9, 0).astimezone()  # the point


@pytest.mark.parametrize("text", ["tomorrow", "12:30:99", "+soon", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "number"), [("critical", 1), ("high", 10), ("normal", 0), ("LOW", 2_000_000), ("0", 0), ("42", 42)]
)
def test_a_priority_is_a_name_or_a_number(text: str, number: int) -> None:
    assert priority(text) == number


def test_a_misspelled_priority_names_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'high'"):
        priority("hihg")


def test_a_priority_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="2097151"):
        priority("2097152")


def test_a_back_off_is_read() -> None:
    assert backoff("exp:2s") == Exponential(2)
    assert backoff("exponential:2s:1m") == Exponential(2, maximum=60)
    assert backoff("fixed:500ms") == Fixed(0.5)


@pytest.mark.parametrize("text", ["2s", "exp", "linear:2s", "fixed:1s:2s", "exp:soon"])
def test_what_is_no_back_off_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a"):
        backoff(text)


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ((), {}),
        (('{"to":"a@b","n":[1,2]}',), {"to": "a@b", "n": [1, 2]}),
        (("5",), 5),
        (('"text"',), "text"),
        (("null",), None),
        (("to=user@example.com", "subject=Hi there"), {"to": "user@example.com", "subject": "Hi there"}),
        (("count:=25", "ok:=true", 'top:=["Alice"]'), {"count": 25, "ok": True, "top": ["Alice"]}),
        (("formula=a=b",), {"formula": "a=b"}),
        (("empty=",), {"empty": ""}),
    ],
)
def test_data_is_json_or_pairs(words: tuple[str, ...], data: object) -> None:
    assert payload(words) == data


def test_data_comes_from_a_file(folder: Path) -> None:
    (folder / "data.json").write_text('{"to": "Ærø"}', encoding="utf-8")
    assert payload(("@data.json",)) == {"to": "Ærø"}


@pytest.mark.parametrize("words", [("@missing.json",), ("a=1", "b"), ("a=1", "a=2"), ("@.",)])
def test_data_that_cannot_be_read_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        payload(words)


@pytest.mark.parametrize("words", [("{to: a}",), ('{"a": NaN}',), ("count:=five",), ("hello",)])
def test_data_that_is_not_json_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(PayloadError):
        payload(words)


def test_queues_are_named_with_slots_where_wanted() -> None:
    assert queue_slots("email, report=5") == {"email": None, "report": 5}


@pytest.mark.parametrize("text", ["", "a,,b", "a=0", "a=x", "a=", "a,a", "=5"])
def test_queues_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        queue_slots(text)


def test_slots_are_set_with_a_number_each() -> None:
    assert set_slots("email=5, report=2") == {"email": 5, "report": 2}
    with pytest.raises(ConfigError, match="write report=5"):
        set_slots("email=5,report")
