"""Workers: who lives, what they run, and what they are told."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from corral.admin.rights import Permission
from corral.http.bodies import refusing
from corral.http.deps import allow, problem
from corral.http.models.documented import shown
from corral.http.models.links import part
from corral.http.models.queue_bodies import ReasonBody
from corral.http.models.workers import (
    Command,
    CommandAnswer,
    ConcurrencyBody,
    NodeWorker,
    StopBody,
    Worker,
    WorkerList,
    running_of,
    worker_of,
)
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, engine_of, told
from corral.http.routes.queues import exists, words
from corral.http.routes.system import address_of
from corral.monitor.objects import WorkerRow

router = Router(tags=["Workers"])


@router.get(
    "/workers", operation_id="list_workers", response_model=shown(WorkerList), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.WORKER_READ, queue=None)],
)  # fmt: skip
async def list_workers(
    call: Called, asked: Asked,
    queue: Annotated[str | None, Query(max_length=256)] = None,
    host: Annotated[str | None, Query(max_length=256)] = None,
    include: Annotated[str, Query(max_length=200, description="`nodes`")] = "",
) -> Response:  # fmt: skip
    """Workers, and jobs that run elsewhere."""
    return await _list(call, asked, queue, host, nodes="nodes" in words(include, ("nodes",)))


@router.get(
    "/queues/{q}/workers", operation_id="list_queue_workers", response_model=shown(WorkerList),
    responses=told("queue-not-found", "invalid-cursor"), dependencies=[allow(Permission.WORKER_READ)],
)  # fmt: skip
async def list_queue_workers(call: Called, q: str, asked: Asked) -> Response:
    """Workers of one queue."""
    await exists(call, q)
    return await _list(call, asked, q, None)


async def _list(
    call: Caller, asked: Asked, queue: str | None, host: str | None, *, nodes: bool = False
) -> Response:  # fmt: skip
    found = await call.api.monitor.workers(queue=queue)
    rows = [row for row in found.items if _theirs(call, row) and host in (None, row.host)]

    def key(row: WorkerRow) -> Key:
        return row.name, row.id

    rows.sort(key=key)
    shown = cut(rows, key, asked, "workers", queue, host)
    items = [worker_of(row, call.base, _theirs(call, row)) for row in shown.items]
    elsewhere = [running_of(job, call.base) for job in found.elsewhere if call.sees(job.queue)]
    more: dict[str, object] = {"elsewhere": elsewhere, "complete": found.complete}
    if nodes:
        more["nodes"] = await _nodes(call, queue, host, found.items)
    return listing(asked, Worker, items, next=shown.next, prev=shown.prev, total=len(rows), more=more)


async def _nodes(
    call: Caller, queue: str | None, host: str | None, known: Sequence[WorkerRow]
) -> list[NodeWorker] | None:  # fmt: skip
    """Workers of the caller's queues that are known by their connection alone; None: the server does not tell."""
    if await engine_of(call.api) == "sqlite":
        return []  # only corral works on a file, and its workers tell of themselves
    found = await call.api.nodes.look(address_of(call))
    if found is None:
        return None
    ours = {"".join(text.split()) for row in known for text in (row.id, row.name)}  # without spaces
    return [
        NodeWorker(
            queue=one.queue, name=one.name, address=one.address, connected_seconds=one.connected_s, library=one.library
        )
        for one in sorted(found, key=lambda one: (one.queue, one.name, one.address))
        if one.name not in ours and call.sees(one.queue) and queue in (None, one.queue)
        and host in (None, one.address.rpartition(":")[0])
    ]  # fmt: skip


def _theirs(call: Caller, row: WorkerRow) -> list[str]:
    """Its queues that there are for the caller."""
    return [name for name in row.queues if call.sees(name)]


async def _found(call: Caller, worker_id: str) -> WorkerRow:
    """Raises: Problem: 404, no such worker, or none that serves a queue of the caller's."""
    for row in (await call.api.monitor.workers()).items:
        if row.id == worker_id and _theirs(call, row):
            return row
    return problem("worker-not-found", f"No worker {worker_id!r} has been seen lately.")


