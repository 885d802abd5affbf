"""The application under torture, and the processes that use it: workers and producers."""

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

from corral import Corral, Event, Job, JobContext, JobHandle, SyncJobContext, WorkerOptions
from corral.app.queues import AppQueue, QueueKeywords
from corral.errors import StorageError
from corral.job import NewJob, ParentRef
from corral.options import ParentPolicy
from corral.queue import Queue
from tests.faults import crafts
from tests.faults.forks import Ledger
from tests.faults.scene import Scene as Scene

Data = dict[str, object]

#: Policies with which a parent always ends by itself, whatever becomes of its children.
POLICIES = (ParentPolicy.IGNORE, ParentPolicy.CONTINUE, ParentPolicy.REMOVE, ParentPolicy.FAIL)
#: The producer rests while so many jobs wait: enough that no worker is ever idle.
BACKLOG = 150
#: Finished jobs kept in the queue `lean`, whose others are deleted as it goes.
LEAN = 20


def application(scene: Scene) -> Corral:
    """Queues with handlers of every kind. `main` keeps every job, `lean` almost none."""
    app = Corral(scene.url)
    effects, verdicts, pid = Ledger(scene.effects), Ledger(scene.verdicts), os.getpid()

    def effect(ctx: JobContext | SyncJobContext) -> None:
        effects.write(ctx.queue, ctx.id, ctx.fence, pid)

    @app.on("completed")
    def completed(event: Event, job: Job) -> None:
        verdicts.write(job.queue, job.id, job.fence, pid)

    main = _declare(app, effect, {"group_limits": crafts.GROUP_LIMITS} if scene.crafts else {})
    if scene.crafts:
        crafts.declare(app, main, scene, effect)
    return app


