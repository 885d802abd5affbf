"""Rates and percentiles over a longer time: what is counted, what is worked out, and how much is asked."""

import pytest

from corral.errors import ConfigError
from corral.histogram import bucket_of
from corral.monitor.monitor import Monitor
from corral.outcome import Completed
from corral.storage.insight import Sample
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, T0, Clock, add, add_ids, new_job, run_through

HOUR = 60 * MINUTE


async def worked(storage: Storage, at: int, completed: int, *, queue: str = "mail", failed: int = 0) -> None:
    """What workers record about jobs that took 10 ms."""
    run = {bucket_of(10): completed + failed}
    sample = Sample(at=at, name="welcome", completed=completed, failed=failed, wait={3: completed}, run=run)
    await storage.record(queue, [sample], now=at)


async def test_a_window_counts_what_was_recorded_in_it(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    clock.tick(30 * HOUR + 25 * MINUTE)  # in the midst of an hour: the day begins with minutes
    now = clock.now
    for ago, count in ((5 * MINUTE, 1), (40 * MINUTE, 10), (20 * HOUR, 100), (24 * HOUR - 2 * MINUTE, 1_000)):
        await worked(storage, now - ago, count, failed=count)
    await worked(storage, now - 24 * HOUR - 2 * MINUTE, 50_000)
    for window, count in ((15 * MINUTE, 1), (HOUR, 11), (24 * HOUR, 1_111)):
        found = await monitor.figures(window)
        assert (found.rates.completed, found.rates.failed, found.rates.window_ms) == (count, count, window)
        assert (found.wait.count, found.run.count, found.complete) == (count, 2 * count, True)
        assert (found.rates.source, found.rates.failure_share) == ("metrics", 0.5)
        assert found.rates.per_second == round(2 * count * 1000 / window, 4)


async def test_queues_are_added_up_as_far_as_they_may_be_seen(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    for queue, count in (("mail", 3), ("sync", 5)):
        await add(storage, new_job("x", queue=queue))
        await run_through(storage, Completed(), queue=queue)
        await worked(storage, T0, count, queue=queue)
    clock.tick(MINUTE)
    assert (await monitor.figures(HOUR)).rates.completed == 8
    assert (await monitor.figures(HOUR, visible=("s*",))).rates.completed == 5
    assert (await monitor.figures(HOUR, visible=("no*",))).rates.source == "none"


async def test_rates_of_a_queue_whose_workers_record_nothing_are_worked_out(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a", "b")
    for _ in range(2):
        await run_through(storage, Completed())
    clock.tick(40 * MINUTE)
    found = await monitor.figures(HOUR)
    assert (found.rates.completed, found.rates.source, found.run.count) == (2, "sample", 0)
    assert (await monitor.figures(15 * MINUTE)).rates.source == "none"


async def test_what_cannot_all_be_asked_in_time_is_not_called_complete(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    for number in range(25):
        await add(storage, new_job("x", queue=f"q{number}"))
        await run_through(storage, Completed(), queue=f"q{number}")
    hands = iter(range(100))
    monitor.seconds = lambda: float(next(hands))  # a second passes with each look at the clock
    assert not (await monitor.figures(HOUR)).complete


async def test_a_window_that_is_over_counts_its_own_minutes_and_is_read_once_a_minute(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    clock.tick(30 * HOUR + 30_000)  # in the midst of a minute
    now = clock.now
    day = 24 * HOUR
    for ago, count in ((MINUTE, 7), (day - MINUTE, 500), (day, 40), (day + MINUTE, 2), (day + 14 * MINUTE, 26),
                       (day + 16 * MINUTE, 900)):  # fmt: skip
        await worked(storage, now - ago, count)
    found = await monitor.figures(15 * MINUTE, ago_ms=day)
    assert (found.rates.completed, found.rates.window_ms, found.wait.count) == (28, 15 * MINUTE, 28)
    assert found.rates.per_second == round(28 / (14 * 60), 4)  # fourteen whole minutes
    await worked(storage, now - day - MINUTE, 1_000)
    assert (await monitor.figures(15 * MINUTE, ago_ms=day)).rates.completed == 28
    assert (await monitor.figures(15 * MINUTE)).rates.completed == 7
    clock.tick(MINUTE)
    assert (await monitor.figures(15 * MINUTE, ago_ms=day)).rates.completed == 1_042


async def test_a_day_that_is_over_ends_in_the_midst_of_an_hour(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    clock.tick(60 * HOUR + 20 * MINUTE)
    for ago, count in ((24 * HOUR - MINUTE, 100), (24 * HOUR + MINUTE, 1), (24 * HOUR + 30 * MINUTE, 2),
                       (47 * HOUR, 4)):  # fmt: skip
        await worked(storage, clock.now - ago, count)
    assert (await monitor.figures(24 * HOUR, ago_ms=24 * HOUR)).rates.completed == 7


@pytest.mark.parametrize("ago", [-1, 47 * HOUR + 1])
async def test_a_window_longer_ago_than_minutes_are_kept_is_refused(monitor: Monitor, ago: int) -> None:
    with pytest.raises(ConfigError, match="cannot end"):
        await monitor.figures(HOUR, ago_ms=ago)


async def test_trends_count_what_ended_hour_by_hour_and_read_only_what_may_have_grown(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    await add(storage, new_job("x", queue="never"))
    clock.tick(30 * HOUR)
    now = clock.now
    for ago, count in ((0, 1), (HOUR, 2), (23 * HOUR, 3), (25 * HOUR, 4)):
        await worked(storage, now - ago, count, failed=count)

    async def trends() -> dict[str, tuple[int, ...]]:
        monitor.forget()
        return dict(await monitor.trends((await monitor.overview()).queues))

    assert await trends() == {"mail": (6, *[0] * 21, 4, 2)}
    await worked(storage, now, 10)
    await worked(storage, now - 5 * HOUR, 10)  # nobody writes so late
    assert await trends() == {"mail": (6, *[0] * 21, 4, 2)}
    clock.tick(6 * MINUTE)
    assert (await trends())["mail"][-1] == 12
    clock.tick(HOUR)
    assert await trends() == {"mail": (*[0] * 21, 4, 12, 0)}


async def test_a_trend_begins_soon_after_the_first_figures(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    assert await monitor.trends((await monitor.overview()).queues) == {}  # workers write every ten seconds
    clock.tick(11_000)
    await worked(storage, T0, 1)
    assert (await monitor.trends((await monitor.overview()).queues))["mail"][-1] == 1


@pytest.mark.parametrize("window", [0, 59_999, 48 * HOUR + 1])
async def test_a_window_beyond_what_is_kept_is_refused(monitor: Monitor, window: int) -> None:
    with pytest.raises(ConfigError, match="a minute to two days"):
        await monitor.figures(window)
