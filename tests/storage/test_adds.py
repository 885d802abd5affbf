"""Jobs that a verdict adds: in the same step, and only if the verdict counts."""

from collections.abc import Callable

import pytest

from corral.event import EventType
from corral.job import After, JobState, NewJob, ParentRef
from corral.options import Dedup, Keep, QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Outcome
from corral.storage.port import Refusal, Storage, Token

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Run,
    Tape,
    add,
    add_ids,
    end,
    gone,
    new_job,
    run_through,
    served,
    start,
    start_one,
    tally,
    the,
    these,
    wish,
)

OTHER = "other"


def completed(*jobs: NewJob) -> Outcome:
    return Completed("1", adds=jobs)


def failed(*jobs: NewJob) -> Outcome:
    return Failed("no", adds=jobs)


Verdict = Callable[..., Outcome]
either = pytest.mark.parametrize("verdict", [completed, failed], ids=["completed", "failed"])


@either
async def test_a_verdict_adds_jobs_of_any_queue(storage: Storage, tape: Tape, verdict: Verdict) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await tape.events()
    adds = (new_job("b", data="[1]", priority=7), new_job("c", queue=OTHER), new_job("d", delay_ms=1_000))
    await end(storage, run, verdict(*adds), now=T0 + 50)
    assert (await the(storage, "a")).state.finished
    job = await the(storage, "b")
    assert (job.state, job.data, job.priority, job.created_at) == (JobState.WAITING, "[1]", 7, T0 + 50)
    assert (await the(storage, "c", queue=OTHER)).state is JobState.WAITING
    assert (await the(storage, "d")).run_at == T0 + 1_050
    told = await tape.told()
    assert {(EventType.ADDED, "b"), (EventType.ADDED, "d")} <= set(told)
    assert sum(job_id == "a" for _, job_id in told) == 1
    counts = await tally(storage)
    assert (counts.waiting, counts.delayed, counts.active) == (1, 1, 0)


@either
async def test_numbered_jobs_are_added_too(storage: Storage, verdict: Verdict) -> None:
    await add(storage, new_job())
    await run_through(storage, verdict(new_job(), new_job()))
    assert (await tally(storage)).waiting == 2
    assert len(set(await served(storage))) == 2


@either
async def test_a_refused_verdict_adds_nothing(storage: Storage, tape: Tape, verdict: Verdict) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.recover(QUEUE, now=T0 + LEASE + 1)
    await tape.events()
    settled = await end(storage, run, verdict(new_job("b")), now=T0 + LEASE + 1)
    assert settled.refused == {"a": Refusal.LEASE_LOST}
    ghost = Run(run.job, Token("nobody's"))
    await end(storage, ghost, verdict(new_job("b")))
    assert await gone(storage, "b")
    assert await tape.everything() == []
    assert (await tally(storage)).waiting == 1


@either
async def test_a_verdict_given_twice_adds_once(storage: Storage, verdict: Verdict) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await end(storage, run, verdict(new_job()))
    await end(storage, run, verdict(new_job()))
    assert (await tally(storage)).waiting == 1


@either
async def test_each_verdict_of_a_batch_adds_its_own(storage: Storage, verdict: Verdict) -> None:
    await add_ids(storage, "a", "b", "c")
    runs = await start(storage, 3)
    ends = [run.ends(verdict(new_job(f"{run.job.id}-next"))) for run in runs]
    ends[1] = Run(runs[1].job, Token("stale")).ends(verdict(new_job("b-next")))
    settled = await storage.settle(QUEUE, ends, now=T0)
    assert settled.refused == {"b": Refusal.LEASE_LOST}
    assert await served(storage) == ["a-next", "c-next"]


@either
async def test_what_was_added_may_be_claimed_in_the_same_call(storage: Storage, verdict: Verdict) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    settled = await storage.settle(QUEUE, [run.ends(verdict(new_job("b")))], then=wish(), now=T0)
    assert [job.id for job in settled.claimed.jobs] == ["b"]


