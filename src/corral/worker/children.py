"""The process executor: handlers declared with `process=True` run in supervised child processes, one job in each.

A child is a fresh interpreter (nothing is forked from the threads of the worker), is used for one job after another,
and leads a process group of its own. Whatever ends it is charged to the job that ran in it and to no other. When its
job runs out of time or is cancelled, the whole group is ended: SIGTERM, which raises SystemExit in the handler so that
its `finally` blocks run; after `grace` seconds SIGKILL. Programs that a finished job left behind end with the child.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from corral.errors import ConfigError, CorralError, PayloadError, WorkerCrashedError
from corral.worker.answers import Verbs
from corral.worker.remote import RemoteError, restore
from corral.worker.supervised import Child, Warden, hello
from corral.worker.wire import ChildRequest, Done, FrameTooLongError, HandlerRef, Verdict, in_child, pack

__all__ = ["ChildRequest", "Children", "HandlerRef", "RemoteError"]

logger = logging.getLogger("corral.worker")

#: An interpreter with corral in it has taken about 32 MB of address space before the first handler is imported.
SMALLEST_MEMORY = 64 * 2**20
#: What a child sees of the worker's environment. The secrets of the shell and of the service manager stay out.
KEPT = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV"})
KEPT_PREFIXES = ("LC_", "PYTHON", "CORRAL_")


class Children:
    """A pool of at most `limit` child processes, started on demand on the event loop that calls `run`.

    `memory_limit` bounds each child's address space (bytes): beyond it a handler gets a MemoryError. `env` is added to
    the few variables that children inherit. `grace` is in seconds.

    Raises:
        ConfigError: a value out of its range.
    """

    def __init__(
        self,
        *,
        limit: int,
        memory_limit: int | None = None,
        env: Mapping[str, str] | None = None,
        grace: float = 1.0,
    ) -> None:
        if limit < 1:
            raise ConfigError(f"limit must be 1 child process or more, not {limit!r}", key="limit")
        if memory_limit is not None and memory_limit < SMALLEST_MEMORY:
            raise ConfigError(
                f"memory_limit must be {SMALLEST_MEMORY:,} bytes or more, not {memory_limit!r}", key="memory_limit"
            )
        if grace < 0:
            raise ConfigError(f"grace must be 0 s or more, not {grace!r}", key="grace")
        self._limit = limit
        self._memory_limit = memory_limit
        self._env = dict(env or {})
        self._grace = grace
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[Child] = []
        self._live: dict[Child, asyncio.Task[None] | None] = {}  #: with the task that ends it, once there is one
        self._warden = Warden()
        self._closed = False

    async def run(self, request: ChildRequest, verbs: Verbs, *, timeout: float | None) -> str:
        """Run one job and give its result as JSON text. Cancelling the caller's task ends the child.

        `verbs` answers what the handler asks of its context; corral's own errors out of it go to the handler, any other
        ends the child and is raised. `timeout` (seconds) counts from the call of the handler. Starting a child may take
        60 s, so may importing the handler's module.

        Raises:
            RemoteError: what the handler raised. corral's signals and a few of its errors come as themselves.
            JobTimeoutError: its time was up. WorkerCrashedError: its process died.
            CorralError: no process could be started for it, or the pool is closed.
        """
        try:
            frame = pack(request)
        except FrameTooLongError as error:
            raise PayloadError(f"job {request.job.id!r} has {error}") from None
        async with self._slots:
            verdict = await self._attempt(frame, verbs, timeout)
        if isinstance(verdict, Done):
            return verdict.result
        raise restore(verdict)

    async def warm(self, count: int) -> None:
        """Have `count` children (at most `limit`) ready, so that the first jobs need not wait for an interpreter."""
        wanted = min(count, self._limit)
        await asyncio.gather(*(self._add_idle(wanted) for _ in range(wanted - len(self._live))))

    async def close(self) -> None:
        """End every child, also those that run jobs, and wait until nothing of them is left.

        A job that still ran fails with WorkerCrashedError: cancel the runs first to have them end as cancelled.
        """
        self._closed = True
        self._idle.clear()
        endings = [self._end(child) for child in tuple(self._live)]
        if endings:
            await asyncio.wait(endings)
        await self._warden.close()

    # -- one job -----------------------------------------------------------------------------------------------------

    async def _attempt(self, frame: bytes, verbs: Verbs, timeout: float | None) -> Verdict:
        while True:
            child = self._take() or await self._start()
            verdict: Verdict | None = None
            try:
                verdict = await child.converse(frame, verbs, timeout)
            except WorkerCrashedError:
                # A used child that dies before it calls the handler does not die of this job: a new one gets it.
                if child.calling or not child.jobs or self._closed:
                    raise
                logger.warning("child process %s died between two jobs; the second gets a new one", child.process.pid)
            finally:
                await self._give_back(child, keep=verdict is not None)
            if verdict is not None:
                return verdict

    def _take(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if child.quiet():
                return child
            _ = self._end(child)
        return None

    async def _give_back(self, child: Child, *, keep: bool) -> None:
        if keep and not self._closed:
            self._idle.append(child)
        else:
            await asyncio.shield(self._end(child))  # a second cancellation must not leave it running

    # -- the life of a child -----------------------------------------------------------------------------------------

    async def _add_idle(self, wanted: int) -> None:
        async with self._slots:
            if len(self._live) < wanted:
                self._idle.append(await self._start())

    async def _start(self) -> Child:
        self._check_allowed()
        env = self._environment()
        try:
            self._warden.start(env)
            child = Child(env)
        except OSError as error:
            raise CorralError(f"no child process could be started: {error}") from error
        self._live[child] = None
        self._warden.add(child.process.pid)
        child.process.exited.add_done_callback(lambda _: self._on_exit(child))
        ready = False
        try:
            await child.greet(hello(self._memory_limit, self._env))
            ready = True
        finally:
            if not ready:
                await asyncio.shield(self._end(child))
        return child

    def _check_allowed(self) -> None:
        if self._closed:
            raise CorralError("the pool of child processes is closed")
        if in_child():
            raise CorralError(
                "this process runs process=True handlers itself and may not have child processes of its own; "
                'start the worker under `if __name__ == "__main__"`'
            )

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in KEPT or key.startswith(KEPT_PREFIXES)}
        env = {**kept, **self._env}
        # The interpreter's first import must find this corral; the child then restores the variable.
        first = str(Path(__file__).parents[2])
        env["PYTHONPATH"] = os.pathsep.join((first, env["PYTHONPATH"])) if env.get("PYTHONPATH") else first
        return env

    def _on_exit(self, child: Child) -> None:
        # An idle child that dies is cleared away at once; with a busy one, its job is about to notice.
        if child in self._idle:
            logger.warning("child process %s died while it was idle", child.process.pid)
            self._idle.remove(child)
            _ = self._end(child)

    def _end(self, child: Child) -> asyncio.Task[None]:
        task = self._live.get(child)
        if task is None:
            task = self._live[child] = asyncio.ensure_future(self._see_off(child))
        return task

    async def _see_off(self, child: Child) -> None:
        try:
            await child.stop(self._grace)
        finally:
            self._live.pop(child, None)
            self._warden.remove(child.process.pid)
