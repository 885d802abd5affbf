"""What health means for a worker and for the process that serves the HTTP API.

`livez` asks whether the process can still do its work at all, and never asks the store: an outage must not have every
worker restarted. `readyz` asks whether it does its work now. `startupz` asks whether it has begun.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from corral.errors import CorralError
from corral.observe.checks import TEXT, Answer, Check, Checks, respond
from corral.observe.outlook import STUCK_AFTER
from corral.storage.port import Storage
from corral.worker.worker import BaseWorker

#: An event loop that answers later than this (seconds) does not live any more.
LAG = 5.0
#: A worker beats every second. Without an answer for so long its store is lost.
LOST_AFTER = 5.0
#: A fetch loop that could take jobs and has made no step for so long takes none.
IDLE_AFTER = 10.0
#: How long the store of an API process may take to answer, and for how long an answer is good.
PING, PING_FRESH = 1.0, 2.0
#: How often an API process looks at its own loop.
TICK = 0.5


class WorkerHealth:
    """Looks at a worker from another thread. Before `watch` it is a process that is starting."""

    def __init__(self, *, stuck_after: float = STUCK_AFTER) -> None:
        self._worker: BaseWorker | None = None
        self._stuck_after = stuck_after
        self.checks: Checks = {
            "livez": (Check("loop", self._loop), Check("fetch", self._fetch), Check("leases", self._leases)),
            "readyz": (
                Check("started", self._started), Check("accepting", self._accepting), Check("store", self._store),
                Check("consuming", self._consuming),
            ),
            "startupz": (Check("started", self._started),),
        }  # fmt: skip

    def watch(self, worker: BaseWorker) -> None:
        """Look at this worker from now on."""
        self._worker = worker

    def live(self) -> bool:
        """Whether every check of `livez` is well."""
        return all(check.ask() is None for check in self.checks["livez"])

    def _loop(self) -> str | None:
        keeper = None if self._worker is None else self._worker.keeper
        lag = 0.0 if keeper is None else keeper.lag()
        return f"the event loop has not answered for {lag:.1f} s: a handler blocks it" if lag > LAG else None

    def _fetch(self) -> str | None:
        now = time.monotonic()
        if self._worker is None or self._worker.stopping:  # what still runs may take its time
            return None
        fetchers = self._worker.fetchers
        stuck = [fetcher.lane.queue for fetcher in fetchers if fetcher.silent(now) > self._stuck_after]
        return f"no step for {self._stuck_after:g} s in queues {', '.join(stuck)}" if stuck else None

    def _leases(self) -> str | None:
        keeper = None if self._worker is None else self._worker.keeper
        return "the thread that renews leases has ended" if keeper is not None and keeper.broken else None

    def _started(self) -> str | None:
        return None if self._worker is not None and self._worker.started else "the worker is starting"

    def _accepting(self) -> str | None:
        worker = self._worker
        if worker is not None and worker.stopping:
            return "the worker is stopping"
        return "the worker is quiet: it was told to take no jobs" if worker is not None and worker.paused else None

    def _store(self) -> str | None:
        worker = self._worker
        if worker is None or worker.keeper is None:
            return "not connected yet"
        silence = time.monotonic() - worker.keeper.beaten_at
        if silence > LOST_AFTER:
            return f"the store has not answered for {silence:.1f} s"
        lost = [fetcher.lane.queue for fetcher in worker.fetchers if fetcher.failing]
        return f"the store does not serve queues {', '.join(lost)}" if lost else None

    def _consuming(self) -> str | None:
        worker = self._worker
        now = time.monotonic()
        if worker is None or not worker.fetchers:
            return "no queue is served yet"
        idle = [fetcher.lane.queue for fetcher in worker.fetchers if fetcher.silent(now) > IDLE_AFTER]
        return f"nothing is taken from queues {', '.join(idle)}" if idle else None


class ApiHealth:
    """The health of a process that serves the HTTP API; `async with` it on the loop that answers.

    Set `draining` when the process is told to end: `readyz` says so at once, so that no new request comes.

    Args:
        storage: the open store; or what gives it, for a process that starts while its store is away.
    """

    def __init__(self, storage: Storage | Callable[[], Awaitable[Storage]]) -> None:
        self.draining = False
        self._storage = storage
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self._trouble: str | None = "not asked yet"
        self._ticked_at = 0.0
        self._ticks: asyncio.TimerHandle | None = None
        self._late = 0.0
        self.checks: Checks = {
            "livez": (Check("loop", self._lag),),
            "readyz": (Check("draining", self._drains), Check("store", lambda: self._trouble)),
            "startupz": (Check("started", self._runs),),
        }

    async def __aenter__(self) -> Self:
        self._ticked_at = time.monotonic()
        self._tick()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticks is not None:
            self._ticks.cancel()
            self._ticks = None

    async def answer(self, path: str, *, query: str = "", accept: str = "", details: bool = False) -> Answer:
        """The answer to `/livez`, `/readyz`, `/startupz` or `/healthz`, or to one check of them; see `respond`."""
        if path.strip("/").partition("/")[0] not in ("livez", "startupz"):
            await self._look()
        found = respond(self.checks, path, query=query, accept=accept, details=details)
        return Answer(404, TEXT, "there is no such check\n") if found is None else found

    def _tick(self) -> None:
        now = time.monotonic()
        # The worst of late fades away: the tick before the request that asks is always on time again.
        self._late = max(now - self._ticked_at - TICK, self._late * 0.7)
        self._ticked_at = now
        self._ticks = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _lag(self) -> str | None:
        late = max(self._late, time.monotonic() - self._ticked_at - TICK)
        return f"the event loop was late by {late:.1f} s" if late > LAG else None

    def _drains(self) -> str | None:
        return "the process is about to end" if self.draining else None

    def _runs(self) -> str | None:
        return None if self._ticks is not None else "the process is starting"

    async def _look(self) -> None:
        """Ask the store, unless that was done just now. Who comes while it is being asked waits for that answer."""
        async with self._looking:
            if time.monotonic() - self._looked_at < PING_FRESH:
                return
            try:
                async with asyncio.timeout(PING):
                    storage = await self._storage() if callable(self._storage) else self._storage
                    await storage.counts(["corral"])  # of any name: it reads, and makes no queue
                self._trouble = None
            except TimeoutError:
                self._trouble = f"no answer within {PING:g} s"
            except CorralError as error:
                self._trouble = str(error)
            self._looked_at = time.monotonic()