@router.get(
    "/workers/{id}", operation_id="get_worker", response_model=shown(Worker), responses=told("worker-not-found"),
    dependencies=[allow(Permission.WORKER_READ, queue=None)],
)  # fmt: skip
async def get_worker(call: Called, id: str) -> Response:
    """One worker."""
    row = await _found(call, id)
    return answer(worker_of(row, call.base, _theirs(call, row)))


async def _order(call: Caller, worker_id: str, command: str, reason: str, value: int | None = None) -> Response:
    row = await _found(call, worker_id)
    if len(_theirs(call, row)) < len(row.queues):
        problem("forbidden", "This worker serves queues that are not yours, too.",
                permission=str(Permission.WORKER_CONTROL))  # fmt: skip
    with refusing():
        command_id = await (await call.desk(reason)).order(worker_id, command, value)
    here = f"{call.base}/workers/{part(worker_id)}/commands/{command_id}"
    return answer(Command(command_id=command_id, links={"answer": here}), status=202, headers={"Location": here})


@router.post(
    "/workers/{id}/quiet", operation_id="quiet_worker", response_model=shown(Command), status_code=202,
    responses=told("worker-not-found", "forbidden"), dependencies=[allow(Permission.WORKER_CONTROL, queue=None)],
)  # fmt: skip
async def quiet_worker(call: Called, id: str, body: ReasonBody | None = None) -> Response:
    """Take no new jobs."""
    return await _order(call, id, "quiet", (body or ReasonBody()).reason)


@router.post(
    "/workers/{id}/resume", operation_id="resume_worker", response_model=shown(Command), status_code=202,
    responses=told("worker-not-found", "forbidden"), dependencies=[allow(Permission.WORKER_CONTROL, queue=None)],
)  # fmt: skip
async def resume_worker(call: Called, id: str, body: ReasonBody | None = None) -> Response:
    """Take jobs again."""
    return await _order(call, id, "resume", (body or ReasonBody()).reason)


@router.post(
    "/workers/{id}/stop", operation_id="stop_worker", response_model=shown(Command), status_code=202,
    responses=told("worker-not-found", "forbidden"), dependencies=[allow(Permission.WORKER_CONTROL, queue=None)],
)  # fmt: skip
async def stop_worker(call: Called, id: str, body: StopBody | None = None) -> Response:
    """End, when the running jobs have."""
    said = body or StopBody()
    seconds = None if said.timeout_seconds is None else min(10_000, round(said.timeout_seconds))
    return await _order(call, id, "stop", said.reason, seconds)


@router.post(
    "/workers/{id}/concurrency", operation_id="set_worker_concurrency", response_model=shown(Command), status_code=202,
    responses=told("worker-not-found", "forbidden", "validation-failed"),
    dependencies=[allow(Permission.WORKER_CONTROL, queue=None)],
)  # fmt: skip
async def set_concurrency(call: Called, id: str, body: ConcurrencyBody) -> Response:
    """Run so many jobs at once."""
    return await _order(call, id, "concurrency", body.reason, body.value)


@router.post(
    "/workers/{id}/dump", operation_id="dump_worker", response_model=shown(Command), status_code=202,
    responses=told("worker-not-found", "forbidden"), dependencies=[allow(Permission.WORKER_CONTROL, queue=None)],
)  # fmt: skip
async def dump_worker(call: Called, id: str, body: ReasonBody | None = None) -> Response:
    """Tell the stacks of all threads and tasks."""
    return await _order(call, id, "dump", (body or ReasonBody()).reason)


@router.get(
    "/workers/{id}/commands/{command}", operation_id="get_worker_command", response_model=shown(CommandAnswer),
    responses=told("worker-not-found"), dependencies=[allow(Permission.WORKER_CONTROL, queue=None)],
)  # fmt: skip
async def get_command(call: Called, id: str, command: str) -> Response:
    """What a worker answered to a command."""
    if not call.sees_all:
        row = await _found(call, id)
        if len(_theirs(call, row)) < len(row.queues):  # a dump tells of all that it runs
            problem("worker-not-found", f"No worker {id!r} answers to you alone.")
    if len(id) > 200 or len(command) > 200 or not (id.isprintable() and command.isprintable()):
        problem("worker-not-found", "No worker has such an id.")
    return answer(CommandAnswer(command_id=command, answer=await (await call.desk()).answer(id, command)))
