"""page: stretches of a queue, in an order that people expect."""

from corral.job import FINISHED, JobState
from corral.outcome import Completed, Failed, Released
from corral.storage.insight import Page
from corral.storage.port import Selection, Storage

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


async def test_a_page_may_begin_with_those_that_ended_by_some_time(storage: Storage, clock: Clock) -> None:
    await storage.add([new_job(f"j{n}") for n in range(8)], now=T0)
    for n in range(8):  # two in each millisecond, by turns of either state
        await run_through(storage, (Completed(), Failed(reason="no"))[n // 2 % 2], now=T0 + n // 2)
    both = sorted(FINISHED)
    for newest_first, behind in ((True, [3, 2, 1, 0]), (False, [0, 1, 2, 3])):
        page = await storage.page(QUEUE, both, ended_by=T0 + 1, newest_first=newest_first)
        assert (ids_of(page.items), page.total) == ([f"j{n}" for n in behind], 8)
        some = await storage.page(QUEUE, both, ended_by=T0 + 1, start=1, limit=2, newest_first=newest_first)
        assert ids_of(some.items) == [f"j{n}" for n in behind[1:3]]
    failed = await storage.page(QUEUE, [JobState.FAILED], ended_by=T0 + 2)
    assert (ids_of(failed.items), failed.total) == (["j3", "j2"], 4)
    assert ids_of((await storage.page(QUEUE, [JobState.FAILED], ended_by=T0 + 3, start=1)).items) == ["j6", "j3", "j2"]
    assert (await storage.page(QUEUE, both, ended_by=T0 - 1)).items == ()
    assert len((await storage.page(QUEUE, both, ended_by=T0 + 3)).items) == 8


async def test_when_others_ended_does_not_matter_to_those_that_have_not(storage: Storage) -> None:
    await storage.add([new_job("a"), new_job("b"), new_job("c", delay_ms=50_000)], now=T0)
    await run_through(storage, Completed(), now=T0 + 9)
    page = await storage.page(QUEUE, list(JobState), ended_by=T0, newest_first=False)
    assert sorted(ids_of(page.items)) == ["b", "c"]
    assert ids_of((await storage.page(QUEUE, [JobState.DELAYED], ended_by=0)).items) == ["c"]


async def test_hundreds_that_ended_by_some_time_come_whole(storage: Storage) -> None:
    await storage.add([new_job(f"j{n:04}") for n in range(900)], now=T0)
    for n in range(9):
        await storage.cancel(QUEUE, Selection(ids=tuple(f"j{m:04}" for m in range(n * 100, n * 100 + 100))), now=T0 + n)
    page = await storage.page(QUEUE, [JobState.FAILED], ended_by=T0 + 6, limit=900, lean=True)
    assert sorted(ids_of(page.items)) == [f"j{n:04}" for n in range(700)]
    again = await storage.page(QUEUE, [JobState.FAILED], ended_by=T0 + 6, start=650, limit=900, newest_first=False)
    assert ids_of(again.items) == ids_of(page.items)[:50][::-1]
