"""Bull's events: `queue.on("completed", (job, result) => …)`, told in every process, whoever runs the job."""

import asyncio
import inspect
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeAlias

from corral.compat.job import BullJob
from corral.errors import ConfigError, JobFailedError, closest
from corral.event import Event, EventType
from corral.job import Job, JobId, JobState
from corral.listener import events
from corral.payload import from_json
from corral.queue import Queue

logger = logging.getLogger("corral.compat")
#: What a listener is called with depends on the event, as in Bull.
Listener: TypeAlias = Callable[..., Any]

#: Bull's name -> the event. `failed` is the final failure here; each failed attempt before it is `retrying`.
EVENTS: dict[str, EventType] = {
    "completed": EventType.COMPLETED,
    "failed": EventType.FAILED,
    "progress": EventType.PROGRESS,
    "stalled": EventType.STALLED,
    "drained": EventType.DRAINED,
    "active": EventType.ACTIVE,
    "waiting": EventType.WAITING,
    "delayed": EventType.DELAYED,
    "added": EventType.ADDED,
    "removed": EventType.REMOVED,
    "paused": EventType.PAUSED,
    "resumed": EventType.RESUMED,
    "cleaned": EventType.CLEANED,
    "retrying": EventType.RETRYING,
    "retries-exhausted": EventType.FAILED,
    "idle": EventType.IDLE,
    "expired": EventType.EXPIRED,
}
#: Bull tells of these on the connection; here an error is raised where it happens.
NEVER_TOLD = ("error", "ready", "closed", "lock-extension-failed", "ioredis:close")
#: Events that say something beside which job it is.
_WITH_DETAIL = frozenset(
    {EventType.COMPLETED, EventType.FAILED, EventType.PROGRESS, EventType.RETRYING, EventType.DELAYED}
)


class Listeners:
    """The listeners of one queue, and the task that feeds them."""

    def __init__(self) -> None:
        self._listeners: defaultdict[EventType, list[tuple[str, Listener]]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None

    def add(self, name: str, listener: Listener) -> None:
        """Call `listener` for this event. Raises: ConfigError, when there is none of this name."""
        plain = name.removeprefix("global:")
        if plain in NEVER_TOLD:
            return
        if plain not in EVENTS:
            near = closest(plain, EVENTS)
            hint = f"; did you mean {near!r}?" if near else ""
            raise ConfigError(f"event {name!r} does not exist{hint}", key="event")
        self._listeners[EVENTS[plain]].append((name, listener))

    def remove(self, name: str, listener: Listener) -> None:
        """Call it no more."""
        kept = [one for one in self._listeners[EVENTS[name.removeprefix("global:")]] if one != (name, listener)]
        self._listeners[EVENTS[name.removeprefix("global:")]] = kept

    async def listen(self, queue: Queue) -> None:
        """Begin to listen, if anybody wants to hear; what happened before is not told."""
        if not self._listeners or (self._task is not None and not self._task.done()):
            return
        _, now = await queue.storage.events(queue.name, after="$", limit=1)
        self._task = asyncio.create_task(self._serve(queue, now), name="corral-compat-events")

    async def close(self) -> None:
        """Stop listening."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _serve(self, queue: Queue, after: str) -> None:
        async for event in events(queue.storage, queue.name, after=after):
            for name, listener in list(self._listeners.get(event.type, ())):
                arguments = await _arguments(queue, name, event)
                [problem] = await asyncio.gather(_call(listener, arguments), return_exceptions=True)
                if problem is not None:
                    logger.error("listener of %s failed on job %s", name, event.job_id, exc_info=problem)


async def _call(listener: Listener, arguments: tuple[object, ...]) -> None:
    answer = listener(*arguments)
    if inspect.isawaitable(answer):
        await answer


def _left_of(event: Event, id: JobId) -> Job:
    """A job that is gone, as far as its event knows it: id, name, and how it ended."""
    ends = {EventType.COMPLETED: JobState.COMPLETED, EventType.FAILED: JobState.FAILED}
    return Job(
        id=id, queue=event.queue, name=event.name or "", state=ends.get(event.type, JobState.WAITING), data="{}",
        finished_at=event.at if event.type in ends else None,
        result=event.detail if event.type is EventType.COMPLETED else None,
    )  # fmt: skip


async def _arguments(queue: Queue, name: str, event: Event) -> tuple[object, ...]:
    """What Bull calls a listener with: local ones get the job, `global:` ones its id.

    Of a job that is gone already there is what its event says: its id and name, and what came of it.
    """
    if event.job_id is None:
        return ()
    detail = None if event.detail is None else from_json(event.detail)
    if name.startswith("global:"):
        return (event.job_id, detail) if event.type in _WITH_DETAIL else (event.job_id,)
    [job] = await queue.storage.get(queue.name, [event.job_id])
    if job is None:  # retention or a person was faster: what the event says of it is all that is left
        job = _left_of(event, event.job_id)
    if event.type is EventType.COMPLETED and detail is None and job.result is not None:
        detail = from_json(job.result)  # too long for an event
    if event.type in (EventType.FAILED, EventType.RETRYING):
        return BullJob(job, queue), JobFailedError(queue.name, job.id, str(detail or job.failed_reason or ""))
    return (BullJob(job, queue), detail) if event.type in _WITH_DETAIL else (BullJob(job, queue),)
