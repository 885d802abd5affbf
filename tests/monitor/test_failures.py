"""Kinds of failures as they are shown."""

import pytest

from corral.errors import ConfigError
from corral.monitor.monitor import Monitor
from corral.outcome import Failed, Failure, Retried
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, SECOND, T0, Clock, add_ids, end, run_through, start_one

TIMEOUT = Failure("9f31c2", "TimeoutError", "timed out after «n» s")
REFUSED = Failure("a02b77", "ValueError", "amount is «n»")


@pytest.fixture
async def failed(storage: Storage, clock: Clock) -> None:
    """Three timeouts a minute apart, one of them retried before, and then a refusal."""
    await add_ids(storage, "t0", "t1", "t2", "r0")
    run = await start_one(storage)
    await end(storage, run, Retried(after_ms=0, reason="timed out after 1 s", failure=TIMEOUT))
    for _ in range(3):
        await run_through(storage, Failed(reason="timed out after 5 s", failure=TIMEOUT), now=clock.tick(MINUTE))
    await run_through(storage, Failed(reason="amount is 7", failure=REFUSED), now=clock.tick(MINUTE))
    clock.tick(SECOND)


async def test_kinds_come_latest_first_with_their_trend(monitor: Monitor, failed: None) -> None:
    told = await monitor.failures(window=12 * 60)
    assert [(row.group.fingerprint, row.group.jobs, row.recent) for row in told.items] == [
        ("a02b77", 1, 1),
        ("9f31c2", 3, 3),
    ]
    assert told.items[1].group.attempts == 4
    assert told.items[1].trend == (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0)
    assert (told.total, told.examined, told.complete) == (2, 4, True)


async def test_a_window_leaves_out_what_is_older(monitor: Monitor, failed: None) -> None:
    told = await monitor.failures(window=30)
    assert [row.group.fingerprint for row in told.items] == ["a02b77"]


async def test_one_queue_is_asked_for(monitor: Monitor, storage: Storage, failed: None) -> None:
    await add_ids(storage, "x", queue="sync")
    await run_through(storage, Failed(reason="no", failure=REFUSED), queue="sync")
    assert {row.queue for row in (await monitor.failures(queue=QUEUE)).items} == {QUEUE}
    assert {row.queue for row in (await monitor.failures()).items} == {QUEUE, "sync"}


async def test_one_kind_comes_with_its_newest_jobs(monitor: Monitor, failed: None) -> None:
    told = await monitor.failure(QUEUE, "9f31c2", newest=2)
    assert len(told.newest) == 2
    assert (told.newest[0].reason, told.failure.recent, told.complete) == ("timed out after 5 s", 3, True)


async def test_a_kind_that_is_not_there_is_an_error(monitor: Monitor, failed: None) -> None:
    with pytest.raises(ConfigError, match="no failures of kind 'nope'"):
        await monitor.failure(QUEUE, "nope")


async def test_failures_that_nobody_sorted_are_sorted_by_their_reasons(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a", "b", "c")
    for reason in ("connect to 10.0.0.1 failed", "connect to 10.0.0.2 failed", "out of paper"):
        await run_through(storage, Failed(reason=reason), now=clock.tick())
    told = await monitor.failures()
    assert [(row.group.last_job_id, row.group.jobs) for row in told.items] == [("c", 1), ("b", 2)]
    again = await monitor.failure(QUEUE, told.items[1].group.fingerprint)
    assert [row.id for row in again.newest] == ["b", "a"]
    assert again.failure.group.first_at == T0 + 1
