"""A queue as an application declares it: where handlers are registered, with defaults for their jobs."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, cast, overload

from msgspec import UNSET

from corral.app.declare import Declare
from corral.app.definition import DeclareKeywords, Home, JobDefinition, make_handler
from corral.app.methods import methods_of
from corral.breaker import Breaker
from corral.codec.chain import Chain, Codec
from corral.errors import ConfigError, RegistrationError, UnknownJobError
from corral.job import check_name
from corral.keywords import check_rates
from corral.options import (
    JOB_KEYWORDS,
    GroupLimits,
    JobKeywords,
    JobOptions,
    QueueSettings,
    RateLimit,
    check_keywords,
    check_priority,
    job_options,
)
from corral.payload import MAX_BYTES
from corral.queue import Queue
from corral.timing import Seconds, to_seconds
from corral.worker.handler import Handler, HandlerFunction
from corral.worker.middleware import Middleware
from corral.worker.services import Scope

C = TypeVar("C")
M = TypeVar("M", bound=Middleware)


class QueueKeywords(JobKeywords, total=False):
    """The keywords of `app.queue`: job defaults for everything added to it, and the queue's own limits."""

    concurrency: int  #: jobs at once in each worker process
    rate_limit: RateLimit | Sequence[RateLimit]  #: starts over all workers; of several windows all must have room
    group_limits: GroupLimits  #: what each of its groups may do
    when_full: Literal["reject", "wait"] | float  #: an error, or wait a minute (or so many seconds)
    add_limit: RateLimit  #: jobs that producers may add; more are refused with QueueFullError
    max_active: int  #: jobs at once over all workers
    breaker: Breaker  #: stops the queue, or one group, for a while when too many attempts fail
    codecs: Sequence[Codec]  #: what payloads and results go through on their way into the store; () is none
    max_payload: int  #: bytes of a payload, plain and as it is stored
    max_result: int  #: bytes of what a handler returns, as JSON


class _QueueOwn(TypedDict, total=False):
    concurrency: int
    rate_limit: RateLimit | Sequence[RateLimit]
    group_limits: GroupLimits
    when_full: Literal["reject", "wait"] | float
    add_limit: RateLimit
    max_active: int
    breaker: Breaker
    codecs: Sequence[Codec]
    max_payload: int
    max_result: int


QUEUE_KEYWORDS = JOB_KEYWORDS | frozenset(_QueueOwn.__annotations__)


