"""Injection: makes the services that handlers ask for, and puts them away again."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from types import TracebackType
from typing import Any, TypeVar, cast

from corral.errors import RegistrationError
from corral.worker.context import Facts, JobContext
from corral.worker.handler import Handler, Mode
from corral.worker.services import CONTEXTS, Need, Provider, Providers, Recipe

T = TypeVar("T")
#: Runs a coroutine on an event loop from code outside of it, and waits.
Bridge = Callable[[Coroutine[Any, Any, Any]], Any]
Made = dict[Hashable, object]

#: What a batch handler's call has of its own: no job's context, for it has many.
_NO_CONTEXT: tuple[type, ...] = ()
_ASYNC_CONTEXTS: tuple[type, ...] = (JobContext, Facts)


class Injector:
    """The services of one worker: those it shares between jobs, and the recipes for those of one job."""

    def __init__(self, providers: Providers | None = None) -> None:
        self._providers = providers or Providers()
        self._shared: Made = {}
        self._recipes: dict[int, tuple[Handler, Recipe]] = {}  #: by identity of the handler, which is held here

    def check(self, queue: str, handlers: Iterable[Handler]) -> None:
        """Find out how each handler's wishes are filled. Raises: RegistrationError when one cannot be."""
        for handler in handlers:
            if handler.needs and id(handler) not in self._recipes:
                recipe = self._providers.recipe(f"handler {handler.name!r} of queue {queue!r}", handler.needs,
                                                contexts_of(handler))  # fmt: skip
                self._recipes[id(handler)] = handler, recipe

    async def start(self, stack: AsyncExitStack, *, in_child: bool = False) -> None:
        """Make what the handlers share; `stack` puts it away, the last one first. Child processes make their own."""
        for handler, recipe in self._recipes.values():
            if handler.mode is Mode.PROCESS and not in_child:
                continue
            for provider in recipe.shared:
                if provider.service not in self._shared:
                    self._shared[provider.service] = await enter(provider, self._shared, stack)

    def recipe(self, handler: Handler) -> Recipe:
        """How this handler's wishes are filled. Raises: RegistrationError for one that came after the start."""
        found = self._recipes.get(id(handler))
        if found is None or any(one.service not in self._shared for one in found[1].shared):
            raise RegistrationError(f"handler {handler.name!r} was registered after its worker had made the services")
        return found[1]

    async def call(
        self, handler: Handler, given: Mapping[Hashable, object], function: Callable[[dict[str, object]], object]
    ) -> object:
        """Call `function` with the handler's services by parameter, on the event loop; its answer is awaited.

        What it raises goes through the factories that are generators, so that a transaction can be rolled back. They
        cannot swallow it.
        """
        recipe = self.recipe(handler)
        made: Made = {**self._shared, **given}
        failure: BaseException | None = None
        result: object = None
        async with AsyncExitStack() as stack:
            for provider in recipe.steps:
                made[provider.service] = await enter(provider, made, stack)
            try:
                result = await cast(Awaitable[object], function(_fill(recipe.arguments, made)))
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure
        return result

    def call_blocking(
        self, handler: Handler, given: Mapping[Hashable, object], function: Callable[[dict[str, object]], object],
        bridge: Bridge,
    ) -> object:  # fmt: skip
        """As `call`, in a thread: factories that are not asynchronous run in it too, and so does what ends them."""
        recipe = self.recipe(handler)
        made: Made = {**self._shared, **given}
        failure: BaseException | None = None
        result: object = None
        with ExitStack() as stack:
            for provider in recipe.steps:
                made[provider.service] = enter_blocking(provider, made, stack, bridge)
            try:
                result = function(_fill(recipe.arguments, made))
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure
        return result


def bridge_to(loop: asyncio.AbstractEventLoop) -> Bridge:
    """How a thread runs something on this loop."""
    return lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()


def contexts_of(handler: Handler) -> tuple[type, ...]:
    """The contexts that services of one job may ask for."""
    if handler.batch is not None:
        return _NO_CONTEXT
    return _ASYNC_CONTEXTS if handler.asynchronous else CONTEXTS


def _fill(needs: tuple[Need, ...], made: Made) -> dict[str, object]:
    return {need.name: made[need.service] for need in needs}


# -- one service -------------------------------------------------------------------------------------------------------


async def enter(provider: Provider, made: Made, stack: AsyncExitStack) -> object:
    """Make a service; what is left to do at its end is pushed onto `stack`."""
    result = _begin(provider, made)
    if isinstance(result, _Loan):
        if isinstance(result.manager, AbstractAsyncContextManager):
            return await stack.enter_async_context(result.manager)
        return stack.enter_context(result.manager)
    return await cast(Awaitable[object], result) if _must_be_awaited(result, provider) else result


def enter_blocking(provider: Provider, made: Made, stack: ExitStack, bridge: Bridge) -> object:
    """As `enter`, in a thread; what is asynchronous runs on the event loop."""
    result = _begin(provider, made)
    if isinstance(result, _Loan):
        if isinstance(result.manager, AbstractAsyncContextManager):
            return stack.enter_context(_Bridged(result.manager, bridge))
        return stack.enter_context(result.manager)
    return bridge(_awaited(cast(Awaitable[object], result))) if _must_be_awaited(result, provider) else result


class _Loan:
    """A service that is given back at the end."""

    def __init__(self, manager: AbstractContextManager[object] | AbstractAsyncContextManager[object]) -> None:
        self.manager = manager


def _begin(provider: Provider, made: Made) -> object:
    arguments = _fill(provider.needs, made)
    factory = provider.factory
    if inspect.isasyncgenfunction(factory):
        return _Loan(asynccontextmanager(factory)(**arguments))
    if inspect.isgeneratorfunction(factory):
        return _Loan(contextmanager(factory)(**arguments))
    result = factory(**arguments)
    # What a function decorated with @contextmanager or @asynccontextmanager answers, or `closing(…)`.
    if type(result).__module__ == "contextlib" and isinstance(
        result, AbstractContextManager | AbstractAsyncContextManager
    ):
        return _Loan(result)
    return result


def _must_be_awaited(result: object, provider: Provider) -> bool:
    """A coroutine stands for the service; a service that can itself be awaited is left alone."""
    if inspect.iscoroutine(result):
        return True
    service = provider.service
    return inspect.isawaitable(result) and not (isinstance(service, type) and isinstance(result, service))


async def _awaited(value: Awaitable[T]) -> T:
    return await value


class _Bridged(AbstractContextManager[object]):
    """An asynchronous context manager, used from a thread."""

    def __init__(self, manager: AbstractAsyncContextManager[object], bridge: Bridge) -> None:
        self._manager = manager
        self._bridge = bridge

    def __enter__(self) -> object:
        return self._bridge(_awaited(self._manager.__aenter__()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return cast(bool | None, self._bridge(_awaited(self._manager.__aexit__(kind, error, trace))))
