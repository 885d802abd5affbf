"""Queues emptied in the background: slice by slice, about what was there, and stopped when somebody says so."""

import pytest

from corral.admin import emptying
from corral.admin.admin import Admin, Desk
from corral.admin.ledger import OPEN
from corral.errors import ConfigError, QueueBusyError, QueueNotFoundError
from corral.job import JobState
from corral.options import QueueSettings
from corral.pauses import pauses
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, SECOND, T0, Clock, add, add_ids, new_job, start_one, tally

from .helpers import carried_out, entries, failed_jobs, last_entry, states, taken


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of two jobs, so that a few jobs are many."""
    monkeypatch.setattr(emptying, "SLICE", 2)


async def test_what_waits_is_drained_slice_by_slice_with_progress(desk: Desk, admin: Admin, storage: Storage) -> None:
    await add_ids(storage, *"abcde")
    await add(storage, new_job("later", delay_ms=MINUTE))
    operation = await desk.start_drain(QUEUE)
    assert (operation.action, operation.state, operation.total, operation.queues) == ("drain", "pending", 5, (QUEUE,))
    assert operation.query == f'queue:"{QUEUE}" state:waiting'
    held = await taken(admin.runner, operation)
    seen = []
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
        seen.append((held.task.shown.state, held.task.shown.done))
    assert seen == [("running", 2), ("running", 4), ("running", 5), ("done", 5)]
    assert await states(storage, *"abcde", "later") == [*[None] * 5, JobState.DELAYED]
    assert await storage.entries(OPEN, now=T0) == []
    ended, started = await entries(desk)
    assert (started.action, started.target) == ("queue.drain", {"queue": QUEUE, "operation": operation.id})
    assert (ended.action, ended.count, ended.outcome) == ("operation.end", 5, "ok")


async def test_jobs_that_come_while_a_queue_is_drained_are_left_to_it(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await add_ids(storage, "a", "b", "c")
    operation = await desk.start_drain(QUEUE, delayed=True)
    await add_ids(storage, "d", "e", "f")
    assert (await carried_out(admin, operation)).done == 3
    assert await states(storage, *"abcdef") == [*[None] * 3, *[JobState.WAITING] * 3]


async def test_an_operation_that_is_aborted_keeps_what_it_has_not_deleted(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await add_ids(storage, *"abcde")
    operation = await desk.start_drain(QUEUE)
    held = await admin.runner.step(await taken(admin.runner, operation))
    await desk.abort(operation.id)
    held = await admin.runner.step(held)  # what is under way is finished
    held = await admin.runner.step(held)
    assert (held.task.shown.state, held.task.shown.done) == ("aborted", 4)
    assert (await tally(storage)).waiting == 1


async def test_the_age_of_what_is_cleaned_is_that_of_the_moment_it_was_asked_for(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    for number in range(5):
        await failed_jobs(storage, f"f{number}", now=clock.now)
        clock.tick(SECOND)
    operation = await desk.start_clean(QUEUE, [JobState.FAILED], older_ms=3 * SECOND, limit=20_000)
    assert operation.total == 3
    clock.tick(MINUTE)
    assert (await carried_out(admin, operation)).done == 3
    assert await states(storage, "f3", "f4") == [JobState.FAILED] * 2


async def test_a_clean_stops_at_its_limit(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, *"abcde")
    assert (await carried_out(admin, await desk.start_clean(QUEUE, [JobState.FAILED], limit=3))).done == 3
    assert (await tally(storage)).failed == 2
    with pytest.raises(ConfigError):
        await desk.start_clean(QUEUE, [JobState.ACTIVE])


async def test_a_queue_is_paused_emptied_and_gone(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "f1", "f2", "f3")
    await add(storage, new_job("a"), new_job("later", delay_ms=MINUTE))
    operation = await desk.start_obliterate(QUEUE)
    info = await storage.configure(QUEUE, QueueSettings())
    assert (info.paused, (await pauses(storage))[QUEUE].by, operation.total) == (True, "ana", 5)
    ended = await carried_out(admin, operation)
    assert (ended.state, ended.done) == ("done", 5)
    assert await storage.queues() == []
    assert await pauses(storage) == {}


async def test_a_queue_whose_jobs_run_is_obliterated_only_by_force(desk: Desk, admin: Admin, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await start_one(storage)
    with pytest.raises(QueueBusyError):
        await desk.start_obliterate(QUEUE)
    assert (await last_entry(desk)).problem == "queue-has-active-jobs"
    assert not (await storage.configure(QUEUE, QueueSettings())).paused
    ended = await carried_out(admin, await desk.start_obliterate(QUEUE, force=True))
    assert (ended.state, ended.done, await storage.queues()) == ("done", 2, [])


async def test_a_job_that_was_started_meanwhile_keeps_its_queue(desk: Desk, admin: Admin, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    operation = await desk.start_obliterate(QUEUE)
    await storage.configure(QUEUE, QueueSettings(paused=False))
    run = await start_one(storage)
    ended = await carried_out(admin, operation)
    assert (ended.state, ended.problem, ended.done) == ("failed", "queue-has-active-jobs", 1)
    assert await states(storage, run.job.id) == [JobState.ACTIVE]


async def test_a_queue_that_is_not_there_is_not_emptied(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    for begun in (desk.start_drain("no"), desk.start_clean("no", [JobState.FAILED]), desk.start_obliterate("no")):
        with pytest.raises(QueueNotFoundError):
            await begun


async def test_a_slice_that_nobody_could_book_any_more_is_not_missed(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await add_ids(storage, *"abcde")
    operation = await desk.start_drain(QUEUE)
    held = await taken(admin.runner, operation)
    await emptying.empty_step(admin.ground, held.task)  # and whoever did it died
    ended = await carried_out(admin, operation)
    assert (ended.state, ended.done, (await tally(storage)).waiting) == ("done", 3, 0)
