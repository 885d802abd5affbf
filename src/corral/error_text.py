"""Exceptions as text: safe to print and to store, whatever they hold and however they behave. Pure."""

import re
import traceback
from collections.abc import Callable, Iterator
from itertools import islice
from types import TracebackType
from typing import Protocol, TypeVar, runtime_checkable

from corral.errors import CorralError

T = TypeVar("T")

#: Reasons stand in every listing and event: enough to understand, too little to drown in.
MAX_REASON = 2_000
MAX_TRACE_BYTES = 20_000


@runtime_checkable
class Told(Protocol):
    """An error of corral's that stands for one raised in another process: only names and text have come over."""

    @property
    def type_name(self) -> str: ...

    @property
    def trace(self) -> str: ...

    @property
    def frames(self) -> tuple[str, ...]: ...

    def is_a(self, kind: type[BaseException]) -> bool: ...


def told(error: BaseException) -> Told | None:
    """What stands for an error of another process; None for any other."""
    # Only corral's own classes are looked into: asking a stranger for an attribute may run its code.
    return error if isinstance(error, CorralError) and isinstance(error, Told) else None


def safely(call: Callable[[], T], otherwise: Callable[[BaseException], T]) -> T:
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
    other = told(error)
    name = type(error).__name__ if other is None else other.type_name.rpartition(".")[2]
    parts = [_printable(name)]
    message = text_of(error)
    if message and message != name:
        parts.append(message)
    if isinstance(error, BaseExceptionGroup):
        parts.append("; ".join(describe(leaf) for leaf in islice(leaves(error), 3)))
    return _cut(": ".join(parts), MAX_REASON)


def text_of(value: object) -> str:
    """`str(value)`, printable and at most 2,000 characters; never raises."""
    return safely(
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
    return safely(
        lambda: _shortened(_printable(_shortened(_formatted(error), 4 * MAX_TRACE_BYTES)), MAX_TRACE_BYTES),
        lambda mistake: f"the traceback of {describe(error)} cannot be shown: {describe(mistake)}",
    )


def _formatted(error: BaseException) -> str:
    other = told(error)
    if other is not None:
        return other.trace
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
