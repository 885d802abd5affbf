"""Blocking access for code without an event loop: Django, Flask, scripts.

Async is the truth and there is one implementation; this is a façade over one background event loop in a daemon thread.
A worker is not offered here: `corral worker` is the answer to that.
"""

import asyncio
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import CancelledError
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

from corral.errors import ConfigError, StorageUnavailableError
from corral.flow.dag import Dag
from corral.flow.flow import Flow
from corral.flow.node import Node
from corral.job import JobId
from corral.keywords import AddKeywords, check_group
from corral.queue import Queue as AsyncQueue
from corral.queue.groups import Group as AsyncGroup
from corral.storage.connect import connect
from corral.storage.port import Storage
from corral.timing import Seconds

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Portal:
    """A background event loop with its own handle onto the store. Threads share it; a forked child makes its own."""

    def __init__(self, connect: Callable[[], Storage]) -> None:
        self._connect = connect
        self._pid = os.getpid()
        self._closed = False
        self._storage: Storage | None = None
        self._opening = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="corral-sync", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    @property
    def forked(self) -> bool:
        """Whether this is a copy in a forked child, where its thread does not exist."""
        return self._pid != os.getpid()

    @property
    def alive(self) -> bool:
        """Whether this portal works in this process: threads do not survive a fork."""
        return not self.forked and self._thread.is_alive()

    async def storage(self) -> Storage:
        """The portal's own store, opened on first use. Call it on the portal's loop only."""
        async with self._opening:
            if self._storage is None:
                storage = self._connect()
                await storage.__aenter__()
                self._storage = storage
        return self._storage

    def run(self, work: Callable[[], Awaitable[R]]) -> R:
        """Run `work()` on the portal's loop and wait for its answer.

        Raises:
            ConfigError: called from a running event loop, which it would block: use the async form there.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise ConfigError("a blocking call was made inside a running event loop; use the async method with `await`")

        async def call() -> R:
            return await work()

        if self._closed or not self.alive:
            raise StorageUnavailableError("the store is closed")
        try:
            return asyncio.run_coroutine_threadsafe(call(), self._loop).result()
        except CancelledError:
            raise StorageUnavailableError("the store was closed meanwhile") from None

    def close(self) -> None:
        """Close the store and end the thread. Calls that still wait get a StorageUnavailableError."""
        if self._closed or not self.alive:
            return
        self._closed = True

        async def close() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            if self._storage is not None:
                await self._storage.__aexit__(None, None, None)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class Blocking(ABC, Generic[S_co]):
    """The blocking side of something asynchronous."""

    @abstractmethod
    def _call(self, work: Callable[[S_co], Awaitable[R]]) -> R:
        """Do it with the asynchronous side, on the background loop, and wait for the answer."""


def _blocking(verb: Callable[Concatenate[S, P], Awaitable[R]]) -> Callable[Concatenate[Blocking[S], P], R]:
    """The same verb with the same arguments, which waits for its answer."""

    @wraps(verb)
    def call(self: Blocking[S], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._call(lambda target: verb(target, *args, **kwargs))

    return call


class Group(Blocking[AsyncGroup]):
    """One group of a queue, for blocking code: the verbs of `corral.queue.groups.Group`."""

    def __init__(self, queue: "Queue", id: str) -> None:
        self.id = check_group(id)
        self._queue = queue

    def _call(self, work: Callable[[AsyncGroup], Awaitable[R]]) -> R:
        return self._queue._call(lambda queue: work(queue.group(self.id)))

    info = _blocking(AsyncGroup.info)
    pause = _blocking(AsyncGroup.pause)
    resume = _blocking(AsyncGroup.resume)
    limit = _blocking(AsyncGroup.limit)
    hold = _blocking(AsyncGroup.hold)
    lift = _blocking(AsyncGroup.lift)


class Queue(Blocking[AsyncQueue]):
    """A queue for blocking code: the producer's and the operator's verbs of `corral.queue.Queue`.

    Those that only wait for the asynchronous one have its arguments, its answer and its documentation.

    Example:
        with Queue("send-email", "sqlite:///corral.db") as queue:
            job_id = queue.add("welcome-email", {"to": "ann@example.com"}, delay=60)
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url
        self._lock = threading.Lock()
        self._portal: Portal | None = None

    def _live(self) -> Portal:
        with self._lock:
            if self._portal is None or self._portal.forked:
                self._portal = Portal(lambda: connect(self._url))
            return self._portal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store. What is asked for later raises StorageUnavailableError."""
        self._live().close()

    def _call(self, work: Callable[[AsyncQueue], Awaitable[R]]) -> R:
        async def call() -> R:
            return await work(AsyncQueue(self.name, await portal.storage()))

        portal = self._live()
        return portal.run(call)

    def add(self, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> JobId:
        """Add one job; answers its id. When this returns, it is stored durably."""
        return self._call(lambda queue: queue.add(name, data, **options)).id

    def add_bulk(
        self, jobs: Iterable[tuple[str, object] | tuple[str, object, AddKeywords]], *, wait: Seconds | None = None
    ) -> list[JobId]:
        """Add many jobs, all or none; answers their ids."""
        return [handle.id for handle in self._call(lambda queue: queue.add_bulk(jobs, wait=wait))]

    def add_flow(self, what: Node[Any] | Dag, /, *, wait: Seconds = 0) -> list[JobId]:
        """Add a tree or a graph of jobs, in any queues, in one step; answers the ids, of a tree the root's first."""

        async def add(queue: AsyncQueue) -> list[JobId]:
            return [job.id for job in (await Flow(queue.storage).add(what, wait=wait)).jobs]

        return self._call(add)

    def group(self, id: str) -> Group:
        """One group, to look at or to change. Raises: ConfigError: not a group's id."""
        return Group(self, id)

    # -- one job -------------------------------------------------------------------------------------------------

    get = _blocking(AsyncQueue.get)
    result = _blocking(AsyncQueue.result)
    cancel = _blocking(AsyncQueue.cancel)
    update = _blocking(AsyncQueue.update)
    place = _blocking(AsyncQueue.place)
    why = _blocking(AsyncQueue.why)
    logs = _blocking(AsyncQueue.logs)
    log = _blocking(AsyncQueue.log)
    clear_logs = _blocking(AsyncQueue.clear_logs)
    children = _blocking(AsyncQueue.children)
    remove_pending_children = _blocking(AsyncQueue.remove_pending_children)
    detach = _blocking(AsyncQueue.detach)
    steps = _blocking(AsyncQueue.steps)
    forget_step = _blocking(AsyncQueue.forget_step)

    # -- many jobs -----------------------------------------------------------------------------------------------

    page = _blocking(AsyncQueue.page)
    retry = _blocking(AsyncQueue.retry)
    promote = _blocking(AsyncQueue.promote)
    remove = _blocking(AsyncQueue.remove)
    clean = _blocking(AsyncQueue.clean)
    drain = _blocking(AsyncQueue.drain)
    failures = _blocking(AsyncQueue.failures)
    retry_failures = _blocking(AsyncQueue.retry_failures)
    remove_failures = _blocking(AsyncQueue.remove_failures)
    redrive = _blocking(AsyncQueue.redrive)

    # -- the queue -----------------------------------------------------------------------------------------------

    pause = _blocking(AsyncQueue.pause)
    resume = _blocking(AsyncQueue.resume)
    info = _blocking(AsyncQueue.info)
    limit = _blocking(AsyncQueue.limit)
    limit_name = _blocking(AsyncQueue.limit_name)
    limit_groups = _blocking(AsyncQueue.limit_groups)
    groups = _blocking(AsyncQueue.groups)
    hold = _blocking(AsyncQueue.hold)
    lift = _blocking(AsyncQueue.lift)
    limited_for = _blocking(AsyncQueue.limited_for)
    full = _blocking(AsyncQueue.full)
    retain = _blocking(AsyncQueue.retain)
    obliterate = _blocking(AsyncQueue.obliterate)
    counts = _blocking(AsyncQueue.counts)
    counts_by_priority = _blocking(AsyncQueue.counts_by_priority)
    workers = _blocking(AsyncQueue.workers)
    metrics = _blocking(AsyncQueue.metrics)
    series = _blocking(AsyncQueue.series)
    schedules = _blocking(AsyncQueue.schedules)
    publish = _blocking(AsyncQueue.publish)
    deduplication = _blocking(AsyncQueue.deduplication)
    stop_deduplication = _blocking(AsyncQueue.stop_deduplication)
    effect = _blocking(AsyncQueue.effect)
    resolve_effect = _blocking(AsyncQueue.resolve_effect)
    forget_effect = _blocking(AsyncQueue.forget_effect)
