"""What a worker does now and then: statistics, recovery after a clock jump, and going on whatever happens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

import pytest

from corral import Corral, EventType, JobState, StorageError, connect
from corral.storage.port import Claim, Settled, Settlement, Token
from corral.timing import Millis
from corral.worker import upkeep
from corral.worker.hooks import HookCalls, Hooks
from corral.worker.upkeep import Recovery, Stats, every
from tests.engine.faulty import Faulty, lent_to
from tests.engine.helpers import GUARD, ending, next_event, working


class Said(logging.Handler):
    """Wakes the test as soon as a line with these words is logged."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.lines: list[str] = []
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.lines.append(record.getMessage())
            self.heard.set()


async def test_the_statistics_tell_what_waits_runs_and_was_done(app: Corral, caplog: pytest.LogCaptureFixture) -> None:
    queue = app.queue("send-email")

    @queue.job("work")
    async def work(data: str) -> None:
        if data == "bad":
            raise ValueError

    async with working(app) as worker:
        stats = Stats(worker.storage, ["send-email"], worker.reporter, 30)
        for handle in [*await work.add_bulk(["good", "good", "bad"]), await work.add("good")]:
            await ending(handle)
        await work.add("good", delay=3600)
        await next_event(await queue.open(), EventType.IDLE)
    caplog.set_level(logging.INFO, "corral.upkeep")
    await stats()
    await stats()
    assert [record.message for record in caplog.records if record.name == "corral.upkeep"] == [
        "stats  send-email waiting=0 active=0 done/min=6 fail/min=2 oldest=-",
        "stats  send-email waiting=0 active=0 done/min=0 fail/min=0 oldest=-",
    ]


@pytest.mark.mission("M-BI-50")
async def test_a_line_of_statistics_comes_every_so_often(app: Corral, caplog: pytest.LogCaptureFixture) -> None:
    app.queue("send-email")
    app.queue("sync-slack")
    said = Said("stats  ")
    caplog.set_level(logging.INFO, "corral.upkeep")
    logging.getLogger("corral.upkeep").addHandler(said)
    try:
        async with asyncio.timeout(GUARD), working(app, stats_interval=0.02):
            await said.heard.wait()
    finally:
        logging.getLogger("corral.upkeep").removeHandler(said)
    assert [part.split(" ")[0] for part in said.lines[0].removeprefix("stats  ").split(" | ")] == [
        "send-email",
        "sync-slack",
    ]


async def test_no_interval_means_no_statistics(app: Corral, caplog: pytest.LogCaptureFixture) -> None:
    app.queue("send-email")
    caplog.set_level(logging.INFO, "corral.upkeep")
    async with working(app, stats_interval=0, max_time=0.05) as worker:
        await worker.wait()
    assert "stats" not in caplog.text


class Clocks:
    """Stands in for the module `time`: a wall clock that can be set beside a monotonic one."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.steady = 1_000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


async def test_after_a_clock_jump_nobodys_lease_is_declared_dead_for_one_lease(
    app: Corral, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks()
    monkeypatch.setattr(upkeep, "time", clocks)
    queue = await app.queue("work").open()
    handle = await queue.add("work")
    await queue.storage.claim("work", Claim(count=1, token=Token("living"), lease_ms=1), now=1_000)
    recovery = Recovery(queue.storage, ["work"], HookCalls(Hooks()), lease=15, failed_at=lambda: 0.0)

    clocks.wall += 120  # the machine's clock is set: by it, every lease has run out
    await recovery()
    clocks.pass_by(14)
    await recovery()
    assert (await handle.get()).state is JobState.ACTIVE
    assert caplog.text.count("the clock jumped by +120.0 s") == 1

    clocks.pass_by(1.5)
    await recovery()
    assert (await handle.get()).state is JobState.WAITING


async def test_upkeep_outlives_its_errors(caplog: pytest.LogCaptureFixture) -> None:
    troubles: list[Exception] = [ZeroDivisionError("a bug"), StorageError("no room left"), KeyError("another bug")]
    done = asyncio.Event()

    async def work() -> None:
        if troubles:
            raise troubles.pop(0)
        done.set()

    task = asyncio.create_task(every(0.001, work, "sweeping"))
    async with asyncio.timeout(GUARD):
        await done.wait()
    task.cancel()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "sweeping failed, trying again: a bug"),
        ("WARNING", "sweeping could not reach the store, trying again: no room left"),
        ("ERROR", "sweeping failed, trying again: 'another bug'"),
    ]


class Broken(Faulty):
    """A store with a mistake in it that nobody foresaw."""

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        raise RuntimeError("a bug in the adapter")


async def test_a_worker_that_cannot_fetch_any_more_stops_loudly(url: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Corral(url)
    app.queue("work")
    async with lent_to(app, Broken(connect(url))):
        with pytest.raises(RuntimeError, match="a bug in the adapter"):
            async with asyncio.timeout(GUARD), working(app) as worker:
                await worker.wait()
    assert "the worker stops" in caplog.text


class Nowhere(Faulty):
    """A store that cannot be opened."""

    async def __aenter__(self) -> Self:
        raise StorageError("there is nothing here")


class Lonely(Faulty):
    """A store that the lease keeper cannot open a second handle on."""

    def sibling(self) -> Nowhere:
        return Nowhere(self.inner)


async def test_a_worker_that_cannot_keep_its_leases_does_not_start_and_leaves_its_lifespan(url: str) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Corral) -> AsyncIterator[None]:
        order.append("opened")
        yield
        order.append("closed")

    app = Corral(url, lifespan=lifespan)
    app.queue("work")
    async with lent_to(app, Lonely(connect(url))):
        with pytest.raises(StorageError, match="nothing here"):
            async with asyncio.timeout(GUARD), working(app):
                order.append("working")
    assert order == ["opened", "closed"]
