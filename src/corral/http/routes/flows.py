"""Flows: jobs that wait for others."""

from typing import Annotated, Literal

from fastapi import Query
from msgspec import UnsetType
from starlette.responses import Response

from corral.admin.rights import Permission
from corral.errors import ConfigError, PayloadError
from corral.flow.flow import FlowHandle
from corral.flow.node import Node, make_node
from corral.http.additions import job_of, limit_of
from corral.http.bodies import Part, complaints, part_of, refused, text_of
from corral.http.deps import Rate, allow, need, problem, spend
from corral.http.idempotency import once
from corral.http.models.base import Listing
from corral.http.models.documented import shown
from corral.http.models.job_views import everything, flow_of
from corral.http.models.jobs import FlowNode
from corral.http.models.links import job_path
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.models.plans import FlowAdded, FlowBody, FlowInfo, FlowRetryBody, flow_row_of
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import lean
from corral.monitor.objects import FlowNode as NodeRow
from corral.monitor.objects import FlowRow

router = Router(tags=["Flows"])

#: Flows that one answer is made from, and jobs of one request.
FLOWS, MOST = 500, 1_000


@router.get(
    "/flows", operation_id="list_flows", response_model=shown(Listing[FlowInfo]), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.JOB_READ, queue=None)],
)  # fmt: skip
async def list_flows(
    call: Called, asked: Asked,
    queue: Annotated[str | None, Query(max_length=256)] = None,
    state: Annotated[
        Literal["open", "finished"],
        Query(description="`open`: not finished. `finished`: those whose top is among the newest 300 finished jobs."),
    ] = "open",
) -> Response:  # fmt: skip
    """Flows that are not finished, or those that finished last; newest first."""
    most = min(FLOWS, asked.limit if asked.cursor is None else FLOWS)
    found = await call.api.monitor.flows(queue=queue, limit=most, finished=state == "finished")
    rows = [row for row in found.items if call.sees(row.job.queue) and call.who.owns(row.job.tags)]

    def key(row: FlowRow) -> Key:
        return -row.job.created_at, row.job.queue, row.job.id

    rows.sort(key=key)
    shown = cut(rows, key, asked, "flows", queue, state)
    items = [flow_row_of(row, call.base) for row in shown.items]
    return listing(
        asked, FlowInfo, items, next=shown.next, prev=shown.prev, total=len(rows),
        relation="eq" if found.complete else "gte",
    )  # fmt: skip


@router.get(
    "/flows/{q}/{id}", operation_id="get_flow", response_model=shown(FlowNode),
    responses=told("queue-not-found", "job-not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_flow(
    call: Called, q: str, id: str,
    depth: Annotated[int, Query(ge=0, le=100)] = 10,
    max: Annotated[int, Query(ge=1, le=2_000)] = 500,  # noqa: A002
) -> Response:  # fmt: skip
    """A flow as a tree."""
    await lean(call, q, id)
    tree = await call.api.monitor.flow(q, id, depth=depth, limit=max)
    return answer(flow_of(tree, call.base, everything if call.sees_all else call.sees, call.owner))


@router.post(
    "/flows", operation_id="add_flow", response_model=shown(FlowAdded), status_code=201,
    responses=told("queue-not-found", "validation-failed", "unknown-job-name", "payload-too-large", "rate-limited",
                   "idempotency-mismatch", "idempotency-in-flight"),
    dependencies=[allow(Permission.JOB_ADD, queue=None)],
)  # fmt: skip
async def add_flow(call: Called, body: FlowBody) -> Response:
    """Add a tree of jobs in one step."""
    bodies = _all(body)
    if len(bodies) > MOST:
        refused("/children", f"a flow has at most {MOST:,} jobs here, not {len(bodies):,}")
    for one in bodies:
        await call.check_named(one.opts)
    for queue in dict.fromkeys(one.queue for one in bodies):
        await need(call.request, Permission.JOB_ADD, queue)
        await spend(call.request, sum(one.queue == queue for one in bodies), queue)

    async def work() -> Response:
        root = _node(call, body, await part_of(call.request), "")
        try:
            handle = await (await call.desk()).add_flow(root)
        except PayloadError as error:
            problem("validation-failed", "A payload is refused.", errors=complaints(error))
        except ConfigError as error:
            refused("", str(error))
        made = _added(call, root, handle)
        return answer(made, status=201, headers={"Location": made.links["flow"]})

    return await once(call.request, call.api, call.who, work)


def _all(body: FlowBody) -> list[FlowBody]:
    found, stack = [], [body]
    while stack:
        one = stack.pop()
        found.append(one)
        stack += one.children
    return found


def _node(call: Caller, body: FlowBody, part: Part, pointer: str) -> Node[object]:
    """A body as a node of a flow. Raises: Problem (413, 422). UnknownJobError."""
    app = call.api.app
    text = text_of(part, f"{pointer}/data", limit_of(app, body.queue)) or "{}"
    tag = call.who.owner_tag if call.who.own_only else None
    job = job_of(app, body.queue, body.name, text, body.opts, tag=tag, pointer=pointer)
    below = () if isinstance(part.children, UnsetType) else part.children
    children = [
        _node(call, one, other, f"{pointer}/children/{number}")
        for number, (one, other) in enumerate(zip(body.children, below, strict=True))
    ]
    try:
        return make_node(job, children, body.on_failure or "fail")
    except ConfigError as error:
        refused(f"{pointer}/{error.key}", str(error))


def _added(call: Caller, root: Node[object], handle: FlowHandle[object]) -> FlowAdded:
    """The tree with its ids. Each node stands once in it: it was made of a tree."""

    def made(node: Node[object]) -> FlowAdded:
        job = handle.job(node)
        here = job_path(job.queue.name, job.id, call.base)
        flow = here.replace("/queues/", "/flows/", 1).replace("/jobs/", "/", 1)
        return FlowAdded(
            queue=job.queue.name, id=job.id, name=node.job.name, links={"self": here, "flow": flow},
            children=[made(one) for one in node.children],
        )  # fmt: skip

    return made(root)


@router.post(
    "/flows/{q}/{id}/retry", operation_id="retry_flow", response_model=shown(OperationInfo), status_code=202,
    responses=told("queue-not-found", "job-not-found", "forbidden", "validation-failed"),
    dependencies=[allow(Permission.JOB_RETRY, rate=Rate.BULK)],
)  # fmt: skip
async def retry_flow(call: Called, q: str, id: str, body: FlowRetryBody | None = None) -> Response:
    """Run the failed jobs of a flow again."""
    said = body or FlowRetryBody()
    if said.only not in ("failed", "all"):
        refused("/only", f"only must be failed or all, not {said.only!r}")
    await lean(call, q, id)
    if not call.sees_all:
        _check_all(call, await call.api.monitor.flow(q, id, depth=100, limit=2_000))

    async def work() -> Response:
        try:
            operation = await (await call.desk(said.reason)).retry_flow(
                q, id, only_failed=said.only == "failed", visible=call.globs
            )
        except ConfigError as error:
            problem("job-not-retryable", f"{error}.")
        made = operation_of(operation, call.base)
        return answer(made, status=202, headers={"Location": made.links["self"]})

    return await once(call.request, call.api, call.who, work)


def _check_all(call: Caller, tree: NodeRow) -> None:
    """Raises: Problem: 403, some of its jobs are in queues that are not there for the caller."""
    stack = [tree]
    while stack:
        one = stack.pop()
        stack += one.children
        if one.left_out or not call.sees(one.queue):
            problem("forbidden", "Some of its jobs are in queues that are not yours.",
                    permission=str(Permission.JOB_RETRY))  # fmt: skip
