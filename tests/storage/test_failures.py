"""Failures by kind: how often, when, and which jobs."""

import pytest

from corral.job import JobState
from corral.options import JobOptions
from corral.outcome import Completed, Crashed, Failed, Failure, Outcome, Released, Retried, Snoozed
from corral.storage.insight import FailureGroup, Page
from corral.storage.port import Storage

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    add,
    add_ids,
    all_in,
    end,
    new_job,
    run_through,
    served,
    start,
    start_one,
    the,
    these,
)

NET = Failure("net", "os.ConnectionError", "no route to <host>")
BUG = Failure("bug", "builtins.KeyError", "<key>")


def failed(kind: Failure | None = NET) -> Failed:
    return Failed("it failed", failure=kind)


def retried(kind: Failure | None = NET, after_ms: int = 0) -> Retried:
    return Retried(after_ms, "it failed", failure=kind)


async def kinds(storage: Storage) -> list[str]:
    return [group.fingerprint for group in (await storage.failures(QUEUE)).items]


async def test_a_new_queue_has_no_failures(storage: Storage) -> None:
    assert await storage.failures(QUEUE) == Page((), 0)
    assert await storage.failures("ghost") == Page((), 0)


async def test_a_failure_makes_a_group(storage: Storage) -> None:
    await add(storage, new_job("a", "send"))
    await run_through(storage, failed(), now=T0 + 5)
    group = FailureGroup(
        fingerprint="net", type="os.ConnectionError", message="no route to <host>", attempts=1, jobs=1,
        first_at=T0 + 5, last_at=T0 + 5, last_job_id="a", last_name="send",
    )  # fmt: skip
    assert await storage.failures(QUEUE) == Page((group,), 1)


async def test_attempts_and_jobs_are_counted(storage: Storage) -> None:
    await add(storage, new_job("a", "x"), new_job("b", "y"))
    await run_through(storage, retried(), now=T0 + 1)
    await run_through(storage, retried(), now=T0 + 2)
    await run_through(storage, retried(), now=T0 + 3)
    await run_through(storage, failed(), now=T0 + 4)
    [group] = (await storage.failures(QUEUE)).items
    assert (group.attempts, group.jobs) == (4, 1)
    assert (group.first_at, group.last_at, group.last_job_id, group.last_name) == (T0 + 1, T0 + 4, "b", "y")


