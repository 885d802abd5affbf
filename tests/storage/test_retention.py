"""settle keeps as many finished jobs as its outcome says, and never forgets the totals."""

from corral.event import EventType
from corral.job import JobState
from corral.options import JobOptions, Keep
from corral.outcome import Completed, Crashed, Failed
from corral.storage.port import Refusal, Storage

from .helpers import QUEUE, T0, Clock, Tape, add, add_ids, end, gone, ids_of, new_job, run_through, start_one, tally


async def test_keeping_none_removes_the_job_at_once_and_still_tells(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    await storage.log(QUEUE, "a", ["line"])
    run = await start_one(storage)
    await end(storage, run, Completed(result="1", keep=Keep(count=0)))
    assert await gone(storage, "a")
    assert (await storage.logs(QUEUE, "a")).total == 0
    assert (EventType.COMPLETED, "a") in await tape.told()
    counts = await tally(storage)
    assert (counts.active, counts.completed, counts.completed_total) == (0, 0, 1)
    assert (await end(storage, run, Completed())).refused == {"a": Refusal.JOB_MISSING}


async def test_an_id_is_free_again_once_its_job_is_gone(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed(keep=Keep(count=0)))
    [answer] = await storage.add([new_job("a")], now=T0)
    assert answer.fresh


async def test_keeping_a_count_spares_the_newest(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    for _ in range(4):
        await run_through(storage, Completed(keep=Keep(count=2)), now=clock.tick())
    kept = await storage.page(QUEUE, [JobState.COMPLETED])
    assert (ids_of(kept.items), kept.total) == (["d", "c"], 2)
    counts = await tally(storage)
    assert (counts.completed, counts.completed_total) == (2, 4)


async def test_keeping_an_age_drops_what_is_older(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await run_through(storage, Completed(keep=Keep(age=10)), now=T0)
    await run_through(storage, Completed(keep=Keep(age=10)), now=T0 + 5_000)
    await run_through(storage, Completed(keep=Keep(age=10)), now=T0 + 10_001)
    kept = await storage.page(QUEUE, [JobState.COMPLETED])
    assert ids_of(kept.items) == ["c", "b"]
    assert (await tally(storage)).completed_total == 3


async def test_keeping_all_drops_nothing(storage: Storage, clock: Clock) -> None:
    await storage.add([new_job() for _ in range(30)], now=T0)
    for _ in range(30):
        await run_through(storage, Completed(keep=Keep()), now=clock.tick(86_400_000))
    assert (await tally(storage)).completed == 30


async def test_completed_and_failed_are_kept_apart(storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    for outcome in (
        Completed(),
        Failed(reason="no", keep=Keep(count=1)),
        Completed(),
        Failed("no", keep=Keep(count=1)),
    ):
        await run_through(storage, outcome, now=clock.tick())
    counts = await tally(storage)
    assert (counts.completed, counts.failed, counts.failed_total) == (2, 1, 2)
    assert ids_of((await storage.page(QUEUE, [JobState.FAILED])).items) == ["d"]


async def test_a_quarantined_job_is_kept_as_its_outcome_says(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Crashed(reason="oom", limit=1, keep=Keep(count=0)))
    assert await gone(storage, "a")
    counts = await tally(storage)
    assert (counts.failed, counts.failed_total) == (0, 1)


async def test_a_batch_is_kept_by_count_as_a_whole(storage: Storage) -> None:
    await storage.add([new_job(f"j{n}") for n in range(20)], now=T0)
    runs = [await start_one(storage) for _ in range(20)]
    await storage.settle(QUEUE, [run.ends(Completed(keep=Keep(count=5))) for run in runs], now=T0)
    counts = await tally(storage)
    assert (counts.completed, counts.completed_total, counts.active) == (5, 20, 0)


async def test_other_queues_are_left_alone(storage: Storage) -> None:
    await storage.add([new_job("a", queue="other"), new_job("b")], now=T0)
    await run_through(storage, Completed(), queue="other")
    await run_through(storage, Completed(keep=Keep(count=0)))
    assert (await tally(storage, "other")).completed == 1


async def test_what_the_job_says_about_keeping_is_stored_with_it(storage: Storage) -> None:
    options = JobOptions(keep_completed=Keep(count=3), keep_failed=Keep(age=60, count=0))
    await add(storage, new_job("a", options=options))
    assert (await start_one(storage)).job.options == options
