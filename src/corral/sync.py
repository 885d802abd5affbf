"""Blocking access for code without an event loop: Django, Flask, scripts.

Async is the truth and there is one implementation; this is a façade over one background event loop in a daemon thread.
A worker is not offered here: `corral worker` is the answer to that.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from corral.errors import ConfigError, StorageUnavailableError
from corral.flow.dag import Dag
from corral.flow.flow import Flow
from corral.flow.node import Node
from corral.job import Job, JobId, JobState
from corral.keywords import AddKeywords
from corral.queue import Queue as AsyncQueue
from corral.storage.connect import connect
from corral.storage.insight import FailureGroup, Page
from corral.storage.port import Children, QueueCounts, Storage
from corral.timing import Seconds
from corral.why import Why

R = TypeVar("R")


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


class Queue:
    """A queue for blocking code: the producer's and the operator's verbs of `corral.queue.Queue`.

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

    def deduplication(self, dedup_id: str) -> JobId | None:
        """The job that keeps others with this deduplication id out."""
        return self._call(lambda queue: queue.deduplication(dedup_id))

    def stop_deduplication(self, dedup_id: str) -> JobId | None:
        """Let others with this deduplication id in; answers the job that kept them out."""
        return self._call(lambda queue: queue.stop_deduplication(dedup_id))

    def why(self, job_id: JobId) -> Why:
        """Why the job is not running, and when it may. Raises: JobNotFoundError."""
        return self._call(lambda queue: queue.why(job_id))

    def children(self, job_id: JobId) -> Children:
        """How the job's children, and the jobs it comes after, stand."""
        return self._call(lambda queue: queue.children(job_id))

    def promote(self, *job_ids: JobId, limit: int = 1000) -> list[JobId]:
        """Let delayed jobs run now: these, or all up to `limit`."""
        return self._call(lambda queue: queue.promote(*job_ids, limit=limit))

    def get(self, job_id: JobId) -> Job:
        """The job as it stands now. Raises: JobNotFoundError."""
        return self._call(lambda queue: queue.get(job_id))

    def result(self, job_id: JobId, *, timeout: Seconds | None = None) -> object:
        """Wait for the job's end and give its result. Raises: JobFailedError, JobNotFoundError, JobTimeoutError."""
        return self._call(lambda queue: queue.result(job_id, timeout=timeout))

    def cancel(self, *job_ids: JobId, reason: str = "") -> list[JobId]:
        """Stop jobs; answers those it reached."""
        return self._call(lambda queue: queue.cancel(*job_ids, reason=reason))

    def counts(self) -> QueueCounts:
        """How many jobs are in each state."""
        return self._call(lambda queue: queue.counts())

    def page(self, *states: JobState, start: int = 0, limit: int = 50) -> Page[Job]:
        """Jobs in these states."""
        return self._call(lambda queue: queue.page(*states, start=start, limit=limit))

    def retry(self, *job_ids: JobId, states: Iterable[JobState] = (JobState.FAILED,), limit: int = 1000) -> list[JobId]:
        """Run finished jobs again."""
        return self._call(lambda queue: queue.retry(*job_ids, states=states, limit=limit))

    def failures(self, *, start: int = 0, limit: int = 100) -> Page[FailureGroup]:
        """As `corral.Queue.failures`."""
        return self._call(lambda queue: queue.failures(start=start, limit=limit))

    def retry_failures(
        self, fingerprint: str, *, every: Seconds | None = None, rate: float | None = None, after: Seconds = 0,
        limit: int = 10_000,
    ) -> list[JobId]:  # fmt: skip
        """As `corral.Queue.retry_failures`."""
        return self._call(
            lambda queue: queue.retry_failures(fingerprint, every=every, rate=rate, after=after, limit=limit)
        )

    def redrive(self, *job_ids: JobId, limit: int = 1000) -> list[tuple[str, JobId]]:
        """As `corral.Queue.redrive`."""
        return self._call(lambda queue: queue.redrive(*job_ids, limit=limit))

    def remove(self, *job_ids: JobId) -> list[JobId]:
        """Delete jobs that are not active."""
        return self._call(lambda queue: queue.remove(*job_ids))

    def pause(self, reason: str = "") -> None:
        """Stop handing out jobs, on every worker."""
        self._call(lambda queue: queue.pause(reason))

    def resume(self) -> None:
        """Hand out jobs again."""
        self._call(lambda queue: queue.resume())
