"""configure and queues: what a queue is told to do, and how it stands."""

from corral.event import EventType
from corral.options import Keep, QueueSettings, RateLimit
from corral.storage.port import QueueInfo, Storage

from .helpers import QUEUE, T0, Tape, add_ids, new_job, served, start_one, tally


async def test_configuring_creates_the_queue_and_answers_how_it_stands(storage: Storage) -> None:
    settings = QueueSettings(
        paused=True,
        pause_reason="provider down",
        rate_limit=RateLimit(10, per=2.5),
        concurrency=4,
        name_concurrency={"slow": 1},
        keep_completed=Keep(age=60, count=5),
        keep_failed=Keep(count=9),
    )
    info = await storage.configure(QUEUE, settings, now=T0)
    assert info == QueueInfo(
        name=QUEUE,
        paused=True,
        pause_reason="provider down",
        rate_limit=RateLimit(10, per=2.5),
        concurrency=4,
        name_concurrency={"slow": 1},
        keep_completed=Keep(age=60, count=5),
        keep_failed=Keep(count=9),
    )
    assert await storage.queues() == [info]


async def test_what_is_not_said_stays(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=4, rate_limit=RateLimit(1), keep_failed=Keep(count=1)))
    info = await storage.configure(QUEUE, QueueSettings(name_concurrency={"a": 2}))
    assert (info.concurrency, info.rate_limit, info.keep_failed) == (4, RateLimit(1), Keep(count=1))
    assert info.name_concurrency == {"a": 2}
    assert await storage.configure(QUEUE, QueueSettings()) == info


async def test_caps_and_limits_are_lifted_by_none(storage: Storage) -> None:
    await storage.configure(
        QUEUE, QueueSettings(concurrency=1, rate_limit=RateLimit(1, per=60), name_concurrency={"welcome": 1}), now=T0
    )
    await add_ids(storage, "a", "b", "c")
    await start_one(storage)
    assert await served(storage) == []
    lifted = QueueSettings(concurrency=None, rate_limit=None, name_concurrency={})
    info = await storage.configure(QUEUE, lifted, now=T0)
    assert (info.concurrency, info.rate_limit, info.name_concurrency) == (None, None, {})
    assert await served(storage) == ["b", "c"]


async def test_a_table_of_names_replaces_the_one_before(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"a": 1, "b": 2}))
    info = await storage.configure(QUEUE, QueueSettings(name_concurrency={"c": 3}))
    assert info.name_concurrency == {"c": 3}


async def test_pausing_and_resuming_are_told(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await tape.events()
    assert (await storage.configure(QUEUE, QueueSettings(paused=True), now=T0 + 1)).paused
    assert await tape.told() == [(EventType.PAUSED, None)]
    assert (await tally(storage)).paused == 1
    assert not (await storage.configure(QUEUE, QueueSettings(paused=False), now=T0 + 2)).paused
    assert await tape.told() == [(EventType.RESUMED, None)]
    assert (await tally(storage)).paused == 0


async def test_a_paused_queue_counts_what_is_added_to_it(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    await storage.add([new_job(), new_job(delay_ms=99)], now=T0)
    counts = await tally(storage)
    assert (counts.waiting, counts.paused, counts.delayed) == (1, 1, 1)


async def test_other_settings_are_not_told_as_pauses(storage: Storage, tape: Tape) -> None:
    await storage.configure(QUEUE, QueueSettings(concurrency=3), now=T0)
    kinds = await tape.kinds()
    assert EventType.PAUSED not in kinds
    assert EventType.RESUMED not in kinds


async def test_a_lower_cap_counts_what_already_runs(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await served(storage, 2)
    await storage.configure(QUEUE, QueueSettings(concurrency=2), now=T0)
    assert await served(storage) == []


async def test_a_table_set_later_counts_what_already_runs(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await served(storage, 2)
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"welcome": 3}), now=T0)
    assert await served(storage) == ["c"]


async def test_queues_are_listed_by_name(storage: Storage) -> None:
    assert await storage.queues() == []
    await storage.add([new_job(queue="b"), new_job(queue="a")], now=T0)
    await storage.configure("c", QueueSettings(paused=True), now=T0)
    assert [(info.name, info.paused) for info in await storage.queues()] == [("a", False), ("b", False), ("c", True)]


async def test_settings_are_seen_through_every_handle(storage: Storage) -> None:
    await add_ids(storage, "a")
    async with storage.sibling() as other:
        await other.configure(QUEUE, QueueSettings(paused=True), now=T0)
        assert await served(storage) == []
        assert await storage.queues() == await other.queues()
