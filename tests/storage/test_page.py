"""page: stretches of a queue, in an order that people expect."""

from corral.job import FINISHED, JobState
from corral.outcome import Completed, Failed, Released
from corral.storage.insight import Page
from corral.storage.port import Storage

from .helpers import QUEUE, T0, Clock, add, add_ids, end, ids_of, new_job, run_through, served, start, start_one


async def test_an_empty_queue_has_an_empty_page(storage: Storage) -> None:
    assert await storage.page(QUEUE, list(JobState)) == Page((), 0)


async def test_finished_jobs_come_by_when_they_ended(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a", "b", "c")
    for run in reversed(await start(storage, 3)):
        await end(storage, run, Completed(), now=clock.tick())
    newest = await storage.page(QUEUE, [JobState.COMPLETED])
    assert (ids_of(newest.items), newest.total) == (["a", "b", "c"], 3)
    oldest = await storage.page(QUEUE, [JobState.COMPLETED], newest_first=False)
    assert ids_of(oldest.items) == ["c", "b", "a"]


async def test_completed_and_failed_are_mixed_by_when_they_ended(storage: Storage, clock: Clock) -> None:
    await storage.add([new_job(f"j{n}") for n in range(4)], now=T0)
    for n in range(4):
        await run_through(storage, (Completed(), Failed(reason="no"))[n % 2], now=clock.tick())
    page = await storage.page(QUEUE, sorted(FINISHED))
    assert (ids_of(page.items), page.total) == (["j3", "j2", "j1", "j0"], 4)


async def test_delayed_jobs_come_by_due_time(storage: Storage) -> None:
    await add(storage, new_job("late", delay_ms=300), new_job("soon", delay_ms=100), new_job("mid", delay_ms=200))
    page = await storage.page(QUEUE, [JobState.DELAYED], newest_first=False)
    assert (ids_of(page.items), page.total) == (["soon", "mid", "late"], 3)


async def test_waiting_jobs_come_in_serving_order(storage: Storage) -> None:
    await add_ids(storage, "first")
    await add_ids(storage, "second")
    await add(storage, new_job("urgent", priority=1), new_job("low", priority=2_000_000), new_job("lifo", lifo=True))
    await end(storage, await start_one(storage), Released())
    page = await storage.page(QUEUE, [JobState.WAITING], newest_first=False)
    assert ids_of(page.items) == ["urgent", "lifo", "first", "second", "low"]
    assert await served(storage) == ids_of(page.items)


async def test_a_page_is_a_stretch_and_knows_the_whole(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}") for n in range(120)], now=T0)
    page = await storage.page(QUEUE, [JobState.WAITING], newest_first=False)
    assert (ids_of(page.items), page.total) == ([f"j{n}" for n in range(50)], 120)
    page = await storage.page(QUEUE, [JobState.WAITING], start=110, limit=50, newest_first=False)
    assert (ids_of(page.items), page.total) == ([f"j{n}" for n in range(110, 120)], 120)
    page = await storage.page(QUEUE, [JobState.WAITING], start=120, newest_first=False)
    assert (page.items, page.total) == ((), 120)


async def test_pages_put_together_are_the_whole_list(storage: Storage, clock: Clock) -> None:
    await storage.add([new_job(f"j{n}") for n in range(30)], now=T0)
    for n in range(30):
        await run_through(storage, Completed(), now=T0 + n // 5)
    pages = [await storage.page(QUEUE, [JobState.COMPLETED], start=n, limit=7) for n in range(0, 30, 7)]
    together = [id for page in pages for id in ids_of(page.items)]
    assert sorted(together) == sorted(f"j{n}" for n in range(30))


async def test_only_the_states_asked_for_come(storage: Storage) -> None:
    await add(storage, new_job("runs"), new_job("waits"), new_job("later", delay_ms=9))
    await start_one(storage)
    assert ids_of((await storage.page(QUEUE, [JobState.ACTIVE])).items) == ["runs"]
    page = await storage.page(QUEUE, [JobState.WAITING, JobState.DELAYED])
    assert (set(ids_of(page.items)), page.total) == ({"waits", "later"}, 2)


async def test_a_name_narrows_page_and_total(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}", ("x", "y", "y")[n % 3]) for n in range(9)], now=T0)
    page = await storage.page(QUEUE, [JobState.WAITING], name="x", newest_first=False)
    assert (ids_of(page.items), page.total) == (["j0", "j3", "j6"], 3)
    assert await storage.page(QUEUE, [JobState.WAITING], name="z") == Page((), 0)


async def test_a_page_has_the_jobs_as_stored(storage: Storage) -> None:
    await add(storage, new_job("a", data='{"n":1}', priority=3))
    page = await storage.page(QUEUE, [JobState.WAITING])
    assert list(page.items) == await storage.get(QUEUE, ["a"])