def _declare(app: Corral, effect: crafts.Note, limits: QueueKeywords) -> AppQueue:
    """Plain jobs of every kind."""

    async def quick(ctx: JobContext, data: Data) -> None:
        effect(ctx)

    async def nap(ctx: JobContext, data: Data) -> str:
        effect(ctx)
        await asyncio.sleep(random.uniform(0, 0.01))
        return ctx.id

    async def long(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        await asyncio.sleep(random.uniform(0.1, 0.4))

    def thread(ctx: SyncJobContext, data: Data) -> None:
        effect(ctx)
        time.sleep(random.uniform(0, 0.004))

    async def flaky(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        if ctx.attempt == 1:
            raise ValueError("the first attempt always fails")

    async def chatty(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        await ctx.log("begun")
        await ctx.progress({"share": 0.5})
        await ctx.log("done")

    limits = {"concurrency": 6, "keep_completed": True, "keep_failed": True, **limits}
    main = app.queue("main", **limits)
    for handler in (quick, nap, long, thread, chatty):
        main.job(handler.__name__)(handler)
    main.job("flaky", attempts=2, backoff=0.01)(flaky)
    main.job("capped", concurrency=2)(nap)
    main.job("parent")(quick)
    lean = app.queue("lean", concurrency=3, keep_completed=LEAN, keep_failed=True)
    for handler in (quick, chatty):
        lean.job(handler.__name__)(handler)
    return main


# -- the worker --------------------------------------------------------------------------------------------------------


def work(scene: Scene, say_ready: Callable[[], None]) -> int:
    """A worker until it is told to stop; answers its exit code."""
    quiet_logs(_Watch(say_ready, Ledger(scene.refusals)))
    options = WorkerOptions(lease=scene.lease, stats_interval=0, sweep_interval=0.5)

    async def serve() -> int:
        app = application(scene)
        async with app:
            return await (await app.worker(options=options)).run()

    return asyncio.run(serve())


class _Watch(logging.Handler):
    """Hears that the worker runs, and writes down refused verdicts; what is worse than a failed job is passed on."""

    def __init__(self, say_ready: Callable[[], None], refusals: Ledger) -> None:
        super().__init__()
        self._say_ready = say_ready
        self._refusals = refusals

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", "")
        if event == "worker.ready":
            self._say_ready()
        elif event == "worker.lock_lost":
            self._refusals.write(os.getpid())
        elif record.levelno >= logging.CRITICAL:
            logging.getLogger("tests.faults").error("Traceback: %s", record.getMessage(), exc_info=record.exc_info)


def quiet_logs(watch: logging.Handler) -> None:
    """Only what must never happen is worth a line: expected failures and recoveries are silent."""
    logging.basicConfig(level=logging.ERROR, format="%(name)s %(levelname)s %(message)s", force=True)
    for name in ("corral.worker", "corral.queue"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(watch)


# -- the producer ------------------------------------------------------------------------------------------------------


def produce(scene: Scene, say_ready: Callable[[], None], seed: int) -> int:
    """Add jobs in every way there is, noting each that was acknowledged, until told to stop."""
    quiet_logs(logging.NullHandler())
    random.seed(seed)

    async def serve() -> int:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        app = application(scene)
        async with app:
            main, lean = await app.open_queue("main"), await app.open_queue("lean")
            troubles = Ledger(scene.troubles)
            producer = Producer(main, lean, Ledger(scene.acks), troubles, f"{seed}-{os.getpid()}")
            if scene.crafts:
                await crafts.tidy(main.storage)
                producer.learn(await app.open_queue("crates"), Ledger(scene.kept))
            say_ready()
            while not stop.is_set():
                try:
                    await producer.step()
                except StorageError as error:  # the harness knows whether there was a reason
                    troubles.write(type(error).__name__, os.getpid())
                    await asyncio.sleep(0.02)
        return 0

    return asyncio.run(serve())


class Producer:
    """One step is one random way of adding."""

    def __init__(self, main: Queue, lean: Queue, acks: Ledger, troubles: Ledger, tag: str) -> None:
        self._main = main
        self._lean = lean
        self._acks = acks
        self._troubles = troubles
        self._tag = tag
        self._number = 0
        self._ways: tuple[Callable[[], Awaitable[None]], ...] = (
            self._one, self._many_at_once, self._bulk, self._own_id, self._later, self._family, self._passing,
        )  # fmt: skip

    def learn(self, crates: Queue, kept: Ledger) -> None:
        """All that there is beside plain jobs."""
        self._ways += crafts.Crafts(self._main, crates, self._ack, kept, self._tag).ways

    async def step(self) -> None:
        """Add something, unless enough waits."""
        counts = await self._main.counts()
        if counts.waiting + counts.delayed > BACKLOG:
            await asyncio.sleep(0.002)
            return
        self._number += 1
        await random.choice(self._ways)()

    def _ack(self, *handles: JobHandle[object]) -> None:
        for handle in handles:
            self._acks.write(handle.queue.name, handle.id)

    async def _one(self) -> None:
        name = random.choice(("quick", "nap", "long", "thread", "flaky", "capped", "chatty"))
        self._ack(await self._main.add(name, {"tag": self._tag}, priority=random.choice((0, 0, 1, 10))))

    async def _many_at_once(self) -> None:
        self._ack(*await asyncio.gather(*(self._main.add("nap") for _ in range(10))))

    async def _bulk(self) -> None:
        size = random.randint(5, 30)
        data = {"bulk": f"{self._tag}-{self._number}", "size": size}
        self._ack(*await self._main.add_bulk([(random.choice(("quick", "capped")), data) for _ in range(size)]))

    async def _own_id(self) -> None:
        name = f"own-{self._tag}-{self._number}"
        first = await self._main.add("quick", {}, id=name)
        again = await self._main.add("quick", {}, id=name)
        if not first.fresh or again.fresh:
            self._troubles.write("AddedTwice", name)
        self._ack(first)

    async def _later(self) -> None:
        self._ack(await self._main.add("nap", {}, delay=random.uniform(0, 0.05)))

    async def _family(self) -> None:
        parent = f"family-{self._tag}-{self._number}"
        reference = ParentRef("main", parent, random.choice(POLICIES))
        children = [NewJob(queue="main", name="nap", parent=reference) for _ in range(3)]
        self._ack(*await self._main.add_jobs([NewJob(queue="main", name="parent", id=parent, children=3), *children]))

    async def _passing(self) -> None:
        self._ack(*await self._lean.add_bulk([("quick", {}), ("chatty", {}), ("quick", {})]))
