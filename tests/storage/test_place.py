"""place: how many stand before a waiting or delayed job."""

from corral.options import QueueSettings
from corral.outcome import Completed
from corral.storage.insight import Place
from corral.storage.port import Storage

from .grouping import add_grouped, change_group, grouped
from .helpers import QUEUE, T0, add_ids, end, new_job, served, start_one


async def test_place_of_a_waiting_job_is_how_many_are_served_before_it(storage: Storage) -> None:
    await storage.add(
        [
            new_job("low", priority=2_000_000), new_job("p1"), new_job("p2"), new_job("hot", priority=10),
            new_job("hotter", priority=1), new_job("first", lifo=True), new_job("lowest", priority=2_000_001),
        ],
        now=T0,
    )  # fmt: skip
    order = ["hotter", "hot", "first", "p1", "p2", "low", "lowest"]
    places = [await storage.place(QUEUE, job_id) for job_id in order]
    assert places == [Place(ahead=n) for n in range(7)]
    assert await served(storage) == order


async def test_place_of_a_delayed_job_is_how_many_fall_due_before_it(storage: Storage) -> None:
    await storage.add(
        [new_job("d3", delay_ms=300), new_job("d1", delay_ms=100), new_job("d2", delay_ms=200), new_job("w")], now=T0
    )
    places = [await storage.place(QUEUE, job_id) for job_id in ("d1", "d2", "d3", "w")]
    assert places == [Place(ahead=0), Place(ahead=1), Place(ahead=2), Place(ahead=0)]


async def test_place_of_a_job_in_a_group_counts_its_group_and_tells_of_the_others(storage: Storage) -> None:
    await storage.add(
        [grouped("a1"), grouped("a2"), grouped("a-hot", priority=3), grouped("b1"), new_job("p1")], now=T0
    )
    assert await storage.place(QUEUE, "a-hot") == Place(ahead=0, groups=2)
    assert await storage.place(QUEUE, "a2") == Place(ahead=2, groups=2)
    assert await storage.place(QUEUE, "b1") == Place(ahead=0, groups=2)
    assert await storage.place(QUEUE, "p1") == Place(ahead=0, groups=0)


async def test_place_does_not_look_at_what_holds_jobs_back(storage: Storage) -> None:
    await change_group(storage, "a", paused=True)
    await add_grouped(storage, "a1", "a2", "b1")
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    assert await storage.place(QUEUE, "a2") == Place(ahead=1, groups=2)


async def test_place_counts_jobs_set_aside_for_their_name(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await storage.add(
        [new_job("s0", "slow", priority=1), new_job("s1", "slow"), new_job("p1"), new_job("p2"),
         grouped("a1", name="slow"), grouped("a2"), grouped("a3")],
        now=T0,
    )  # fmt: skip
    assert sorted(await served(storage, 3)) == ["a2", "p1", "s0"]
    assert await storage.place(QUEUE, "s1") == Place(ahead=0)
    assert await storage.place(QUEUE, "p2") == Place(ahead=1)
    assert await storage.place(QUEUE, "a1") == Place(ahead=0, groups=1)
    assert await storage.place(QUEUE, "a3") == Place(ahead=1, groups=1)


async def test_a_job_that_runs_has_ended_or_is_unknown_has_no_place(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.add([new_job("parent", children=1)], now=T0)
    run = await start_one(storage)
    assert await storage.place(QUEUE, "a") is None
    await end(storage, run, Completed())
    assert await storage.place(QUEUE, "a") is None
    assert await storage.place(QUEUE, "parent") is None
    assert await storage.place(QUEUE, "nobody") is None
    assert await storage.place("unknown", "a") is None


async def test_a_place_far_back_is_at_least_so_many(storage: Storage) -> None:
    await storage.add([new_job(None) for _ in range(10_200)], now=T0)
    await storage.add([new_job("last")], now=T0)
    place = await storage.place(QUEUE, "last")
    assert place is not None
    assert (place.ahead == 10_200) if place.exact else (10_000 <= place.ahead < 10_200)
