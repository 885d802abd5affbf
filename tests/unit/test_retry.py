"""The retry policy: what becomes of a job, and how long it waits."""

import asyncio
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from corral.error_text import describe, trace_of
from corral.errors import (
    ConfigError,
    CorralError,
    EffectInProgressError,
    EffectUncertainError,
    JobCancelledError,
    JobTimeoutError,
    LeaseLostError,
    PayloadError,
    ResultError,
    WorkerCrashedError,
)
from corral.fingerprint import failure_of
from corral.job import Job, JobState
from corral.options import Backoff, BackoffFunction, CustomBackoff, Exponential, Fixed, Keep, Letter
from corral.outcome import Completed, Crashed, Failed, Limited, Outcome, Parked, Released, Retried, Snoozed
from corral.retry import Interrupted, Raised, RetryPolicy, Returned, backoff_ms, decide, died_before
from corral.signals import Discard, Retry, Snooze, WaitForChildren
from corral.timing import MAX_DURATION_MS

KEPT = Keep(count=3)
THRICE = RetryPolicy(attempts=3, backoff=Fixed(2, jitter=0), keep_completed=Keep(count=1), keep_failed=KEPT)


def job(*, attempts_made: int = 0) -> Job:
    return Job(id="1", queue="mail", name="welcome", state=JobState.ACTIVE, data="{}", attempts_made=attempts_made)


def judged(error: BaseException, policy: RetryPolicy = THRICE, *, attempts_made: int = 0, trace: str = "") -> Outcome:
    """The verdict, without the kind of the failure: that has its own tests."""
    outcome = decide(job(attempts_made=attempts_made), Raised(error, trace), policy, random=lambda: 0.0)
    return replace(outcome, failure=None) if isinstance(outcome, Failed | Retried) else outcome


def wait_ms(
    backoff: Backoff | None, attempt: int = 1, *, chance: float = 0.0, custom: BackoffFunction | None = None
) -> int:
    return backoff_ms(backoff, attempt, ValueError("boom"), custom=custom, random=lambda: chance)


class Unspeakable(Exception):
    """Neither `str` nor `repr` work on it."""

    def __str__(self) -> str:
        raise SystemExit("no words")

    __repr__ = __str__


# -- what becomes of a job -------------------------------------------------------------------------------------------


def test_a_handler_that_returns_completes_its_job() -> None:
    assert decide(job(), Returned('{"sent":1}'), THRICE) == Completed('{"sent":1}', Keep(count=1))


@pytest.mark.parametrize("attempts_made", [0, 2, 99])
def test_a_stopping_worker_hands_the_job_back_uncharged(attempts_made: int) -> None:
    assert decide(job(attempts_made=attempts_made), Interrupted(), THRICE) == Released()


ORDINARY = [
    ValueError("boom"),
    JobTimeoutError(5),
    LeaseLostError("mail", "1"),
    MemoryError(),
    RecursionError("too deep"),
    asyncio.CancelledError(),
    SystemExit(0),
    KeyboardInterrupt(),
    GeneratorExit(),
    Unspeakable(),
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    BaseExceptionGroup("several", [KeyboardInterrupt(), SystemExit(1)]),
]


@pytest.mark.parametrize("error", ORDINARY, ids=lambda error: type(error).__name__)
def test_any_exception_is_a_failed_attempt_and_the_last_one_is_final(error: BaseException) -> None:
    assert judged(error, trace="where") == Retried(2_000, describe(error), "where")
    assert judged(error, attempts_made=1) == Retried(2_000, describe(error), None)
    assert judged(error, attempts_made=2, trace="where") == Failed(describe(error), "where", KEPT)


@pytest.mark.parametrize("attempts_made", [0, 1, 7])
def test_without_more_attempts_the_first_failure_is_final(attempts_made: int) -> None:
    assert isinstance(judged(ValueError(), RetryPolicy(), attempts_made=attempts_made), Failed)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Discard("unknown customer"), "unknown customer"),
        (Discard(""), "Discard"),
        (PayloadError("data refused", ["to: missing"]), "PayloadError: data refused; to: missing"),
        (ResultError("not JSON"), "ResultError: not JSON"),
        (JobCancelledError("by Ada"), "cancelled: by Ada"),
        (JobCancelledError(), "cancelled"),
        (ExceptionGroup("tasks", [Discard("unknown customer")]), "unknown customer"),
    ],
)
def test_what_trying_again_cannot_help_fails_at_once(error: Exception, reason: str) -> None:
    assert judged(error, trace="where") == Failed(reason, "where", KEPT)


