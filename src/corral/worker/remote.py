"""Errors across a process boundary: told by name and text in the child, raised again in the worker.

Neither side unpickles or imports by name. A class that the worker asks about (`retry_on`, `give_up_on`) is compared by
its qualified name with those the child sent.
"""

import os
import traceback
from datetime import timedelta
from types import TracebackType

from corral.error_text import unwrap
from corral.errors import (
    ConfigError,
    CorralError,
    EffectError,
    EffectInProgressError,
    EffectUncertainError,
    JobTimeoutError,
    LeaseLostError,
    PayloadError,
    ResultError,
    StorageCorruptError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    StorageVersionError,
)
from corral.fingerprint import frames_of
from corral.signals import Discard, JobSignal, Retry, Snooze, WaitForChildren
from corral.timing import to_seconds
from corral.worker.wire import Failure, Raised, Refused, Steered

MAX_MESSAGE = 8_000
MAX_TRACE = 20_000
_MAX_LINE = 2_000
#: The name under which a child runs the worker's main file: its `if __name__ == "__main__"` must not fire.
MAIN_IN_CHILD = "__mp_main__"
#: Frames of a trace that tell the reader nothing about the handler: ours, and asyncio's between us and an `async def`.
_MACHINERY = (os.path.dirname(__file__), os.path.join(os.path.dirname(os.__file__), "asyncio"))


class RemoteError(CorralError):
    """What a handler raised in its own process, told by name: the object itself stays there.

    `str()` is the original message (the class's bare name when it had none), `trace` the trace as text. `names` are the
    qualified names of the original class and of every class it derives from, most specific first.
    """

    def __init__(self, message: str, *, names: tuple[str, ...], trace: str, frames: tuple[str, ...] = ()) -> None:
        self.names = names
        self.trace = trace
        self.frames = frames
        super().__init__(message or names[0].rpartition(".")[2])

    @property
    def type_name(self) -> str:
        """The qualified name of the original class, such as `builtins.ValueError`."""
        return self.names[0]

    def is_a(self, kind: type[BaseException]) -> bool:
        """Whether the original was of this class or of one derived from it: `isinstance`, by name."""
        return _qualified(kind) in self.names


def _qualified(kind: type) -> str:
    module = "__main__" if kind.__module__ == MAIN_IN_CHILD else kind.__module__
    return f"{module}.{kind.__qualname__}"


# -- in the child ----------------------------------------------------------------------------------------------------


def describe(error: BaseException) -> Failure:
    """What the worker is told about an exception. Never raises, whatever the exception does when it is printed."""
    try:
        match error:
            case JobSignal():
                return _describe_signal(error)
            case PayloadError() | ResultError() | JobTimeoutError() | LeaseLostError() | EffectError():
                return refuse(error)
            case _:
                return _describe_other(error)
    except MemoryError:
        # What filled the memory is still referred to by the frames of the trace: let it go, and say less.
        traceback.clear_frames(error.__traceback__)
        return Raised(_names(error), "out of memory", "")
    except BaseException as problem:  # an attribute of the exception is a trap; the handler's failure must still arrive
        return Raised(_names(error), f"<{type(problem).__name__} while the error was described>", "")


def _describe_signal(signal: JobSignal) -> Failure:
    try:
        match signal:
            case Retry():
                after = None if signal.after is None else _seconds(signal.after, "retry after")
                return Steered("retry", printable(signal.reason), after, signal.pause)
            case Snooze():
                return Steered("snooze", printable(signal.reason), _seconds(signal.seconds, "snooze"))
            case Discard():
                return Steered("discard", printable(signal.reason))
            case WaitForChildren():
                return Steered("wait-for-children")
    except ConfigError as error:  # a duration that cannot be meant
        return _describe_other(error.with_traceback(signal.__traceback__))
    return _describe_other(signal)


def _seconds(value: float | timedelta, what: str) -> float:
    return to_seconds(value, what)


