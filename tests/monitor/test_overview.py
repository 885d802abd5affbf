"""The overview and its queues: numbers, rates, percentiles, what wants attention, and how often the store is asked."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from corral.errors import ConfigError, QueueNotFoundError
from corral.histogram import bucket_of
from corral.job import JobState
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Limit, Overview, Totals
from corral.options import GroupLimits, Hold, Keep, QueueSettings, RateLimit
from corral.outcome import Completed, Failed
from corral.schedule import Every, Schedule
from corral.storage.insight import Sample
from corral.storage.passing import Passing
from corral.storage.port import QueueInfo, Storage
from corral.storage.records import Entry, EntryChange
from corral.timing import Millis
from tests.storage.helpers import (
    MINUTE,
    SECOND,
    T0,
    Clock,
    add,
    add_ids,
    beat,
    end,
    new_job,
    run_through,
    start,
    start_one,
)


class Counting(Passing):
    """A store that counts how often it is asked for its queues."""

    asked = 0

    async def queues(self) -> list[QueueInfo]:
        self.asked += 1
        return await self.inner.queues()


async def test_an_empty_store_has_an_overview(monitor: Monitor) -> None:
    overview = await monitor.overview()
    assert (overview.totals, overview.queues, overview.attention) == (Totals(), (), ())
    assert (overview.rates.source, overview.oldest_waiting_ms) == ("none", None)


async def test_totals_are_those_of_all_queues(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a", "b", "c")
    await add(storage, new_job("d", queue="sync"), new_job("e", queue="sync", delay_ms=MINUTE))
    await run_through(storage, Completed())
    await start_one(storage)
    clock.tick(2 * SECOND)
    overview = await monitor.overview()
    assert overview.totals == Totals(waiting=2, active=1, delayed=1, completed=1, completed_total=1)
    assert (overview.oldest_waiting_ms, overview.at) == (2 * SECOND, T0 + 2 * SECOND)
    assert {row.name: (row.waiting, row.active) for row in overview.queues} == {"mail": (1, 1), "sync": (1, 0)}


async def test_rates_are_what_the_store_counted(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    for outcome in (Completed(), Completed(), Failed(reason="no"), Completed()):
        run = await start_one(storage)
        await end(storage, run, outcome, now=clock.tick(100))
    clock.tick(MINUTE)
    row = await monitor.row("mail")
    assert (row.rates.completed, row.rates.failed, row.rates.source, row.rates.exact) == (3, 1, "metrics", True)
    assert (row.rates.failure_share, row.rates.per_second) == (0.25, round(4 / 900, 4))
    assert (row.run.count, row.run.mean) == (4, 250.0)


async def test_percentiles_are_what_workers_recorded(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed())
    run = {bucket_of(10): 94, bucket_of(5_000): 6}
    await storage.record("mail", [Sample(at=T0, name="welcome", completed=100, wait={3: 100}, run=run)], now=T0)
    overview = await monitor.overview()
    assert (overview.run.p50, overview.wait.p99, overview.run.count) == (10.0, 3.0, 100)
    assert overview.run.p95 == pytest.approx(5_000, rel=0.07)
    assert (overview.spreads_of, overview.worked) == (1, 1)
    assert overview.queues[0].run == overview.run
    # a minute later some more has been recorded, and what is old is forgotten in time
    await storage.record("mail", [Sample(at=T0, name="welcome", completed=50, run={bucket_of(10): 50})], now=T0)
    clock.tick(MINUTE)
    assert (await monitor.overview()).run.count == 150
    clock.tick(20 * MINUTE)
    assert (await monitor.overview()).run.count == 0


async def test_a_snapshot_is_shared_for_a_second(storage: Storage, clock: Clock) -> None:
    store = Counting(storage)
    monitor = Monitor(store, clock=lambda: clock.now)
    await asyncio.gather(*(monitor.overview() for _ in range(20)))
    clock.tick(999)
    await monitor.queues()
    assert store.asked == 1
    clock.tick(1)
    await monitor.overview()
    assert store.asked == 2


async def test_workers_slots_and_busy_ones_are_counted_while_they_live(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, "a")
    await storage.heartbeat(beat("w-1", slots=4, running=1), [], lease_ms=15_000, now=T0)
    await storage.heartbeat(beat("w-2", slots=3, queues=("other",)), [], lease_ms=15_000, now=T0)
    overview = await monitor.overview()
    assert (overview.workers, overview.slots, overview.busy) == (2, 7, 1)
    assert ((await monitor.row("mail")).workers, (await monitor.row("mail")).slots) == (1, 4)
    clock.tick(31 * SECOND)
    assert (await monitor.overview()).workers == 0


async def test_what_wants_attention_is_told_once_and_since_when(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await storage.add([new_job(queue="bulk") for _ in range(1_001)], now=T0)
    await storage.configure("quiet", QueueSettings(concurrency=1), now=T0)
    overview = await monitor.overview()
    assert [one.id for one in overview.attention] == ["no-worker/bulk", "waiting/bulk"]
    assert [(row.name, row.attention) for row in overview.queues] == [("bulk", 3), ("quiet", 0)]
    clock.tick(30 * SECOND)
    assert {one.rule: one.since for one in await monitor.attention(queue="bulk")} == {"no-worker": T0, "waiting": T0}
    assert await monitor.attention(queue="quiet") == ()


async def test_an_overdue_schedule_wants_attention(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    schedule = Schedule(key="sync", queue="mail", name="x", timing=Every(60), anchor_at=T0, next_at=T0)
    await storage.put_schedules([schedule], now=T0)
    clock.tick(5 * MINUTE)
    overview = await monitor.overview()
    assert (overview.schedules, overview.overdue) == (1, 1)
    assert [one.id for one in overview.attention] == ["schedule-overdue/mail/sync"]


async def test_how_fast_a_backlog_grows_is_known_after_half_a_minute(
    monitor: Monitor, storage: Storage, clock: Clock
) -> None:
    await add_ids(storage, *(f"a{n}" for n in range(20)))
    assert (await monitor.row("mail")).grows_per_minute is None
    clock.tick(MINUTE)
    await add_ids(storage, *(f"b{n}" for n in range(10)))
    assert (await monitor.row("mail")).grows_per_minute == 10.0
    await start(storage, 25)
    clock.tick(MINUTE)
    row = await monitor.row("mail")
    assert (row.grows_per_minute, row.empty_in_ms) == (-7.5, 40 * SECOND)


async def test_queues_are_matched_and_sorted(monitor: Monitor, storage: Storage) -> None:
    await add(storage, *(new_job(queue=queue) for queue in ("mail-b", "mail-a", "sync", "sync")))
    assert [row.name for row in (await monitor.queues("mail*", sort="name")).items] == ["mail-a", "mail-b"]
    assert [row.name for row in (await monitor.queues(sort="waiting")).items] == ["sync", "mail-a", "mail-b"]
    page = await monitor.queues(start=1, limit=1, sort="name")
    assert ([row.name for row in page.items], page.total) == (["mail-b"], 3)
    with pytest.raises(ConfigError, match="sorted by"):
        await monitor.queues(sort="colour")


async def test_one_queue_is_told_with_its_settings(monitor: Monitor, storage: Storage) -> None:
    settings = QueueSettings(
        concurrency=7, rate_limit=RateLimit(10, 1), more_limits=(RateLimit(100, 60),), add_limit=RateLimit(5, 2),
        name_concurrency={"big": 1}, name_limits={"big": (RateLimit(1, 60),)}, keep_failed=Keep(age=60, count=9),
        group_limits=GroupLimits(concurrency=2, rate_limits=(RateLimit(3, 1),), max_size=50),
        hold=Hold(for_ms=5_000, reason="429"),
    )  # fmt: skip
    await storage.configure("mail", settings, now=T0)
    jobs = [new_job(priority=1), new_job(), new_job(), new_job(priority=2_000_000), new_job(group="g")]
    await storage.add(jobs, now=T0)
    told = await monitor.queue("mail")
    assert (told.queue.state, told.queue.hold_reason, told.queue.held_until) == ("held", "429", T0 + 5_000)
    assert (told.queue.concurrency, told.queue.rate_limit) == (7, Limit(10, 1_000))
    assert (told.limits, told.add_limit) == ((Limit(100, 60_000),), Limit(5, 2_000))
    assert (told.name_concurrency, told.name_limits) == ({"big": 1}, {"big": (Limit(1, 60_000),)})
    assert (told.group_concurrency, told.group_max_size, told.group_limits) == (2, 50, (Limit(3, 1_000),))
    assert (told.groups.total, told.groups.waiting, told.groups.complete) == (1, 1, True)
    assert (told.priorities, told.priorities_complete) == ({1: 1, 0: 2, 2_000_000: 1}, True)
    assert told.keep_failed is not None
    assert (told.keep_failed.count, told.keep_failed.age_ms) == (9, 60_000)


async def test_a_queue_that_is_not_there_is_an_error(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, "a")
    with pytest.raises(QueueNotFoundError, match="did you mean 'mail'"):
        await monitor.queue("mial")


async def test_autoscale_numbers_come_from_the_same_row(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    assert (await monitor.autoscale("mail", target=30)).desired_workers == 1


async def test_an_overview_is_ready_for_json(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await run_through(storage, Completed())
    overview = await monitor.overview()
    assert msgspec.json.decode(msgspec.json.encode(overview), type=Overview) == overview


async def test_a_paused_queue_says_why(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.configure("mail", QueueSettings(paused=True, pause_reason="migration"), now=T0)
    row = await monitor.row("mail")
    assert (row.state, row.pause_reason, row.paused_jobs) == ("paused", "migration", 1)
    assert (await monitor.jobs(states=[JobState.WAITING])).total == 1


class Reading(Passing):
    """A store that notes which kinds of entries it is asked for."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.kinds: list[str] = []

    async def entries(
        self, kind: str, *, ids: Sequence[str] | None = None, after: str | None = None, before: str | None = None,
        limit: int = 100, newest_first: bool = True, now: Millis | None = None,
    ) -> list[Entry]:  # fmt: skip
        self.kinds.append(kind)
        return await self.inner.entries(
            kind, ids=ids, after=after, before=before, limit=limit, newest_first=newest_first, now=now
        )


async def test_what_is_said_about_queues_is_asked_for_once(storage: Storage, clock: Clock) -> None:
    await add(storage, *(new_job("a", queue=f"q{number}") for number in range(5)))
    said = [EntryChange(id=f"q{number}", text=f'{{"slo_ms":{number + 1}}}') for number in range(4)]
    await storage.write_entries("about", [*said, EntryChange(id="q4", text="of another version")], now=T0)
    reading = Reading(storage)
    rows = (await Monitor(reading, clock=lambda: clock.now).queues(sort="name")).items
    assert [row.slo_ms for row in rows] == [1, 2, 3, 4, None]
    assert reading.kinds == ["about", "index"]