def test_a_final_error_among_others_is_final() -> None:
    error = ExceptionGroup("tasks", [ValueError("a"), ExceptionGroup("more", [Discard("gone"), KeyError("b")])])
    assert isinstance(judged(error), Failed)


@pytest.mark.parametrize(
    ("after", "expected_ms"),
    [(None, 2_000), (0, 0), (7, 7_000), (0.5, 500), (timedelta(minutes=1), 60_000), (-3, 0), (timedelta(-1), 0)],
)
def test_a_retry_that_is_asked_for_waits_as_asked_and_uses_an_attempt(
    after: float | timedelta | None, expected_ms: int
) -> None:
    assert judged(Retry("not yet", after=after)) == Retried(expected_ms, "not yet", None)
    assert judged(Retry("not yet", after=after), attempts_made=2) == Failed("not yet", None, KEPT)


def test_a_retry_asked_for_is_granted_whatever_the_policy_thinks_of_exceptions() -> None:
    policy = RetryPolicy(attempts=2, retry_on=(KeyError,), give_up_on=(Exception,), retry_if=lambda _: False)
    assert judged(Retry("not yet"), policy) == Retried(0, "not yet", None)


@pytest.mark.parametrize("after", [float("nan"), float("inf"), "soon", 10**12, 10**400])
def test_a_retry_with_a_delay_that_cannot_be_meant_waits_for_the_backoff_and_says_so(after: object) -> None:
    outcome = judged(Retry("not yet", after=after), trace="where")  # type: ignore[arg-type]
    assert isinstance(outcome, Retried)
    assert (outcome.after_ms, outcome.reason) == (2_000, "not yet")
    assert (outcome.trace or "").startswith(
        "where\ncorral: Retry(after=…) could not be followed: ConfigError: retry after"
    )


@pytest.mark.parametrize("attempts_made", [0, 2])
@pytest.mark.parametrize(
    ("seconds", "expected_ms"), [(0, 0), (1.5, 1_500), (timedelta(hours=1), 3_600_000), (-2, 0), (timedelta(-1), 0)]
)
def test_a_snooze_costs_nothing(seconds: float | timedelta, expected_ms: int, attempts_made: int) -> None:
    assert judged(Snooze(seconds), attempts_made=attempts_made) == Snoozed(expected_ms)


@pytest.mark.parametrize("seconds", [float("nan"), "soon", None, 10**12])
def test_a_snooze_that_cannot_be_meant_is_a_failed_attempt(seconds: object) -> None:
    outcome = judged(Snooze(seconds))  # type: ignore[arg-type]
    assert isinstance(outcome, Retried)
    assert outcome.reason.startswith("ConfigError: snooze must be")
    assert isinstance(judged(Snooze(seconds), attempts_made=2), Failed)  # type: ignore[arg-type]


@pytest.mark.parametrize("attempts_made", [0, 2])
def test_a_parent_that_waits_for_its_children_is_parked(attempts_made: int) -> None:
    assert judged(WaitForChildren(), attempts_made=attempts_made) == Parked()


@pytest.mark.parametrize("attempts_made", [0, 2])
def test_a_dead_process_is_a_crash_and_no_attempt(attempts_made: int) -> None:
    outcome = judged(WorkerCrashedError("killed by signal 9"), attempts_made=attempts_made)
    assert outcome == Crashed("WorkerCrashedError: killed by signal 9", 2, KEPT)


@pytest.mark.parametrize(
    "signal", [Snooze(1), WaitForChildren(), Retry("again", after=1), Discard("no")], ids=lambda one: type(one).__name__
)
def test_a_signal_raised_in_a_task_group_steers_all_the_same(signal: Exception) -> None:
    assert judged(ExceptionGroup("unhandled errors in a TaskGroup", [signal])) == judged(signal)


