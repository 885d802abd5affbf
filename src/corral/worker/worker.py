"""The worker: wires fetchers, lease keeper, upkeep and scheduler together; starts and stops them in order."""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Self, TypeAlias

from msgspec import Struct

from corral._version import __version__
from corral.errors import ConfigError, CorralError
from corral.gauges import EVERY, Gauges
from corral.intake import OPEN, Intake
from corral.job import Job
from corral.options import QueueSettings
from corral.pauses import resume_due
from corral.scheduler import Fired, Scheduler
from corral.storage.port import Storage, Token, WorkerInfo
from corral.timing import now_ms
from corral.worker.batches import Batches
from corral.worker.children import Children
from corral.worker.control import Controls
from corral.worker.executor import Executor
from corral.worker.fetcher import STOP_GRACE, Fetcher
from corral.worker.fuse import Fuse
from corral.worker.heed import heeding
from corral.worker.hooks import HookCalls, Hooks, name_of, quietly
from corral.worker.inject import Injector
from corral.worker.keeper import Keeper
from corral.worker.lane import Lane
from corral.worker.middleware import Middleware
from corral.worker.orders import Orders
from corral.worker.permits import Permits
from corral.worker.places import ExecutorKind, check_executor, housed
from corral.worker.recorder import FLUSH_SECONDS, Recorder
from corral.worker.report import Reporter
from corral.worker.run import Run
from corral.worker.services import Providers
from corral.worker.threads import Threads
from corral.worker.upkeep import Recovery, Stats, every, sweep
from corral.worker.vitals import Vitals, check_count, check_tags, memory
from corral.worker.watch import Watcher
from corral.worker.wire import in_child

logger = logging.getLogger("corral.worker")

GRACEFUL, ABANDONED = 0, 9
#: How often queues are looked at whose pause may be over.
PAUSES_SECONDS = 4.0
#: How often the memory is looked at, where there is a limit: it costs 15 µs.
MEMORY_SECONDS = 1.0


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """How a worker behaves. Durations are seconds."""

    name: str | None = None  #: None: host and pid
    lease: float = 15.0  #: how long a dead worker's jobs stay its own
    shutdown_timeout: float = 30.0  #: how long running jobs may finish after the order to stop
    stats_interval: float = 30.0  #: 0 logs no statistics
    sweep_interval: float = 60.0
    #: Stop as soon as nothing waits and nothing runs. Limits and holds are waited for, delayed and paused jobs are not.
    burst: bool = False
    max_jobs: int | None = None  #: stop gracefully after so many
    max_time: float | None = None  #: stop gracefully after so long
    run_schedules: bool = True
    recover: bool = True  #: put dead workers' jobs back; somebody must, so leave it on unless another worker does
    recovery_interval: float | None = None  #: None: a third of a lease, at most 4 s
    max_crashes: int = 2  #: workers that may die with a job before it is quarantined; a job's own number goes first
    sweep: bool = True  #: enforce retention on idle queues
    child_memory: int | None = None  #: bytes of address space of each child process
    child_env: tuple[tuple[str, str], ...] = ()  #: variables for child processes, beside the few they inherit
    max_rss: int | None = None  #: stop gracefully when the process holds more bytes of memory; looked at each second
    threads: int | None = None  #: `def` handlers at once, over all queues; None: as many as there are slots
    executor: ExecutorKind = "async"  #: "thread": nothing in child processes; "process": everything that can be
    tags: tuple[tuple[str, str], ...] = ()  #: what listings show beside the name

    def __post_init__(self) -> None:
        if self.lease < 0.2:
            raise ConfigError(f"lease must be at least 0.2 s, not {self.lease!r}", key="lease")
        if self.shutdown_timeout < 0:
            raise ConfigError(
                f"shutdown_timeout must be 0 or more, not {self.shutdown_timeout!r}", key="shutdown_timeout"
            )
        if self.recovery_interval is not None and self.recovery_interval < 0.05:
            raise ConfigError(
                f"recovery_interval must be at least 0.05 s, not {self.recovery_interval!r}; recover=False is for none",
                key="recovery_interval",
            )
        if isinstance(self.max_crashes, bool) or not isinstance(self.max_crashes, int) or self.max_crashes < 1:
            raise ConfigError(f"max_crashes must be 1 or more, not {self.max_crashes!r}", key="max_crashes")
        if self.max_rss is not None and self.max_rss <= memory():
            raise ConfigError(
                f"max_rss must be above the {memory():,} bytes that the process holds already, not {self.max_rss:,}",
                key="max_rss",
            )
        if self.threads is not None:
            check_count(self.threads, "threads")
        check_executor(self.executor)
        check_tags(self.tags)


#: Told of its worker: when it takes jobs, or when it stops taking them.
WorkerHook: TypeAlias = "Callable[[BaseWorker], Awaitable[None] | None]"


