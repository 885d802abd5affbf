"""Two turns at once: a lane with many slots hands in some of its verdicts while others are still on their way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from corral import BaseWorker, Corral, Job, JobDefinition, JobState, Storage, connect
from corral.errors import StorageUnavailableError
from corral.options import KEEP_COMPLETED
from corral.outcome import Completed
from corral.storage.port import Claim, Settled, Settlement
from corral.timing import Millis
from corral.worker import fetcher
from tests.engine.faulty import Faulty, lent_to
from tests.engine.helpers import GUARD, work_off, working

SLOTS = 8
HALF = 4


@pytest.fixture(autouse=True)
def few_are_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of eight slots are enough for a second turn."""
    monkeypatch.setattr(fetcher, "CROWD", 1)


class Gated(Faulty):
    """A store whose turns with verdicts wait at a gate. `fates` says, in order, which error each meets; None: none."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.handed_in: Counter[str] = Counter()  #: jobs whose verdict reached the store
        self.claims: list[int] = []  #: what each turn at the gate asked for
        self.waiting = 0
        self.gate = asyncio.Event()
        self.fates: list[Exception | None] = []

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        if settlements:
            self.claims.append(0 if then is None else then.count)
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
            if self.fates and (fate := self.fates.pop(0)):
                raise fate
        settled: Settled = await self.inner.settle(queue, settlements, then=then, now=now)
        self.handed_in.update(one.job_id for one in settlements)
        return settled


class Scene:
    """A lane of eight slots on a gated store. Its jobs end when their number is called."""

    def __init__(self, url: str) -> None:
        self.app = Corral(url)
        self.store = Gated(connect(url))
        self.worker: BaseWorker | None = None
        self.handles: list[Any] = []
        self.running: set[int] = set()
        self.most_in_hand = 0
        self._called = [asyncio.Event() for _ in range(SLOTS)]
        self.work: JobDefinition[Any, Any] = self.app.queue("work", concurrency=SLOTS).job("work")(self._work)

    async def _work(self, number: int) -> int:
        self.running.add(number)
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        if number < SLOTS:
            await self._called[number].wait()
        return number

    @property
    def in_hand(self) -> int:
        return 0 if self.worker is None else sum(one.running for one in self.worker.fetchers)

    async def add(self, count: int) -> None:
        known = len(self.handles)
        self.handles += await self.work.add_bulk(list(range(known, known + count)))

    async def end(self, first: int, last: int, turns: int) -> None:
        """Let these jobs end, until so many turns wait at the gate."""
        for number in range(first, last):
            self._called[number].set()
        await until(lambda: self.store.waiting == turns)

    async def results(self) -> None:
        assert [await one.result(timeout=GUARD) for one in self.handles] == list(range(len(self.handles)))

    async def jobs(self) -> list[Job]:
        async with connect(self.app.url) as store:
            found = await store.get("work", [one.id for one in self.handles])
        return [job for job in found if job is not None]


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # what is waited for is not ours to tell
        await asyncio.sleep(0)


@asynccontextmanager
async def two_turns(url: str, *, jobs: int = 3 * SLOTS, first: int = HALF) -> AsyncIterator[Scene]:
    """A worker with two turns at the gate: one with the verdicts of `first` jobs, one with those of four others."""
    scene = Scene(url)
    async with asyncio.timeout(3 * GUARD), lent_to(scene.app, scene.store):
        await scene.add(jobs)
        async with working(scene.app, shutdown_timeout=GUARD) as worker:
            scene.worker = worker
            await until(lambda: len(scene.running) == min(jobs, SLOTS))
            await scene.end(0, first, 1)
            await scene.end(first, first + HALF, 2)
            yield scene


def ended_once(jobs: Sequence[Job]) -> bool:
    return {(job.state, job.attempts_started, job.crashes) for job in jobs} == {(JobState.COMPLETED, 1, 0)}


# -- slots -------------------------------------------------------------------------------------------------------------


async def test_a_lane_never_has_more_jobs_in_hand_than_slots(url: str) -> None:
    async with two_turns(url) as scene:
        assert scene.store.claims == [HALF, HALF]
        assert scene.in_hand == SLOTS  # a slot is refilled, but a verdict stays in hand until it is handed in
        scene.store.gate.set()
        await scene.results()
    assert ended_once(await scene.jobs())
    assert scene.most_in_hand == SLOTS
    assert set(scene.store.handed_in.values()) == {1}


async def test_empty_slots_are_asked_for_by_one_of_the_turns_only(url: str) -> None:
    async with two_turns(url, jobs=6, first=1) as scene:
        await scene.add(20)
        assert scene.store.claims == [3, 4]  # one that ended and two that were empty; four that ended
        await scene.end(5, 8, 2)
        scene.store.gate.set()
        await scene.results()
    assert ended_once(await scene.jobs())
    assert scene.most_in_hand <= SLOTS


@pytest.mark.parametrize("slots", [1, 7, 8, 60])
async def test_a_burst_ends_when_all_is_done_and_not_before(url: str, slots: int) -> None:
    app = Corral(url)
    queue = app.queue("work", concurrency=slots)
    ran: Counter[int] = Counter()

    @queue.job("work")
    async def work(number: int) -> None:
        ran[number] += 1
        if number % 7 == 0:
            await asyncio.sleep(0)

    async with app:
        await work.add_bulk(list(range(400)))
        await work_off(app)
        assert (await (await queue.open()).counts()).completed_total == 400
    assert set(ran.values()) == {1}
    assert len(ran) == 400


# -- a store that fails ------------------------------------------------------------------------------------------------

AWAY = StorageUnavailableError("no route to the store")


@pytest.mark.parametrize(
    "fates", [[AWAY], [None, AWAY], [AWAY, AWAY], [AWAY] * 4], ids=["one", "other", "both", "again"]
)
async def test_verdicts_of_turns_that_fail_are_handed_in_once_when_the_store_is_back(
    url: str, fates: list[Exception | None], caplog: pytest.LogCaptureFixture
) -> None:
    async with two_turns(url) as scene:
        scene.store.fates = list(fates)
        scene.store.gate.set()
        await scene.results()
    assert ended_once(await scene.jobs())
    assert scene.store.handed_in == Counter(handle.id for handle in scene.handles)
    assert scene.most_in_hand == SLOTS
    assert "refused" not in caplog.text


class Picky(Gated):
    """A gated store that cannot take two certain results."""

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        bad = [Completed("1", KEEP_COMPLETED), Completed("6", KEEP_COMPLETED)]
        if self.gate.is_set() and any(one.outcome in bad for one in settlements):
            raise ValueError("this cannot be stored")
        return await super().settle(queue, settlements, then=then, now=now)


async def test_a_verdict_that_cannot_be_stored_in_either_turn_fails_its_own_job(url: str) -> None:
    scene = Scene(url)
    scene.store = Picky(connect(url))
    scene.store.gate.set()
    async with asyncio.timeout(3 * GUARD), lent_to(scene.app, scene.store):
        await scene.add(2 * SLOTS)
        async with working(scene.app) as worker:
            await until(lambda: len(scene.running) == SLOTS)
            await scene.end(0, SLOTS, 0)
            await until(lambda: worker.reporter.finished == 2 * SLOTS)
    jobs = await scene.jobs()
    assert [job.failed_reason for job in jobs if job.state is JobState.FAILED] == [
        "ValueError: this cannot be stored"
    ] * 2
    assert [int(job.data) for job in jobs if job.state is JobState.FAILED] == [1, 6]
    assert {job.state for job in jobs} == {JobState.COMPLETED, JobState.FAILED}


@pytest.mark.parametrize("fates", [[None], []], ids=["second", "first"])
async def test_a_mistake_in_either_turn_stops_the_worker_loudly(
    url: str, fates: list[Exception | None], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="a bug in the adapter"):  # noqa: PT012  # it is raised where the worker ends
        async with two_turns(url, jobs=SLOTS) as scene:
            assert scene.worker is not None
            scene.store.fates = [*fates, RuntimeError("a bug in the adapter")]
            scene.store.gate.set()
            await scene.worker.wait()
    assert "the worker stops" in caplog.text


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fates", [[], [AWAY], [AWAY] * 3], ids=["well", "away", "both away"])
async def test_stopping_waits_for_both_turns(url: str, fates: list[Exception | None]) -> None:
    async with two_turns(url) as scene:
        assert scene.worker is not None
        scene.worker.stop()
        for _ in range(10):
            await asyncio.sleep(0)
        assert scene.in_hand == SLOTS
        scene.store.fates = list(fates)
        scene.store.gate.set()
    jobs = await scene.jobs()
    assert ended_once(jobs[:SLOTS])
    assert {job.state for job in jobs} <= {JobState.COMPLETED, JobState.WAITING}  # what was asked for before may run
    assert scene.store.handed_in == Counter(job.id for job in jobs if job.state is JobState.COMPLETED)
    assert scene.in_hand == 0


# -- resting -----------------------------------------------------------------------------------------------------------


class Belated(Faulty):
    """A store whose second turn is answered only after the worker was told, once, that there is something to claim."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.looked = asyncio.Event()
        self.added = asyncio.Event()
        self.turns = 0

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        settled: Settled = await self.inner.settle(queue, settlements, then=then, now=now)
        self.turns += 1
        if self.turns == 2:
            self.looked.set()
            await self.added.wait()
            for _ in range(10):  # the worker has heard it by then
                await asyncio.sleep(0)
        return settled

    async def wait(self, queues: Sequence[str], *, timeout: float) -> bool:
        told = self.added.is_set()
        await self.added.wait()
        if told:
            await asyncio.Event().wait()
        return True


async def test_a_job_that_comes_while_a_fruitless_turn_is_answered_is_not_left_lying(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "PATIENCE", 4 * GUARD)
    app = Corral(url)
    queue = app.queue("work", concurrency=2)

    @queue.job("work")
    async def work(number: int) -> int:
        return number

    store = Belated(connect(url))
    async with lent_to(app, store), working(app) as worker:
        await until(lambda: worker.fetchers[0].quiet)
        worker.fetchers[0]._bell.set()
        await store.looked.wait()
        handle = await work.add(7)
        store.added.set()
        assert await handle.result(timeout=GUARD) == 7