# -- which exceptions are worth a retry ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (JobTimeoutError(1), True),  # a TimeoutError, too
        (ValueError(), False),
        (SystemExit(), False),
        (ExceptionGroup("tasks", [ConnectionResetError()]), True),
        (ExceptionGroup("tasks", [ConnectionResetError(), TimeoutError()]), True),
        (ExceptionGroup("tasks", [ConnectionResetError(), ValueError()]), False),
    ],
)
def test_only_the_named_exceptions_are_retried(error: BaseException, retried: bool) -> None:
    policy = RetryPolicy(attempts=3, retry_on=(ConnectionError, TimeoutError))
    assert isinstance(judged(error, policy), Retried) is retried


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (KeyError(), False),
        (LookupError(), False),
        (ValueError(), True),
        (ExceptionGroup("tasks", [ValueError(), KeyError()]), False),
        (ExceptionGroup("tasks", [ValueError(), TypeError()]), True),
    ],
)
def test_the_exceptions_to_give_up_on_are_not_retried(error: Exception, retried: bool) -> None:
    assert isinstance(judged(error, RetryPolicy(attempts=3, give_up_on=(LookupError,))), Retried) is retried


def test_a_group_itself_can_be_named() -> None:
    group = ExceptionGroup("tasks", [ValueError(), KeyError()])
    assert isinstance(judged(group, RetryPolicy(attempts=3, retry_on=(ExceptionGroup,))), Retried)
    assert isinstance(judged(group, RetryPolicy(attempts=3, give_up_on=(ExceptionGroup,))), Failed)


def test_giving_up_wins_over_retrying() -> None:
    policy = RetryPolicy(attempts=3, retry_on=(LookupError,), give_up_on=(KeyError,))
    assert isinstance(judged(IndexError(), policy), Retried)
    assert isinstance(judged(KeyError(), policy), Failed)


def test_a_predicate_decides_by_what_it_sees() -> None:
    policy = RetryPolicy(attempts=3, retry_if=lambda error: "TRANSIENT" in str(error))
    assert isinstance(judged(ValueError("TRANSIENT"), policy), Retried)
    assert isinstance(judged(ValueError("fatal"), policy), Failed)
    assert isinstance(judged(ExceptionGroup("tasks", [ValueError("TRANSIENT")]), policy), Retried)


def test_a_predicate_that_breaks_costs_the_job_nothing_and_is_told_of() -> None:
    def broken(error: BaseException) -> bool:
        raise SystemExit("oops")

    outcome = judged(ValueError("boom"), RetryPolicy(attempts=3, retry_if=broken), trace="where")
    assert outcome == Retried(0, "ValueError: boom", "where\ncorral: retry_if could not be followed: SystemExit: oops")


class Messenger(CorralError):
    """Stands for an exception of another process."""

    type_name = "shop.errors.OutOfStock"
    frames = ("shop.orders:reserve",)
    trace = "Traceback of over there"

    def is_a(self, kind: type[BaseException]) -> bool:
        return kind is LookupError


def test_an_exception_of_another_process_is_judged_and_told_by_its_name() -> None:
    there = Messenger("none left")
    assert describe(there) == "OutOfStock: none left"
    assert describe(Messenger("OutOfStock")) == "OutOfStock"
    assert trace_of(there) == "Traceback of over there"
    assert isinstance(judged(there, RetryPolicy(attempts=3, retry_on=(LookupError,))), Retried)
    assert isinstance(judged(there, RetryPolicy(attempts=3, retry_on=(OSError,))), Failed)
    assert isinstance(judged(there, RetryPolicy(attempts=3, give_up_on=(LookupError,))), Failed)


# -- how long it waits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (None, [0, 0, 0, 0]),
        (Fixed(0), [0, 0, 0, 0]),
        (Fixed(1.5), [1_500, 1_500, 1_500, 1_500]),
        (Exponential(2), [2_000, 4_000, 8_000, 16_000]),
        (Exponential(5), [5_000, 10_000, 20_000, 40_000]),
        (Exponential(5, maximum=12), [5_000, 10_000, 12_000, 12_000]),
        (Exponential(9, maximum=4), [4_000, 4_000, 4_000, 4_000]),
        (Exponential(0), [0, 0, 0, 0]),
        (Exponential(0.0005), [1, 1, 2, 4]),
    ],
)
def test_the_delays_of_a_curve(backoff: Backoff | None, delays: list[int]) -> None:
    assert [wait_ms(backoff, attempt) for attempt in (1, 2, 3, 4)] == delays


