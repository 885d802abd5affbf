"""How queues stood over time: written down once a minute by whoever looks first, and read as charts."""

from collections.abc import Sequence

import msgspec
import pytest
from msgspec.structs import replace

from corral.errors import ConfigError
from corral.gauges import DAY, HOUR, HOURS, KEPT, MINUTE, MINUTES, Gauge, Gauges, over_hour, read
from corral.monitor.levels import levels
from corral.monitor.monitor import Monitor
from corral.outcome import Completed
from corral.storage.passing import Passing
from corral.storage.port import QueueCounts, Selection, Storage
from corral.storage.records import Entry
from tests.storage.helpers import QUEUE, T0, Clock, add, new_job, run_through, start_one

START = T0 - T0 % DAY + 5 * HOUR  #: a full hour


@pytest.fixture
def clock() -> Clock:
    """The time of the test; it moves only when told to."""
    made = Clock()
    made.now = START
    return made


@pytest.fixture
def gauges(storage: Storage, clock: Clock) -> Gauges:
    """Somebody who looks at the queue."""
    return looker(storage, clock)


def looker(storage: Storage, clock: Clock, *queues: str) -> Gauges:
    return Gauges(storage, queues or (QUEUE,), clock=lambda: clock.now, store_now=lambda: clock.now)


