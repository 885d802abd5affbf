"""What may be asked of a job, and what is refused."""

from collections.abc import Callable
from typing import cast

import msgspec
import pytest

from corral.errors import ConfigError, UnknownOptionError
from corral.keywords import ADD_KEYWORDS
from corral.options import (
    JOB_KEYWORDS,
    MAX_ATTEMPTS,
    MAX_PRIORITY,
    MAX_TAG,
    MAX_TAGS,
    CustomBackoff,
    Exponential,
    Fixed,
    JobKeywords,
    JobOptions,
    Keep,
    Priority,
    RateLimit,
    check_keywords,
    check_priority,
    job_options,
    priority_rank,
)


def options_of(**keywords: object) -> JobOptions:
    return job_options(cast(JobKeywords, keywords))


def test_explicit_priorities_come_before_plain_jobs_and_large_numbers_after() -> None:
    served = [1, 2, 10, 1_000_000, 0, 1_000_001, Priority.LOW, MAX_PRIORITY]
    assert sorted(served, key=priority_rank) == served
    assert sorted(Priority, key=priority_rank) == [Priority.CRITICAL, Priority.HIGH, Priority.NORMAL, Priority.LOW]


def test_no_two_priorities_share_a_rank() -> None:
    near = [0, 1, 2, *range(999_998, 1_000_004), MAX_PRIORITY - 1, MAX_PRIORITY]
    assert len({priority_rank(priority) for priority in near}) == len(near)


@pytest.mark.parametrize("value", [-1, MAX_PRIORITY + 1, 1.5, "high", True, None])
def test_a_priority_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="priority must be a whole number from 0 to 2097151") as caught:
        check_priority(value)
    assert caught.value.key == "priority"


@pytest.mark.parametrize("value", [0, 1, MAX_PRIORITY, Priority.LOW])
def test_a_priority_in_range_is_taken(value: int) -> None:
    assert check_priority(value) == value
    assert type(check_priority(value)) is int


def test_a_misspelled_keyword_is_refused_with_the_right_one() -> None:
    with pytest.raises(UnknownOptionError, match="unknown option 'atempts'; did you mean 'attempts'") as caught:
        check_keywords({"delay": 1, "atempts": 3}, ADD_KEYWORDS)
    assert (caught.value.key, caught.value.suggestion) == ("atempts", "attempts")


def test_a_keyword_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(UnknownOptionError) as caught:
        check_keywords({"zzz": 1}, JOB_KEYWORDS)
    assert caught.value.suggestion is None
    assert "did you mean" not in str(caught.value)


def test_add_takes_what_declarations_take_and_more() -> None:
    assert {"attempts", "backoff", "timeout", "lifespan", "priority"} <= JOB_KEYWORDS
    assert {"id", "delay", "at", "lifo"} <= ADD_KEYWORDS - JOB_KEYWORDS


def test_keywords_become_the_stored_form() -> None:
    stored = options_of(
        attempts=5, backoff=Exponential(2), timeout=1.5, lifespan=60, keep_completed=10, keep_failed=False, keep_logs=50
    )
    assert stored == JobOptions(
        attempts=5, backoff=Exponential(2), timeout_ms=1_500, lifespan_ms=60_000, keep_completed=Keep(count=10),
        keep_failed=Keep(count=0), keep_logs=50,
    )  # fmt: skip


def test_nothing_said_is_nothing_stored() -> None:
    assert msgspec.json.encode(options_of()) == b"{}"
    assert options_of(timeout=None, lifespan=None) == JobOptions()


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (Fixed(3), Fixed(3)),
        (Exponential(1, maximum=9, jitter=0), Exponential(1, maximum=9, jitter=0)),
        (5, Fixed(5)),
        (0.5, Fixed(0.5)),
        (lambda attempt, error: 1, CustomBackoff()),
    ],
)
def test_a_backoff_is_a_curve_a_number_or_a_function(given: object, stored: object) -> None:
    assert options_of(backoff=given).backoff == stored