@pytest.mark.parametrize("attempt", [64, 65, 1_000, 1_025, 10**9])
def test_no_number_of_attempts_overflows(attempt: int) -> None:
    assert wait_ms(Exponential(1), attempt) == 86_400_000
    assert wait_ms(Exponential(0.001, maximum=3e8), attempt) == 300_000_000_000
    assert wait_ms(Exponential(0), attempt) == 0


def test_by_default_a_retry_comes_up_to_a_tenth_later() -> None:
    assert [wait_ms(Exponential(10), chance=chance) for chance in (0.0, 0.5, 1.0)] == [10_000, 10_500, 11_000]
    assert [wait_ms(Fixed(10), chance=chance) for chance in (0.0, 0.5, 1.0)] == [10_000, 10_500, 11_000]
    assert wait_ms(Exponential(10, maximum=5), chance=1.0) == 5_500


def test_nothing_waits_longer_than_ten_years() -> None:
    assert wait_ms(Exponential(3e8, maximum=3e8, jitter=10), 9, chance=1.0) == MAX_DURATION_MS


CURVES = st.builds(Fixed, st.floats(0, 1e8), st.floats(0, 10)) | st.builds(
    Exponential, st.floats(0, 1e8), maximum=st.floats(0, 1e8), jitter=st.floats(0, 10)
)
ATTEMPTS = st.integers(1, 2_000)


@given(CURVES, ATTEMPTS, st.floats(0, 1))
def test_jitter_only_lengthens_and_by_no_more_than_its_share(curve: Backoff, attempt: int, chance: float) -> None:
    bare, jittered = wait_ms(curve, attempt), wait_ms(curve, attempt, chance=chance)
    assert bare <= jittered <= bare * (1 + getattr(curve, "jitter", 0)) + 1


@given(CURVES, ATTEMPTS, st.integers(1, 100))
def test_a_later_attempt_never_waits_less(curve: Backoff, attempt: int, more: int) -> None:
    assert wait_ms(curve, attempt + more) >= wait_ms(curve, attempt)


@given(st.floats(0, 1e8), st.floats(0, 1e8), ATTEMPTS)
def test_the_maximum_is_kept_and_the_delay_reached(delay: float, maximum: float, attempt: int) -> None:
    waited = wait_ms(Exponential(delay, maximum=maximum), attempt)
    assert waited >= min(delay, maximum) * 1000 - 0.001
    assert waited <= maximum * 1000 + 1


def test_a_custom_function_sees_the_attempt_and_the_error_and_is_taken_at_its_word() -> None:
    seen: list[tuple[int, str]] = []

    def by_attempt(attempt: int, error: BaseException) -> float:
        seen.append((attempt, str(error)))
        return attempt * 1.5

    assert [wait_ms(CustomBackoff(), attempt, chance=1.0, custom=by_attempt) for attempt in (1, 2)] == [1_500, 3_000]
    assert seen == [(1, "boom"), (2, "boom")]
    assert wait_ms(CustomBackoff(), custom=lambda attempt, error: timedelta(minutes=2)) == 120_000


def test_a_jobs_own_curve_wins_over_the_handlers_function() -> None:
    assert wait_ms(Fixed(3), custom=lambda attempt, error: 99) == 3_000


def _raises(attempt: int, error: BaseException) -> float:
    raise SystemExit("oops")


@pytest.mark.parametrize(
    "custom",
    [
        None,
        _raises,
        *(lambda attempt, error, answer=answer: answer for answer in (-1, None, "soon", float("nan"), 1e12, True)),
    ],
)
def test_a_custom_function_that_cannot_answer_is_replaced_and_told_of(custom: BackoffFunction | None) -> None:
    assert [wait_ms(CustomBackoff(), attempt, custom=custom) for attempt in (1, 2, 3)] == [1_000, 2_000, 4_000]
    policy = RetryPolicy(attempts=9, backoff=CustomBackoff(), custom=custom)
    outcome = judged(ValueError("boom"), policy, attempts_made=2, trace="where")
    assert isinstance(outcome, Retried)
    assert (outcome.after_ms, outcome.reason) == (4_000, "ValueError: boom")
    assert re.match(r"where\ncorral: back-off function could not be followed: \w+: ", outcome.trace or "")


