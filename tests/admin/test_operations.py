"""Operations: many jobs, each acted on once, whatever happens to the process or to the jobs meanwhile."""

import pytest

from corral.admin.admin import Admin, Desk
from corral.admin.ledger import OPEN, PAGES
from corral.admin.objects import JobProblem
from corral.admin.operations import PAGE
from corral.errors import ConfigError, QueryError, RecordNotFoundError, RedactedFieldError, SelectionChangedError
from corral.job import JobState
from corral.storage.port import Selection, Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, add_ids, new_job, start_one, tally, the

from .helpers import carried_out, completed_job, entries, failed_jobs, failed_many, last_entry, state_of, states, taken

# -- what it does ----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-71")
async def test_two_thousand_failed_jobs_are_run_again_page_by_page(desk: Desk, admin: Admin, storage: Storage) -> None:
    ids = await failed_many(storage, 2_000)
    operation = await desk.start("retry", query=f"queue:{QUEUE} error:~timed")
    assert (operation.state, operation.total, operation.by, operation.reason) == ("pending", None, "ana", "because")
    held = await taken(admin.runner, operation)
    seen = []
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
        seen.append((held.task.shown.state, held.task.shown.total, held.task.shown.done))
    assert seen[3] == ("running", 2_000, 0)
    assert seen[4:] == [("running", 2_000, 500 * page) for page in (1, 2, 3, 4)] + [("done", 2_000, 2_000)]
    assert await desk.operation(operation.id) == held.task.shown
    counts = await tally(storage)
    assert (counts.waiting, counts.failed) == (2_000, 0)
    # Oldest first, as they had come.
    page = await storage.page(QUEUE, [JobState.WAITING], limit=3, newest_first=False)
    assert [job.id for job in page.items] == ids[:3]


