"""What `@queue.job(...)` and `@handles(...)` accept: handlers by shape, so that payload and result stay typed."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from corral.app.definition import DeclareKeywords, JobDefinition
from corral.app.methods import JobMethod, job_method
from corral.worker.batch import BatchContext, BatchJob, SyncBatchJob
from corral.worker.context import JobContext, SyncJobContext

P = ParamSpec("P")  #: parameters that services fill
D = TypeVar("D")
R = TypeVar("R")
S = TypeVar("S")  #: the object whose method it is


class Declare(Protocol):
    """What `@queue.job(...)` decorates. Parameters after the payload are services; callers of `add` do not see them."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[BatchContext, list[BatchJob[D]], P], Awaitable[R]]
    ) -> JobDefinition[D, object]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[BatchContext, list[SyncBatchJob[D]], P], R]
    ) -> JobDefinition[D, object]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[list[BatchJob[D]], P], Awaitable[R]]
    ) -> JobDefinition[D, object]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[list[SyncBatchJob[D]], P], R]) -> JobDefinition[D, object]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[JobContext, D, P], Awaitable[R]]
    ) -> JobDefinition[D, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[SyncJobContext, D, P], R]) -> JobDefinition[D, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[JobContext, P], Awaitable[R]]) -> JobDefinition[None, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[SyncJobContext, P], R]) -> JobDefinition[None, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[D, P], Awaitable[R]]
    ) -> JobDefinition[D, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[D, P], R]) -> JobDefinition[D, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]]) -> JobDefinition[None, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> JobDefinition[None, R]: ...


class DeclareMethod(Protocol):
    """The same for methods, which `@handles(...)` decorates: the first parameter is the object."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[S, BatchContext, list[BatchJob[D]], P], Awaitable[R]]
    ) -> JobMethod[D, object, Awaitable[R]]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[S, BatchContext, list[SyncBatchJob[D]], P], R]
    ) -> JobMethod[D, object, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[S, list[BatchJob[D]], P], Awaitable[R]]
    ) -> JobMethod[D, object, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, list[SyncBatchJob[D]], P], R]) -> JobMethod[D, object, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[S, JobContext, D, P], Awaitable[R]]
    ) -> JobMethod[D, R, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, SyncJobContext, D, P], R]) -> JobMethod[D, R, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[S, JobContext, P], Awaitable[R]]
    ) -> JobMethod[None, R, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, SyncJobContext, P], R]) -> JobMethod[None, R, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # the last shape takes anything
        self, function: Callable[Concatenate[S, D, P], Awaitable[R]]
    ) -> JobMethod[D, R, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, D, P], R]) -> JobMethod[D, R, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, P], Awaitable[R]]) -> JobMethod[None, R, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[S, P], R]) -> JobMethod[None, R, R]: ...


def handles(name: str, **keywords: Unpack[DeclareKeywords]) -> DeclareMethod:
    """Make a method the handler of jobs with this name, once `queue.handlers` takes its class in.

    The keywords are those of `@queue.job`.

    Raises:
        RegistrationError: the method has no usable signature. ConfigError: an option out of range or unknown.
    """
    return cast(DeclareMethod, job_method(name, keywords))