# -- pauses ------------------------------------------------------------------------------------------------------------


def test_a_retry_with_a_pause_holds_the_group_or_the_queue_and_uses_no_attempt() -> None:
    assert judged(Retry("429", after=7, pause="group")) == Limited(7_000, True, "429")
    assert judged(Retry("429", after=timedelta(minutes=1), pause="queue")) == Limited(60_000, False, "429")
    assert judged(Retry("429", after=7, pause="queue"), attempts_made=2) == Limited(7_000, False, "429")


def test_a_pause_without_a_length_takes_the_back_offs_and_at_least_a_second() -> None:
    assert judged(Retry("429", pause="group")) == Limited(2_000, True, "429")
    assert judged(Retry("429", pause="group"), RetryPolicy()) == Limited(1_000, True, "429")
    assert judged(Retry("429", after=0, pause="queue"), RetryPolicy()) == Limited(0, False, "429")


def test_a_pause_of_something_else_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="pause must be 'group', 'queue' or None, not 'world'"):
        Retry("429", pause="world")  # type: ignore[arg-type]


# -- kinds, effects and letters ----------------------------------------------------------------------------------------


def verdict(error: BaseException, policy: RetryPolicy = THRICE, *, attempts_made: int = 0) -> Outcome:
    return decide(job(attempts_made=attempts_made), Raised(error), policy, random=lambda: 0.0)


def test_a_failed_attempt_carries_its_kind_whether_it_is_the_last_one_or_not() -> None:
    error = ValueError("no account 4711")
    retried, failed = verdict(error), verdict(error, attempts_made=2)
    assert isinstance(retried, Retried)
    assert isinstance(failed, Failed)
    assert retried.failure == failed.failure == failure_of(ValueError("no account 12"))


def test_what_a_person_cancelled_is_no_kind_of_failure_and_leaves_no_letter() -> None:
    outcome = verdict(JobCancelledError("by Ada"), RetryPolicy(dead_letter="dead"))
    assert isinstance(outcome, Failed)
    assert (outcome.failure, outcome.adds) == (None, ())


def test_an_effect_that_another_run_is_at_snoozes_the_job_and_an_uncertain_one_fails_it() -> None:
    assert verdict(EffectInProgressError("charge-42", "run 1")) == Snoozed(1_000)
    assert isinstance(verdict(EffectUncertainError("charge-42", "run 1")), Failed)


def test_a_final_failure_adds_a_letter_and_an_attempt_that_is_tried_again_none() -> None:
    policy = replace(THRICE, dead_letter="dead")
    retried, failed = verdict(ValueError("boom"), policy), verdict(ValueError("boom"), policy, attempts_made=2)
    assert isinstance(retried, Retried)
    assert isinstance(failed, Failed)
    [letter] = failed.adds
    assert (letter.queue, letter.name, letter.data, letter.id) == ("dead", "welcome", "{}", "dead-mail-1-0")
    assert letter.options.letter == Letter("mail", "1", "ValueError: boom", 3)


def test_a_failure_in_the_queue_of_dead_letters_leaves_no_letter_there() -> None:
    outcome = verdict(Discard("no"), RetryPolicy(dead_letter="mail"))
    assert isinstance(outcome, Failed)
    assert outcome.adds == ()


# -- at most once ------------------------------------------------------------------------------------------------------

ONCE = RetryPolicy(max_crashes=1, at_most_once=True, keep_failed=KEPT)


def test_a_run_that_may_happen_only_once_fails_when_its_worker_stops_in_the_middle_of_it() -> None:
    outcome = decide(job(), Interrupted(begun=True), ONCE)
    assert outcome == Failed("interrupted by the end of its worker; it may run only once", None, KEPT)
    assert decide(job(), Interrupted(begun=False), ONCE) == Released()


def test_its_process_may_die_once() -> None:
    outcome = verdict(WorkerCrashedError("killed"), ONCE)
    assert outcome == Crashed("WorkerCrashedError: killed", 1, KEPT)
    assert died_before(job(), ONCE).reason.startswith("quarantined after")
