"""The retry policy: what becomes of a job, given how its handler ended. Pure: no store, no clock, no event loop.

First match wins:

    returned                                           Completed
    the worker is stopping                             Released, no attempt used
    Snooze                                             Snoozed, no attempt used
    WaitForChildren                                    Parked, no attempt used
    the process that ran it died                       Crashed, no attempt used, quarantined at the second time
    Discard; data or result refused; cancelled         Failed
    last attempt                                       Failed
    Retry                                              Retried, after its own delay or the back-off's
    in `give_up_on`; not in `retry_on`; `retry_if` no  Failed
    any other exception                                Retried, after the back-off's delay

A group with one exception in it (what a task group raises) counts as that exception. In a larger one every exception
must be worth a retry.
"""

import random
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from msgspec import Struct

from corral.errors import ConfigError, CorralError, JobCancelledError, PayloadError, ResultError, WorkerCrashedError
from corral.job import Job
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
from corral.outcome import Completed, Crashed, Failed, Outcome, Parked, Released, Retried, Snoozed
from corral.signals import Discard, Retry, Snooze, WaitForChildren
from corral.timing import MAX_DURATION_MS, Millis, Seconds, to_ms

T = TypeVar("T")

#: Reasons stand in every listing and event: enough to understand, too little to drown in.
MAX_REASON = 2_000
MAX_TRACE_BYTES = 20_000
#: A job that took two workers with it is poison.
MAX_CRASHES = 2

#: What waits when a custom back-off function cannot answer.
FALLBACK = Exponential(1)
_AT_ONCE = Fixed(0)
_FINAL = (Discard, PayloadError, ResultError, JobCancelledError)


class Returned(Struct, frozen=True):
    """The handler came back. `result` is JSON text."""

    result: str


class Raised(Struct, frozen=True):
    """The handler raised, anything from an error to a signal. `trace` is what `trace_of` made of it."""

    error: BaseException
    trace: str = ""


class Interrupted(Struct, frozen=True):
    """The worker stopped the run because it is stopping itself."""


Ending: TypeAlias = Returned | Raised | Interrupted


@runtime_checkable
class Told(Protocol):
    """An error of corral's that stands for one raised in another process: only names and text have come over."""

    @property
    def type_name(self) -> str: ...

    @property
    def trace(self) -> str: ...

    def is_a(self, kind: type[BaseException]) -> bool: ...


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


def decide(job: Job, ending: Ending, policy: RetryPolicy, *, random: Callable[[], float] = random.random) -> Outcome:
    """What becomes of the job. `random` gives numbers from 0 to 1, for the jitter."""
    match ending:
        case Returned(result=result):
            return Completed(result, policy.keep_completed)
        case Interrupted():
            return Released()
        case Raised(error=error, trace=trace):
            return _judge(job, unwrap(error), trace, policy, random)


def _judge(job: Job, error: BaseException, trace: str, policy: RetryPolicy, random: Callable[[], float]) -> Outcome:
    match error:
        case Snooze(seconds=seconds):
            try:
                return Snoozed(_wait_ms(seconds, "snooze"))
            except ConfigError as mistake:  # the handler's, like any other
                return _judge(job, mistake, trace, policy, random)
        case WaitForChildren():
            return Parked()
        case WorkerCrashedError():
            return Crashed(describe(error), MAX_CRASHES, policy.keep_failed)
    attempt = job.attempts_made + 1
    notes = [trace] if trace else []
    if attempt < policy.attempts and _worth_a_retry(error, policy, notes):
        after_ms = _after_ms(error, attempt, policy, random, notes)
        return Retried(after_ms, _reason(error), "\n".join(notes) or None)
    return Failed(_reason(error), "\n".join(notes) or None, policy.keep_failed)


def _reason(error: BaseException) -> str:
    """What a signal says for itself; of anything else, also what it is."""
    match error:
        case Discard(reason=reason) | Retry(reason=reason) if reason:
            return _text(reason)
        case JobCancelledError():
            return _text(error)
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
    return _safely(lambda: bool(ask(error)), lambda mistake: _noted(notes, "retry_if", mistake, True))


def _is_one(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    told = _told(error)
    return isinstance(error, kinds) or (told is not None and any(told.is_a(kind) for kind in kinds))


def _told(error: BaseException) -> Told | None:
    # Only corral's own classes are looked into: asking a stranger for an attribute may run its code.
    return error if isinstance(error, CorralError) and isinstance(error, Told) else None


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

    return _safely(lambda: _custom_ms(custom, attempt, error), fall_back)


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


# -- exceptions as text ----------------------------------------------------------------------------------------------


def _safely(call: Callable[[], T], otherwise: Callable[[BaseException], T]) -> T:
    """Call what may raise anything at all: a user's function, or an exception's own `__str__`.

    `SystemExit` too: nothing in there may end the worker, or leave the job without a verdict.
    """
    try:
        return call()
    except BaseException as mistake:  # the verdict on a job may not depend on how well users' functions behave
        return otherwise(mistake)


def unwrap(error: BaseException) -> BaseException:
    """The exception itself, out of the groups in which task groups wrap a single one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, at any depth; of any other exception, itself."""
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(reversed(one.exceptions))
        else:
            yield one


def describe(error: BaseException) -> str:
    """An exception as "TypeName: message": at most 2,000 characters, safe to print and to store, whatever it holds."""
    error = unwrap(error)
    told = _told(error)
    name = type(error).__name__ if told is None else told.type_name.rpartition(".")[2]
    parts = [_printable(name)]
    message = _text(error)
    if message and message != name:
        parts.append(message)
    if isinstance(error, BaseExceptionGroup):
        parts.append("; ".join(describe(leaf) for leaf in islice(leaves(error), 3)))
    return _cut(": ".join(parts), MAX_REASON)


def _text(value: object) -> str:
    return _safely(
        lambda: _cut(_printable(str(value)[: MAX_REASON + 1]), MAX_REASON), lambda _: "(it has no readable text)"
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _printable(text: str) -> str:
    """The text with control characters (but line feeds) escaped and lone surrogates replaced: UTF-8 can carry it."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return "\ufffd" if character >= "\ud800" else repr(character)[1:-1]


#: Modules between the event loop or the thread and the handler: their frames say nothing about what went wrong.
_MACHINERY = ("corral.worker.", "corral.app.", "asyncio.", "concurrent.futures.", "threading")


def trace_of(error: BaseException) -> str:
    """The traceback from the handler's first frame on, with causes: at most 20 kB, its middle left out if need be.

    Never raises, whatever the exception's methods do.
    """
    return _safely(
        lambda: _shortened(_printable(_shortened(_formatted(error), 4 * MAX_TRACE_BYTES)), MAX_TRACE_BYTES),
        lambda mistake: f"the traceback of {describe(error)} cannot be shown: {describe(mistake)}",
    )


def _formatted(error: BaseException) -> str:
    told = _told(error)
    if told is not None:
        return told.trace
    shown = traceback.TracebackException(type(error), error, _from_handler(error.__traceback__), compact=True)
    return "".join(shown.format())


def _from_handler(trace: TracebackType | None) -> TracebackType | None:
    start = trace
    while start is not None and str(start.tb_frame.f_globals.get("__name__", "")).startswith(_MACHINERY):
        start = start.tb_next
    return start or trace


def _shortened(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8: a third for the head (where it began), the rest for the tail (what it was)."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return data.decode()
    between = "\n… shortened …\n"
    room = limit - len(between.encode())
    head, tail = data[: room // 3].decode(errors="ignore"), data[len(data) - room * 2 // 3 :].decode(errors="ignore")
    return head + between + tail