async def test_an_id_that_is_there_is_left_as_it_is(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a", "b")
    run = await start_one(storage)
    await tape.events()
    await end(storage, run, completed(new_job("b", data="[1]")))
    assert (await the(storage, "b")).data == "{}"
    assert (EventType.DUPLICATED, "b") in await tape.told()
    assert (await tally(storage)).waiting == 1


@either
async def test_a_job_may_add_its_successor_under_its_own_deduplication_id(storage: Storage, verdict: Verdict) -> None:
    dedup = Dedup("loop")
    await add(storage, new_job("a", dedup=dedup))
    await run_through(storage, verdict(new_job("b", dedup=dedup), new_job("c", dedup=dedup)))
    assert await gone(storage, "c")
    assert await storage.deduplication(QUEUE, "loop", now=T0) == "b"
    assert await served(storage) == ["b"]


async def test_a_job_that_another_one_keeps_out_is_kept_out(storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("owner", dedup=Dedup("x"), delay_ms=5_000))
    await run_through(storage, completed(new_job("b", dedup=Dedup("x"))))
    assert await gone(storage, "b")


async def test_the_added_ones_may_come_after_each_other_and_after_the_job_itself(storage: Storage) -> None:
    await add_ids(storage, "a")
    first = new_job("b", after=(After(QUEUE, "a"),))
    await run_through(storage, completed(first, new_job("c", after=(After(QUEUE, "b"),))))
    assert (await storage.children(QUEUE, "b")).completed == {"a": "1"}
    assert await run_through(storage, Completed("2")) == "b"
    assert (await storage.children(QUEUE, "c")).completed == {"b": "2"}
    assert await served(storage) == ["c"]


async def test_what_an_added_job_comes_after_may_be_gone(storage: Storage) -> None:
    """The verdict must stand: a job that can never be settled would run for ever."""
    await add_ids(storage, "a")
    follower = new_job("b", after=(After(QUEUE, "a"), After("nowhere", "ghost")))
    run = await start_one(storage)
    settled = await end(storage, run, Completed(keep=Keep(count=0), adds=(follower,)))
    assert not settled.refused
    assert await served(storage) == ["b"]


async def test_a_flow_may_be_added(storage: Storage) -> None:
    await add_ids(storage, "a")
    flow = (new_job("up", children=2), *(new_job(f"kid-{n}", parent=ParentRef(QUEUE, "up")) for n in range(2)))
    await run_through(storage, completed(*flow))
    assert (await the(storage, "up")).pending_children == 2
    for _ in range(2):
        await run_through(storage, Completed())
    assert await served(storage) == ["up"]


async def test_a_child_may_add_its_sibling_before_the_parent_goes_on(storage: Storage) -> None:
    """The sibling counts from then on, although the parent was let go by the same verdict: it parks for it again."""
    up = ParentRef(QUEUE, "up")
    await add(storage, new_job("up", children=1), new_job("kid", parent=up))
    await run_through(storage, completed(new_job("kid-2", parent=up)))
    assert {job.id for job in (await storage.page(QUEUE, [JobState.WAITING])).items} == {"up", "kid-2"}
    assert (await the(storage, "up")).pending_children == 1


async def test_added_jobs_are_not_counted_against_the_producers(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(add_limit=RateLimit(1, per=60)), now=T0)
    await add_ids(storage, "a")
    await run_through(storage, completed(*(new_job(f"n{number}") for number in range(5))))
    assert (await tally(storage)).waiting == 5


async def test_a_cancelled_run_that_completed_all_the_same_adds(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), now=T0)
    await end(storage, run, completed(new_job("b")))
    assert await served(storage) == ["b"]


async def test_the_added_ones_stay_when_the_job_is_not_kept(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Completed(keep=Keep(count=0), adds=(new_job("b"),)))
    assert await gone(storage, "a")
    assert await served(storage) == ["b"]


async def test_many_are_added_at_once(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, completed(*(new_job(f"n{number}") for number in range(1_000))))
    assert (await tally(storage)).waiting == 1_000


async def test_a_queue_whose_last_job_adds_another_one_is_not_idle(storage: Storage, tape: Tape) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await tape.events()
    await end(storage, run, completed(new_job("b")))
    assert EventType.IDLE not in await tape.kinds()


async def test_who_comes_after_the_ended_job_does_not_wait_for_one_of_its_id_that_is_kept_out(storage: Storage) -> None:
    dedup = Dedup("only", keep_last=True)
    await add(storage, new_job(id="owner", dedup=dedup, delay_ms=60_000), new_job(id="mine"))
    run = await start_one(storage)
    behind = new_job(id="behind", after=(After(QUEUE, "mine"),))
    await end(storage, run, Completed("1", Keep(count=0), adds=(new_job(id="mine", dedup=dedup), behind)))
    assert (await the(storage, "behind")).state is JobState.WAITING
