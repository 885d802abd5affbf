"""Hooks and middleware: code of the application that runs around its jobs, in the worker's process."""

import asyncio
import inspect
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from corral.event import Event, EventType
from corral.job import Job

logger = logging.getLogger("corral.hooks")

#: Hook calls that may wait. Each holds its job with the payload: a hook that hangs must not fill the memory.
MOST_WAITING = 10_000

#: Called with what happened and the job as this worker knew it. Its errors are logged and change nothing.
Hook: TypeAlias = Callable[[Event, Job], Awaitable[None] | None]


class Hooks:
    """The hooks of one application, by the event they wait for."""

    def __init__(self) -> None:
        self._hooks: defaultdict[EventType, list[Hook]] = defaultdict(list)

    def add(self, types: tuple[EventType, ...], hook: Hook) -> None:
        """Call `hook` for each event of these types."""
        for kind in types:
            self._hooks[kind].append(hook)

    def wants(self, kind: EventType) -> bool:
        """Whether anybody waits for this type: asked before an event is built."""
        return kind in self._hooks

    async def call(self, event: Event, job: Job) -> None:
        """Call every hook for the event, one after the other. A failing hook is logged; the others still run."""
        for hook in self._hooks.get(event.type, ()):
            outcome = await quietly(partial(hook, event, job))
            if outcome is not None:
                logger.error("hook %s failed on %s of job %s", name_of(hook), event.type, job.id, exc_info=outcome)


class HookCalls:
    """The hooks of one worker, called one after the other beside its work: a slow hook holds up other hooks only."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._waiting: deque[tuple[Event, Job]] = deque()
        self._left_out = 0
        self._task: asyncio.Task[None] | None = None
        self.wants = hooks.wants  #: whether anybody waits for a type

    def put(self, event: Event, job: Job) -> None:
        """Have the event's hooks called soon, in order. Beyond MOST_WAITING they are left out, and that is logged."""
        if len(self._waiting) >= MOST_WAITING:
            self._left_out += 1
            return
        self._waiting.append((event, job))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve(), name="corral-hooks")

    async def _serve(self) -> None:
        while self._waiting:
            await self._hooks.call(*self._waiting.popleft())
            if self._left_out:
                logger.error("%d hook calls were left out: the hooks take too long", self._left_out)
                self._left_out = 0

    async def close(self, seconds: float) -> None:
        """Wait for the hooks that are due; give up on those that take longer."""
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=seconds)
        if self._waiting:
            logger.error("%d hook calls were given up: the hooks take too long", len(self._waiting))
        self._task.cancel()


async def quietly(hook: Callable[[], Awaitable[None] | None]) -> BaseException | None:
    """Call a hook and wait for it; answers what it raised."""

    # In a task of its own, and the error as its result: asyncio would let SystemExit end the whole worker.
    async def run() -> BaseException | None:
        try:
            answer = hook()
            if inspect.isawaitable(answer):
                await answer
        except BaseException as error:  # a hook changes nothing, whatever it raises
            return error
        return None

    task = asyncio.ensure_future(run())
    await asyncio.wait([task])
    return task.result()


def name_of(hook: object) -> str:
    """A hook as messages name it."""
    return getattr(hook, "__qualname__", repr(hook))
