"""get: these jobs, in the order asked for."""

from corral.job import JobState
from corral.outcome import Completed
from corral.storage.port import Storage

from .helpers import QUEUE, T0, add, add_ids, ids_of, new_job, run_through, start_one


async def test_jobs_come_in_the_order_asked_for(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    jobs = await storage.get(QUEUE, ["c", "a", "b"])
    assert ids_of(job for job in jobs if job) == ["c", "a", "b"]


async def test_missing_jobs_leave_a_gap(storage: Storage) -> None:
    await add_ids(storage, "a")
    missing, job, again = await storage.get(QUEUE, ["ghost", "a", "ghost"])
    assert (missing, again) == (None, None)
    assert job is not None
    assert job.id == "a"


async def test_an_id_asked_for_twice_is_answered_twice(storage: Storage) -> None:
    await add_ids(storage, "a")
    first, second = await storage.get(QUEUE, ["a", "a"])
    assert first is not None
    assert first == second


async def test_asking_for_none_answers_none(storage: Storage) -> None:
    assert await storage.get(QUEUE, []) == []


async def test_queues_are_kept_apart(storage: Storage) -> None:
    await storage.add([new_job("a", data="1"), new_job("a", queue="other", data="2")], now=T0)
    [here], [there] = await storage.get(QUEUE, ["a"]), await storage.get("other", ["a"])
    assert here is not None
    assert there is not None
    assert (here.queue, here.data, there.queue, there.data) == (QUEUE, "1", "other", "2")
    assert await storage.get("unknown", ["a"]) == [None]


STATES = ("completed", "active", "delayed", "waiting")


async def test_every_state_can_be_read(storage: Storage) -> None:
    await add(storage, *(new_job(f"is-{state}", delay_ms=9 * (state == "delayed")) for state in STATES))
    await run_through(storage, Completed())
    await start_one(storage)
    found = await storage.get(QUEUE, [f"is-{state}" for state in STATES])
    assert [job and job.state for job in found] == [JobState(state) for state in STATES]


async def test_hundreds_of_jobs_are_read_in_one_call(storage: Storage) -> None:
    ids = [f"j{n}" for n in range(1_200)]
    await storage.add([new_job(id) for id in ids], now=T0)
    assert [job and job.id for job in await storage.get(QUEUE, ids[::-1])] == ids[::-1]
