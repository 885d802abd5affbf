"""Classes of handlers: methods decorated with `@handles(...)`, on an object that gets its services when it is made.

class Completions:
    def __init__(self, model: Model, store: Store) -> None:
        self.model, self.store = model, store

    @handles("generate-completion", timeout=60)
    async def generate(self, ctx: JobContext, data: Prompt) -> Completion: ...

ai.handlers(Completions)
await Completions.generate.add(Prompt(...))
"""

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, Generic, Self, TypeVar, cast, overload

from msgspec.structs import replace

from corral.app.definition import DeclareKeywords, Home, JobDefinition, make_handler
from corral.errors import RegistrationError
from corral.options import JobOptions, check_priority
from corral.worker.handler import HandlerFunction

D = TypeVar("D")
R = TypeVar("R")
T = TypeVar("T")


class JobMethod(JobDefinition[D, R], Generic[D, R, T]):
    """A method that handles jobs. On the class it is the declaration; on an object, the plain method."""

    def __init__(self, name: str, function: HandlerFunction, keywords: DeclareKeywords) -> None:
        self.keywords = keywords
        self.function = function
        handler = make_handler(name, function, keywords, JobOptions(), owner=object)
        super().__init__("", handler, priority=check_priority(keywords.get("priority", 0)))

    def __set_name__(self, owner: type, name: str) -> None:
        self.handler = replace(self.handler, owner=owner)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[..., T]: ...
    def __get__(self, instance: object, owner: type) -> Self | Callable[..., T]:
        return self if instance is None else cast(Callable[..., T], MethodType(self.function, instance))

    def settle_in(self, home: Home, queue: str, owner: type, defaults: DeclareKeywords, options: JobOptions) -> None:
        """Become a job of this queue.

        Raises:
            RegistrationError: it is one already. ConfigError: keywords that do not go together with the queue's.
        """
        if self._home is not None:
            raise RegistrationError(f"{self.function.__qualname__} serves queue {self.queue!r} already")
        merged = cast(DeclareKeywords, {**defaults, **self.keywords})
        self.handler = make_handler(self.name, self.function, merged, options, owner=owner)
        self.priority = check_priority(merged.get("priority", 0))
        self.queue = queue
        self._home = home

    def copied(self, owner: type) -> "JobMethod[D, R, T]":
        """The same method as a class that inherits it has it."""
        copy: JobMethod[D, R, T] = JobMethod(self.name, self.function, self.keywords)
        copy.__set_name__(owner, "")
        return copy


def methods_of(owner: type) -> Iterator[JobMethod[Any, Any, Any]]:
    """The job methods of a class, those of its bases included: each class has its own, for its own queue.

    Raises:
        RegistrationError: it has none.
    """
    names = {name: None for base in reversed(owner.__mro__) for name in vars(base)}
    found = False
    for name in names:
        method = getattr(owner, name, None)
        if not isinstance(method, JobMethod):
            continue
        found = True
        if name not in vars(owner):
            method = method.copied(owner)
            setattr(owner, name, method)
        yield method
    if not found:
        raise RegistrationError(f"class {owner.__qualname__} has no method decorated with @handles(…)")


def job_method(name: str, keywords: DeclareKeywords) -> Callable[[HandlerFunction], JobMethod[Any, Any, Any]]:
    """What `handles` decorates with."""
    return lambda function: JobMethod(name, function, keywords)
