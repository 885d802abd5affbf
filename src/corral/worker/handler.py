"""Handlers: what a registered function looks like to the worker. Decided once, at registration."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from corral.errors import RegistrationError
from corral.options import BackoffFunction, JobOptions
from corral.payload import PayloadType
from corral.worker.context import JobContext, SyncJobContext

HandlerFunction: TypeAlias = Callable[..., object]


class Mode(StrEnum):
    """Where a handler runs."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """One registered function, with everything the executor asks of it."""

    name: str
    function: HandlerFunction
    mode: Mode
    payload: PayloadType
    takes_context: bool
    takes_data: bool
    options: JobOptions = field(default_factory=JobOptions)
    custom_backoff: BackoffFunction | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    give_up_on: tuple[type[BaseException], ...] = ()
    retry_if: Callable[[BaseException], bool] | None = None
    concurrency: int | None = None

    def call(self, context: JobContext | SyncJobContext, data: object) -> object:
        """Call the function with what its signature asks for; a coroutine when it is `async def`."""
        if self.takes_context:
            return self.function(context, data) if self.takes_data else self.function(context)
        return self.function(data) if self.takes_data else self.function()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function's parameters say."""

    takes_context: bool
    takes_data: bool
    payload: object


def read_signature(function: HandlerFunction) -> Signature:
    """Find out how to call a handler: `(ctx, data)`, `(data)`, `(ctx)` or `()`.

    The context is a parameter annotated `JobContext` or `SyncJobContext`, or a first one named `ctx` or `context`. The
    other parameter is the payload; its annotation is the payload's type (plain JSON when it has none).

    Raises:
        RegistrationError: any other shape, with the shapes that work.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise RegistrationError(f"handler {name} is not callable")
    hints = _hints(function)
    context, data = None, None
    for index, parameter in enumerate(_positional(function, name)):
        hint = hints.get(parameter.name, parameter.annotation)
        if index == 0 and (hint in (JobContext, SyncJobContext) or parameter.name in ("ctx", "context")):
            context = parameter
        elif data is None:
            data = parameter
        elif parameter.default is inspect.Parameter.empty:
            raise _unusable(name, f"parameter {parameter.name!r} is one too many")
    payload: object = None
    if data is not None:
        payload = hints.get(data.name, Any)
    return Signature(context is not None, data is not None, payload)


def _positional(function: HandlerFunction, name: str) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise _unusable(name, "it has no signature that can be read") from None
    usable = []
    for parameter in parameters:
        required = parameter.default is inspect.Parameter.empty
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise _unusable(name, f"*{parameter.name} could mean anything")
        if parameter.kind is parameter.KEYWORD_ONLY:
            if required:
                raise _unusable(name, f"keyword-only parameter {parameter.name!r} has no default")
            continue
        usable.append(parameter)
    return usable


def _hints(function: HandlerFunction) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except (NameError, TypeError) as error:
        name = getattr(function, "__qualname__", repr(function))
        raise RegistrationError(
            f"handler {name}: its annotations cannot be read ({error}); define the payload type at module level"
        ) from None


def _unusable(name: str, problem: str) -> RegistrationError:
    return RegistrationError(
        f"handler {name} has no usable signature: {problem}; write (ctx, data), (data), (ctx) or (), with data's type "
        "annotated"
    )


def is_async(function: HandlerFunction) -> bool:
    """Whether calling the handler gives a coroutine."""
    call = getattr(function, "__call__", None)  # noqa: B004  # an instance with `async def __call__` is a handler too
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
