"""Schedules and flows as they are shown."""

import pytest
from msgspec.structs import replace

from corral.errors import ConfigError, JobNotFoundError, ScheduleNotFoundError
from corral.flow.flow import Flow
from corral.flow.node import node
from corral.job import JobState
from corral.monitor.monitor import Monitor
from corral.outcome import Completed, Failed
from corral.schedule import Every, Schedule
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, T0, Clock, new_job, run_through

SYNC = Schedule(key="sync", queue="mail", name="x", timing=Every(60), anchor_at=T0, next_at=T0 + MINUTE)


async def test_schedules_are_listed_with_their_last_run(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    await storage.put_schedules([SYNC, replace(SYNC, key="other", queue="sync")], now=T0)
    job = new_job("repeat:sync:1", schedule="sync")
    await storage.fire_schedule("mail", "sync", slot=T0 + MINUTE, jobs=[job], next_at=T0 + 2 * MINUTE, now=T0 + MINUTE)
    await run_through(storage, Failed(reason="no"), now=T0 + MINUTE)
    clock.tick(MINUTE)
    told = await monitor.schedules()
    assert [(row.queue, row.key, row.last_state, row.fired) for row in told.items] == [
        ("mail", "sync", JobState.FAILED, 1),
        ("sync", "other", None, 0),
    ]
    assert (told.total, told.complete) == (2, True)


async def test_schedules_are_chosen_by_queue_key_and_state(monitor: Monitor, storage: Storage, clock: Clock) -> None:
    paused = replace(SYNC, key="paused", paused=True)
    await storage.put_schedules([SYNC, paused, replace(SYNC, queue="b", key="late")], now=T0)
    clock.tick(2 * MINUTE)
    assert [row.key for row in (await monitor.schedules(queue="mail")).items] == ["paused", "sync"]
    assert [row.key for row in (await monitor.schedules(match="la*")).items] == ["late"]
    assert [row.key for row in (await monitor.schedules(state="paused")).items] == ["paused"]
    assert [row.key for row in (await monitor.schedules(state="overdue", start=1)).items] == ["sync"]
    with pytest.raises(ConfigError, match="a schedule is active"):
        await monitor.schedules(state="late")


async def test_the_runs_of_one_schedule_are_foretold(monitor: Monitor, storage: Storage) -> None:
    await storage.put_schedules([SYNC], now=T0)
    told = await monitor.runs("mail", "sync", count=3, tz="Europe/Oslo")
    assert [run.at for run in told] == [T0 + MINUTE, T0 + 2 * MINUTE, T0 + 3 * MINUTE]
    assert (await monitor.schedule("mail", "sync")).state == "active"
    with pytest.raises(ScheduleNotFoundError, match="did you mean 'sync'"):
        await monitor.runs("mail", "snyc")


async def test_flows_are_listed_with_how_far_they_are(monitor: Monitor, storage: Storage) -> None:
    leaves = [node("leaf", f"part-{n}", on_failure="ignore") for n in range(4)]
    handle = await Flow(storage).add(node("top", "sum", {"token": "hunter2"}, children=leaves))
    await run_through(storage, Completed(), queue="leaf")
    await run_through(storage, Failed(reason="no"), queue="leaf")
    told = await monitor.flows()
    [row] = told.items
    assert (row.done, row.failed, row.pending, row.complete) == (1, 1, 3, True)
    assert (row.job.id, row.job.preview, told.complete) == (handle.root.id, '{"token":"••••"}', True)
    assert (await monitor.flows(queue="leaf")).items == ()


async def test_a_flow_is_a_tree_without_payloads(monitor: Monitor, storage: Storage) -> None:
    inner = node("leaf", "inner", {"x": "y" * 70_000}, children=[node("leaf", "first")])
    handle = await Flow(storage).add(node("top", "sum", children=[inner, node("leaf", "second")]))
    tree = await monitor.flow("top", handle.root.id)
    assert (tree.state, len(tree.children)) == (JobState.WAITING_CHILDREN, 2)
    [deep] = [one for one in tree.children if one.children]
    assert deep.job is not None
    assert (deep.job.preview, deep.job.data_bytes, deep.children[0].state) == ("", 70_008, JobState.WAITING)
    assert (await monitor.flow("top", handle.root.id, depth=1)).children[0].children == ()
    with pytest.raises(JobNotFoundError):
        await monitor.flow("top", "nope")
