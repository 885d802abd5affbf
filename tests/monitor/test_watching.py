"""Findings about jobs that run too long, and about a server that throws jobs away."""

import pytest
from msgspec.structs import replace

from corral.histogram import bucket_of
from corral.monitor.index import KIND, Coverage, coverage_change
from corral.monitor.memory import Memory
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Finding, QueueRow, Rates, Spread
from corral.monitor.rules import attention
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.outcome import Completed
from corral.storage.insight import Engine, Sample
from corral.storage.passing import Passing
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, SECOND, T0, Clock, add_ids, end, run_through, start_one

USUAL = Spread(20, 5_000.0, 4_000.0, 9_000.0, 10_000.0)
ROW = QueueRow(name="mail", state="active", rates=Rates(window_ms=15 * MINUTE), active=1, workers=1, run=USUAL)


def of(row: QueueRow, thresholds: Thresholds = DEFAULTS) -> list[Finding]:
    return list(attention([row], [], [], now=T0, thresholds=thresholds))


def about(memory: Memory, thresholds: Thresholds = DEFAULTS) -> list[tuple[str, str]]:
    found = attention([], [], [], now=T0, thresholds=thresholds, memory=memory)
    return [(one.rule, one.severity) for one in found]


def test_a_job_that_takes_ten_times_as_long_as_its_like_wants_attention() -> None:
    [found] = of(replace(ROW, oldest_active_ms=100_001))
    assert (found.rule, found.severity, found.since, found.threshold) == ("slow", "warning", T0 - 100_001, 100_000)
    assert found.message == "mail: a job has run for 1.67 min; 99 % of its jobs take at most 10 s"


@pytest.mark.parametrize(
    "row",
    [
        replace(ROW, oldest_active_ms=100_000),
        replace(ROW, oldest_active_ms=None),
        replace(ROW, oldest_active_ms=60_000, run=replace(USUAL, p99=1.0)),
        replace(ROW, oldest_active_ms=900_000, run=replace(USUAL, count=19)),
        replace(ROW, oldest_active_ms=900_000, run=Spread(20, 5.0)),
    ],
)
def test_what_nobody_can_tell_is_no_news(row: QueueRow) -> None:
    assert of(row) == []


@pytest.mark.parametrize("off", [Thresholds(slow_factor=None), Thresholds(slow_ms=None)])
def test_the_rule_of_slow_jobs_can_be_turned_off(off: Thresholds) -> None:
    assert of(replace(ROW, oldest_active_ms=900_000), off) == []


def test_an_index_that_is_a_week_old_is_worth_a_note() -> None:
    week = 7 * 24 * 60 * MINUTE
    [found] = of(replace(ROW, index_age_ms=week + 1))
    assert (found.rule, found.severity, found.message.partition(" ago")[0]) == (
        "index",
        "note",
        "mail: the index of tags and traces was made 7 d",
    )
    assert of(replace(ROW, index_age_ms=week)) == of(ROW) == []
    assert of(replace(ROW, index_age_ms=2 * week), Thresholds(index_ms=None)) == []


async def test_an_index_is_as_old_as_its_record_says(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await storage.write_entries(KIND, [coverage_change("mail", Coverage(made="x", at=T0 - MINUTE))], now=T0)
    [row] = (await monitor.overview()).queues
    assert row.index_age_ms == MINUTE


def test_a_server_that_throws_jobs_away_wants_attention() -> None:
    assert about(Memory(policy="allkeys-lru", limit_bytes=9)) == [("eviction-policy", "critical")]
    assert about(Memory(policy="allkeys-lru", limit_bytes=9, evicted=3, over_ms=MINUTE)) == [("evictions", "critical")]
    assert about(Memory(policy="allkeys-lru")) == about(Memory(policy="noeviction", limit_bytes=9)) == []
    assert about(Memory()) == about(Memory(evicted=3), Thresholds(evictions=None)) == []


async def test_the_oldest_running_job_is_measured_by_what_was_recorded(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, *(f"job-{n}" for n in range(22)))
    for _ in range(20):
        await run_through(storage, Completed())
    await storage.record(
        "mail", [Sample(at=T0, name="welcome", completed=20, run={bucket_of(1_000): 20}, wait={bucket_of(1): 20})],
        now=T0,
    )  # fmt: skip
    first = await start_one(storage, lease_ms=10 * MINUTE)
    clock.tick(30 * SECOND)
    await start_one(storage, now=clock.now, lease_ms=10 * MINUTE)
    [row] = (await monitor.overview()).queues
    assert row.oldest_active_ms == 30 * SECOND
    clock.tick(40 * SECOND)
    assert "slow" in [one.rule for one in await monitor.attention()]
    await end(storage, first, Completed(), now=clock.now)
    clock.tick(11 * SECOND)
    assert "slow" not in [one.rule for one in await monitor.attention()]


class Full(Passing):
    """A server whose memory is full."""

    evicted = 0

    async def engine(self) -> Engine:
        return Engine(kind="redis", evicted_keys=self.evicted, eviction_policy="volatile-lru", memory_limit_bytes=1)


async def test_keys_that_are_thrown_away_are_noticed_for_an_hour(storage: Storage, clock: Clock) -> None:
    full = Full(storage)
    full.evicted = 7
    monitor = Monitor(full, clock=lambda: clock.now)
    assert [one.rule for one in await monitor.attention()] == ["eviction-policy"]
    full.evicted = 12
    clock.tick(2 * MINUTE)
    [found] = await monitor.attention()
    assert (found.rule, found.value) == ("evictions", 5)
    for _ in range(60):
        clock.tick(MINUTE)
        await monitor.attention()
    clock.tick(MINUTE)
    assert [one.rule for one in await monitor.attention()] == ["eviction-policy"]
