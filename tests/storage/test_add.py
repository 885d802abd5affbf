"""add: jobs of any queues, all or none, answered in order."""

import asyncio

import pytest

from corral.event import EventType
from corral.job import JobState
from corral.options import Exponential, JobOptions, Keep
from corral.outcome import Completed
from corral.storage.port import Added, Storage

from .helpers import QUEUE, T0, Clock, Tape, add, add_ids, new_job, run_through, served, start_one, tally, the, wish


async def test_a_job_is_stored_as_it_was_given(storage: Storage, tape: Tape) -> None:
    options = JobOptions(attempts=3, backoff=Exponential(2), lifespan_ms=9_000, keep_failed=Keep(count=4))
    [answer] = await storage.add([new_job("a", "welcome", data='{"to":"ø@x.no"}', priority=7, options=options)], now=T0)
    assert answer == Added("a", True)
    job = await the(storage, "a")
    assert (job.id, job.queue, job.name, job.data) == ("a", QUEUE, "welcome", '{"to":"ø@x.no"}')
    assert (job.state, job.priority, job.options) == (JobState.WAITING, 7, options)
    assert (job.created_at, job.started_at, job.finished_at) == (T0, None, None)
    assert (job.attempts_started, job.attempts_made, job.crashes) == (0, 0, 0)
    assert (job.progress, job.result, job.failed_reason, job.traces) == (None, None, None, ())
    assert (job.parent, job.pending_children, job.schedule, job.scheduled_for) == (None, 0, None, None)
    assert await tape.told() == [(EventType.ADDED, "a")]
    assert (await tally(storage)).waiting == 1


