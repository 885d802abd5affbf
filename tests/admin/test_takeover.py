"""Operations whose jobs change under way, and whose processes die, stop or race."""

import asyncio

import pytest

from corral.admin.admin import Admin, Desk
from corral.admin.operations import LEASE_S, LostError
from corral.job import JobState
from corral.outcome import Failed
from corral.storage.port import Selection, Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, add_ids, end, new_job, start, start_one, tally

from .helpers import Seconds, another, failed_jobs, failed_many, state_of, states, taken

# -- jobs that change meanwhile ----------------------------------------------------------------------------------------


async def test_a_job_that_changed_after_it_was_chosen_is_left_alone(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "again", "gone", "same", "anew")
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    held = await admin.runner.step(held)
    assert held.task.collected
    await storage.retry(QUEUE, Selection(ids=("again",)))
    [run] = await start(storage, now=T0 + 5)
    await end(storage, run, Failed(reason="no"), now=T0 + 6)  # has failed again since: somebody else's business
    await storage.remove(QUEUE, Selection(ids=("gone", "anew")))
    await failed_jobs(storage, "anew", now=T0 + 7)
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    shown = held.task.shown
    assert (shown.done, shown.skipped, shown.failed) == (1, 3, 0)
    assert await states(storage, "again", "same", "anew") == ["failed", "waiting", "failed"]


async def test_a_job_that_fell_due_meanwhile_is_still_cancelled(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await add(storage, new_job("d", delay_ms=10))
    held = await taken(admin.runner, await desk.start("cancel", query=f"queue:{QUEUE}"))
    held = await admin.runner.step(held)
    await start_one(storage, now=clock.tick(20))
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    assert held.task.shown.done == 1


async def test_a_job_that_is_put_off_anew_is_not_promoted_twice(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await add(storage, new_job("d", delay_ms=MINUTE))
    held = await taken(admin.runner, await desk.start("promote", query=f"queue:{QUEUE}"))
    held = await admin.runner.step(held)
    await desk.edit(QUEUE, "d", delay_ms=2 * MINUTE)
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    assert held.task.shown.skipped == 1
    assert await state_of(storage, "d") is JobState.DELAYED


# -- processes that die ------------------------------------------------------------------------------------------------


async def test_another_process_goes_on_when_nothing_has_moved_for_a_lease(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_many(storage, 1_200)
    seconds = Seconds()
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    while held.task.shown.done < 500:
        held = await admin.runner.step(held)
    other = another(admin, "other", seconds)
    assert await other.look() == []  # it has just been seen
    seconds.now += LEASE_S - 0.1
    assert await other.look() == []
    seconds.now += 0.2
    assert await other.look() == [held.task.shown.id]
    ended = await other.finish(held.task.shown.id)
    assert (ended.state, ended.done, ended.failed, ended.skipped) == ("done", 1_200, 0, 0)
    with pytest.raises(LostError):  # the first one was only slow, and sees it at its next page
        await admin.runner.step(held)
    assert (await tally(storage)).waiting == 1_200


async def test_an_operation_that_moves_is_never_taken_over(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 1_200)
    seconds = Seconds()
    other = another(admin, "other", seconds)
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    while not held.task.shown.ended:
        assert await other.look() == []
        seconds.now += LEASE_S - 1
        held = await admin.runner.step(held)
    assert held.task.shown.done == 1_200


async def test_what_was_done_on_a_page_that_nobody_could_write_down_is_not_done_again(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_jobs(storage, "a", "b", "c")
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    held = await admin.runner.step(held)
    # It died here: two jobs of the page were put back, one has failed once more since.
    await storage.retry(QUEUE, Selection(ids=("a", "b")))
    [run] = await start(storage, now=T0 + 5)
    await end(storage, run, Failed(reason="no"), now=T0 + 6)
    seconds = Seconds()
    other = another(admin, "other", seconds)
    await other.look()
    seconds.now += LEASE_S
    await other.look()
    ended = await other.finish(held.task.shown.id)
    assert (ended.done, ended.failed, ended.skipped) == (3, 0, 0)
    assert await states(storage, "a", "b", "c") == ["failed", "waiting", "waiting"]


async def test_a_search_that_was_under_way_goes_on(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 1_200)
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    held = await admin.runner.step(held)
    assert (held.task.shown.state, held.task.shown.total) == ("collecting", 500)
    seconds = Seconds()
    other = another(admin, "other", seconds)
    await other.look()
    seconds.now += LEASE_S
    await other.look()
    ended = await other.finish(held.task.shown.id)
    assert (ended.total, ended.done, ended.skipped) == (1_200, 1_200, 0)


async def test_of_two_processes_one_takes_an_operation(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 700)
    operation = await desk.start("retry", query="state:failed")
    runners = [another(admin, f"process-{number}", Seconds()) for number in range(4)]
    held = [one for one in await asyncio.gather(*(runner.take(operation.id) for runner in runners)) if one]
    assert len(held) == 1
    assert held[0].task.owner in [runner.name for runner in runners]


async def test_a_process_that_stops_hands_its_operation_over(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 1_200)
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    while held.task.shown.done < 500:
        held = await admin.runner.step(held)
    await admin.runner.release(held)
    other = another(admin, "other", Seconds())
    assert await other.look() == [held.task.shown.id]
    ended = await other.finish(held.task.shown.id)
    assert (ended.state, ended.done) == ("done", 1_200)


# -- in the background -------------------------------------------------------------------------------------------------


async def test_operations_are_carried_out_while_the_runner_runs(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 800)
    async with admin.runner.run() as runner:
        operations = [
            await desk.start("retry", query="state:failed", most=300),
            await desk.start("remove", query="id:nobody"),
        ]
        ended = [await runner.finish(one.id, timeout=60) for one in operations]
    assert [(one.state, one.done) for one in ended] == [("done", 300), ("done", 0)]


async def test_what_others_have_started_may_be_left_to_them(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "a", "b")
    theirs = await desk.start("retry", ids=[(QUEUE, "a")])
    mine = Admin(storage, admin.ground.monitor, clock=admin.ground.at)
    async with mine.runner.run(all_of_them=False) as runner:
        operation = await mine.by(desk.actor).start("retry", ids=[(QUEUE, "b")])
        assert (await runner.finish(operation.id, timeout=60)).done == 1
        assert (await runner.finish(theirs.id, timeout=0)).state == "pending"


async def test_the_runner_ends_timed_pauses(desk: Desk, admin: Admin, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await desk.pause(QUEUE, for_s=10)
    clock.tick(10_000)
    async with admin.runner.run():
        operation = await desk.start("retry", query="state:failed")
        await admin.runner.finish(operation.id, timeout=60)
    [info] = await storage.queues()
    assert not info.paused


async def test_leaving_the_runner_waits_for_the_page_and_gives_the_rest_back(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_many(storage, 2_000)
    async with admin.runner.run():
        operation = await desk.start("retry", query="state:failed")
    loaded = await admin.runner.ledger.load(operation.id, now=None)
    assert loaded is not None
    task, _ = loaded
    assert task.owner == ""
    assert task.shown.done == (await tally(storage)).waiting