async def test_each_minute_shows_what_waits_for_how_long_what_runs_and_what_came(
    storage: Storage, monitor: Monitor, gauges: Gauges, clock: Clock
) -> None:
    await gauges()
    clock.now += MINUTE
    await add(storage, *[new_job() for _ in range(5)], now=clock.now - 10_000)
    await start_one(storage, now=clock.now)
    await gauges()
    clock.now += MINUTE
    await add(storage, new_job(), now=clock.now)
    await run_through(storage, Completed(), now=clock.now)
    await gauges()
    found = await monitor.levels(QUEUE, since=START)
    told = [((one.at - START) // MINUTE, one.waiting, one.oldest_ms, one.busy, one.added) for one in found.points]
    assert told == [(0, 0, 0, 0, None), (1, 4, 10_000, 1, 5), (2, 4, 70_000, 1, 1)]
    assert found.complete


async def test_whoever_looks_first_in_a_minute_writes_and_nobody_twice(
    storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    first, second = looker(storage, clock), looker(storage, clock)
    await add(storage, new_job(), now=clock.now)
    await first()
    await add(storage, new_job(), now=clock.now)
    await second()
    clock.now += MINUTE - 1
    await first()
    [point] = (await monitor.levels(QUEUE, since=START)).points
    assert point.waiting == 1


class Counting(Passing):
    """A store that counts how often it is asked for counts."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.asked = 0

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        self.asked += 1
        return await self.inner.counts(queues)


async def test_looking_costs_nothing_where_somebody_has_looked(storage: Storage, clock: Clock) -> None:
    counting = Counting(storage)
    await looker(counting, clock)()
    await looker(counting, clock)()
    assert counting.asked == 1


async def test_when_two_look_in_the_same_moment_one_of_them_writes(
    storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    await looker(storage, clock)()
    clock.now += MINUTE

    class Slow(Passing):
        async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
            await looker(storage, clock)()  # the other one, in between
            return await self.inner.counts(queues)

    await add(storage, new_job(), now=clock.now)
    await looker(Slow(storage), clock)()
    found = await monitor.levels(QUEUE, since=START)
    assert [(one.at - START) // MINUTE for one in found.points] == [0, 1]


async def test_hours_are_made_of_minutes_and_outlive_them(
    storage: Storage, monitor: Monitor, gauges: Gauges, clock: Clock
) -> None:
    for hour in range(3):
        for minute in (0, 30):
            clock.now = START + hour * HOUR + minute * MINUTE
            await add(storage, new_job(), now=clock.now)
            await gauges()
    found = await monitor.levels(QUEUE, since=START, step_ms=HOUR)
    assert [((one.at - START) // HOUR, one.waiting, one.added) for one in found.points] == [
        (0, 2, None), (1, 4, 2), (2, 6, 2),
    ]  # fmt: skip
    clock.now = START + KEPT[MINUTES] + 12 * HOUR
    kept = (await monitor.levels(QUEUE, since=START, step_ms=HOUR)).points
    assert [(one.at - START) // HOUR for one in kept] == [0, 1], "the last hour ended without anybody to see it"
    await gauges()
    clock.now = START + KEPT[HOURS] + 2 * DAY
    assert (await monitor.levels(QUEUE, step_ms=DAY)).points == ()


async def test_an_hour_that_ended_while_nobody_was_there_is_made_a_point_later(
    storage: Storage, monitor: Monitor, gauges: Gauges, clock: Clock
) -> None:
    await add(storage, new_job(), now=clock.now)
    await gauges()
    clock.now += 3 * HOUR
    await looker(storage, clock)()
    clock.now += KEPT[MINUTES] + HOUR
    found = await monitor.levels(QUEUE, since=START, step_ms=HOUR)
    assert [((one.at - START) // HOUR, one.waiting) for one in found.points] == [(0, 1)]


async def test_all_queues_together_are_those_that_somebody_sees(
    storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    await add(storage, new_job(queue="mail"), now=clock.now)
    await add(storage, new_job(queue="mail-bulk"), new_job(queue="secret"), now=clock.now)
    await looker(storage, clock, "mail", "mail-bulk", "secret")()
    [point] = (await monitor.levels(since=START)).points
    assert point.waiting == 3
    [point] = (await monitor.levels(since=START, visible=("mail*",))).points
    assert point.waiting == 2


async def test_a_queue_that_was_obliterated_counts_from_nothing(
    storage: Storage, monitor: Monitor, gauges: Gauges, clock: Clock
) -> None:
    await add(storage, *[new_job() for _ in range(5)], now=clock.now)
    await gauges()
    clock.now += MINUTE
    await storage.remove(QUEUE, Selection(ids=("1", "2", "3", "4", "5")))
    await storage.obliterate(QUEUE)
    await add(storage, new_job(), new_job(), now=clock.now)
    await gauges()
    found = await monitor.levels(QUEUE, since=START)
    assert found.points[-1].added == 2


def test_nobody_knows_when_jobs_came_that_came_in_a_long_silence() -> None:
    def at(minute: int, added: int) -> Gauge:
        return Gauge(at=START + minute * MINUTE, waiting=0, oldest_ms=0, busy=0, added=added)

    points = {QUEUE: [at(0, 10), at(5, 15), at(60, 99), at(61, 100)]}
    assert [one.added for one in levels(points, START, MINUTE)] == [None, 5, None, 1]
    assert [one.added for one in levels(points, START, HOUR)] == [5, 85], "an hour is long enough to say"


def test_an_hour_has_the_most_that_waited_and_the_mean_of_what_ran() -> None:
    points = [Gauge(START, 1, 500, 2, 10), Gauge(START + MINUTE, 7, 100, 5, 12)]
    assert over_hour(points) == Gauge(START, 7, 500, 3.5, 12)


def test_a_record_that_another_version_has_written_has_no_points() -> None:
    entry = Entry(id="q/1", text='{"later": 1}', version=1, at=T0)
    assert read(entry) == []
    point = Gauge(START, 1, 2, 3, 4)
    assert read(replace(entry, text=msgspec.json.encode([point]).decode())) == [point]


async def test_a_step_that_is_no_multiple_of_a_minute_is_refused(monitor: Monitor) -> None:
    with pytest.raises(ConfigError, match="multiple of 60000"):
        await monitor.levels(step_ms=90_500)


async def test_nothing_is_kept_of_a_queue_whose_name_is_too_long_for_a_record(storage: Storage, clock: Clock) -> None:
    await looker(storage, clock, "q" * 190)()
    assert await storage.entries(MINUTES, now=clock.now) == []
