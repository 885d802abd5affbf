"""What people do with jobs: its effect, its entry in the audit log, and what is refused."""

import pytest

from corral.admin.admin import Desk
from corral.errors import ConfigError, JobNotFoundError, JobStateError, PayloadError
from corral.job import JobState, ParentRef
from corral.options import JobOptions
from corral.outcome import Failed
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, add_ids, new_job, run_through, start_one, the

from .helpers import ANA, completed_job, entries, failed_jobs, last_entry, state_of


async def test_a_failed_job_is_run_again_and_the_log_says_by_whom_and_why(desk: Desk, storage: Storage) -> None:
    await failed_jobs(storage, "a")
    assert await desk.retry(QUEUE, ["a"]) == ["a"]
    assert await state_of(storage, "a") is JobState.WAITING
    entry = await last_entry(desk)
    assert entry.actor == ANA
    assert (entry.action, entry.target, entry.outcome) == ("job.retry", {"queue": QUEUE, "job": "a"}, "ok")
    assert (entry.at, entry.count, entry.ids, entry.reason) == (T0, 1, ("a",), "because")


async def test_a_retry_may_keep_the_attempts_that_were_made(desk: Desk, storage: Storage) -> None:
    await failed_jobs(storage, "a", "b")
    await desk.retry(QUEUE, ["a"], reset_attempts=False)
    await desk.retry(QUEUE, ["b"])
    assert [(await the(storage, one)).attempts_made for one in ("a", "b")] == [1, 0]


