"""Figures: what workers record of their attempts, and what comes back out of the store."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from corral import Corral, Figures, JobContext, Snooze
from corral.errors import ConfigError, StorageUnavailableError
from corral.event import EventType
from corral.job import Job, JobState
from corral.monitor.monitor import Monitor
from corral.storage.insight import Sample
from corral.storage.port import Token
from corral.worker import worker as worker_module
from corral.worker.recorder import MOST_KEPT, Recorder
from corral.worker.run import Run
from tests.engine.helpers import GUARD, work_off, working

T0 = 1_700_000_040_000  # a minute's beginning


class Book:
    """A store that writes samples down, when it is there."""

    def __init__(self) -> None:
        self.written: list[tuple[str, Sample]] = []
        self.away = False

    async def record(self, queue: str, samples: Sequence[Sample], *, now: int | None = None) -> None:
        if self.away:
            raise StorageUnavailableError("no line to the store")
        self.written += [(queue, sample) for sample in samples]


def run(*, name: str = "mail", started: int = T0, waited: int = 5, took: float = 0.0, attempt: int = 1) -> Run:
    job = Job(
        id="1", queue="work", name=name, state=JobState.ACTIVE, data="{}", created_at=started - waited,
        started_at=started, attempts_started=attempt,
    )  # fmt: skip
    return Run("work", job, Token("t"), time.monotonic() - took, lambda _: None)


def recorder(book: Book) -> Recorder:
    return Recorder(book)  # type: ignore[arg-type]  # all it asks of a store


async def test_attempts_are_counted_by_name_and_minute_with_their_times() -> None:
    book = Book()
    figures = recorder(book)
    figures.note(run(), EventType.COMPLETED)
    figures.note(run(waited=6), EventType.FAILED)
    figures.note(run(attempt=2), EventType.RETRYING)
    figures.note(run(), EventType.SNOOZED)
    figures.note(run(name="report", waited=-3, took=3_600), EventType.COMPLETED)
    await figures.flush()
    first, second = sorted((sample for _, sample in book.written), key=lambda one: one.name)
    assert (first.at, first.completed, first.failed, first.retried) == (T0, 1, 1, 1)
    assert first.wait == {5: 1, 6: 1}  # a later attempt's wait is not known here
    assert sum(first.run.values()) == 3
    assert (second.at, second.wait) == (T0 + 3_600_000, {0: 1})
    assert Figures.of([second]).run.p50 == pytest.approx(3_600, rel=0.07)


async def test_what_the_store_did_not_take_goes_with_the_next_flush_and_once() -> None:
    book = Book()
    figures = recorder(book)
    book.away = True
    figures.note(run(), EventType.COMPLETED)
    await figures.flush()
    figures.note(run(), EventType.COMPLETED)
    await figures.flush()
    book.away = False
    await figures.flush()
    await figures.flush()
    assert [sample.completed for _, sample in book.written] == [2]


async def test_a_store_that_stays_away_costs_the_oldest_figures_and_not_the_memory() -> None:
    book = Book()
    book.away = True
    figures = recorder(book)
    for minute in range(MOST_KEPT + 5):
        figures.note(run(started=T0 + minute * 60_000), EventType.COMPLETED)
        if minute % 100 == 0:
            await figures.flush()
    await figures.flush()
    book.away = False
    await figures.flush()
    assert (len(book.written), figures.dropped) == (MOST_KEPT, 5)
    assert min(sample.at for _, sample in book.written) == T0 + 5 * 60_000


async def test_counting_an_attempt_costs_little() -> None:
    figures = recorder(Book())
    runs = [run(waited=number % 900) for number in range(1_000)]
    costs = []
    for _ in range(30):
        began = time.process_time()
        for one in runs:
            figures.note(one, EventType.COMPLETED)
        costs.append((time.process_time() - began) / len(runs))
    assert min(costs) < 20e-6  # 0.8 µs on a machine of its own; a slow one with others on it gets room


# -- in a worker -------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-70")
async def test_what_a_worker_did_is_in_the_store_when_it_has_stopped(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0)

    @queue.job("good")
    async def good(ctx: JobContext) -> None:
        if ctx.fence == 1:
            raise Snooze(0)

    @queue.job("bad")
    async def bad(ctx: JobContext) -> None:
        raise ValueError("no")

    await good.add_bulk([None] * 3)
    await bad.add_bulk([None] * 2)
    await work_off(app)
    live = await app.open_queue("work")
    for tier in ("minute", "hour", "day"):
        by_name = Figures.by_name(await live.series(tier))
        assert {name: (one.completed, one.failed, one.retried) for name, one in by_name.items()} == {
            "good": (3, 0, 0), "bad": (0, 2, 2),
        }  # fmt: skip
        assert (by_name["good"].run.count, by_name["bad"].run.count) == (3, 4)
    assert [one.name for one in await live.series("day", names=["bad"])] == ["bad"]


async def test_a_worker_records_how_its_queues_stand(app: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "EVERY", 0.01)
    queue = app.queue("mail", concurrency=1)

    @queue.job("slow")
    async def slow() -> None:
        await asyncio.sleep(GUARD)

    await slow.add_bulk([None] * 3)
    storage = await app.open()
    async with asyncio.timeout(GUARD), working(app, shutdown_timeout=0):
        while not (points := (await Monitor(storage).levels("mail")).points):
            continue
    assert points[0].waiting + points[0].busy == 3


async def test_the_figures_of_two_workers_add_up(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("good")
    async def good(ctx: JobContext) -> None:
        return None

    for _ in range(2):
        await good.add_bulk([None] * 5)
        await work_off(app)
    assert Figures.of(await (await app.open_queue("work")).series("day")).completed == 10


async def test_a_stretch_of_time_may_be_asked_for() -> None:
    live = Corral("sqlite:///:memory:")
    live.queue("work")
    async with live:
        queue = await live.open_queue("work")
        await queue.storage.record("work", [Sample(at=T0, name="a", completed=1)], now=T0)
        await queue.storage.record("work", [Sample(at=T0 + 60_000, name="a", completed=2)], now=T0 + 60_000)
        seconds = T0 / 1000
        whole = await queue.series(since=seconds, until=seconds + 120)
        assert {at: one.completed for at, one in Figures.by_time(whole).items()} == {T0: 1, T0 + 60_000: 2}
        assert [one.completed for one in await queue.series(since=seconds + 60, until=seconds + 120)] == [2]
        assert [one.completed for one in await queue.series(since=seconds + 30, until=seconds + 60)] == [1]
        with pytest.raises(ConfigError, match="tier must be 'minute', 'hour' or 'day', not 'week'"):
            await queue.series("week")
