"""The retry policy: what becomes of a job, given how its handler ended. Pure: no store, no clock, no event loop.

First match wins:

    returned                                           Completed
    the worker is stopping                             Released, no attempt used; Failed where it may run only once
    Snooze; an effect another run is busy with         Snoozed, no attempt used
    Retry with a pause                                 Limited, no attempt used
    WaitForChildren                                    Parked, no attempt used
    the process that ran it died                       Crashed, no attempt used, quarantined at the second time
    Discard; data, result or effect refused; cancelled Failed
    last attempt                                       Failed
    Retry                                              Retried, after its own delay or the back-off's
    in `give_up_on`; not in `retry_on`; `retry_if` no  Failed
    any other exception                                Retried, after the back-off's delay

A group with one exception in it (what a task group raises) counts as that exception. In a larger one every exception
must be worth a retry.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias, TypeVar

from msgspec import Struct

from corral.error_text import describe, leaves, safely, text_of, told, unwrap
from corral.errors import (
    ConfigError,
    EffectInProgressError,
    EffectUncertainError,
    JobCancelledError,
    PayloadError,
    ResultError,
    WorkerCrashedError,
)
from corral.fingerprint import failure_of
from corral.job import Job, NewJob
from corral.letters import letter
from corral.options import (
    KEEP_COMPLETED,
    KEEP_FAILED,
    Backoff,
    BackoffFunction,
    CustomBackoff,
    Exponential,
    Fixed,
    Keep,
)
from corral.outcome import Completed, Crashed, Failed, Failure, Limited, Outcome, Parked, Released, Retried, Snoozed
from corral.signals import Discard, Retry, Snooze, WaitForChildren
from corral.timing import MAX_DURATION_MS, Millis, Seconds, to_ms

T = TypeVar("T")

#: A job that took two workers with it is poison.
MAX_CRASHES = 2

#: What waits when a custom back-off function cannot answer.
FALLBACK = Exponential(1)
_AT_ONCE = Fixed(0)
_FINAL = (Discard, PayloadError, ResultError, JobCancelledError, EffectUncertainError)
#: A pause that says nothing about its length, of a job whose back-off is none, would end before it began.
LEAST_PAUSE_MS = 1_000
#: When to look again whether another run has finished an effect.
EFFECT_AFTER_MS = 1_000


class Returned(Struct, frozen=True):
    """The handler came back. `result` is JSON text."""

    result: str


class Raised(Struct, frozen=True):
    """The handler raised, anything from an error to a signal. `trace` is what `trace_of` made of it."""

    error: BaseException
    trace: str = ""


class Interrupted(Struct, frozen=True):
    """The worker stopped the run because it is stopping itself. `begun`: the handler had been called."""

    begun: bool = True


Ending: TypeAlias = Returned | Raised | Interrupted


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """What a job's options and its handler's declaration say together."""

    attempts: int = 1
    backoff: Backoff | None = None  #: None tries again at once
    custom: BackoffFunction | None = None  #: answers when `backoff` is `CustomBackoff`
    retry_on: tuple[type[BaseException], ...] | None = None  #: None is all
    give_up_on: tuple[type[BaseException], ...] = ()
    retry_if: Callable[[BaseException], bool] | None = None
    keep_completed: Keep = KEEP_COMPLETED
    keep_failed: Keep = KEEP_FAILED
    max_crashes: int = MAX_CRASHES
    at_most_once: bool = False  #: a run that was begun is never repeated, whatever ended it
    dead_letter: str | None = None  #: queue that gets a copy when the job fails for good


def decide(job: Job, ending: Ending, policy: RetryPolicy, *, random: Callable[[], float] = random.random) -> Outcome:
    """What becomes of the job. `random` gives numbers from 0 to 1, for the jitter."""
    match ending:
        case Returned(result=result):
            return Completed(result, policy.keep_completed)
        case Interrupted(begun=begun):
            if not (begun and policy.at_most_once):
                return Released()
            return _failed(job, "interrupted by the end of its worker; it may run only once", [], policy, None)
        case Raised(error=error, trace=trace):
            return _judge(job, unwrap(error), trace, policy, random)


def _judge(job: Job, error: BaseException, trace: str, policy: RetryPolicy, random: Callable[[], float]) -> Outcome:
    attempt = job.attempts_made + 1
    notes = [trace] if trace else []
    match error:
        case Snooze(seconds=seconds):
            try:
                return Snoozed(_wait_ms(seconds, "snooze"))
            except ConfigError as mistake:  # the handler's, like any other
                return _judge(job, mistake, trace, policy, random)
        case EffectInProgressError():
            return Snoozed(EFFECT_AFTER_MS)
        case Retry(pause=pause) if pause is not None:
            after_ms = max(_after_ms(error, attempt, policy, random, notes), LEAST_PAUSE_MS * (error.after is None))
            return Limited(after_ms, pause == "group", _reason(error))
        case WaitForChildren():
            return Parked()
        case WorkerCrashedError():
            return _crashed(job, error, policy)
    if attempt < policy.attempts and _worth_a_retry(error, policy, notes):
        after_ms = _after_ms(error, attempt, policy, random, notes)
        return Retried(after_ms, _reason(error), "\n".join(notes) or None, failure_of(error))
    if isinstance(error, JobCancelledError):  # a person's decision, not a kind of failure; nor is it to be done again
        return Failed(_reason(error), "\n".join(notes) or None, policy.keep_failed)
    return _failed(job, _reason(error), notes, policy, failure_of(error))


def _failed(job: Job, reason: str, notes: list[str], policy: RetryPolicy, failure: Failure | None) -> Failed:
    letters: tuple[NewJob, ...] = ()
    # A letter that fails leaves none: two queues that collect each other's would send it to and fro for ever.
    if policy.dead_letter is not None and policy.dead_letter != job.queue and job.options.letter is None:
        letters = (letter(job, policy.dead_letter, reason, attempts=job.attempts_made + 1),)
    return Failed(reason, "\n".join(notes) or None, policy.keep_failed, failure, letters)


def _crashed(job: Job, error: BaseException, policy: RetryPolicy) -> Outcome:
    crashes = job.crashes + 1
    if policy.dead_letter is None or crashes < policy.max_crashes:
        return Crashed(describe(error), policy.max_crashes, policy.keep_failed)
    # The store would quarantine it, but only a failure can leave its letter in the same step.
    reason = f"quarantined after {crashes} crash{'es' * (crashes > 1)}: {describe(error)}"
    return _failed(job, reason, [], policy, failure_of(error))


def died_before(job: Job, policy: RetryPolicy) -> Failed:
    """The verdict on a job that may run only once and whose worker died with it: it may have run."""
    times = "1 crash" if job.crashes == 1 else f"{job.crashes} crashes"
    return _failed(job, f"quarantined after {times}: it may run only once", [], policy, None)


def unknown(job: Job, error: BaseException) -> Failed:
    """The verdict on a job that no worker has a handler for: only its own options say what is done with failures."""
    mine = job.options
    policy = RetryPolicy(keep_failed=mine.keep_failed or KEEP_FAILED, dead_letter=mine.dead_letter)
    return _failed(job, describe(error), [], policy, failure_of(error))


def _reason(error: BaseException) -> str:
    """What a signal says for itself; of anything else, also what it is."""
    match error:
        case Discard(reason=reason) | Retry(reason=reason) if reason:
            return text_of(reason)
        case JobCancelledError():
            return text_of(error)
    return describe(error)


def _worth_a_retry(error: BaseException, policy: RetryPolicy, notes: list[str]) -> bool:
    if isinstance(error, Retry):
        return True
    found = list(leaves(error))
    if any(_is_one(each, (*_FINAL, *policy.give_up_on)) for each in (error, *found)):
        return False
    wanted = policy.retry_on
    if wanted is not None and not isinstance(error, wanted) and not all(_is_one(each, wanted) for each in found):
        return False
    ask = policy.retry_if
    if ask is None:
        return True
    # A predicate that breaks must not cost the job its retries.
    return safely(lambda: bool(ask(error)), lambda mistake: _noted(notes, "retry_if", mistake, True))


def _is_one(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    other = told(error)
    return isinstance(error, kinds) or (other is not None and any(other.is_a(kind) for kind in kinds))


def _after_ms(
    error: BaseException, attempt: int, policy: RetryPolicy, random: Callable[[], float], notes: list[str]
) -> Millis:
    if isinstance(error, Retry) and error.after is not None:
        try:
            return _wait_ms(error.after, "retry after")
        except ConfigError as mistake:
            notes.append(_note("Retry(after=…)", mistake))
    return backoff_ms(
        policy.backoff, attempt, error, custom=policy.custom, random=random,
        on_fallback=lambda mistake: notes.append(_note("back-off function", mistake)),
    )  # fmt: skip


def _note(what: str, mistake: BaseException) -> str:
    return f"corral: {what} could not be followed: {describe(mistake)}"


def _noted(notes: list[str], what: str, mistake: BaseException, instead: T) -> T:
    notes.append(_note(what, mistake))
    return instead


# -- delays ----------------------------------------------------------------------------------------------------------


def backoff_ms(
    backoff: Backoff | None, attempt: int, error: BaseException, *, custom: BackoffFunction | None,
    random: Callable[[], float], on_fallback: Callable[[BaseException], object] = lambda _: None,
) -> Millis:  # fmt: skip
    """How long to wait after attempt number `attempt` (from 1) failed with `error`.

    Fixed and exponential delays are lengthened by their jitter; a custom function's answer is taken as it is. When that
    function raises, or answers with something that is no duration, `FALLBACK` answers and `on_fallback` is told why.
    """
    if not isinstance(backoff, CustomBackoff):
        return _curve_ms(backoff or _AT_ONCE, attempt, random)

    def fall_back(mistake: BaseException) -> Millis:
        on_fallback(mistake)
        return _curve_ms(FALLBACK, attempt, random)

    return safely(lambda: _custom_ms(custom, attempt, error), fall_back)


def _curve_ms(curve: Fixed | Exponential, attempt: int, random: Callable[[], float]) -> Millis:
    seconds = curve.delay
    if isinstance(curve, Exponential):
        # 2^64 times any delay but none is beyond every maximum, and 2^1024 is beyond floats.
        seconds = min(seconds * 2.0 ** min(attempt - 1, 64), curve.maximum)
    seconds *= 1 + curve.jitter * random()
    return to_ms(min(seconds, MAX_DURATION_MS / 1000), "backoff delay")


def _custom_ms(custom: BackoffFunction | None, attempt: int, error: BaseException) -> Millis:
    if custom is None:
        raise ConfigError("the handler has no back-off function any more", key="backoff")
    return to_ms(custom(attempt, error), "what the back-off function answers")


def _wait_ms(value: Seconds, what: str) -> Millis:
    """A signal's delay. A moment that has passed already is now: `Snooze(due - time.time())` may come out negative."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, int | float) and seconds < 0:
        return 0
    return to_ms(seconds, what)
