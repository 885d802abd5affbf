"""Flows that have finished, among the newest finished jobs."""

from corral.flow.flow import Flow
from corral.flow.node import node
from corral.monitor.monitor import Monitor
from corral.outcome import Completed
from corral.storage.port import Storage
from tests.storage.helpers import add_ids, run_through


async def test_a_flow_whose_top_has_ended_is_among_the_finished_ones(monitor: Monitor, storage: Storage) -> None:
    await add_ids(storage, "alone")
    await run_through(storage, Completed())
    handle = await Flow(storage).add(node("top", "sum", children=[node("leaf", "part") for _ in range(2)]))
    for queue in ("leaf", "leaf", "top"):
        await run_through(storage, Completed(), queue=queue)
    told = await monitor.flows(finished=True)
    [row] = told.items
    assert (row.job.id, row.done, row.pending) == (handle.root.id, 3, 0)
    assert (told.complete, told.examined) == (True, 4)
    assert (await monitor.flows()).items == ()
    assert (await monitor.flows(queue="mail", finished=True)).items == ()


async def test_an_open_flow_is_not_among_the_finished_ones(monitor: Monitor, storage: Storage) -> None:
    await Flow(storage).add(node("top", "sum", children=[node("leaf", "part") for _ in range(2)]))
    await run_through(storage, Completed(), queue="leaf")
    assert (await monitor.flows(finished=True)).items == ()
    assert len((await monitor.flows()).items) == 1
