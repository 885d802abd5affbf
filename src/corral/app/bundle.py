"""Bundles: handlers declared without an application, as ready-made families ship them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack, cast

from corral.app.definition import DeclareKeywords, JobDefinition, make_handler
from corral.errors import RegistrationError
from corral.job import check_name
from corral.options import JobOptions, check_priority
from corral.worker.handler import HandlerFunction

F = TypeVar("F", bound=HandlerFunction)


class Bundle:
    """A set of declarations for one queue, bound when an application includes it.

    Example:
        bundle = Bundle("email", queue="send-email", attempts=3)

        @bundle.job("welcome-email")
        async def welcome(ctx: JobContext, data: Welcome) -> None: ...

        app.include(bundle)
    """

    def __init__(self, name: str, *, queue: str, **defaults: Unpack[DeclareKeywords]) -> None:
        self.name = check_name(name, "bundle name")
        self.queue = check_name(queue, "queue name")
        self._defaults = defaults
        self._definitions: dict[str, JobDefinition[Any, Any]] = {}
        self.prioritized: set[str] = set()  #: the jobs whose priority it says itself

    def job(
        self, name: str, **keywords: Unpack[DeclareKeywords]
    ) -> Callable[[HandlerFunction], JobDefinition[Any, Any]]:
        """Declare a handler. The same keywords as `@queue.job`; what they leave open comes from the bundle."""

        def declare(function: HandlerFunction) -> JobDefinition[Any, Any]:
            if name in self._definitions:
                raise RegistrationError(f"bundle {self.name!r} has a job {name!r} already")
            merged = cast(DeclareKeywords, {**self._defaults, **keywords})
            handler = make_handler(name, function, merged, JobOptions())
            definition: JobDefinition[Any, Any] = JobDefinition(
                self.queue, handler, priority=check_priority(merged.get("priority", 0))
            )
            self._definitions[name] = definition
            if "priority" in merged:
                self.prioritized.add(name)
            return definition

        return declare

    def __iter__(self) -> Iterator[JobDefinition[Any, Any]]:
        return iter(self._definitions.values())