async def test_verdicts_of_one_call_are_all_counted(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    runs = await start(storage, 3)
    outcomes: list[Outcome] = [failed(), retried(), failed(BUG)]
    ends = [run.ends(outcome) for run, outcome in zip(runs, outcomes, strict=True)]
    await storage.settle(QUEUE, ends, now=T0)
    groups = {one.fingerprint: (one.attempts, one.jobs) for one in (await storage.failures(QUEUE)).items}
    assert groups == {"net": (2, 1), "bug": (1, 1)}


async def test_the_latest_kind_comes_first(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    await run_through(storage, failed(), now=T0 + 1)
    await run_through(storage, failed(BUG), now=T0 + 2)
    assert await kinds(storage) == ["bug", "net"]
    await run_through(storage, failed(), now=T0 + 3)
    assert await kinds(storage) == ["net", "bug"]


async def test_kinds_are_paged(storage: Storage) -> None:
    await add_ids(storage, *(f"j{n}" for n in range(7)))
    for n in range(7):
        await run_through(storage, failed(Failure(f"k{n}", "T", "m")), now=T0 + n)
    page = await storage.failures(QUEUE, start=2, limit=3)
    assert ([group.fingerprint for group in page.items], page.total) == (["k4", "k3", "k2"], 7)
    assert (await storage.failures(QUEUE, start=9)).items == ()
    assert (await storage.failures(QUEUE, limit=0)).total == 7


@pytest.mark.parametrize(
    "outcome", [Completed(), Failed("no"), Retried(0, "no"), Released(), Snoozed(5), Crashed("oom", 1)]
)
async def test_other_verdicts_make_no_group(storage: Storage, outcome: Outcome) -> None:
    await add_ids(storage, "a")
    await run_through(storage, outcome)
    assert await storage.failures(QUEUE) == Page((), 0)


async def test_a_refused_verdict_makes_no_group(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.recover(QUEUE, now=T0 + LEASE + 1)
    await end(storage, run, failed(), now=T0 + LEASE + 1)
    assert await storage.failures(QUEUE) == Page((), 0)


async def test_a_run_that_was_to_be_retried_but_was_cancelled_makes_no_group(storage: Storage) -> None:
    await add_ids(storage, "a")
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), now=T0)
    await end(storage, run, retried())
    assert await storage.failures(QUEUE) == Page((), 0)


async def test_a_job_shows_the_kind_of_its_last_failure(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert (await the(storage, "a")).fingerprint is None
    await run_through(storage, retried(BUG))
    assert (await the(storage, "a")).fingerprint == "bug"
    run = await start_one(storage)
    assert run.job.fingerprint == "bug"
    await end(storage, run, failed())
    assert (await the(storage, "a")).fingerprint == "net"


async def test_a_later_success_leaves_the_kind_as_it_leaves_the_reason(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, retried())
    await run_through(storage, Completed())
    job = await the(storage, "a")
    assert (job.fingerprint, job.failed_reason) == ("net", "it failed")


async def test_a_failure_of_no_kind_takes_the_place_of_one_with_a_kind(storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    for _ in range(2):
        await run_through(storage, retried())
    await run_through(storage, retried(None))
    await run_through(storage, failed(None))
    assert [(await the(storage, id)).fingerprint for id in "ab"] == [None, None]


async def test_failed_jobs_are_selected_by_kind(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    for n, kind in enumerate((NET, BUG, NET, None)):
        await run_through(storage, failed(kind), now=T0 + n)
    of_net = all_in(JobState.FAILED, fingerprint="net")
    assert await storage.retry(QUEUE, all_in(JobState.FAILED, fingerprint="ghost"), now=T0 + 9) == []
    assert await storage.retry(QUEUE, of_net, now=T0 + 9) == ["a", "c"]
    assert await storage.retry(QUEUE, of_net, now=T0 + 9) == []
    assert await storage.remove(QUEUE, all_in(JobState.FAILED, fingerprint="bug"), now=T0 + 9) == ["b"]
    assert await served(storage) == ["a", "c"]


async def test_a_selection_by_kind_obeys_its_other_filters(storage: Storage) -> None:
    await add(storage, *(new_job(f"j{n}", ("x", "y")[n % 2]) for n in range(8)))
    for n in range(8):
        await run_through(storage, failed(), now=T0 + n)
    chosen = all_in(JobState.FAILED, fingerprint="net", name="x", limit=2)
    assert await storage.retry(QUEUE, chosen, now=T0 + 9) == ["j0", "j2"]


async def test_removing_jobs_leaves_the_kinds(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, failed())
    await storage.remove(QUEUE, these("a"), now=T0)
    assert await kinds(storage) == ["net"]


async def test_each_queue_has_its_own_kinds(storage: Storage) -> None:
    await add(storage, new_job("a", queue="other"), new_job("b"))
    await run_through(storage, failed(), queue="other")
    await run_through(storage, failed(BUG))
    assert await kinds(storage) == ["bug"]


async def test_the_latest_thousand_kinds_are_kept(storage: Storage) -> None:
    await add(storage, *(new_job() for _ in range(1_100)))
    for first in range(0, 1_100, 220):
        runs = await start(storage, 220, now=T0 + first)
        for n, run in enumerate(runs, first):
            await end(storage, run, failed(Failure(f"k{n:04}", "T", "m")), now=T0 + n)
    page = await storage.failures(QUEUE, limit=2_000)
    assert page.total == len(page.items) == 1_000
    assert (page.items[0].fingerprint, page.items[-1].fingerprint) == ("k1099", "k0100")


async def test_obliterating_forgets_the_kinds(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, failed())
    await storage.obliterate(QUEUE)
    assert await storage.failures(QUEUE) == Page((), 0)
    await add(storage, new_job("b", options=JobOptions(attempts=1)))
    await run_through(storage, failed(BUG))
    assert await kinds(storage) == ["bug"]


@pytest.mark.parametrize("outcome", [Snoozed(5_000), Retried(0, "busy", failure=Failure("net", "T", "m"))])
async def test_a_run_that_was_cancelled_fails_of_no_kind(storage: Storage, outcome: Outcome) -> None:
    await add_ids(storage, "a")
    await end(storage, await start_one(storage), Retried(0, "busy", failure=Failure("bug", "T", "m")))
    run = await start_one(storage)
    await storage.cancel(QUEUE, these("a"), now=T0)
    await end(storage, run, outcome)
    job = await the(storage, "a")
    assert (job.state, job.fingerprint) == (JobState.FAILED, None)
    assert [kind.fingerprint for kind in (await storage.failures(QUEUE)).items] == ["bug"]
