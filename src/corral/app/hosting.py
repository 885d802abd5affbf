"""What an application lends to its jobs: services, middleware, and what happens when its workers start and stop."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias, TypeVar

from corral.alert import AlertHook
from corral.intake import EnqueueMiddleware, Guard, Intake
from corral.job import NewJob
from corral.storage.port import Storage
from corral.worker.middleware import Middleware
from corral.worker.services import Providers, Scope
from corral.worker.watch import Watcher
from corral.worker.worker import WorkerHook

S = TypeVar("S")
M = TypeVar("M", bound=Middleware)
E = TypeVar("E", bound=EnqueueMiddleware)
G = TypeVar("G", bound=Guard)
W = TypeVar("W", bound=WorkerHook)
A = TypeVar("A", bound=AlertHook)
#: Called when a worker starts, or when one has stopped.
Moment: TypeAlias = Callable[[], Awaitable[None] | None]
F = TypeVar("F", bound=Moment)
#: Marks jobs that are about to be added.
Stamp: TypeAlias = Callable[[Sequence[NewJob]], Sequence[NewJob]]


class Hosting:
    """Providers, middleware and the hooks of a worker's life. `Corral` is one."""

    def __init__(self) -> None:
        self.intake = Intake()
        self.providers = Providers()
        self.middlewares: list[Middleware] = []
        self.ready_hooks: list[WorkerHook] = []
        self.alert_hooks: list[AlertHook] = []
        self.stopping_hooks: list[WorkerHook] = []
        self._startups: list[Moment] = []
        self._shutdowns: list[Moment] = []
        self.watchers: list[Watcher] = []  #: told of every run of its workers
        self._dressings: list[Callable[[Storage], Storage]] = []
        self._stamps: list[Stamp] = []

    # -- services ------------------------------------------------------------------------------------------------

    def provide(
        self, service: Callable[..., S], factory: Callable[..., object] | S, *, scope: Scope = "worker"
    ) -> None:
        """Say how a service is made: handlers, factories and classes of handlers get it by naming its type.

        Args:
            factory: a function or class that makes it, whose own parameters may be services; or a ready instance. A
                generator (`async def` or `def`) makes it with `yield`, and what follows runs when it is put away.
            scope: "worker" makes one when a worker starts, for all of its jobs; "job" one for each call of a handler.

        Raises:
            RegistrationError: it is provided already, or the factory has a parameter that no service can fill.
            ConfigError: a type that is everybody's, such as `str`.
        """
        self.providers.provide(service, factory, scope)

    def override(self, service: Callable[..., object], fake: object) -> AbstractContextManager[None]:
        """Give `fake`, an instance, to everybody who asks for `service`, in workers that start inside of the block.

        Raises:
            RegistrationError: the service is not provided.
        """
        return self.providers.override(service, fake)

    # -- around jobs ---------------------------------------------------------------------------------------------

    def middleware(self, function: M) -> M:
        """Wrap every handler: `async def timing(ctx, call_next): return await call_next()`. The first is outermost."""
        self.middlewares.append(function)
        return function

    def enqueue_middleware(self, function: E) -> E:
        """Wrap the adding of every job: `async def tag(job, call_next): return await call_next(job)`.

        It may hand on a changed job, or raise to refuse it. Whatever adds (single jobs, bulks, schedules, flows,
        blocking code, handlers) goes through it; the first declared is outermost. Guards come after it.
        """
        self.intake.middlewares.append(function)
        return function

    def before_add(self, function: G) -> G:
        """Look at every job this application is about to add: `def may_add(job: NewJob) -> None`, raising to refuse it.

        The place to check permissions. Nothing is written when it raises; `corral add` without the app passes it by.
        """
        self.intake.guards.append(function)
        return function

    # -- what wants attention ------------------------------------------------------------------------------------

    def on_alert(self, function: A) -> A:
        """Call the decorated function when something wants attention, gets worse, lasts or is over.

        Workers and the API look every 15 s, one of them at a time. `alerts=` and `[alerts]` say what is worth it.
        """
        self.alert_hooks.append(function)
        return function

    # -- looking on ----------------------------------------------------------------------------------------------

    def dress(self, front: Callable[[Storage], Storage]) -> None:
        """Put a store of one's own in front of the application's, to see what passes; the last one is outermost.

        Before the store is opened: it is asked when that happens, and for every other handle onto it.
        """
        self._dressings.append(front)

    def stamp(self, function: Stamp) -> None:
        """Have jobs marked that are added past the store, in a transaction of the application's own (`add_in`)."""
        self._stamps.append(function)

    def dressed(self, storage: Storage) -> Storage:
        """A store behind everything that `dress` put in front."""
        for front in self._dressings:
            storage = front(storage)
        return storage

    def stamped(self, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """Jobs with the marks of every `stamp`."""
        for function in self._stamps:
            jobs = function(jobs)
        return jobs

    # -- a worker's life -----------------------------------------------------------------------------------------

    def on_startup(self, function: F) -> F:
        """Call the decorated function when a worker starts, before its first job; what it raises stops the start."""
        self._startups.append(function)
        return function

    def on_shutdown(self, function: F) -> F:
        """Call the decorated function when a worker has stopped, after its last job; the last declared goes first."""
        self._shutdowns.append(function)
        return function

    def on_ready(self, function: W) -> W:
        """Call the decorated function with the worker as soon as it takes jobs."""
        self.ready_hooks.append(function)
        return function

    def on_stopping(self, function: W) -> W:
        """Call the decorated function with the worker when it was told to stop, while its last jobs still run."""
        self.stopping_hooks.append(function)
        return function

    @asynccontextmanager
    async def hosted(self, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
        """The time in which a worker's jobs run: inside the lifespan, after the start-ups, before the shut-downs."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lifespan())
            for function in self._startups:
                await _call(function)
            for function in self._shutdowns:
                stack.push_async_callback(_call, function)
            yield


async def _call(function: Moment) -> None:
    answer = function()
    if answer is not None:
        await answer