async def test_a_retry_with_another_payload_keeps_the_old_one_in_the_log(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a", data='{"to":"x","password":"hunter2"}'))
    await run_through(storage, Failed(reason="no"))
    await desk.retry(QUEUE, ["a"], data='{"to":"y"}')
    job = await the(storage, "a")
    assert (job.state, job.data) == (JobState.WAITING, '{"to":"y"}')
    entry = await last_entry(desk)
    assert (entry.before, entry.after) == ({"data": {"to": "x", "password": "••••"}}, {"data": {"to": "y"}})


async def test_a_payload_is_not_changed_when_the_job_cannot_be_run_again(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a", data='{"n":1}'))
    with pytest.raises(JobStateError, match="waiting, not finished"):
        await desk.retry(QUEUE, ["a"], data='{"n":2}')
    assert (await the(storage, "a")).data == '{"n":1}'
    with pytest.raises(ConfigError, match="single job"):
        await desk.retry(QUEUE, ["a", "b"], data='{"n":2}')


async def test_of_several_jobs_those_that_were_reached_are_answered(desk: Desk, storage: Storage) -> None:
    await failed_jobs(storage, "a", "b")
    await add_ids(storage, "waits")
    assert sorted(await desk.retry(QUEUE, ["a", "waits", "b", "nobody"])) == ["a", "b"]
    entry = await last_entry(desk)
    assert (entry.count, sorted(entry.ids), entry.target) == (2, ["a", "b"], {"queue": QUEUE})


@pytest.mark.parametrize(
    ("verb", "wanted", "code"),
    [
        ("retry", "finished", "job-not-retryable"),
        ("promote", "delayed", "job-not-delayed"),
        ("remove", "not active", "job-locked"),
    ],
)
async def test_what_cannot_be_done_to_a_running_job_is_refused_and_noted(
    desk: Desk, storage: Storage, verb: str, wanted: str, code: str
) -> None:
    await add_ids(storage, "a")
    await start_one(storage)
    with pytest.raises(JobStateError, match=f"active, not {wanted}"):
        await getattr(desk, verb)(QUEUE, ["a"])
    entry = await last_entry(desk)
    assert (entry.action, entry.outcome, entry.problem) == (f"job.{verb}", "refused", code)
    assert await state_of(storage, "a") is JobState.ACTIVE


@pytest.mark.parametrize("verb", ["retry", "promote", "cancel", "remove"])
async def test_a_job_that_is_not_there_is_an_error_and_noted(desk: Desk, verb: str) -> None:
    with pytest.raises(JobNotFoundError):
        await getattr(desk, verb)(QUEUE, ["nobody"])
    entry = await last_entry(desk)
    assert (entry.outcome, entry.problem, entry.target["job"]) == ("refused", "job-not-found", "nobody")


async def test_an_ended_job_cannot_be_cancelled(desk: Desk, storage: Storage) -> None:
    await completed_job(storage, "a")
    with pytest.raises(JobStateError, match="completed, not not finished"):
        await desk.cancel(QUEUE, ["a"])
    assert (await last_entry(desk)).problem == "job-finished"


async def test_a_delayed_job_is_promoted(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a", delay_ms=MINUTE))
    assert await desk.promote(QUEUE, ["a"]) == ["a"]
    assert await state_of(storage, "a") is JobState.WAITING


async def test_a_cancelled_job_says_why(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await desk.cancel(QUEUE, ["a"]) == ["a"]
    job = await the(storage, "a")
    assert job.state is JobState.FAILED
    assert "because" in (job.failed_reason or "")


async def test_a_job_is_removed_alone_or_with_all_below_it(desk: Desk, storage: Storage) -> None:
    for parent in ("p", "q"):
        ref = ParentRef(QUEUE, parent)
        await add(storage, new_job(parent, children=1), new_job(f"{parent}-child", parent=ref, queue="images"))
    assert await desk.remove(QUEUE, ["p"]) == ["p"]
    assert await state_of(storage, "p-child", queue="images") is JobState.WAITING
    assert await desk.remove(QUEUE, ["q"], children=True) == ["q"]
    assert await state_of(storage, "q-child", queue="images") is None
    assert (await last_entry(desk)).count == 2


async def test_a_note_stands_in_the_jobs_log_with_its_writer_and_not_in_the_audit_log(
    desk: Desk, storage: Storage
) -> None:
    await add_ids(storage, "a")
    assert await desk.log(QUEUE, "a", "called the customer") == 1
    assert (await storage.logs(QUEUE, "a")).items == ("[ana] called the customer",)
    assert "customer" not in repr(await last_entry(desk))
    with pytest.raises(JobNotFoundError):
        await desk.log(QUEUE, "nobody", "hello")
    with pytest.raises(ConfigError, match="note"):
        await desk.log(QUEUE, "a", " ")


async def test_no_ids_are_no_request(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="1 to 10,000"):
        await desk.retry(QUEUE, [])
    with pytest.raises(ConfigError, match="several job ids"):
        await desk.retry(QUEUE, "abc")
    assert [entry.problem for entry in await entries(desk)] == ["invalid-parameter"] * 2


# -- editing ---------------------------------------------------------------------------------------------------------


async def test_an_edit_changes_a_waiting_job_and_keeps_what_it_was(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a", data='{"to":"x"}', priority=5))
    job = await desk.edit(QUEUE, "a", data='{"to":"y"}', priority=1)
    assert (job.data, job.priority) == ('{"to":"y"}', 1)
    entry = await last_entry(desk)
    assert entry.before == {"data": {"to": "x"}, "priority": 5}
    assert entry.after == {"data": {"to": "y"}, "priority": 1}


async def test_the_time_of_a_delayed_job_is_changed_from_now_on(desk: Desk, storage: Storage, clock: Clock) -> None:
    await add(storage, new_job("a", delay_ms=MINUTE), new_job("b"))
    clock.tick(1_000)
    assert (await desk.edit(QUEUE, "a", delay_ms=5 * MINUTE)).run_at == T0 + 1_000 + 5 * MINUTE
    with pytest.raises(JobStateError, match="waiting, not delayed"):
        await desk.edit(QUEUE, "b", delay_ms=MINUTE)


async def test_only_a_job_that_has_not_been_started_can_be_edited(desk: Desk, storage: Storage) -> None:
    await completed_job(storage, "done")
    await add_ids(storage, "runs")
    await start_one(storage)
    problems = []
    for job_id in ("runs", "done", "nobody"):
        with pytest.raises((JobStateError, JobNotFoundError)):
            await desk.edit(QUEUE, job_id, priority=1)
        problems.append((await last_entry(desk)).problem)
    assert problems == ["job-active", "job-finished", "job-not-found"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, ConfigError),
        ({"priority": -1}, ConfigError),
        ({"data": "{"}, PayloadError),
        ({"data": '{"n":NaN}'}, PayloadError),
        ({"delay_ms": -1}, ConfigError),
        ({"delay_ms": True}, ConfigError),
    ],
)
async def test_an_edit_that_cannot_be_meant_changes_nothing(
    desk: Desk, storage: Storage, change: dict[str, object], error: type[Exception]
) -> None:
    await add(storage, new_job("a", delay_ms=MINUTE))
    before = await the(storage, "a")
    with pytest.raises(error):
        await desk.edit(QUEUE, "a", **change)  # type: ignore[arg-type]  # what cannot be meant
    assert await the(storage, "a") == before
    assert (await last_entry(desk)).outcome == "refused"


async def test_what_is_sensitive_of_a_payload_never_gets_into_the_log(desk: Desk, storage: Storage) -> None:
    options = JobOptions(sensitive=("diagnosis",))
    data = '{"diagnosis":"CANARY-1","card_number":4111111111111111,"hidden":{"everywhere":"CANARY-2"},'
    data += '"api_key":"CANARY-3"}'
    await add(storage, new_job("a", data=data, options=options))
    await desk.edit(QUEUE, "a", data=data.replace("CANARY", "CANARY-NEW"))
    text = repr(await entries(desk))
    assert "CANARY" not in text
    assert "4111111111111111" not in text
    assert "diagnosis" in text


async def test_a_long_payload_is_not_copied_into_the_log(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a", data='{"text":"' + "x" * 50_000 + '"}'))
    await desk.edit(QUEUE, "a", data="{}")
    entry = await last_entry(desk)
    assert (entry.before, entry.after) == ({"data": {"omitted": "50,011 bytes"}}, {"data": {}})
