"""Flows: added as a whole, run again from below."""

from dataclasses import dataclass

import pytest

from corral.admin.admin import Admin, Desk
from corral.app.app import Corral
from corral.errors import ConfigError, JobNotFoundError, PayloadError
from corral.flow.node import node
from corral.job import JobState, NewJob, ParentRef
from corral.monitor.monitor import Monitor
from corral.options import ParentPolicy
from corral.outcome import Completed, Failed
from corral.storage.port import Storage
from tests.storage.helpers import QUEUE, Clock, add, end, new_job, start_one, the

from .helpers import ANA, carried_out, last_entry, state_of

KIDS = "kids"


@dataclass
class Welcome:
    to: str
    retries: int = 3


@pytest.fixture
def employee(storage: Storage, monitor: Monitor, clock: Clock) -> Desk:
    """The desk of somebody who works with an application."""
    app = Corral("sqlite:///:memory:")

    @app.queue(QUEUE).job("welcome")
    async def welcome(data: Welcome) -> None: ...

    return Admin(storage, monitor, app=app, clock=lambda: clock.now).by(ANA)


def child(job_id: str) -> NewJob:
    return new_job(job_id, queue=KIDS, parent=ParentRef(QUEUE, "top", ParentPolicy.FAIL))


async def test_a_flow_is_added_as_a_whole(employee: Desk, storage: Storage) -> None:
    tree = node(QUEUE, "welcome", {"to": "x"}, children=[node("letters", "write", {"n": 1})])
    handle = await employee.add_flow(tree)
    root = await the(storage, handle.root.id)
    assert (root.state, root.data) == (JobState.WAITING_CHILDREN, '{"to":"x","retries":3}')
    entry = await last_entry(employee)
    assert (entry.action, entry.count) == ("flow.add", 2)
    assert entry.target == {"queue": QUEUE, "name": "welcome", "job": handle.root.id}


async def test_a_flow_with_a_payload_that_is_refused_is_not_added_at_all(employee: Desk, storage: Storage) -> None:
    with pytest.raises(PayloadError):
        await employee.add_flow(node("letters", "write", {}, children=[node(QUEUE, "welcome", {"retries": 1})]))
    assert await storage.queues() == []
    assert (await last_entry(employee)).problem == "validation-failed"


async def test_the_failed_jobs_of_a_flow_are_run_again_from_below(desk: Desk, admin: Admin, storage: Storage) -> None:
    await add(storage, new_job("top", children=2), child("good"), child("bad"))
    run = await start_one(storage, queue=KIDS)
    assert run.job.id == "good"
    await end(storage, run, Completed())
    await end(storage, await start_one(storage, queue=KIDS), Failed(reason="no"))
    assert await state_of(storage, "top") is JobState.FAILED
    ended = await carried_out(admin, await desk.retry_flow(QUEUE, "top"))
    assert (ended.done, ended.failed, ended.by) == (2, 0, "ana")
    assert await state_of(storage, "top") is JobState.WAITING_CHILDREN
    assert await state_of(storage, "bad", queue=KIDS) is JobState.WAITING
    assert await state_of(storage, "good", queue=KIDS) is JobState.COMPLETED


async def test_a_whole_flow_is_run_again(desk: Desk, admin: Admin, storage: Storage) -> None:
    await add(storage, new_job("top", children=1), child("kid"))
    await end(storage, await start_one(storage, queue=KIDS), Completed())
    await end(storage, await start_one(storage), Completed())
    with pytest.raises(ConfigError, match="no jobs to run again"):
        await desk.retry_flow(QUEUE, "top")
    ended = await carried_out(admin, await desk.retry_flow(QUEUE, "top", only_failed=False))
    assert ended.done == 2
    assert await state_of(storage, "top") is JobState.WAITING_CHILDREN


async def test_jobs_of_queues_that_somebody_does_not_see_are_left_out(
    desk: Desk, admin: Admin, storage: Storage
) -> None:
    await add(storage, new_job("top", children=1), child("kid"))
    await end(storage, await start_one(storage, queue=KIDS), Failed(reason="no"))
    ended = await carried_out(admin, await desk.retry_flow(QUEUE, "top", visible=["ki*"]))
    assert ended.total == 1
    assert await state_of(storage, "top") is JobState.FAILED


async def test_a_flow_that_is_gone_cannot_be_run_again(desk: Desk) -> None:
    with pytest.raises(JobNotFoundError):
        await desk.retry_flow(QUEUE, "gone")
    assert (await last_entry(desk)).problem == "job-not-found"
