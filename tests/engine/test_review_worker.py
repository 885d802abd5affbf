"""What a close look at the worker turned up: second runs, lost slots, and a worker that went on without its leases."""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from corral import BaseWorker, Corral, Event, EventType, Job, JobContext, JobState, Storage, WorkerOptions, connect
from corral.options import KEEP_COMPLETED, Keep
from corral.outcome import Completed
from corral.storage.port import Claim, Lease, Pulse, Settled, Settlement, Token, WorkerInfo
from corral.timing import Millis
from corral.worker import fetcher, hooks
from corral.worker.upkeep import sweep
from tests.engine.faulty import Faulty, lent_to
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
    queue = app.queue("work", concurrency=6)

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


class Unstorable(Faulty):
    """A store that cannot hold any verdict on job `bad`, not even its failure."""

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        if any(one.job_id == "bad" for one in settlements):
            raise OverflowError("it does not fit")
        return await self.inner.settle(queue, settlements, then=then, now=now)


async def test_a_job_of_which_no_verdict_can_be_stored_does_not_keep_its_slot(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work", concurrency=1)

    @queue.job("work")
    async def work() -> str:
        return "done"

    async with lent_to(app, Unstorable(connect(local_url))):
        await work.add(id="bad")
        good = await work.add()
        async with working(app):
            assert await good.result(timeout=GUARD) == "done"


async def test_a_log_line_with_half_a_surrogate_pair_fails_no_job(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        await ctx.log("half a \ud800 pair")

    handle = await work.add()
    await work_off(app)
    assert (await (await queue.open()).logs(handle.id)).items == ("half a \\ud800 pair",)
    assert (await handle.get()).state is JobState.COMPLETED


# -- leases ------------------------------------------------------------------------------------------------------------


class LateAnswers(Faulty):
    """A store whose first claim is answered, but the event loop is blocked before anybody reads the answer."""

    seconds = 0.0

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled = await self.inner.settle(queue, settlements, then=then, now=now)
        if settled.claimed.jobs:
            time.sleep(self.seconds)  # noqa: ASYNC251  # what another handler may do
            self.seconds = 0.0
        return settled


async def test_jobs_whose_lease_ran_out_before_the_worker_knew_of_them_are_not_begun(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work")
    fences: list[int] = []

    @queue.job("work")
    async def work(ctx: JobContext) -> None:
        fences.append(ctx.fence)

    store = LateAnswers(connect(local_url))
    async with lent_to(app, store):
        handle = await work.add()
        store.seconds = 0.3
        async with working(app, lease=0.4):
            job = await ending(handle)
        assert (job.state, job.crashes, fences) == (JobState.COMPLETED, 0, [2])
        assert len(await past(await queue.open(), EventType.RELEASED)) == 1


class BrokenBeats(Faulty):
    """A store in which the beats of the lease keeper's handle fail by a mistake, once `broken` is set."""

    def __init__(self, inner: Storage, broken: threading.Event | None = None) -> None:
        super().__init__(inner)
        self.broken = broken or threading.Event()

    def sibling(self) -> "BrokenBeats":
        return BrokenBeats(self.inner.sibling(), self.broken)

    async def heartbeat(
        self, worker: WorkerInfo, leases: Sequence[Lease], *, lease_ms: Millis, now: Millis | None = None
    ) -> Pulse:
        if self.broken.is_set():
            raise LookupError("a mistake")
        return await self.inner.heartbeat(worker, leases, lease_ms=lease_ms, now=now)


async def work_without_beats(worker: BaseWorker, store: BrokenBeats, begun: asyncio.Event) -> None:
    """Let the keeper die as soon as a job runs."""
    async with worker:
        await begun.wait()
        store.broken.set()
        await worker.wait()


async def test_a_worker_whose_lease_keeper_dies_hands_its_jobs_back_and_says_why(local_url: str) -> None:
    app = Corral(local_url)
    queue = app.queue("work")
    begun = asyncio.Event()

    @queue.job("long")
    async def long() -> None:
        begun.set()
        await asyncio.Event().wait()

    store = BrokenBeats(connect(local_url))
    async with lent_to(app, store), asyncio.timeout(GUARD):
        handle = await long.add()
        worker = await app.worker(options=WorkerOptions(stats_interval=0, lease=0.4))
        with pytest.raises(LookupError, match="a mistake"):
            await work_without_beats(worker, store, begun)
        job = await handle.get()
        assert (job.state, job.attempts_made, job.crashes) == (JobState.WAITING, 0, 0)


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


def test_a_handler_that_never_ends_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "STOP_GRACE", 0.05)
    app = Corral("sqlite:///:memory:")
    begun = asyncio.Event()

    @app.queue("work").job("deaf")
    async def deaf() -> None:
        begun.set()
        while not released.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    async def serve() -> None:
        async with app:
            await deaf.add()
            async with working(app, shutdown_timeout=0):
                await begun.wait()

    released = threading.Event()
    process = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    process.start()
    process.join(GUARD)
    released.set()
    assert not process.is_alive()


# -- hooks -------------------------------------------------------------------------------------------------------------


async def test_hooks_that_fall_behind_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hooks, "MOST_WAITING", 5)
    heard: list[str | None] = []
    known = hooks.Hooks()
    known.add((EventType.COMPLETED,), lambda event, _: heard.append(event.job_id))
    calls = hooks.HookCalls(known)
    for number in range(20):
        event = Event(type=EventType.COMPLETED, queue="work", at=0, job_id=str(number))
        calls.put(event, Job(id=str(number), queue="work", name="work", state=JobState.COMPLETED, data="{}"))
    await calls.close(GUARD)
    assert heard == ["0", "1", "2", "3", "4"]
    assert "15 hook calls were left out" in caplog.text


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
