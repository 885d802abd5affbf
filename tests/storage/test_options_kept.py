"""Tags, traces and where a job was made from: they are stored with it, and go wherever it goes."""

import pytest

from corral.job import JobState
from corral.letters import letter, original
from corral.options import Dedup, Exponential, JobOptions, Letter
from corral.outcome import Completed, Failed, Retried
from corral.schedule import Every, Schedule
from corral.storage.port import Storage

from .helpers import QUEUE, T0, add, end, new_job, run_through, start_one, the, these

TRACE = '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'
TOLD = JobOptions(tags=("tenant-42", "søk: 💡"), trace=TRACE, rerun_of="mail/7")
EACH = [
    TOLD,
    JobOptions(tags=("a",)),
    JobOptions(trace=TRACE),
    JobOptions(trace=""),
    JobOptions(omit_trace=True),
    JobOptions(trace=TRACE, omit_trace=True, attempts=3),
    JobOptions(trace=TRACE, attempts=3, backoff=Exponential(2, jitter=0.5), timeout_ms=9_000),
    JobOptions(rerun_of="mail/a/b"),
]


@pytest.mark.parametrize("options", EACH)
async def test_what_was_said_is_read_and_claimed(storage: Storage, options: JobOptions) -> None:
    await add(storage, new_job("a", options=options), new_job("b", options=options, priority=3, delay_ms=0))
    assert (await the(storage, "a")).options == options
    [lean, _] = (await storage.page(QUEUE, [JobState.WAITING], lean=True)).items
    assert lean.options == options
    assert (await start_one(storage)).job.options == options


async def test_each_job_of_a_batch_has_its_own_trace(storage: Storage) -> None:
    jobs = [new_job(f"j{n}", options=JobOptions(attempts=3, trace=f'{{"n":{n}}}')) for n in range(20)]
    await storage.add(jobs, now=T0)
    found = await storage.get(QUEUE, [f"j{n}" for n in range(20)])
    assert [job and job.options for job in found] == [job.options for job in jobs]


async def test_a_retried_job_keeps_them(storage: Storage) -> None:
    await add(storage, new_job("a", options=TOLD), now=T0)
    await end(storage, await start_one(storage), Retried(0, "again"))
    run = await start_one(storage)
    assert run.job.options == TOLD
    await end(storage, run, Failed("no"))
    await storage.retry(QUEUE, these("a"), now=T0 + 1)
    assert (await start_one(storage, now=T0 + 1)).job.options == TOLD


async def test_a_delayed_job_in_a_group_that_is_one_of_its_kind_has_them_too(storage: Storage) -> None:
    job = new_job("a", options=TOLD, delay_ms=500, group="g", dedup=Dedup("d"))
    await add(storage, job)
    assert (await the(storage, "a")).options == TOLD
    assert (await start_one(storage, now=T0 + 500)).job.options == TOLD


async def test_a_job_that_was_kept_back_has_them_when_it_comes(storage: Storage) -> None:
    await add(storage, new_job("a", dedup=Dedup("d", keep_last=True)))
    run = await start_one(storage)
    await add(storage, new_job(dedup=Dedup("d", keep_last=True), options=TOLD))
    await end(storage, run, Completed())
    assert (await start_one(storage)).job.options == TOLD


async def test_children_have_their_own(storage: Storage) -> None:
    await add(storage, new_job("p", options=JobOptions(tags=("parent",)), children=1))
    await add(storage, new_job("c", parent=None, options=TOLD))
    assert (await the(storage, "c")).options == TOLD
    assert (await the(storage, "p")).options.tags == ("parent",)


async def test_each_run_of_a_schedule_has_them(storage: Storage) -> None:
    schedule = Schedule(
        key="k", queue=QUEUE, name="tick", timing=Every(60), options=TOLD, priority=4, next_at=T0
    )  # fmt: skip
    await storage.put_schedules([schedule], now=T0)
    [stored] = (await storage.schedules()).items
    assert stored.options == TOLD
    made = new_job(None, "tick", options=TOLD, priority=4, schedule="k", scheduled_for=T0)
    fired = await storage.fire_schedule(QUEUE, "k", slot=T0, jobs=[made], next_at=T0 + 60_000, now=T0)
    assert fired is not None
    assert (await start_one(storage)).job.options == TOLD


async def test_a_dead_letter_and_the_job_that_comes_of_it_have_them(storage: Storage) -> None:
    await add(storage, new_job("a", options=TOLD))
    job = (await start_one(storage)).job
    copy = letter(job, "dead", "no", attempts=1)
    await storage.add([copy], now=T0)
    run = await start_one(storage, queue="dead")
    assert run.job.options.letter == Letter(QUEUE, "a", "no", 1)
    assert original(run.job, run.job.options.letter, "b").options == TOLD


async def test_a_finished_job_still_tells_them(storage: Storage) -> None:
    await add(storage, new_job("a", options=TOLD))
    await run_through(storage, Completed())
    assert (await the(storage, "a")).options == TOLD
