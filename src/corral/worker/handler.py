"""Handlers: what a registered function looks like to the worker. Decided once, at registration."""

import inspect
import typing
from collections.abc import Callable, Hashable, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct

from corral.errors import RegistrationError
from corral.options import NO_JOB_OPTIONS, BackoffFunction, JobOptions, RateLimit
from corral.payload import MAX_BYTES, PayloadType
from corral.worker.batch import Batch, BatchContext, BatchJob, SyncBatchJob
from corral.worker.context import JobContext, SyncJobContext
from corral.worker.middleware import Middleware
from corral.worker.services import Need, injectable, told

HandlerFunction: TypeAlias = Callable[..., object]
CONTEXT_TYPES = (JobContext, SyncJobContext, BatchContext)
#: The parameter of a method that its object fills. No parameter of a function can be called so.
SELF = "self()"


class Mode(StrEnum):
    """Where a handler runs."""

    ASYNC = "async"
    THREAD = "thread"
    PROCESS = "process"


class Handler(Struct, frozen=True, kw_only=True):
    """One registered function, with everything the executor asks of it."""

    name: str
    function: HandlerFunction
    mode: Mode
    payload: PayloadType
    takes_context: bool
    takes_data: bool
    options: JobOptions = NO_JOB_OPTIONS
    custom_backoff: BackoffFunction | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    give_up_on: tuple[type[BaseException], ...] = ()
    retry_if: Callable[[BaseException], bool] | None = None
    concurrency: int | None = None
    rate_limits: tuple[RateLimit, ...] = ()  #: starts of its jobs over all workers
    batch: Batch | None = None
    needs: tuple[Need, ...] = ()  #: parameters that services fill; of a method also SELF, the object it belongs to
    owner: type | None = None  #: the class it is a method of
    middlewares: tuple[Middleware, ...] = ()  #: its own; they go inside those of its queue and application
    max_result: int = MAX_BYTES  #: bytes of what it returns, as JSON

    @property
    def asynchronous(self) -> bool:
        """Whether calling it gives a coroutine."""
        return self.mode is Mode.ASYNC or (self.mode is Mode.PROCESS and is_async(self.function))

    def call(
        self, context: JobContext | SyncJobContext | BatchContext | None, data: object,
        services: dict[str, object] | None = None,
    ) -> object:  # fmt: skip
        """Call the function with what its signature asks for; a coroutine when it is `async def`.

        Without a context only where it takes none.
        """
        if services is not None:
            return self._call_with(context, data, services)
        if self.takes_context:
            return self.function(context, data) if self.takes_data else self.function(context)
        return self.function(data) if self.takes_data else self.function()

    def _call_with(self, context: object, data: object, services: dict[str, object]) -> object:
        arguments = [services.pop(SELF)] if self.owner is not None else []
        if self.takes_context:
            arguments.append(context)
        if self.takes_data:
            arguments.append(data)
        return self.function(*arguments, **services)


class Signature(Struct, frozen=True):
    """What a function's parameters say."""

    takes_context: bool
    takes_data: bool
    payload: object
    needs: tuple[Need, ...] = ()


def read_signature(function: HandlerFunction, *, method: bool = False) -> Signature:
    """Find out how to call a handler: `(ctx, data)`, `(data)`, `(ctx)` or `()`, and then services.

    The context is a parameter annotated `JobContext` or `SyncJobContext`, or a first one named `ctx` or `context`. The
    other parameter is the payload; its annotation is the payload's type (plain JSON when it has none). Parameters after
    it, and those after a `*`, are services, by their annotations. With `method`, the first of all is `self`.

    Raises:
        RegistrationError: any other shape, with the shapes that work.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not callable(function):
        raise RegistrationError(f"handler {name} is not callable")
    hints = _hints(function)
    context, data = None, None
    needs = []
    for index, parameter in enumerate(_parameters(function, name)[1 if method else 0 :]):
        hint = hints.get(parameter.name, parameter.annotation)
        if parameter.kind is parameter.KEYWORD_ONLY or data is not None:
            needs += _service(parameter, hint, name)
        elif index == 0 and (hint in CONTEXT_TYPES or parameter.name in ("ctx", "context")):
            context = parameter
        else:
            data = parameter
    payload: object = None
    if data is not None:
        payload = hints.get(data.name, Any)
    return Signature(context is not None, data is not None, payload, tuple(needs))


def _service(parameter: inspect.Parameter, hint: object, name: str) -> list[Need]:
    optional = parameter.default is not inspect.Parameter.empty
    if isinstance(hint, Hashable) and injectable(hint) and parameter.kind is not parameter.POSITIONAL_ONLY:
        return [Need(parameter.name, hint, optional)]
    if not optional:
        raise _unusable(name, f"parameter {parameter.name!r} is one too many, and its type is no service's")
    return []


def _parameters(function: HandlerFunction, name: str) -> list[inspect.Parameter]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise _unusable(name, "it has no signature that can be read") from None
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise _unusable(name, f"*{parameter.name} could mean anything")
    return parameters


def batch_payload(function: HandlerFunction, signature: Signature) -> object:
    """The type of one payload of a batch handler, whose parameter is a `list[BatchJob[Payload]]`.

    Raises:
        RegistrationError: it takes no jobs, or something else than a list of them.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not signature.takes_data:
        raise RegistrationError(f"batch handler {name} takes no jobs: write (ctx, jobs) or (jobs)")
    if signature.payload is Any:
        return Any
    wanted = SyncBatchJob if not is_async(function) else BatchJob
    arguments = typing.get_args(signature.payload)
    item = arguments[0] if len(arguments) == 1 else Any
    is_list = signature.payload is list or typing.get_origin(signature.payload) in (list, Sequence)
    if not is_list or (typing.get_origin(item) or item) not in (Any, wanted):
        raise RegistrationError(
            f"batch handler {name} must take list[{wanted.__name__}[Payload]], not {told(signature.payload)}"
        )
    return (typing.get_args(item) or (Any,))[0]


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
        "annotated, and services by their types after it or after a *"
    )


def is_async(function: HandlerFunction) -> bool:
    """Whether calling the handler gives a coroutine."""
    call = getattr(function, "__call__", None)  # noqa: B004  # an instance with `async def __call__` is a handler too
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
