"""What a close look at the worker turned up: second runs, lost slots, and a worker that went on without its leases."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar

import pytest

from corral import Corral, EventType, JobContext, JobState, WorkerOptions
from corral.options import KEEP_COMPLETED, Keep
from corral.outcome import Completed
from corral.storage.port import Claim, Lease, Pulse, Settled, Settlement, Token, WorkerInfo
from corral.storage.sqlite.store import SqliteStorage
from corral.timing import Millis
from corral.worker.upkeep import sweep
from tests.engine.helpers import GUARD, ending, past, work_off, working

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


# -- slots -------------------------------------------------------------------------------------------------------------


async def test_what_a_handler_leaves_in_its_context_reaches_no_other_job(app: Corral) -> None:
    queue = app.queue("work", concurrency=6)
    seen: list[str] = []

    @queue.job("work")
    async def work(number: int) -> None:
        seen.append(tenant.get())
        if number % 2 == 0:
            tenant.set(f"tenant {number}")

    await work.add_bulk(range(60))
    await work_off(app)
    assert seen == ["nobody"] * 60


async def test_a_handler_that_cancels_its_own_task_harms_no_other_job(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)

    @queue.job("cancels")
    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    @queue.job("next")
    async def following() -> str:
        await asyncio.sleep(0)
        return "whole"

    handles = []
    for _ in range(10):
        await cancels.add()
        handles.append(await following.add())
    async with working(app):
        assert [await handle.result(timeout=GUARD) for handle in handles] == ["whole"] * 10


class Unstorable(SqliteStorage):
    """A store that cannot hold any verdict on job `bad`, not even its failure."""

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        if any(one.job_id == "bad" for one in settlements):
            raise OverflowError("it does not fit")
        return await super().settle(queue, settlements, then=then, now=now)


async def test_a_job_of_which_no_verdict_can_be_stored_does_not_keep_its_slot(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)

    @queue.job("work")
    async def work() -> str:
        return "done"

    await app.close()
    async with Unstorable("sqlite:///:memory:") as store:
        app._storage = store
        await work.add(id="bad")
        good = await work.add()
        async with working(app):
            assert await good.result(timeout=GUARD) == "done"
        app._storage = None


# -- leases ------------------------------------------------------------------------------------------------------------


class LateAnswers(SqliteStorage):
    """A store whose first claim is answered, but the event loop is blocked before anybody reads the answer."""

    seconds = 0.0

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled = await super().settle(queue, settlements, then=then, now=now)
        if settled.claimed.jobs:
            time.sleep(self.seconds)  # noqa: ASYNC251  # what another handler may do
            self.seconds = 0.0
        return settled


async def test_jobs_whose_lease_ran_out_before_the_worker_knew_of_them_are_not_begun(app: Corral) -> None:
    queue = app.queue("work")
    fences: list[int] = []

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        fences.append(ctx.fence)

    await app.close()
    async with LateAnswers("sqlite:///:memory:") as store:
        app._storage = store
        handle = await work.add()
        store.seconds = 0.3
        async with working(app, lease=0.4):
            job = await ending(handle)
        assert (job.state, job.crashes, fences) == (JobState.COMPLETED, 0, [2])
        assert len(await past(await queue.open(), EventType.RELEASED)) == 1
        app._storage = None


class NoSecondHandle(SqliteStorage):
    """A store that the lease keeper cannot open."""

    def sibling(self) -> SqliteStorage:
        return NoSecondHandle("sqlite:////proc/nowhere/corral.db")


class BrokenBeats(SqliteStorage):
    """A store in which beats fail by a mistake, once `broken` is set."""

    broken = False

    def sibling(self) -> "BrokenBeats":
        return self

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        if self.broken:
            raise LookupError("a mistake")
        return await super().heartbeat(worker, leases, lease_ms=lease_ms, now=now)


async def test_a_worker_that_cannot_renew_leases_does_not_start_and_leaves_its_lifespan() -> None:
    entered: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Corral) -> AsyncIterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    app = Corral("sqlite:///:memory:", lifespan=lifespan)
    app.queue("work")
    async with NoSecondHandle("sqlite:///:memory:") as store, asyncio.timeout(GUARD):
        app._storage = store
        with pytest.raises(Exception, match="nowhere"):
            async with await app.worker(options=WorkerOptions()):
                raise AssertionError("it started")
        app._storage = None
    assert entered == ["in", "out"]


async def test_a_worker_whose_lease_keeper_dies_hands_its_jobs_back_and_says_why(app: Corral) -> None:
    queue = app.queue("work")
    begun = asyncio.Event()

    @queue.job("long")
    async def long() -> None:
        begun.set()
        await asyncio.Event().wait()

    await app.close()
    async with BrokenBeats("sqlite:///:memory:") as store, asyncio.timeout(GUARD):
        app._storage = store
        handle = await long.add()
        worker = await app.worker(options=WorkerOptions(stats_interval=0, lease=0.4))
        with pytest.raises(LookupError, match="a mistake"):
            async with worker:
                await begun.wait()
                store.broken = True
                await worker.wait()
        job = await handle.get()
        assert (job.state, job.attempts_made, job.crashes) == (JobState.WAITING, 0, 0)
        app._storage = None


# -- stopping ----------------------------------------------------------------------------------------------------------


async def test_leaving_the_block_of_a_worker_that_stops_by_itself_lets_running_jobs_finish(app: Corral) -> None:
    queue = app.queue("work")
    leave, begun = asyncio.Event(), asyncio.Event()

    @queue.job("slow")
    async def slow() -> str:
        begun.set()
        await leave.wait()
        return "finished"

    @queue.job("quick")
    async def quick() -> None:
        await begun.wait()

    handle = await slow.add()
    await quick.add()
    async with working(app, max_jobs=1) as worker:
        await worker.wait()
        asyncio.get_running_loop().call_soon(leave.set)
    assert (await handle.get()).state is JobState.COMPLETED


# -- retention ---------------------------------------------------------------------------------------------------------


async def test_one_sweep_removes_all_that_is_too_much(app: Corral) -> None:
    queue = app.queue("work")
    live = await queue.open()
    jobs = 2_500 + (KEEP_COMPLETED.count or 0)
    names: list[tuple[str, object]] = [("work", None)] * jobs
    await live.add_bulk(names)
    while claimed := (await live.storage.claim("work", Claim(count=250, token=Token("t"), lease_ms=60_000))).jobs:
        ends = [Settlement(job_id=job.id, token=Token("t"), outcome=Completed(keep=Keep())) for job in claimed]
        await live.storage.settle("work", ends)
    await sweep(live.storage, ["work"])
    assert (await live.counts()).completed == KEEP_COMPLETED.count