async def test_an_operation_leaves_an_entry_at_its_start_and_one_at_its_end(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_jobs(storage, "a", "b")
    operation = await desk.start("remove", query="state:failed")
    await carried_out(admin, operation)
    ended, started = await entries(desk)
    assert (started.action, started.query, started.count) == ("bulk.remove", "state:failed", None)
    assert (ended.action, ended.count, ended.actor, ended.reason) == ("operation.end", 2, started.actor, "because")
    assert started.target == ended.target == {"operation": operation.id}
    assert ended.after == {"state": "done", "done": 2, "failed": 0, "skipped": 0}


async def test_nothing_is_left_beside_an_operation_that_has_ended(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, PAGE + 1)
    operation = await desk.start("retry", query="state:failed")
    held = await taken(admin.runner, operation)
    for _ in range(3):
        held = await admin.runner.step(held)
    assert len(await storage.entries(f"{PAGES}:{operation.id}", now=T0)) == 2
    assert [entry.id for entry in await storage.entries(OPEN, now=T0)] == [operation.id]
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
    assert await storage.entries(f"{PAGES}:{operation.id}", now=T0) == []
    assert await storage.entries(OPEN, now=T0) == []


@pytest.mark.parametrize(
    ("action", "reached", "states_after"),
    [
        ("retry", 1, ["waiting", "completed", "waiting", "delayed", "active"]),
        ("promote", 1, ["failed", "completed", "waiting", "waiting", "active"]),
        ("cancel", 3, ["failed", "completed", "failed", "failed", "active"]),
        ("remove", 4, [None, None, None, None, "active"]),
        ("edit_priority", 2, ["failed", "completed", "waiting", "delayed", "active"]),
    ],
)
@pytest.mark.mission("M-GL-71")
async def test_a_search_without_states_means_the_jobs_in_which_it_can_be_done(
    desk: Desk, admin: Admin, storage: Storage, action: str, reached: int, states_after: list[str | None]
) -> None:
    await failed_jobs(storage, "f")
    await completed_job(storage, "c")
    await add_ids(storage, "a")
    await start_one(storage)
    await add(storage, new_job("w"), new_job("d", delay_ms=MINUTE))
    ended = await carried_out(admin, await desk.start(action, query=f"queue:{QUEUE}", value=3))
    assert (ended.done, ended.total, ended.failed) == (reached, reached, 0)
    assert await states(storage, "f", "c", "w", "d", "a") == states_after


async def test_priorities_are_changed(desk: Desk, admin: Admin, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await carried_out(admin, await desk.start("edit_priority", query="id:a", value=7))
    assert [(await the(storage, one)).priority for one in "ab"] == [7, 0]
    with pytest.raises(ConfigError, match="priority"):
        await desk.start("edit_priority", query="id:a")


async def test_completed_jobs_are_run_again_when_the_search_says_so(desk: Desk, admin: Admin, storage: Storage) -> None:
    await completed_job(storage, "c")
    assert (await carried_out(admin, await desk.start("retry", query="state:completed"))).done == 1
    assert await state_of(storage, "c") is JobState.WAITING


async def test_named_jobs_are_acted_on_in_their_order_and_the_others_have_their_problem(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_jobs(storage, "a", "b")
    await failed_jobs(storage, "x", queue="sync")
    await add_ids(storage, "waits")
    named = [(QUEUE, "b"), ("sync", "x"), (QUEUE, "waits"), (QUEUE, "nobody"), (QUEUE, "a"), (QUEUE, "b")]
    operation = await desk.start("retry", ids=named)
    assert operation.total == 5
    ended = await carried_out(admin, operation)
    assert (ended.done, ended.failed, ended.skipped) == (3, 2, 0)
    assert ended.errors == (
        JobProblem(queue=QUEUE, id="nobody", code="job-not-found"),
        JobProblem(queue=QUEUE, id="waits", code="job-not-retryable"),
    )
    page = await storage.page(QUEUE, [JobState.WAITING], newest_first=False)
    assert [job.id for job in page.items] == ["waits", "b", "a"]


async def test_no_more_than_a_hundred_problems_are_listed(desk: Desk, admin: Admin, storage: Storage) -> None:
    ids = [(QUEUE, f"nobody-{number}") for number in range(1_050)]
    ended = await carried_out(admin, await desk.start("cancel", ids=ids))
    assert (ended.failed, len(ended.errors)) == (1_050, 100)


async def test_at_most_so_many_are_chosen(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 700)
    assert (await desk.preview("retry", query="state:failed", most=600)).count == 600
    ended = await carried_out(admin, await desk.start("retry", query="error:~timed", most=600))
    assert (ended.total, ended.done) == (600, 600)
    counts = await tally(storage)
    assert (counts.failed, counts.waiting) == (100, 600)


async def test_a_drip_lets_one_job_start_after_the_other_also_from_page_to_page(
    desk: Desk, admin: Admin, storage: Storage, clock: Clock
) -> None:
    ids = await failed_many(storage, PAGE + 2)
    held = await taken(admin.runner, await desk.start("retry", query="state:failed", every_ms=100))
    while not held.task.shown.ended:
        held = await admin.runner.step(held)
        clock.tick(5)
    due = [(await the(storage, one)).run_at for one in (ids[0], ids[1], ids[PAGE], ids[PAGE + 1])]
    began = T0 + 2 * 5  # two steps chose them
    assert [None if at is None else at - began for at in due[1:]] == [100, 100 * PAGE, 100 * (PAGE + 1)]


# -- what is asked for -----------------------------------------------------------------------------------------------


async def test_a_preview_counts_and_names_the_first_ones(desk: Desk, storage: Storage) -> None:
    await failed_many(storage, 620)
    found = await desk.preview("retry", query="error:~timed")
    assert (found.count, found.exact, len(found.sample)) == (620, True, 10)
    assert found.sample[0][0] == QUEUE
    assert (await desk.preview("retry", query=f"queue:{QUEUE}")).count == 620
    assert (await desk.preview("promote", query=f"queue:{QUEUE}")).count == 0
    assert (await desk.preview("remove", ids=[(QUEUE, "a"), (QUEUE, "a")])).count == 1
    assert await entries(desk) == []


async def test_a_preview_of_too_many_says_that_there_are_more(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 620)
    ticks = iter(range(0, 10_000, 5))
    admin.ground.monitor.seconds = lambda: float(next(ticks))
    found = await desk.preview("retry", query="error:~timed")
    assert not found.exact
    assert 0 < found.count < 620


@pytest.mark.parametrize(("shown", "fits"), [(9, False), (10, True), (11, True), (12, False), (0, False)])
async def test_a_selection_that_has_changed_by_more_than_a_tenth_is_refused(
    desk: Desk, admin: Admin, storage: Storage, shown: int, fits: bool
) -> None:
    await failed_many(storage, 10)
    if fits:
        assert (await carried_out(admin, await desk.start("retry", query="error:~timed", expect=shown))).done == 10
        return
    with pytest.raises(SelectionChangedError) as caught:
        await desk.start("retry", query="error:~timed", expect=shown)
    assert (caught.value.expected, caught.value.found) == (shown, 10)
    assert (await last_entry(desk)).problem == "selection-changed"
    assert await desk.operations() == []


async def test_a_selection_that_changes_before_it_is_chosen_is_left_alone(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_many(storage, 10)
    operation = await desk.start("retry", query="error:~timed", expect=10)
    await storage.remove(QUEUE, Selection(states=frozenset({JobState.FAILED}), limit=5))
    ended = await carried_out(admin, operation)
    assert (ended.state, ended.problem, ended.done) == ("failed", "selection-changed", 0)
    assert (await tally(storage)).failed == 5
    entry = await last_entry(desk)
    assert (entry.action, entry.outcome, entry.problem) == ("operation.end", "refused", "selection-changed")


async def test_only_the_queues_that_there_are_for_somebody_are_touched(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await failed_jobs(storage, "a")
    await failed_jobs(storage, "x", queue="sync")
    assert (await desk.preview("retry", query="state:failed", visible=["sy*"])).count == 1
    assert (await carried_out(admin, await desk.start("retry", query="state:failed", visible=["sy*"]))).done == 1
    assert await state_of(storage, "a") is JobState.FAILED


async def test_what_is_hidden_cannot_be_searched_by_and_never_stands_in_the_log(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await add(storage, new_job("a", data='{"password":"CANARY"}'))
    for call in (
        desk.start("cancel", query="data.password:CANARY"),
        desk.preview("cancel", query="data.password:CANARY"),
    ):
        with pytest.raises(RedactedFieldError):
            await call
    operation = await desk.start("cancel", query="data.password:CANARY queue:mail", reveal=True)
    assert operation.query == "data.password:•••• queue:mail"
    assert (await carried_out(admin, operation)).done == 1
    assert "CANARY" not in repr(await entries(desk))
    assert "CANARY" not in repr(await desk.operations())


@pytest.mark.parametrize(
    ("action", "options", "error"),
    [
        ("explode", {"query": "state:failed"}, ConfigError),
        ("retry", {}, ConfigError),
        ("retry", {"query": "state:failed", "ids": [("mail", "a")]}, ConfigError),
        ("retry", {"query": "stat:failed"}, QueryError),
        ("retry", {"query": "state:failed", "most": 0}, ConfigError),
        ("retry", {"query": "state:failed", "every_ms": -1}, ConfigError),
        ("retry", {"ids": [("mail", str(number)) for number in range(20_001)]}, ConfigError),
    ],
)
async def test_what_cannot_be_meant_starts_nothing(
    desk: Desk, action: str, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await desk.start(action, **options)  # type: ignore[arg-type]  # what cannot be meant
    assert await desk.operations() == []
    assert (await last_entry(desk)).outcome == "refused"


async def test_operations_are_listed_newest_first_and_an_unknown_one_is_an_error(
    desk: Desk, storage: Storage, clock: Clock
) -> None:
    made = []
    for _ in range(3):
        made.append((await desk.start("retry", query="state:failed")).id)
        clock.tick()
    assert [one.id for one in await desk.operations(limit=2)] == made[:0:-1]
    for call in (desk.operation("op_none"), desk.abort("op_none")):
        with pytest.raises(RecordNotFoundError, match="operation 'op_none'"):
            await call
    assert (await last_entry(desk)).problem == "operation-not-found"


# -- stopping --------------------------------------------------------------------------------------------------------


async def test_an_operation_is_stopped_in_the_middle(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_many(storage, 1_500)
    held = await taken(admin.runner, await desk.start("retry", query="state:failed"))
    while held.task.shown.done < 500:
        held = await admin.runner.step(held)
    asked = await desk.abort(held.task.shown.id)
    assert (asked.state, asked.aborting) == ("running", True)
    held = await admin.runner.step(held)  # this page was under way
    held = await admin.runner.step(held)
    ended = await desk.operation(held.task.shown.id)
    assert (ended.state, ended.done, ended.total) == ("aborted", 1_000, 1_500)
    assert (await tally(storage)).failed == 500
    assert await desk.abort(ended.id) == ended


async def test_an_operation_that_nobody_has_is_stopped_at_once(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "a")
    operation = await desk.start("retry", ids=[(QUEUE, "a")])
    assert (await desk.abort(operation.id)).state == "aborted"
    assert await admin.runner.take(operation.id) is None
    assert await admin.runner.look() == []
    assert await storage.entries(OPEN, now=T0) == []
    assert await state_of(storage, "a") is JobState.FAILED


async def test_a_stop_that_comes_with_the_last_page_leaves_it_done(desk: Desk, admin: Admin, storage: Storage) -> None:
    await failed_jobs(storage, "a")
    held = await taken(admin.runner, await desk.start("retry", ids=[(QUEUE, "a")]))
    held = await admin.runner.step(held)
    await desk.abort(held.task.shown.id)
    held = await admin.runner.step(held)
    assert (held.task.shown.state, held.task.shown.done) == ("done", 1)
