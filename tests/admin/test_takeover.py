"""Operations whose jobs change under way, and whose processes die, stop or race."""

import asyncio

import pytest
from msgspec.structs import replace

from corral.admin import operations
from corral.admin.admin import Admin, Desk
from corral.admin.ledger import OPEN, ORPHAN_MS, PAGES
from corral.admin.operations import LEASE_S, LostError
from corral.errors import StorageUnavailableError, StorageVersionError
from corral.job import JobId, JobState
from corral.monitor.monitor import Monitor
from corral.outcome import Failed
from corral.storage.passing import Passing
from corral.storage.port import Selection, Storage
from corral.storage.records import EntryChange
from corral.timing import Millis
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, add_ids, end, new_job, start, start_one, tally

from .helpers import ANA, Seconds, another, failed_jobs, failed_many, state_of, states, taken

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


async def test_an_operation_that_cannot_be_read_holds_no_other_one_up(
    desk: Desk, admin: Admin, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    await failed_jobs(storage, "a")
    strange = await desk.start("retry", query="state:failed")
    await storage.write_entries("operation", [EntryChange(id=strange.id, text='{"shown":7}')], now=T0)
    operation = await desk.start("retry", ids=[(QUEUE, "a")])
    assert await admin.runner.look() == [operation.id]
    assert (await admin.runner.finish(operation.id, timeout=60)).done == 1
    with pytest.raises(StorageVersionError, match="newer corral"):
        await desk.operation(strange.id)
    assert [one.id for one in await desk.operations()] == [operation.id]
    assert strange.id in caplog.text


async def test_an_operation_that_was_listed_and_never_written_is_forgotten(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await storage.write_entries(OPEN, [EntryChange(id="op_ghost", text="")], now=clock.now)
    assert await admin.runner.look() == []
    assert len(await storage.entries(OPEN, now=clock.now)) == 1  # it may just be being written
    clock.tick(ORPHAN_MS + 1)
    assert await admin.runner.look() == []
    assert await storage.entries(OPEN, now=clock.now) == []


async def test_what_a_dead_process_could_not_tidy_up_is_tidied_up(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "a")
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    operation_id = held.task.shown.id
    await storage.write_entries(OPEN, [EntryChange(id=operation_id, text="")], now=T0)
    await storage.write_entries(f"{PAGES}:{operation_id}", [EntryChange(id="00000000", text="[]")], now=T0)
    assert await admin.runner.look() == []
    assert await storage.entries(OPEN, now=T0) == []
    assert await storage.entries(f"{PAGES}:{operation_id}", now=T0) == []


class Shaky(Passing):
    """A store whose every second retry gets lost, some of them after they were carried out."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.calls = 0

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        self.calls += 1
        if self.calls % 4 == 1:
            raise StorageUnavailableError("no answer")
        reached = await super().retry(queue, which, now=now)
        if self.calls % 4 == 3:
            raise StorageUnavailableError("the answer got lost")
        return reached


async def test_an_operation_outlives_a_store_that_does_not_always_answer(
    storage: Storage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "POLL_S", 0.01)
    await failed_many(storage, 1_200)
    shaky = Shaky(storage)
    admin = Admin(shaky, Monitor(shaky), clock=lambda: clock.now)
    async with admin.runner.run() as runner:
        operation = await admin.by(ANA).start("retry", query="state:failed")
        ended = await runner.finish(operation.id, timeout=60)
    assert (ended.state, ended.done, ended.failed, ended.skipped) == ("done", 1_200, 0, 0)
    assert (await tally(storage)).waiting == 1_200


async def test_an_operation_whose_search_is_refused_later_ends_with_that_problem(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    await failed_jobs(storage, "a")
    operation = await desk.start("retry", query="data.secret_plan:x", reveal=True)
    loaded = await admin.runner.ledger.load(operation.id, now=T0)
    assert loaded is not None
    await admin.runner.ledger.save(replace(loaded[0], reveal=False), loaded[1], now=T0)
    held = await taken(admin.runner, operation)
    held = await admin.runner.step(held)
    assert (held.task.shown.state, held.task.shown.problem) == ("failed", "redacted-field")
    assert await state_of(storage, "a") is JobState.FAILED
