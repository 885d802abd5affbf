"""Middleware: code of the application around each run of a handler."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from corral.worker.context import JobContext

#: `await call_next()` runs the rest of the chain and, at its end, the handler; its return value is the job's result.
Middleware: TypeAlias = Callable[[JobContext, Callable[[], Awaitable[object]]], Awaitable[object]]


def chained(
    middlewares: tuple[Middleware, ...], context: JobContext, innermost: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[object]]:
    """The call that goes through all of them, the first one outermost."""
    call = innermost
    for middleware in reversed(middlewares):
        call = _wrapped(middleware, context, call)
    return call


def _wrapped(
    middleware: Middleware, context: JobContext, call: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[object]]:
    return lambda: middleware(context, call)
