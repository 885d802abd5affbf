"""The lease keeper: renews leases from its own OS thread with its own event loop and store handle.

A handler that blocks the worker's loop, with `time.sleep` or a pure-Python loop, thus keeps its job. (C code that holds
the interpreter lock for longer than a lease still loses it: put such handlers into a process.)
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import structs

from corral.errors import CorralError, JobCancelledError, LeaseLostError, StorageError
from corral.storage.port import Lease, Pulse, Storage, Token, WorkerInfo
from corral.worker.run import Run
from corral.worker.watch import Watcher

logger = logging.getLogger("corral.worker")

#: How often cancellations are looked for. Leases are renewed when half of one is gone, so most beats only read.
BEAT = 1.0
#: How often the worker's loop is asked for a sign of life (seconds).
PING = 0.5


class Keeper:
    """Beats until stopped.

    On the worker's loop `stop_run` is called for runs that must end, `revived` when the store answers again, and `died`
    if the thread ends by a mistake: a worker that cannot renew its leases must not go on as if it could. `orders` is
    served beside the beats, on this thread too, so that a worker whose loop is blocked can still be asked why.
    """

    def __init__(
        self, storage: Storage, describe: Callable[[], WorkerInfo], running: dict[Token, dict[str, Run]], *,
        lease_ms: int, stop_run: Callable[[Run, CorralError], None], died: Callable[[BaseException], None],
        beat: float = BEAT, revived: Callable[[], None] = lambda: None,
        orders: Callable[[Storage], Awaitable[None]] | None = None, watchers: Sequence[Watcher] = (),
    ) -> None:  # fmt: skip
        self.failed_at = -math.inf  #: monotonic time of the last beat that the store did not take
        self.beaten_at = -math.inf  #: of the last one that it took
        self.broken = False  #: the thread has ended by a mistake
        self._revived = revived
        self._orders = orders
        self._watchers = watchers
        self._asked_at: float | None = None  #: when the worker's loop was asked for a sign of life; None: it gave one
        self._lag = 0.0
        self._storage = storage
        self._describe = describe
        self._running = running
        self._lease_ms = lease_ms
        self._stop_run = stop_run
        self._died = died
        self._error: BaseException | None = None
        self._ended = False
        self._beat = min(beat, lease_ms / 4000)
        self._home = asyncio.get_running_loop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="corral-leases", daemon=True)

    async def start(self) -> None:
        """Start the thread and wait until it beats. Raises: StorageError when it cannot open the store."""
        self._thread.start()
        await asyncio.to_thread(self._started.wait)
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """End the thread. Leases that still run are left to run out."""
        self._ended = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def lag(self) -> float:
        """Seconds that the worker's loop took to answer lately, or has not answered for. Asked from any thread."""
        asked_at = self._asked_at
        return self._lag if asked_at is None else max(self._lag, time.monotonic() - asked_at)

    def _ping(self) -> None:
        asyncio.get_running_loop().call_later(PING, self._ping)
        if self._asked_at is None and not self._home.is_closed():
            self._asked_at = time.monotonic()
            self._home.call_soon_threadsafe(self._pong)

    def _pong(self) -> None:
        if self._asked_at is not None:
            self._lag, self._asked_at = time.monotonic() - self._asked_at, None

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told to the worker: a thread that ends in silence would cost every lease
            self._error, self.broken = error, True
            if self._started.is_set() and not self._home.is_closed():
                self._home.call_soon_threadsafe(self._died, error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._storage.sibling() as storage:
            await self._pulse(storage)
            self._started.set()
            self._ping()
            serving = None if self._orders is None else asyncio.ensure_future(self._orders(storage))
            while not self._ended:
                try:
                    async with asyncio.timeout(self._beat):
                        await self._stop.wait()
                except TimeoutError:
                    await self._pulse(storage)
            if serving is not None:
                serving.cancel()
                await asyncio.wait([serving])
            await self._say_goodbye(storage)

    async def _say_goodbye(self, storage: Storage) -> None:
        """A worker without queues is one that is gone: it leaves the list at once."""
        try:
            await storage.heartbeat(structs.replace(self._describe(), queues=()), (), lease_ms=self._lease_ms)
        except StorageError as error:
            logger.warning("could not sign off: %s", error)

    async def _pulse(self, storage: Storage) -> None:
        runs = {
            (run.queue, run.job.id, token): run
            for token, claim in self._running.copy().items()
            for run in claim.copy().values()
        }
        leases = [Lease(queue=queue, job_id=job_id, token=token) for queue, job_id, token in runs]
        try:
            pulse = await storage.heartbeat(self._describe(), leases, lease_ms=self._lease_ms)
        except (StorageError, ValueError) as error:  # ValueError: something stored that this version cannot read
            logger.warning("heartbeat failed: %s", error)
            self.failed_at = time.monotonic()
            return
        back = self.failed_at > self.beaten_at
        self.beaten_at = time.monotonic()
        if back and not self._home.is_closed():
            self._home.call_soon_threadsafe(self._revived)
        for watcher in self._watchers:
            watcher.beaten(leases, pulse)
        self._obey(pulse, runs)

    def _obey(self, pulse: Pulse, runs: dict[tuple[str, str, Token], Run]) -> None:
        for lease in pulse.lost:
            run = runs[lease.queue, lease.job_id, lease.token]
            self._home.call_soon_threadsafe(self._stop_run, run, LeaseLostError(lease.queue, lease.job_id))
        for lease, reason in pulse.cancelled:
            run = runs[lease.queue, lease.job_id, lease.token]
            self._home.call_soon_threadsafe(self._stop_run, run, JobCancelledError(reason))
