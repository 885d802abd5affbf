"""Which functions an event is for, and calling each of them once."""

import logging
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TypedDict, TypeVar, Unpack

from msgspec import Struct

from corral.app.bundle import Bundle
from corral.app.definition import DeclareKeywords
from corral.errors import ConfigError
from corral.handlers.webhooks.payload import WebhookEvent
from corral.worker.context import JobContext

logger = logging.getLogger("corral.handlers.webhooks")

EventHandler = TypeVar("EventHandler", bound=Callable[[JobContext, WebhookEvent], Awaitable[object]])


class Handled(TypedDict):
    """The result of a delivery's job: the functions that were called for it."""

    eventType: str
    handled: list[str]


class _Line(Struct, frozen=True):
    name: str
    platform: str
    patterns: tuple[str, ...]
    function: Callable[[JobContext, WebhookEvent], Awaitable[object]]

    def fits(self, event: WebhookEvent) -> bool:
        return self.platform in ("*", event.platform) and any(
            fnmatchcase(event.event_type, pattern) for pattern in self.patterns
        )


class Dispatch:
    """A table of functions by platform and kind of event."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []

    def on(self, platform: str, *patterns: str) -> Callable[[EventHandler], EventHandler]:
        """Register the decorated function. Raises: ConfigError for a pattern that is empty."""
        if not platform or not patterns or not all(patterns):
            raise ConfigError("name a platform and the kinds of event, such as 'orders/*'", key="on")

        def declare(function: EventHandler) -> EventHandler:
            plain = getattr(function, "__qualname__", type(function).__name__).rpartition(".")[2]
            taken = {line.name for line in self._lines}
            number = 1 + len(self._lines)
            name = plain if plain not in taken else f"{plain}-{number}"
            self._lines.append(_Line(name, platform, tuple(patterns), function))
            return function

        return declare

    def bundle(self, job: str, queue: str, **defaults: Unpack[DeclareKeywords]) -> Bundle:
        """The job that calls them."""
        made = Bundle("webhooks-in", queue=queue, **defaults)
        made.job(job)(self.process)
        return made

    async def process(self, ctx: JobContext, data: WebhookEvent) -> Handled:
        """Call every function that the event is for.

        A run that comes again, because one of them failed or its worker died, goes on with those that have not come to
        their end.
        """
        lines = [line for line in self._lines if line.fits(data)]
        for line in lines:
            await ctx.step(line.name, _called, line, ctx, data)
        logger.info(
            "Webhook processed" if lines else "Webhook ignored: no handler is for it",
            extra={"jobId": ctx.id, "platform": data.platform, "eventType": data.event_type},
        )
        return {"eventType": data.event_type, "handled": [line.name for line in lines]}


async def _called(line: _Line, ctx: JobContext, event: WebhookEvent) -> None:
    await line.function(ctx, event)