async def test_the_added_event_names_queue_job_and_time(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a", "welcome"), now=T0 + 5)
    event = (await tape.events())[0]
    assert (event.type, event.queue, event.job_id, event.name) == (EventType.ADDED, QUEUE, "a", "welcome")
    assert event.at == T0 + 5
    assert event.cursor


async def test_an_id_is_given_when_none_is_asked_for(storage: Storage) -> None:
    first, second = await storage.add([new_job(), new_job()], now=T0)
    assert first.fresh
    assert second.fresh
    assert first.id
    assert first.id != second.id
    assert (await the(storage, first.id)).id == first.id


async def test_given_ids_are_not_given_again_after_their_jobs_are_gone(storage: Storage) -> None:
    [first] = await add(storage, new_job())
    await run_through(storage, Completed(keep=Keep(count=0)))
    [second] = await add(storage, new_job())
    assert second != first


async def test_a_known_id_is_reported_and_the_first_job_stays_untouched(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a", data='{"n":1}'))
    before = await the(storage, "a")
    [answer] = await storage.add([new_job("a", "other", data='{"n":2}', delay_ms=50, priority=3)], now=T0 + 9)
    assert answer == Added("a", False)
    assert await the(storage, "a") == before
    assert await tape.told() == [(EventType.ADDED, "a"), (EventType.DUPLICATED, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.delayed) == (1, 0)


async def test_a_known_id_is_reported_in_every_state(storage: Storage, clock: Clock) -> None:
    await add(storage, new_job("later", delay_ms=60_000))
    await add_ids(storage, "running", "done")
    await start_one(storage)
    await run_through(storage, Completed())
    answers = await storage.add([new_job("later"), new_job("running"), new_job("done")], now=clock.tick())
    assert [answer.fresh for answer in answers] == [False, False, False]
    counts = await tally(storage)
    assert (counts.delayed, counts.active, counts.completed, counts.waiting) == (1, 1, 1, 0)


async def test_the_same_id_twice_in_one_batch_makes_one_job(storage: Storage, tape: Tape) -> None:
    answers = await storage.add([new_job("a", data="1"), new_job("b"), new_job("a", data="2")], now=T0)
    assert answers == [Added("a", True), Added("b", True), Added("a", False)]
    assert (await the(storage, "a")).data == "1"
    assert await tape.told() == [(EventType.ADDED, "a"), (EventType.ADDED, "b"), (EventType.DUPLICATED, "a")]
    assert (await tally(storage)).waiting == 2


async def test_the_same_id_in_two_queues_makes_two_jobs(storage: Storage) -> None:
    answers = await storage.add([new_job("a"), new_job("a", queue="other")], now=T0)
    assert [answer.fresh for answer in answers] == [True, True]
    assert await served(storage) == ["a"]
    assert (await the(storage, "a", queue="other")).state is JobState.WAITING


async def test_a_batch_is_answered_in_order_across_queues(storage: Storage) -> None:
    jobs = [new_job(f"j{n}", queue=f"q{n % 3}") for n in range(30)]
    answers = await storage.add(jobs, now=T0)
    assert answers == [Added(f"j{n}", True) for n in range(30)]
    assert [counts.waiting for counts in await storage.counts(["q0", "q1", "q2"])] == [10, 10, 10]
    assert await served(storage, queue="q1") == [f"j{n}" for n in range(1, 30, 3)]


async def test_an_empty_batch_adds_nothing(storage: Storage, tape: Tape) -> None:
    assert await storage.add([], now=T0) == []
    assert await tape.everything() == []


async def test_a_batch_of_a_thousand_is_added_in_order(storage: Storage) -> None:
    answers = await storage.add([new_job() for _ in range(1_000)], now=T0)
    assert len({answer.id for answer in answers}) == 1_000
    assert (await tally(storage)).waiting == 1_000
    assert await served(storage, 256) == [answer.id for answer in answers[:256]]


async def test_a_delayed_job_waits_for_its_time(storage: Storage, tape: Tape) -> None:
    await add(storage, new_job("a", delay_ms=500))
    job = await the(storage, "a")
    assert (job.state, job.run_at) == (JobState.DELAYED, T0 + 500)
    assert await tape.told() == [(EventType.ADDED, "a")]
    counts = await tally(storage)
    assert (counts.waiting, counts.delayed, counts.oldest_waiting_at) == (0, 1, None)


async def test_an_absolute_time_wins_over_a_delay(storage: Storage) -> None:
    await add(storage, new_job("a", run_at=T0 + 70, delay_ms=9_999))
    job = await the(storage, "a")
    assert (job.state, job.run_at) == (JobState.DELAYED, T0 + 70)
    assert await served(storage, now=T0 + 70) == ["a"]


async def test_an_absolute_time_in_the_past_is_due_at_once(storage: Storage) -> None:
    await add(storage, new_job("a", run_at=T0 - 1))
    assert await served(storage, now=T0) == ["a"]


async def test_the_schedule_and_slot_of_a_job_are_kept(storage: Storage) -> None:
    await add(storage, new_job("a", schedule="daily", scheduled_for=T0 - 60))
    job = await the(storage, "a")
    assert (job.schedule, job.scheduled_for) == ("daily", T0 - 60)


@pytest.mark.parametrize("data", ["null", "[]", '"\\u0000 \\ud83d\\ude00 æ"', '{"b": 1,  "a": 1.50}', "1e400"])
async def test_payload_text_comes_back_exactly(storage: Storage, data: str) -> None:
    await add(storage, new_job("a", data=data))
    assert (await the(storage, "a")).data == data
    assert (await start_one(storage)).job.data == data


async def test_adding_makes_the_queue_known(storage: Storage) -> None:
    await add(storage, new_job(queue="fresh"))
    assert [info.name for info in await storage.queues()] == ["fresh"]


async def test_without_now_the_stores_own_clock_decides(storage: Storage) -> None:
    [answer] = await storage.add([new_job()])
    assert (await the(storage, answer.id)).created_at > T0
    assert len((await storage.claim(QUEUE, wish())).jobs) == 1


async def test_concurrent_adds_all_happen(storage: Storage) -> None:
    batches = await asyncio.gather(*(storage.add([new_job(), new_job()], now=T0) for _ in range(50)))
    assert len({answer.id for batch in batches for answer in batch}) == 100
    assert (await tally(storage)).waiting == 100


async def test_concurrent_adds_of_one_id_make_one_job(storage: Storage) -> None:
    batches = await asyncio.gather(*(storage.add([new_job("a")], now=T0) for _ in range(20)))
    assert sum(answer.fresh for batch in batches for answer in batch) == 1
    assert (await tally(storage)).waiting == 1


async def test_what_no_store_can_hold_spoils_only_its_own_call(storage: Storage) -> None:
    bad = storage.add([new_job("b1"), new_job("b2", data='"\ud800"')], now=T0)
    async with asyncio.timeout(10):
        before, spoiled, after = await asyncio.gather(
            storage.add([new_job("a")], now=T0), bad, storage.add([new_job("c")], now=T0), return_exceptions=True
        )
        assert (before, after) == ([Added("a", True)], [Added("c", True)])
        assert isinstance(spoiled, Exception)
        assert await served(storage) == ["a", "c"]