@pytest.mark.parametrize(
    ("given", "stored"), [(True, Keep()), (False, Keep(count=0)), (7, Keep(count=7)), (Keep(age=5), Keep(age=5))]
)
def test_retention_is_a_keep_a_count_all_or_none(given: object, stored: Keep) -> None:
    assert options_of(keep_completed=given).keep_completed == stored
    assert options_of(keep_failed=given).keep_failed == stored


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attempts", 0),
        ("attempts", MAX_ATTEMPTS + 1),
        ("attempts", True),
        ("attempts", 2.0),
        ("attempts", "3"),
        ("backoff", True),
        ("backoff", "exponential"),
        ("backoff", -1),
        ("backoff", float("nan")),
        ("timeout", 0),
        ("timeout", -5),
        ("timeout", "10"),
        ("timeout", True),
        ("lifespan", 0),
        ("lifespan", float("inf")),
        ("keep_completed", -1),
        ("keep_completed", "all"),
        ("keep_failed", 1.5),
        ("keep_logs", -1),
        ("keep_logs", 100_001),
        ("keep_logs", True),
        ("keep_logs", None),
        ("tags", "one"),
        ("tags", 7),
        ("tags", [7]),
        ("tags", [""]),
        ("tags", [" "]),
        ("tags", ["a\nb"]),
        ("tags", ["\ud800"]),
        ("tags", ["x" * (MAX_TAG + 1)]),
        ("tags", [str(n) for n in range(MAX_TAGS + 1)]),
        ("tags", None),
    ],
)
def test_a_value_out_of_range_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError):
        options_of(**{key: value})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fixed(-1),
        lambda: Fixed(1, jitter=-0.1),
        lambda: Fixed(1, jitter=11),
        lambda: Fixed(1, jitter=float("nan")),
        lambda: Fixed(1, jitter="much"),  # type: ignore[arg-type]
        lambda: Fixed("1"),  # type: ignore[arg-type]
        lambda: Exponential(-1),
        lambda: Exponential(1, maximum=float("inf")),
        lambda: Exponential(1, jitter=True),
        lambda: Keep(age=-1),
        lambda: Keep(count=-1),
        lambda: Keep(count=True),
        lambda: Keep(count=1.5),  # type: ignore[arg-type]
        lambda: Keep(count="5"),  # type: ignore[arg-type]
        lambda: RateLimit(0),
        lambda: RateLimit(True),
        lambda: RateLimit(1.5),  # type: ignore[arg-type]
        lambda: RateLimit(1, per=0),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_where_it_is_made(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_what_the_job_says_wins_over_what_its_declaration_says() -> None:
    said = JobOptions(attempts=2, keep_logs=0)
    declared = JobOptions(attempts=9, backoff=Fixed(1), timeout_ms=5)
    assert said.over(declared) == JobOptions(attempts=2, keep_logs=0, backoff=Fixed(1), timeout_ms=5)
    assert JobOptions().over(declared) == declared
    assert said.over(JobOptions()) == said


def test_tags_are_texts_each_of_them_once() -> None:
    assert options_of(tags=["b", "a", "b"]).tags == ("b", "a")
    assert options_of(tags=("x" * MAX_TAG, "søk: 💡")).tags == ("x" * MAX_TAG, "søk: 💡")
    assert options_of(tags=iter(["a"])).tags == ("a",)
    assert options_of(tags=[]) == JobOptions()


def test_tags_of_the_declaration_count_too() -> None:
    assert JobOptions(tags=("b", "c")).over(JobOptions(tags=("a", "b"))).tags == ("a", "b", "c")
    assert JobOptions(attempts=2).over(JobOptions(tags=("a",))).tags == ("a",)
    assert JobOptions(tags=("a",)).over(JobOptions(attempts=2)) == JobOptions(tags=("a",), attempts=2)


def test_a_trace_that_is_not_to_go_on_does_not_whoever_said_so() -> None:
    assert JobOptions(attempts=2).over(JobOptions(omit_trace=True)).omit_trace
    assert JobOptions(omit_trace=True).over(JobOptions(attempts=2)).omit_trace
    assert not JobOptions(attempts=2).over(JobOptions(attempts=3)).omit_trace
    assert JobOptions(trace="{}").over(JobOptions(attempts=3)) == JobOptions(trace="{}", attempts=3)


def test_options_survive_storage() -> None:
    options = options_of(attempts=3, backoff=Exponential(2, jitter=0), timeout=9, keep_completed=Keep(age=3.5, count=2))
    assert msgspec.json.decode(msgspec.json.encode(options), type=JobOptions) == options
    custom = JobOptions(backoff=CustomBackoff())
    assert msgspec.json.decode(msgspec.json.encode(custom), type=JobOptions) == custom


def test_periods_and_ages_are_milliseconds_inside() -> None:
    assert RateLimit(10).per_ms == 1_000
    assert RateLimit(10, per=0.25).per_ms == 250
    assert Keep(age=2.3).age_ms == 2_300
    assert Keep(count=1).age_ms is None
