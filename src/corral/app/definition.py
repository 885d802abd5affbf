"""A job's declaration: a typed handler bound to a queue, and the way to add jobs for it."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, cast

from msgspec import Raw
from msgspec.structs import replace

from corral.errors import ConfigError, RegistrationError
from corral.flow.node import Node, make_node
from corral.job import NewJob, check_name
from corral.keywords import AddKeywords, NodeKeywords, check_rates
from corral.options import (
    JOB_KEYWORDS,
    BackoffFunction,
    CustomBackoff,
    Exponential,
    Fixed,
    JobKeywords,
    JobOptions,
    ParentPolicy,
    RateLimit,
    check_keywords,
    job_options,
)
from corral.payload import PayloadType, from_json
from corral.queue import JobHandle, Queue, new_job
from corral.storage.port import Added
from corral.worker.batch import Batch
from corral.worker.handler import SELF, Handler, HandlerFunction, Mode, batch_payload, is_async, read_signature
from corral.worker.middleware import Middleware
from corral.worker.services import Need, Providers
from corral.worker.steps import value_of

P = ParamSpec("P")
D = TypeVar("D")
R = TypeVar("R")


class HandlerKeywords(TypedDict, total=False):
    """The keywords of `@queue.job` beyond those of `JobKeywords`."""

    process: bool
    concurrency: int
    retry_on: type[BaseException] | tuple[type[BaseException], ...]
    give_up_on: type[BaseException] | tuple[type[BaseException], ...]
    retry_if: Callable[[BaseException], bool]
    rate_limit: RateLimit | Sequence[RateLimit]  #: starts of its jobs over all workers, apart from the queue's own
    batch: Batch  #: one call gets many jobs
    middleware: Sequence[Middleware]  #: around this handler alone, the first one outermost


class DeclareKeywords(JobKeywords, HandlerKeywords, total=False):
    """All keywords of `@queue.job`."""


DECLARE_KEYWORDS = JOB_KEYWORDS | frozenset(HandlerKeywords.__annotations__)


def _exceptions(value: object, key: str) -> tuple[type[BaseException], ...]:
    classes = value if isinstance(value, tuple) else (value,)
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise ConfigError(f"{key} must be an exception class or a tuple of them, not {item!r}", key=key)
    return cast(tuple[type[BaseException], ...], classes)


def make_handler(
    name: str, function: HandlerFunction, keywords: DeclareKeywords, defaults: JobOptions, *, owner: type | None = None
) -> Handler:
    """Read a function's signature and its keywords into a Handler. `owner` is the class whose method it is.

    Raises:
        RegistrationError: a signature that cannot be called. ConfigError: a keyword out of range or unknown.
    """
    check_keywords(cast(dict[str, object], keywords), DECLARE_KEYWORDS)
    signature = read_signature(function, method=owner is not None)
    batch = _batch(keywords.get("batch"), process=bool(keywords.get("process", False)))
    backoff = keywords.get("backoff")
    process = bool(keywords.get("process", False))
    concurrency = keywords.get("concurrency")
    if concurrency is not None and (isinstance(concurrency, bool) or concurrency < 1):
        raise ConfigError(f"concurrency must be 1 or more, not {concurrency!r}", key="concurrency")
    payload = PayloadType(signature.payload if batch is None else batch_payload(function, signature))
    said = job_options(keywords).over(JobOptions(sensitive=payload.sensitive))
    custom = callable(backoff) and not isinstance(backoff, Fixed | Exponential | CustomBackoff)
    return Handler(
        name=check_name(name, "job name"),
        function=function,
        mode=Mode.PROCESS if process else Mode.ASYNC if is_async(function) else Mode.THREAD,
        payload=payload,
        takes_context=signature.takes_context,
        takes_data=signature.takes_data,
        options=said.over(defaults),
        custom_backoff=cast(BackoffFunction, backoff) if custom else None,
        retry_on=_exceptions(keywords["retry_on"], "retry_on") if "retry_on" in keywords else None,
        give_up_on=_exceptions(keywords.get("give_up_on", ()), "give_up_on"),
        retry_if=keywords.get("retry_if"),
        concurrency=concurrency,
        batch=batch,
        needs=signature.needs if owner is None else (Need(SELF, owner), *signature.needs),
        owner=owner,
        middlewares=tuple(keywords.get("middleware", ())),
        rate_limits=check_rates(keywords["rate_limit"], "rate_limit") if "rate_limit" in keywords else (),
    )


def _batch(value: object, *, process: bool) -> Batch | None:
    if value is not None and not isinstance(value, Batch):
        raise ConfigError(f"batch must be Batch(size), not {value!r}", key="batch")
    if value is not None and process:
        raise ConfigError("a batch handler cannot have process=True: a child process runs one job at a time",
                          key="batch")  # fmt: skip
    return value


class Portal(Protocol):
    """Runs a coroutine on a background loop and waits: what `add_sync` needs of the application."""

    def run(self, work: Callable[[], Awaitable[R]]) -> R: ...


class Home(Protocol):
    """What a definition needs of the application it is bound to."""

    async def open_queue(self, name: str) -> Queue: ...

    @property
    def providers(self) -> Providers: ...

    def portal(self) -> Portal: ...

    def open_queue_sync(self, name: str) -> Callable[[], Awaitable[Queue]]: ...

    def add_jobs_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Added]: ...


class JobDefinition(Generic[D, R]):
    """A declared job. Call it like the plain function in tests; `add` it to have a worker run it."""

    def __init__(self, queue: str, handler: Handler, *, priority: int = 0, home: Home | None = None) -> None:
        self.queue = queue
        self.handler = handler
        self.priority = priority
        self._home = home
        self.__wrapped__ = handler.function
        self.__doc__ = handler.function.__doc__

    def __repr__(self) -> str:
        return f"<job {self.queue}/{self.name}>"

    def __call__(self, *args: object, **kwargs: object) -> object:
        """The plain function: nothing is stored, nothing retried."""
        return self.handler.function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self.handler.name

    def default_to(self, options: JobOptions) -> None:
        """Fill in what the declaration leaves open: the defaults of the queue it is registered on."""
        self.handler = replace(self.handler, options=self.handler.options.over(options))

    def limit_to(self, payload: int, result: int) -> None:
        """Take over how large payloads and results may be on the queue it is registered on."""
        if (payload, result) != (self.handler.payload.limit, self.handler.max_result):
            self.handler = replace(self.handler, payload=self.handler.payload.limited(payload), max_result=result)

    @property
    def providers(self) -> Providers | None:
        """Who makes the services of its handler; None while no application has it."""
        return None if self._home is None else self._home.providers

    def result_of(self, text: str) -> R:
        """What the handler returned, read back from JSON into the type that it declares to return."""
        if self.handler.batch is not None:  # what the handler returns is not what each job completed with
            return cast(R, from_json(text))
        return cast(R, value_of(Raw(text.encode()), self.handler.function))

    def bind(self, home: Home, queue: str) -> "JobDefinition[D, R]":
        """This declaration in an application and a queue; bundles are bound when they are included."""
        return JobDefinition(queue, self.handler, priority=self.priority, home=home)

    def new(self, data: D | None = None, /, **options: Unpack[AddKeywords]) -> NewJob:
        """The job as it would be added: payload validated, options checked, nothing written.

        Raises:
            PayloadError: every complaint is listed. ConfigError: a bad option.
        """
        text = self.handler.payload.encode(data)
        return new_job(self.queue, self.name, text, options, self.handler.options, self.priority)

    def node(
        self, data: D | None = None, /, *, children: Iterable[Node[Any]] = (),
        on_failure: ParentPolicy | str = ParentPolicy.FAIL, key: str | None = None, **options: Unpack[NodeKeywords],
    ) -> Node[R]:  # fmt: skip
        """A node of a flow, for `app.flow.add(…)`: this job, to run when `children` have completed.

        Args:
            on_failure: what its failure means for the job that waits for it.
            key: its name in the flow.

        Raises:
            PayloadError: every complaint is listed. ConfigError: a bad option.
        """
        return make_node(self.new(data, **cast(AddKeywords, options)), children, on_failure, key)

    async def add(self, data: D | None = None, /, **options: Unpack[AddKeywords]) -> JobHandle[R]:
        """Validate the payload and add a job. When this returns, it is stored durably."""
        job = self.new(data, **options)
        queue = await self._bound().open_queue(self.queue)
        return cast(JobHandle[R], (await queue.add_jobs([job], wait=options.get("wait")))[0])

    async def add_bulk(self, payloads: Iterable[D], /, **options: Unpack[AddKeywords]) -> list[JobHandle[R]]:
        """Add a job per payload, with the same options: all, or none when one is refused."""
        jobs = [self.new(data, **options) for data in payloads]
        queue = await self._bound().open_queue(self.queue)
        return cast(list[JobHandle[R]], await queue.add_jobs(jobs, wait=options.get("wait")))

    def add_in(self, connection: object, data: D | None = None, /, **options: Unpack[AddKeywords]) -> str:
        """Add in a transaction of the application's own, on the same SQLite file; answers the job's id.

        See `Corral.add_in`. With an asynchronous session: `await session.run_sync(welcome.add_in, data)`.
        """
        return self._bound().add_jobs_in(connection, [self.new(data, **options)])[0].id

    def add_sync(self, data: D | None = None, /, **options: Unpack[AddKeywords]) -> str:
        """Add from code without an event loop (Django, Flask, scripts); answers the job's id."""
        return self.add_bulk_sync([cast(D, data)], **options)[0]

    def add_bulk_sync(self, payloads: Sequence[D], /, **options: Unpack[AddKeywords]) -> list[str]:
        """`add_bulk` from code without an event loop; answers the ids."""
        jobs = [self.new(data, **options) for data in payloads]
        home = self._bound()
        open_queue = home.open_queue_sync(self.queue)

        async def add() -> list[str]:
            return [handle.id for handle in await (await open_queue()).add_jobs(jobs, wait=options.get("wait"))]

        return home.portal().run(add)

    def _bound(self) -> Home:
        if self._home is None:
            raise RegistrationError(f"job {self.name!r} belongs to a bundle that no application includes yet")
        return self._home