def _describe_other(error: BaseException) -> Raised:
    lines = traceback.format_exception(type(error), error, _without_machinery(error.__traceback__))
    trace = "".join(line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]} …\n" for line in lines)
    # The last lines are kept: they are nearest to the error.
    return Raised(_names(error), _text(error), printable(trace[-MAX_TRACE:], MAX_TRACE), frames_of(unwrap(error)))


def _without_machinery(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_MACHINERY):
        trace = trace.tb_next
    return first if trace is None else trace


def _names(error: BaseException) -> tuple[str, ...]:
    return tuple(_qualified(kind) for kind in type(error).__mro__ if kind is not object)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as problem:  # `__str__` is the handler's code too: it may raise anything
        return f"<{type(error).__name__} whose text cannot be had: its __str__ raises {type(problem).__name__}>"
    return printable(text)


def printable(value: object, limit: int = MAX_MESSAGE) -> str:
    """Text that can be sent and stored: at most `limit` characters, half surrogate pairs written out."""
    text = str(value)
    text = text if len(text) <= limit else f"{text[:limit]} …"
    return text.encode("utf-8", "backslashreplace").decode()


# -- in the worker ---------------------------------------------------------------------------------------------------


def restore(failure: Failure) -> Exception:
    """The exception that the worker raises for what the child told it."""
    match failure:
        case Raised(names, message, trace, frames):
            return RemoteError(message, names=names, trace=trace, frames=frames)
        case Steered():
            return _restore_signal(failure)
        case Refused():
            return refusal(failure)


def _restore_signal(steered: Steered) -> JobSignal:
    reason, seconds = steered.reason, steered.seconds
    match steered.signal:
        case "retry":
            return Retry(reason, after=seconds, pause=steered.pause)
        case "snooze":
            return Snooze(seconds or 0.0, reason)
        case "discard":
            return Discard(reason)
        case _:
            return WaitForChildren()


# -- on both sides ---------------------------------------------------------------------------------------------------

#: Errors that a message alone makes, by their names. What is read from a pipe cannot name any other class.
_BY_NAME: dict[str, type[CorralError]] = {
    kind.__name__: kind
    for kind in (
        ConfigError,
        ResultError,
        StorageError,
        StorageUnavailableError,
        StorageFullError,
        StorageCorruptError,
        StorageVersionError,
    )
}


def refuse(error: CorralError) -> Refused:
    """An error of corral's own, ready to be sent."""
    match error:
        case PayloadError():
            return Refused("PayloadError", _text(error), tuple(printable(item) for item in error.errors))
        case JobTimeoutError():
            return Refused("JobTimeoutError", _text(error), seconds=float(error.seconds))
        case LeaseLostError():
            return Refused("LeaseLostError", _text(error), (error.queue, error.job_id))
        case EffectInProgressError():
            return Refused("EffectInProgressError", _text(error), (error.key, error.owner))
        case EffectUncertainError():
            return Refused("EffectUncertainError", _text(error), (error.key, error.owner, error.failed or ""))
        case _:
            known = (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _BY_NAME)
            return Refused(next(known, "CorralError"), _text(error))


def refusal(refused: Refused) -> CorralError:
    """The error that was sent."""
    match refused:
        case Refused("PayloadError", message, details):
            error = PayloadError(message)  # the message has the details in it already
            error.errors = details
            return error
        case Refused("JobTimeoutError", _, _, seconds):
            return JobTimeoutError(seconds)
        case Refused("LeaseLostError", _, (queue, job_id)):
            return LeaseLostError(queue, job_id)
        case Refused("EffectInProgressError", _, (key, owner)):
            return EffectInProgressError(key, owner)
        case Refused("EffectUncertainError", _, (key, owner, failed)):
            return EffectUncertainError(key, owner, failed or None)
        case Refused(name, message):
            return _BY_NAME.get(name, CorralError)(message)
