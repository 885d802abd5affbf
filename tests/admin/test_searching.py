"""Searches in the background: they go over everything, however often they are taken over, and keep what they found."""

import pytest

from corral.admin.admin import Admin, Desk
from corral.admin.ledger import FOUND_MS, OPEN
from corral.errors import ConfigError, QueryError, RecordNotFoundError, RedactedFieldError
from corral.storage.port import Storage
from tests.storage.helpers import QUEUE, T0, Clock, add, new_job

from .helpers import carried_out, entries, failed_jobs, failed_many, taken


async def test_it_finds_every_job_that_fits_and_says_how_far_it_is(desk: Desk, admin: Admin, storage: Storage) -> None:
    ids = await failed_many(storage, 1_200)
    await add(storage, *[new_job(name="other") for _ in range(300)])
    started = await desk.search(f"queue:{QUEUE} error:~timed")
    assert (started.action, started.state, started.total) == ("search", "pending", None)
    held = await taken(admin.runner, started)
    seen = []
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
        shown = held.task.shown
        seen.append((shown.state, shown.total, shown.examined, shown.candidates))
    assert seen[0] == ("collecting", 500, 800, 1_500)
    assert seen[-1] == ("done", 1_200, 1_500, 1_500)
    found = await desk.found(started.id, limit=500)
    assert (found.total, found.complete, found.expired) == (1_200, True, False)
    assert [one for _, one in found.refs] == ids[::-1][:500], "newest first"


async def test_results_are_read_in_stretches_whatever_the_pages_are(desk: Desk, admin: Admin, storage: Storage) -> None:
    for number in range(40):  # scattered, so that many steps find few
        await add(storage, *[new_job(name="dull") for _ in range(3)], new_job(f"gem-{number:02}", name="gem"))
    started = await desk.search("name:gem")
    await carried_out(admin, started)
    whole = [one for _, one in (await desk.found(started.id, limit=500)).refs]
    assert sorted(whole) == [f"gem-{number:02}" for number in range(40)]
    parts = [one for begin in range(0, 40, 7) for _, one in (await desk.found(started.id, begin=begin, limit=7)).refs]
    assert parts == whole
    assert (await desk.found(started.id, begin=40)).refs == ()


async def test_results_can_be_read_while_it_goes_on(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 600)
    started = await desk.search("state:failed")
    assert (await desk.found(started.id)).total == 0
    held = await admin.runner.step(await taken(admin.runner, started))
    found = await desk.found(started.id, limit=500)
    assert (len(found.refs), found.total, found.complete) == (500, 500, False)
    await admin.runner.release(held)
    await carried_out(admin, started)
    assert (await desk.found(started.id)).total == 600


async def test_it_ends_when_it_has_found_as_many_as_it_may(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 30)
    ended = await carried_out(admin, await desk.search("state:failed", most=20))
    assert (ended.state, ended.total, ended.capped) == ("done", 20, True)
    found = await desk.found(ended.id)
    assert (len(found.refs), found.complete) == (20, False)
    exactly = await carried_out(admin, await desk.search("state:failed", most=30))
    assert (exactly.total, exactly.capped) == (30, False)


async def test_nothing_is_done_to_the_jobs_and_what_was_found_stays_for_a_day(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await failed_jobs(storage, "a", "b")
    ended = await carried_out(admin, await desk.search("state:failed"))
    assert (ended.done, ended.failed, ended.skipped) == (2, 0, 0)
    assert [one for _, one in (await desk.found(ended.id)).refs] == ["b", "a"]
    assert await storage.entries(OPEN, now=T0) == []
    clock.now += FOUND_MS + 1
    gone = await desk.found(ended.id)
    assert (gone.refs, gone.total, gone.expired) == ((), 2, True)


async def test_the_audit_log_says_who_searched_for_what(desk: Desk, admin: Admin) -> None:
    started = await desk.search("data.password:x state:failed", reveal=True)
    await carried_out(admin, started)
    ended, begun = await entries(desk)
    assert (begun.action, begun.target) == ("job.search", {"operation": started.id})
    assert "x" not in (begun.query or "").split(), "what is hidden stays hidden"
    assert ended.action == "operation.end"


async def test_an_aborted_search_keeps_what_it_has_found(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 600)
    started = await desk.search("state:failed")
    held = await admin.runner.step(await taken(admin.runner, started))
    await desk.abort(started.id)
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    assert held.task.shown.state == "aborted"
    found = await desk.found(started.id)
    assert (found.total >= 500, found.complete) == (True, False)


async def test_queues_that_are_not_there_for_who_searches_are_left_out(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_jobs(storage, "a", queue="mail")
    await failed_jobs(storage, "b", queue="secret")
    ended = await carried_out(admin, await desk.search("state:failed", visible=("mail*",)))
    assert (await desk.found(ended.id)).refs == (("mail", "a"),)


async def test_what_cannot_be_searched_is_refused_at_once(desk: Desk, admin: Admin, storage: Storage) -> None:
    with pytest.raises(QueryError):
        await desk.search("colour:red")
    with pytest.raises(RedactedFieldError):
        await desk.search("data.password:x")
    with pytest.raises(ConfigError, match="most must be 1 to 20,000 jobs, not 20001"):
        await desk.search("state:failed", most=20_001)
    with pytest.raises(RecordNotFoundError):
        await desk.found("op_none")
    await failed_jobs(storage, "a")
    other = await carried_out(admin, await desk.start("retry", query="state:failed"))
    with pytest.raises(RecordNotFoundError):
        await desk.found(other.id)
