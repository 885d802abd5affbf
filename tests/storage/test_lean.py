"""lean: jobs as lists show them, without what may be megabytes."""

from msgspec.structs import replace

from corral.job import JobState, Sizes
from corral.outcome import Completed, Failed
from corral.storage.port import JobPatch, Storage

from .helpers import QUEUE, T0, add, add_ids, end, new_job, run_through, start_one, the

LONG = '{"n":"' + "x" * 900 + '"}'


async def lean_job(storage: Storage, job_id: str = "a") -> object:
    [job] = await storage.get(QUEUE, [job_id], lean=True)
    return job


async def test_a_small_job_is_as_it_is_stored_and_says_how_large_it_is(storage: Storage) -> None:
    await add(storage, new_job("a", data='{"n":1}', priority=3, group="g"))
    assert await lean_job(storage) == replace(await the(storage, "a"), sizes=Sizes(data=7))


async def test_a_long_payload_is_cut_to_its_first_200_characters(storage: Storage) -> None:
    await add(storage, new_job("a", data=LONG))
    assert await lean_job(storage) == replace(await the(storage, "a"), data=LONG[:200], sizes=Sizes(data=len(LONG)))


async def test_a_text_is_cut_between_characters_and_measured_in_bytes(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}", data='"' + "x" * n + "…" * 500 + '"') for n in range(4)], now=T0)
    found = await storage.get(QUEUE, [f"j{n}" for n in range(4)], lean=True)
    assert [job.data for job in found if job] == ['"' + "x" * n + "…" * (199 - n) for n in range(4)]
    assert [job.sizes for job in found if job] == [Sizes(data=1502 + n) for n in range(4)]


async def test_of_a_payload_above_64_kib_nothing_is_read(storage: Storage) -> None:
    await add(storage, new_job("a", data=f'"{"x" * 65_534}"'), new_job("b", data=f'"{"x" * 65_535}"'))
    small, large = await storage.get(QUEUE, ["a", "b"], lean=True)
    assert small is not None
    assert large is not None
    assert (len(small.data), small.sizes) == (200, Sizes(data=65_536))
    assert (large.data, large.sizes) == ("", Sizes(data=65_537))


async def test_result_and_progress_are_cut_too(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.update(QUEUE, [JobPatch(job_id="a", progress=LONG)], now=T0)
    await end(storage, run, Completed(result=LONG))
    [job] = await storage.get(QUEUE, ["a"], lean=True)
    assert job is not None
    assert (job.result, job.progress, job.sizes) == (LONG[:200], LONG[:200], Sizes(2, len(LONG), len(LONG)))


async def test_a_reason_is_cut_to_1000_characters_and_traces_are_left_out(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Failed(reason="no " * 500, trace="somewhere"))
    [job] = await storage.get(QUEUE, ["a"], lean=True)
    assert job is not None
    assert (job.failed_reason, job.traces) == (("no " * 500)[:1000], ())


async def test_a_job_that_is_not_there_is_none(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await storage.get(QUEUE, ["b"], lean=True) == [None]


async def test_a_lean_page_has_the_same_jobs_as_a_lean_get(storage: Storage) -> None:
    await add(storage, new_job("a", data=LONG), new_job("b", data=LONG, delay_ms=5), new_job("c", group="g"))
    for states in ([JobState.WAITING], [JobState.DELAYED], list(JobState)):
        page = await storage.page(QUEUE, states, lean=True)
        assert list(page.items) == await storage.get(QUEUE, [job.id for job in page.items], lean=True)
        assert [job.sizes for job in page.items] != []


async def test_deep_pages_of_one_state_go_on_where_the_last_one_ended(storage: Storage) -> None:
    await add_ids(storage, *(f"j{n}" for n in range(25)))
    for n in range(25):
        await run_through(storage, Failed(reason="no"), now=T0 + n)
    pages = [await storage.page(QUEUE, [JobState.FAILED], start=start, limit=10, lean=True) for start in (0, 10, 20)]
    assert [job.id for page in pages for job in page.items] == [f"j{n}" for n in range(24, -1, -1)]
    assert [page.total for page in pages] == [25, 25, 25]
