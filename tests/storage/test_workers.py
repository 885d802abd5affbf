"""workers: who was seen lately."""

from corral.storage.port import Storage

from .helpers import LEASE, QUEUE, T0, beat


async def test_a_worker_is_shown_as_it_presents_itself(storage: Storage) -> None:
    info = beat("anna", queues=(QUEUE, "other"), slots=8, running=3, version="1.2", pid=99, seen_at=5)
    await storage.heartbeat(info, [], lease_ms=LEASE, now=T0 + 7)
    [worker] = await storage.workers(now=T0 + 8)
    assert worker == beat("anna", queues=(QUEUE, "other"), slots=8, running=3, version="1.2", pid=99, seen_at=T0 + 7)


async def test_a_beat_that_says_something_new_replaces_the_one_before(storage: Storage) -> None:
    await storage.heartbeat(beat("anna", running=1), [], lease_ms=LEASE, now=T0)
    await storage.heartbeat(beat("anna", running=2), [], lease_ms=LEASE, now=T0 + 2_000)
    [worker] = await storage.workers(now=T0 + 2_000)
    assert (worker.running, worker.seen_at) == (2, T0 + 2_000)


async def test_a_worker_that_has_nothing_new_to_say_stays_seen(storage: Storage) -> None:
    for now in range(T0, T0 + 2 * LEASE, 1_000):
        await storage.heartbeat(beat("anna"), [], lease_ms=LEASE, now=now)
        [worker] = await storage.workers(stale_ms=LEASE // 3, now=now)
        assert worker.seen_at <= now


async def test_workers_come_by_name(storage: Storage) -> None:
    for name in ("carl", "anna", "bea"):
        await storage.heartbeat(beat(name), [], lease_ms=LEASE, now=T0)
    assert [worker.name for worker in await storage.workers(now=T0)] == ["anna", "bea", "carl"]


async def test_workers_of_one_name_are_told_apart_by_id(storage: Storage) -> None:
    await storage.heartbeat(beat("anna", id="one"), [], lease_ms=LEASE, now=T0)
    await storage.heartbeat(beat("anna", id="two"), [], lease_ms=LEASE, now=T0)
    assert {worker.id for worker in await storage.workers(now=T0)} == {"one", "two"}


async def test_a_worker_not_seen_for_long_is_left_out(storage: Storage) -> None:
    await storage.heartbeat(beat("old"), [], lease_ms=LEASE, now=T0)
    await storage.heartbeat(beat("new"), [], lease_ms=LEASE, now=T0 + 500)
    assert [worker.name for worker in await storage.workers(stale_ms=1_000, now=T0 + 1_200)] == ["new"]
    assert [worker.name for worker in await storage.workers(now=T0 + 1_200)] == ["new", "old"]


async def test_without_beats_there_are_no_workers(storage: Storage) -> None:
    assert await storage.workers(now=T0) == []