class BaseWorker(Controls):
    """Serves lanes until it is told to stop. Making one starts nothing: use `async with` or `run()`."""

    def __init__(
        self, storage: Storage, lanes: Sequence[Lane], *, options: WorkerOptions, hooks: Hooks | None = None,
        middlewares: tuple[Middleware, ...] = (), scheduler: Scheduler | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
        lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None, intake: Intake = OPEN,
        providers: Providers | None = None, ready: Sequence[WorkerHook] = (), stopping: Sequence[WorkerHook] = (),
        watchers: Sequence[Watcher] = (),
    ) -> None:  # fmt: skip
        self.options = options
        self.storage = storage
        self.lanes = tuple(housed(lane, options.executor) for lane in lanes)
        host = socket.gethostname()
        self.name = options.name or f"{host}-{os.getpid()}"
        self.id = f"{self.name}-{secrets.token_hex(4)}"
        self._host = host
        self._started_at = now_ms()
        self._hooks = HookCalls(hooks or Hooks())
        self._middlewares = middlewares
        self._scheduler = scheduler
        self._prepare = prepare
        self._lifespan = lifespan
        self._intake = intake
        self._injector = Injector(providers)
        self._told_ready = ready
        self._told_stopping = stopping
        self._was_ready = False
        self.started = False  #: it takes, or took, jobs
        self.keeper: Keeper | None = None  #: renews its leases, once it has begun
        self._vitals = Vitals(options.lease / 3)
        self._handlers: tuple[str, ...] = ()
        self._closing = asyncio.Lock()
        self._status: int | None = None  #: what `run` answers, once everything is over
        self.reporter = Reporter(self._hooks)
        self.reporter.watchers = tuple(watchers)
        self.recorder = self.reporter.recorder = Recorder(storage)
        self.threads = Threads(options.threads)
        self._children: Children | None = None
        self._running: dict[Token, dict[str, Run]] = {}
        self.fetchers: list[Fetcher] = []
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._serving: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._orders = 0
        self._errors: list[BaseException] = []

    def watch(self, watcher: Watcher) -> None:
        """Have this one told of every run, from its start on. Raises: ConfigError when the worker has begun."""
        if self.keeper is not None:
            raise ConfigError("a worker is watched from its start on: call watch() before it runs", key="watch")
        self.reporter.watchers = (*self.reporter.watchers, watcher)

    # -- start and stop ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            self._hand_back()
            await self._finish()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.stopping:  # a second order would take from running jobs the time they have to finish
            self.stop()
        await self._finish()

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT, `stop()`, or the end of a burst. Answers 0, or 9 if jobs were handed back.

        The first signal lets running jobs finish within `shutdown_timeout`; the second hands them back at once.
        SIGTSTP or SIGUSR1: no more jobs; SIGTTIN or SIGUSR2: the log hears where every thread and task is.
        """
        with heeding(self):
            try:
                await self._start()
                await self._stop.wait()
            except BaseException:  # cancelled from outside, or a part could not start: leave nothing running behind
                self._hand_back()
                await self._finish()
                raise
            return await self._finish()

    def stop(self) -> None:
        """Stop gracefully; called a second time, hand back what still runs at once."""
        self._orders += 1
        self._stop.set()
        for fetcher in self.fetchers:
            if self._orders == 1:
                fetcher.stop()
            else:
                fetcher.interrupt()

    def _hand_back(self) -> None:
        self._orders = max(self._orders, 1)
        self.stop()

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to stop."""
        return self._orders > 0

    async def close(self, *, force: bool = False) -> int:
        """Stop and wait until nothing is left; with `force`, hand running jobs back at once. Answers as `run` does."""
        self.stop()
        if force and self._orders == 1:
            self.stop()
        return await self._finish()

    async def wait(self) -> None:
        """Wait until something stops the worker (a burst's end, `max_jobs`, `max_time`, a signal)."""
        await self._stop.wait()

    async def _start(self) -> None:
        if in_child():
            raise ConfigError(
                'a worker was started inside a child process of another one: guard it with if __name__ == "__main__"'
            )
        try:
            await self._begin()
        except BaseException:
            await self._stack.aclose()  # a lifespan that was entered is left again
            raise
        logger.info("Queue Worker is now running", extra={"event": "worker.ready", "worker": self.name})
        self._was_ready = self.started = True
        await self._tell(self._told_ready, "ready")

    async def _tell(self, hooks: Sequence[WorkerHook], what: str) -> None:
        for hook in hooks:
            outcome = await quietly(partial(hook, self))
            if outcome is not None:
                logger.error("hook %s failed when the worker was %s", name_of(hook), what, exc_info=outcome)

    async def _begin(self) -> None:
        for lane in self.lanes:
            self._injector.check(lane.queue, lane.handlers())
        self._handlers = tuple(f"{lane.queue}/{name}" for lane in self.lanes for name in lane.known())
        if self._prepare is not None and self.options.run_schedules:
            await self._prepare()
        for lane in self.lanes:
            await self._configure(lane)
        if self._lifespan is not None:
            await self._stack.enter_async_context(self._lifespan())
        await self._injector.start(self._stack)
        lease_ms = round(self.options.lease * 1000)
        keeper = self.keeper = Keeper(
            self.storage, self.info, self._running, lease_ms=lease_ms, stop_run=self._stop_run, died=self._keeper_died,
            revived=self._store_is_back, orders=Orders(self).serve, watchers=self.reporter.watchers,
        )  # fmt: skip
        self._stack.push_async_callback(keeper.stop)
        await keeper.start()
        self.fetchers = [self._fetcher(lane, lease_ms) for lane in self.lanes]
        self._serving = [
            asyncio.create_task(fetcher.serve(), name=f"corral-fetch-{fetcher.lane.queue}") for fetcher in self.fetchers
        ]
        for task in self._serving:
            task.add_done_callback(self._fetcher_ended)
        self._start_upkeep(keeper)
        if self._orders:  # told to stop while starting: the request must not get lost
            self._orders -= 1
            self.stop()

    async def _configure(self, lane: Lane) -> None:
        """Store what the declaration says about the queue. One rate limit replaced by another is told."""
        before = await self.storage.configure(lane.queue, QueueSettings())
        after = await self.storage.configure(lane.queue, lane.settings)
        if before.rate_limit is not None and before.rate_limit != after.rate_limit:
            logger.warning(
                "queue %r had the rate limit %s; it is %s now, for every worker",
                lane.queue,
                before.rate_limit,
                after.rate_limit,
            )

    def _fetcher(self, lane: Lane, lease_ms: int) -> Fetcher:
        executor = Executor(
            lane.queue, lane.find, lane.known, self.storage, self._middlewares + lane.middlewares, self.threads,
            self._child_pool, intake=self._intake, injector=self._injector,
            batches=Batches(Permits(lane.slots), self.threads, self._injector) if lane.width else None,
        )  # fmt: skip
        return Fetcher(
            lane, self.storage, executor, self.reporter, worker=self.id, lease_ms=lease_ms, running=self._running
        )

    def _start_upkeep(self, keeper: Keeper) -> None:
        queues = [lane.queue for lane in self.lanes]
        options = self.options
        if options.recover:
            recovery = Recovery(
                self.storage, queues, self._hooks, lease=options.lease, failed_at=lambda: keeper.failed_at,
                max_crashes=options.max_crashes, dead_letter=self._dead_letter, watchers=self.reporter.watchers,
            )  # fmt: skip
            # Lease + 5 s bounds recovery; looking every third of a lease keeps well inside it.
            self._spawn(every(options.recovery_interval or min(4.0, options.lease / 3), recovery, "recovery"))
        self._spawn(every(FLUSH_SECONDS, self.recorder.flush, "figures"))
        self._spawn(every(EVERY, Gauges(self.storage, queues), "gauges"))
        for lane in self.lanes:
            if lane.breaker is not None:
                fuse = self.reporter.fuses[lane.queue] = Fuse(self.storage, lane.queue, lane.breaker, self._hooks)
                self._spawn(fuse.serve())
        self._spawn(every(PAUSES_SECONDS, self._resume_due, "timed pauses"))
        if options.sweep:
            self._spawn(every(options.sweep_interval, lambda: sweep(self.storage, queues), "retention"))
        if options.stats_interval > 0:
            stats = Stats(self.storage, queues, self.reporter, options.stats_interval)
            self._spawn(every(options.stats_interval, stats, "statistics"))
        if self._scheduler is not None and options.run_schedules:
            self._scheduler.told = self._fired
            self._spawn(self._scheduler.run(self._stop))
        if options.burst or options.max_jobs is not None or options.max_time is not None:
            self._spawn(self._watch_end())
        if options.max_rss is not None:
            self._spawn(every(MEMORY_SECONDS, self._watch_memory, "the limit of memory"))

    async def _resume_due(self) -> None:
        await resume_due(self.storage)

    def _fired(self, fired: Fired) -> None:
        for watcher in self.reporter.watchers:
            watcher.fired(fired.queue, fired.key, len(fired.jobs), fired.missed)

    def _dead_letter(self, job: Job) -> str | None:
        """Where a job goes that no worker could finish: what it says itself, else what its handler says."""
        handlers = [lane.find(job.name) for lane in self.lanes if lane.queue == job.queue]
        options = [job.options, *(handler.options for handler in handlers if handler is not None)]
        return next((one.dead_letter for one in options if one.dead_letter is not None), None)

    def _spawn(self, work: Awaitable[None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    def _fetcher_ended(self, task: "asyncio.Task[None]") -> None:
        """A fetcher only ends when it was stopped; an error in it must not leave a worker that looks alive."""
        if not task.cancelled() and task.exception() is not None:
            logger.critical("fetching failed; the worker stops", exc_info=task.exception())
            self.stop()

    def _store_is_back(self) -> None:
        for fetcher in self.fetchers:
            fetcher.hurry()

    def _keeper_died(self, error: BaseException) -> None:
        """Nobody renews the leases any more: hand everything back while it is still ours."""
        logger.critical("renewing leases failed; the worker stops", exc_info=error)
        self._errors.append(error)
        self._orders = max(self._orders, 1)
        self.stop()

    async def _watch_end(self) -> None:
        began = time.monotonic()
        looked, finished = began, -1
        pause = 0.02
        while True:
            await asyncio.sleep(pause)
            quiet = self.options.burst and all([await fetcher.done() for fetcher in self.fetchers])
            pause = 0.002 if quiet else 0.02  # the second look comes soon: a short burst would last twice as long
            if quiet and finished != self.reporter.finished:
                # The last job of one queue may have let another one's go: each looks once more, and finds nothing.
                looked, finished, quiet = time.monotonic(), self.reporter.finished, False
                for fetcher in self.fetchers:
                    fetcher.look()
            quiet = quiet and all(fetcher.asked_at >= looked for fetcher in self.fetchers)
            enough = self.options.max_jobs is not None and self.reporter.finished >= self.options.max_jobs
            late = self.options.max_time is not None and time.monotonic() - began >= self.options.max_time
            if quiet or enough or late:
                self.stop()
                return

    async def _watch_memory(self) -> None:
        held, most = memory(), self.options.max_rss
        if most is not None and held > most and not self.stopping:
            logger.warning("the worker holds %s bytes of memory, more than %s: it stops", f"{held:,}", f"{most:,}")
            self.stop()

    async def _finish(self) -> int:
        """Let running jobs end in time, hand back the rest, and leave nothing behind. Others who ask wait too."""
        async with self._closing:
            if self._status is None:
                self._status = await self._wind_up()
            return self._status

    async def _wind_up(self) -> int:
        logger.info("worker stopping", extra={"event": "worker.stopping", "worker": self.name})
        if self._was_ready:
            await self._tell(self._told_stopping, "stopping")
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=self.options.shutdown_timeout)
            if late:
                for fetcher in self.fetchers:
                    fetcher.interrupt()
                await asyncio.wait(late, timeout=STOP_GRACE + 5.0)
        await self.recorder.flush()  # before its task is ended, which may be writing
        handed_back = sum(fetcher.interrupted for fetcher in self.fetchers)
        ended = [task.exception() for task in self._serving if task.done() and not task.cancelled()]
        errors = [*self._errors, *(error for error in ended if error is not None)]
        for task in (*self._tasks, *self._serving):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._serving, return_exceptions=True)
        await self._hooks.close(STOP_GRACE)
        if self._children is not None:
            await self._children.close()
        self.threads.close()
        for fetcher in self.fetchers:
            fetcher.let_go()
        await self._stack.aclose()
        logger.info(
            "worker stopped", extra={"event": "worker.stopped", "worker": self.name, "handed_back": handed_back}
        )
        if errors:
            raise errors[0]
        return ABANDONED if handed_back else GRACEFUL

    # -- parts ---------------------------------------------------------------------------------------------------

    def info(self) -> WorkerInfo:
        """How the worker presents itself."""
        rss, lag_ms, cpu = self._vitals.look(0.0 if self.keeper is None else self.keeper.lag())
        slots = [fetcher.slots for fetcher in self.fetchers] or [lane.slots for lane in self.lanes]
        return WorkerInfo(
            id=self.id, name=self.name, host=self._host, pid=os.getpid(), version=__version__,
            queues=tuple(lane.queue for lane in self.lanes), slots=sum(slots), slots_of=tuple(slots),
            quiet=self.stopping or self.paused, rss=rss, lag_ms=lag_ms, cpu=cpu,
            started_at=self._started_at,
            running=sum(fetcher.running for fetcher in self.fetchers),
            handlers=self._handlers, tags=self.options.tags,
        )  # fmt: skip

    def _child_pool(self) -> Children:
        if self._children is None:
            slots = sum(lane.slots for lane in self.lanes)
            self._children = Children(
                limit=slots, memory_limit=self.options.child_memory, env=dict(self.options.child_env)
            )
        return self._children

    def _stop_run(self, run: Run, why: CorralError) -> None:
        for fetcher in self.fetchers:
            fetcher.stop_run(run, why)
