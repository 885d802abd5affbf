"""New jobs, and old ones as new ones: what the application says holds for people too."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from corral.admin.admin import Admin, Desk
from corral.app.app import Corral
from corral.codec.encrypted import Encrypted
from corral.codec.keys import new_key
from corral.errors import ConfigError, JobNotFoundError, PayloadError, UnknownJobError
from corral.job import JobState, NewJob, ParentRef
from corral.monitor.monitor import Monitor
from corral.options import Dedup, Fixed, JobOptions
from corral.schedule import Every, Schedule
from corral.sensitive import Sensitive
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, new_job, start_one, the

from .helpers import ANA, completed_job, entries, failed_jobs, last_entry, state_of


@dataclass
class Welcome:
    to: str
    retries: int = 3
    card: Annotated[str, Sensitive] = ""


@pytest.fixture
def app() -> Corral:
    """An application with one handler."""
    made = Corral("sqlite:///:memory:")

    @made.queue(QUEUE, attempts=5).job("welcome", backoff=Fixed(2))
    async def welcome(data: Welcome) -> None: ...

    made.queue("letters")
    return made


@pytest.fixture
def employee(storage: Storage, monitor: Monitor, app: Corral, clock: Clock) -> Desk:
    """The desk of somebody who works with the application."""
    return Admin(storage, monitor, app=app, clock=lambda: clock.now).by(ANA, "because")


async def test_a_job_is_added_with_an_entry_that_has_no_payload(desk: Desk, storage: Storage) -> None:
    [added] = await desk.add(QUEUE, [new_job(data='{"to":"CANARY"}')])
    assert await state_of(storage, added.id) is JobState.WAITING
    entry = await last_entry(desk)
    assert (entry.action, entry.count, entry.ids) == ("job.add", 1, (added.id,))
    assert entry.target == {"queue": QUEUE, "name": "welcome", "job": added.id}
    assert "CANARY" not in repr(entry)


async def test_several_jobs_are_added_or_none(desk: Desk, storage: Storage) -> None:
    added = await desk.add(QUEUE, [new_job("a"), new_job("b", "other")])
    assert [one.id for one in added] == ["a", "b"]
    assert (await last_entry(desk)).target == {"queue": QUEUE}
    with pytest.raises(PayloadError):
        await desk.add(QUEUE, [new_job("c"), new_job("d", data="{")])
    with pytest.raises(ConfigError, match="for queue 'mail'"):
        await desk.add(QUEUE, [new_job("c"), new_job("d", queue="sync")])
    with pytest.raises(ConfigError, match="1 to"):
        await desk.add(QUEUE, [])
    assert await state_of(storage, "c") is None
    assert [entry.problem for entry in await entries(desk)][:3] == [
        "invalid-parameter", "invalid-parameter", "validation-failed",
    ]  # fmt: skip


async def test_a_job_that_was_there_already_is_not_counted(desk: Desk, storage: Storage) -> None:
    await desk.add(QUEUE, [new_job("a")])
    [again] = await desk.add(QUEUE, [new_job("a")])
    assert not again.fresh
    assert (await last_entry(desk)).count == 0


async def test_numbers_stay_as_they_were_written(desk: Desk, storage: Storage) -> None:
    exact = '{"price":0.10,"big":12345678901234567890.123456789}'
    await desk.add(QUEUE, [new_job("a", data=exact)])
    assert (await the(storage, "a")).data == exact


async def test_a_handlers_type_checks_and_completes_the_payload(employee: Desk, storage: Storage) -> None:
    await employee.add(QUEUE, [new_job("a", data='{"to":"x"}')])
    assert (await the(storage, "a")).data == '{"to":"x","retries":3,"card":""}'
    with pytest.raises(PayloadError, match="to"):
        await employee.add(QUEUE, [new_job("b", data='{"retries":1}')])
    with pytest.raises(UnknownJobError, match="did you mean 'welcome'"):
        await employee.add(QUEUE, [new_job("b", "wellcome")])
    assert (await last_entry(employee)).problem == "unknown-job-name"
    await employee.add("letters", [new_job("c", "anything", queue="letters")])  # nobody here has handlers for it
    await employee.add("elsewhere", [new_job("d", "anything", queue="elsewhere")])


async def test_a_draft_has_what_the_application_declares(employee: Desk, desk: Desk) -> None:
    job = employee.draft(QUEUE, "welcome", {"to": "x"}, priority=3)
    assert (job.options.attempts, job.options.backoff, job.priority) == (5, Fixed(2), 3)
    assert job.options.sensitive == ("card",)
    assert desk.draft(QUEUE, "anything", {"n": 1}, attempts=2).options == JobOptions(attempts=2)
    with pytest.raises(ConfigError, match="queue name"):
        desk.draft("a:b", "x")


async def test_the_applications_guards_and_middleware_hold(employee: Desk, app: Corral, storage: Storage) -> None:
    @app.before_add
    def not_on_sundays(job: NewJob) -> None:
        if "sunday" in job.data:
            raise PermissionError("not on sundays")

    with pytest.raises(PermissionError):
        await employee.add(QUEUE, [new_job("a", data='{"to":"sunday"}')])
    entry = await last_entry(employee)
    assert (entry.outcome, entry.problem) == ("refused", "forbidden")
    assert await state_of(storage, "a") is None


# -- run an old one again as a new one ---------------------------------------------------------------------------------


async def test_a_job_is_run_again_as_a_new_one_that_remembers_it(desk: Desk, storage: Storage) -> None:
    options = JobOptions(attempts=4, sensitive=("card",))
    await add(storage, new_job("old", "weekly", data='{"n":1}', priority=3, group="acme", options=options))
    added = await desk.rerun(QUEUE, "old")
    job = await the(storage, added.id)
    assert (job.name, job.data, job.priority, job.group) == ("weekly", '{"n":1}', 3, "acme")
    assert (job.options.attempts, job.options.sensitive) == (4, ("card",))
    assert job.options.rerun_of == f"{QUEUE}/old"
    assert await state_of(storage, "old") is JobState.WAITING
    entry = await last_entry(desk)
    assert (entry.action, entry.target) == ("job.rerun", {"queue": QUEUE, "job": "old"})
    assert (entry.ids, entry.after) == ((added.id,), {"queue": QUEUE, "id": added.id})


async def test_the_lineage_goes_on_from_rerun_to_rerun(desk: Desk, storage: Storage) -> None:
    await completed_job(storage, "first")
    second = await desk.rerun(QUEUE, "first")
    third = await desk.rerun(QUEUE, second.id)
    assert (await the(storage, second.id)).options.rerun_of == f"{QUEUE}/first"
    assert (await the(storage, third.id)).options.rerun_of == f"{QUEUE}/{second.id}"


async def test_a_new_one_may_have_another_payload_name_queue_and_options(desk: Desk, storage: Storage) -> None:
    await failed_jobs(storage, "old")
    added = await desk.rerun(
        QUEUE, "old", data='{"n":2}', name="other", to_queue="slow", options=JobOptions(attempts=9), remove_old=True
    )
    job = await the(storage, added.id, queue="slow")
    assert (job.name, job.data, job.options.attempts) == ("other", '{"n":2}', 9)
    assert await state_of(storage, "old") is None
    entry = await last_entry(desk)
    assert entry.target == {"queue": QUEUE, "job": "old", "to_queue": "slow", "name": "other"}
    assert entry.after == {"queue": "slow", "id": added.id, "removed": True}


async def test_an_old_one_that_runs_is_not_removed(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("old"))
    await start_one(storage)
    await desk.rerun(QUEUE, "old", remove_old=True)
    assert await state_of(storage, "old") is JobState.ACTIVE
    assert ((await last_entry(desk)).after or {})["removed"] is False


async def test_the_place_in_a_flow_and_the_deduplication_stay_with_the_old_one(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("p", children=1), new_job("child", parent=ParentRef(QUEUE, "p")))
    await add(storage, new_job("unique", dedup=Dedup("report-7")))
    job = await the(storage, (await desk.rerun(QUEUE, "child")).id)
    assert job.parent is None
    assert (await desk.rerun(QUEUE, "unique")).fresh


async def test_a_job_that_is_gone_cannot_be_run_again(desk: Desk) -> None:
    with pytest.raises(JobNotFoundError):
        await desk.rerun(QUEUE, "gone")
    assert (await last_entry(desk)).problem == "job-not-found"


# -- what is sealed stays sealed ---------------------------------------------------------------------------------------


async def test_a_sealed_payload_does_not_stand_open_in_the_log(storage: Storage, clock: Clock) -> None:
    app = Corral("sqlite:///:memory:", codecs=[Encrypted(new_key())])
    sealed = app.sealed(storage)
    desk = Admin(sealed, Monitor(sealed), app=app, clock=lambda: clock.now).by(ANA)
    await desk.add(QUEUE, [new_job("a", data='{"note":"CANARY-1"}', delay_ms=MINUTE)])
    await desk.edit(QUEUE, "a", data='{"note":"CANARY-2"}')
    assert (await the(sealed, "a")).data == '{"note":"CANARY-2"}'
    schedule = Schedule(key="nightly", queue=QUEUE, name="welcome", timing=Every(60), data='{"note":"CANARY-3"}')
    await desk.put_schedule(schedule)
    added = await desk.rerun(QUEUE, "a")
    assert (await the(sealed, added.id)).data == '{"note":"CANARY-2"}'
    text = "".join([one.text for kind in ("audit", "audit-added") for one in await storage.entries(kind, now=T0)])
    assert "CANARY" not in text
    assert "corral:sealed" in text