def _positive(value: object, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{key} must be a whole number of 1 or more, not {value!r}", key=key)
    return value


def _rate(value: object, key: str) -> RateLimit | None:
    if value is not None and not isinstance(value, RateLimit):
        raise ConfigError(f"{key} must be RateLimit(count, per=seconds), not {value!r}", key=key)
    return value


def _group_limits(value: object) -> GroupLimits | None:
    if value is not None and not isinstance(value, GroupLimits):
        raise ConfigError(f"group_limits must be GroupLimits(…), not {value!r}", key="group_limits")
    return value


def _patience(value: object) -> float:
    """Seconds to wait for room in a full queue."""
    if value in ("reject", "wait"):
        return 60.0 if value == "wait" else 0.0
    if isinstance(value, str):
        raise ConfigError(f"when_full must be 'reject', 'wait' or seconds, not {value!r}", key="when_full")
    return to_seconds(cast(Seconds, value), "when_full")


def _breaker(value: object) -> Breaker | None:
    if value is not None and not isinstance(value, Breaker):
        raise ConfigError(f"breaker must be Breaker(share=…, minimum=…), not {value!r}", key="breaker")
    return value


class AppQueue:
    """A declared queue. Holds no connection: `await queue.open()` gives the live `Queue`."""

    def __init__(self, home: Home, name: str, keywords: QueueKeywords) -> None:
        check_keywords(cast(dict[str, object], keywords), QUEUE_KEYWORDS)
        self.name = check_name(name, "queue name")
        self.concurrency = _positive(keywords.get("concurrency", 10), "concurrency")
        self.rate_limits = check_rates(keywords["rate_limit"], "rate_limit") if "rate_limit" in keywords else ()
        self.group_limits = _group_limits(keywords.get("group_limits"))
        self.patience = _patience(keywords.get("when_full", "reject"))
        self.add_limit = _rate(keywords.get("add_limit"), "add_limit")
        self.max_active = _positive(keywords["max_active"], "max_active") if "max_active" in keywords else None
        self.breaker = _breaker(keywords.get("breaker"))
        self.chain = Chain(keywords["codecs"]) if "codecs" in keywords else None  #: None: the application's
        self.max_payload = _positive(keywords["max_payload"], "max_payload") if "max_payload" in keywords else None
        self.max_result = _positive(keywords.get("max_result", MAX_BYTES), "max_result")
        self._defaults = cast(DeclareKeywords, {key: keywords[key] for key in keywords if key in JOB_KEYWORDS})  # type: ignore[literal-required]  # its own keys
        self.options: JobOptions = job_options(cast(JobKeywords, self._defaults))
        self.priority = check_priority(keywords.get("priority", 0))
        self.definitions: dict[str, JobDefinition[Any, Any]] = {}
        self.middlewares: list[Middleware] = []
        self._home = home

    @property
    def rate_limit(self) -> RateLimit | None:
        """The first of its rate limits."""
        return self.rate_limits[0] if self.rate_limits else None

    def __repr__(self) -> str:
        return f"<queue {self.name}: {', '.join(self.definitions) or 'no handlers'}>"

    def job(self, name: str, **keywords: Unpack[DeclareKeywords]) -> Declare:
        """Register the decorated function as the handler of jobs with this name.

        Raises:
            RegistrationError: the name is taken, or the function has no usable signature.
            ConfigError: an option out of range or unknown.
        """

        def declare(function: HandlerFunction) -> JobDefinition[Any, Any]:
            merged = cast(DeclareKeywords, {**self._defaults, **keywords})
            handler = make_handler(name, function, merged, self.options)
            return self.register(
                JobDefinition(self.name, handler, priority=check_priority(merged.get("priority", 0)), home=self._home)
            )

        return cast(Declare, declare)

    def middleware(self, function: M) -> M:
        """Wrap the handlers of this queue: inside the application's middleware, outside of a handler's own."""
        self.middlewares.append(function)
        return function

    @overload
    def handlers(self, owner: type[C]) -> type[C]: ...
    @overload
    def handlers(self, *, scope: Scope = "worker") -> Callable[[type[C]], type[C]]: ...
    def handlers(
        self, owner: type[C] | None = None, *, scope: Scope = "worker"
    ) -> type[C] | Callable[[type[C]], type[C]]:
        """Register the methods of a class that `@handles(…)` decorates. Its `__init__` gets services, by annotation.

        Args:
            scope: "worker" makes one object for all jobs of a worker, "job" one for each job.

        Raises:
            RegistrationError: no such method, a name that is taken, or a constructor that services cannot fill.
        """

        def register(owner: type[C]) -> type[C]:
            methods = list(methods_of(owner))
            self._home.providers.imply(owner, scope)
            for method in methods:
                method.settle_in(self._home, self.name, owner, self._defaults, self.options)
                self.register(method)
            return owner

        return register if owner is None else register(owner)

    def register(self, definition: JobDefinition[Any, Any]) -> JobDefinition[Any, Any]:
        """Take a declaration in. Raises: RegistrationError when its name is taken."""
        if definition.name in self.definitions:
            raise RegistrationError(f"queue {self.name!r} has a handler named {definition.name!r} already")
        definition.default_to(self.options)
        definition.limit_to(self.max_payload or MAX_BYTES, self.max_result)
        self.definitions[definition.name] = definition
        return definition

    def handler(self, name: str) -> Handler | None:
        """The handler of this name."""
        definition = self.definitions.get(name)
        return None if definition is None else definition.handler

    def known_names(self) -> list[str]:
        """The names that have a handler."""
        return list(self.definitions)

    def known_handlers(self) -> list[Handler]:
        """The handlers, in the order they were declared."""
        return [one.handler for one in self.definitions.values()]

    def definition(self, name: str) -> JobDefinition[Any, Any]:
        """The declared job of this name. Raises: UnknownJobError."""
        if name not in self.definitions:
            raise UnknownJobError(self.name, name, self.definitions)
        return self.definitions[name]

    @property
    def batch_size(self) -> int:
        """How many jobs the largest batch of its handlers takes; 0 when none takes batches."""
        return max((one.handler.batch.size for one in self.definitions.values() if one.handler.batch), default=0)

    async def open(self) -> Queue:
        """The live queue, for pausing, counting, paging and adding by name."""
        return await self._home.open_queue(self.name)

    def settings(self) -> QueueSettings:
        """What the declaration says about the queue as a whole; a worker stores it when it starts."""
        caps = {name: one.handler.concurrency for name, one in self.definitions.items() if one.handler.concurrency}
        rates = {name: one.handler.rate_limits for name, one in self.definitions.items() if one.handler.rate_limits}
        # UNSET where nothing is declared, so that a limit set at run time by a person survives a restart.
        return QueueSettings(
            rate_limit=self.rate_limits[0] if self.rate_limits else UNSET,
            more_limits=self.rate_limits[1:] if self.rate_limits else UNSET,
            group_limits=self.group_limits or UNSET,
            name_limits=rates or UNSET,
            add_limit=self.add_limit or UNSET,
            concurrency=self.max_active or UNSET,
            name_concurrency=caps or UNSET,
            keep_completed=self.options.keep_completed or UNSET,
            keep_failed=self.options.keep_failed or UNSET,
        )
