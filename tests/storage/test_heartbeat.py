"""heartbeat: being seen, keeping leases, learning which runs to stop."""

from corral.event import EventType
from corral.outcome import Completed
from corral.storage.port import Lease, Pulse, Storage

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add,
    add_ids,
    beat,
    end,
    new_job,
    new_token,
    start,
    start_one,
    tally,
    the,
    these,
)


async def test_a_lease_is_renewed_when_half_of_it_is_gone(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage, lease_ms=LEASE)
    await tape.events()
    later = T0 + LEASE * 2 // 3
    assert await storage.heartbeat(beat(), [run.lease], lease_ms=LEASE, now=later) == Pulse()
    assert (await storage.recover(QUEUE, now=T0 + LEASE + 1)).requeued == ()
    assert (await storage.recover(QUEUE, now=later + LEASE - 1)).requeued == ()
    assert await tape.everything() == []
    assert (await storage.recover(QUEUE, now=later + LEASE + 1)).requeued == ("a",)


async def test_beating_on_and_on_keeps_a_job(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage, lease_ms=1_000)
    for now in range(T0 + 600, T0 + 12_000, 600):
        assert await storage.heartbeat(beat(), [run.lease], lease_ms=1_000, now=now) == Pulse()
        assert (await storage.recover(QUEUE, now=now)).requeued == ()
    assert not (await end(storage, run, Completed(), now=T0 + 12_000)).refused


async def test_a_heartbeat_keeps_only_the_leases_it_names(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    a, _b = await start(storage, 2, lease_ms=1_000)
    await storage.heartbeat(beat(), [a.lease], lease_ms=1_000, now=T0 + 900)
    assert (await storage.recover(QUEUE, now=T0 + 1_100)).requeued == ("b",)


async def test_lost_leases_are_named(storage: Storage) -> None:
    await add_ids(storage, "taken", "recovered", "finished", "mine")
    taken, recovered, finished, _ = runs = await start(storage, 4, lease_ms=1_000)
    mine = runs[3]
    await storage.heartbeat(beat(), [finished.lease, mine.lease], lease_ms=1_000, now=T0 + 900)
    await end(storage, finished, Completed(), now=T0 + 900)
    await storage.recover(QUEUE, now=T0 + 1_100)
    await start(storage, 1, now=T0 + 1_100)
    ghost = Lease(queue=QUEUE, job_id="ghost", token=mine.token)
    leases = [*(run.lease for run in runs), ghost]
    pulse = await storage.heartbeat(beat(), leases, lease_ms=1_000, now=T0 + 1_200)
    assert set(pulse.lost) == {recovered.lease, taken.lease, finished.lease, ghost}
    assert pulse.cancelled == ()


async def test_a_foreign_token_neither_renews_nor_disturbs(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage, lease_ms=1_000)
    foreign = Lease(queue=QUEUE, job_id="a", token=new_token())
    pulse = await storage.heartbeat(beat(), [foreign], lease_ms=1_000, now=T0 + 900)
    assert pulse.lost == (foreign,)
    assert (await the(storage, "a")).state == "active"
    assert (await storage.recover(QUEUE, now=T0 + 1_001)).requeued == ("a",)
    assert run.job.id == "a"


async def test_leases_of_several_queues_go_in_one_beat(storage: Storage) -> None:
    await storage.add([new_job("a"), new_job("a", queue="other")], now=T0)
    here, there = await start_one(storage, lease_ms=1_000), await start_one(storage, queue="other", lease_ms=1_000)
    swapped = Lease(queue="other", job_id="a", token=here.token)
    pulse = await storage.heartbeat(beat(), [here.lease, there.lease, swapped], lease_ms=1_000, now=T0 + 900)
    assert pulse == Pulse(lost=(swapped,))
    assert (await storage.recover("other", now=T0 + 1_100)).requeued == ()
    assert (await storage.recover(QUEUE, now=T0 + 1_100)).requeued == ()


async def test_a_cancelled_run_is_told_with_its_reason(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    a, b = await start(storage, 2)
    await storage.cancel(QUEUE, these("a"), reason="wrong list", now=T0 + 10)
    pulse = await storage.heartbeat(beat(), [a.lease, b.lease], lease_ms=LEASE, now=T0 + 20)
    [(lease, reason)] = pulse.cancelled
    assert lease == a.lease
    assert "wrong list" in reason
    assert pulse.lost == ()


async def test_a_cancelled_run_stays_told_until_it_ends(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), now=T0)
    pulses = [await storage.heartbeat(beat(), [run.lease], lease_ms=LEASE, now=T0 + n) for n in (1, 2)]
    assert [len(pulse.cancelled) for pulse in pulses] == [1, 1]


async def test_a_heartbeat_without_leases_is_seen(storage: Storage) -> None:
    assert await storage.heartbeat(beat("anna"), [], lease_ms=LEASE, now=T0 + 5) == Pulse()
    [worker] = await storage.workers(now=T0 + 6)
    assert (worker.name, worker.seen_at) == ("anna", T0 + 5)


async def test_many_leases_go_in_one_beat(storage: Storage, tape: Tape) -> None:
    await storage.add([new_job() for _ in range(200)], now=T0)
    runs = await start(storage, 200, lease_ms=1_000)
    await tape.events()
    pulse = await storage.heartbeat(beat(), [run.lease for run in runs], lease_ms=1_000, now=T0 + 800)
    assert pulse == Pulse()
    assert (await storage.recover(QUEUE, now=T0 + 1_700)).requeued == ()
    assert EventType.STALLED not in await tape.kinds()
    assert (await tally(storage)).active == 200


async def test_a_renewed_job_is_otherwise_unchanged(storage: Storage) -> None:
    await add(storage, new_job("a"))
    run = await start_one(storage, lease_ms=1_000)
    await storage.heartbeat(beat(), [run.lease], lease_ms=1_000, now=T0 + 900)
    assert await the(storage, "a") == run.job
