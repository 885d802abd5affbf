"""Operations: changes to many jobs and searches for them, carried out in the background."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from corral.admin.objects import Operation
from corral.admin.rights import Permission
from corral.errors import RecordNotFoundError
from corral.http.deps import allow, need, problem
from corral.http.models.base import Listing
from corral.http.models.documented import shown
from corral.http.models.jobs import JobSummary
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.models.queue_bodies import ReasonBody
from corral.http.paging import Asked, Key, cursor_of, cut, listing, spot_of
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import summary
from corral.http.scope import covered

router = Router(tags=["Operations"])

#: Operations that are kept in sight.
ALL = 500


@router.get(
    "/operations", operation_id="list_operations", response_model=shown(Listing[OperationInfo]),
    responses=told("invalid-cursor"), dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def list_operations(
    call: Called, asked: Asked,
    state: Annotated[str | None, Query(pattern="^(pending|collecting|running|done|aborted|failed)$")] = None,
) -> Response:  # fmt: skip
    """Operations, newest first."""
    rows = [one for one in await (await call.desk()).operations(limit=ALL) if _theirs(call, one)]
    rows = [one for one in rows if state in (None, one.state)]

    def key(one: Operation) -> Key:
        return -one.created_at, one.id

    rows.sort(key=key)
    shown = cut(rows, key, asked, "operations", state)
    items = [operation_of(one, call.base) for one in shown.items]
    return listing(asked, OperationInfo, items, next=shown.next, prev=shown.prev, total=len(rows))


def _theirs(call: Caller, operation: Operation) -> bool:
    """Operations go over queues that may not all be there for the caller: then only their own are shown."""
    # A name alone is not enough: whoever makes tokens chooses theirs.
    return call.sees_all or (operation.by == call.who.sub and covered(call.globs, operation.queues))


async def _found(call: Caller, operation_id: str) -> Operation:
    """Raises: Problem (404)."""
    try:
        found = await (await call.desk()).operation(operation_id)
    except RecordNotFoundError:
        found = None
    if found is None or not _theirs(call, found):
        problem("operation-not-found", f"There is no operation {operation_id!r}.")
    return found


@router.get(
    "/operations/{id}", operation_id="get_operation", response_model=shown(OperationInfo),
    responses=told("operation-not-found"), dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def get_operation(call: Called, id: str) -> Response:
    """One operation."""
    return answer(operation_of(await _found(call, id), call.base))


@router.get(
    "/operations/{id}/results", operation_id="operation_results", response_model=shown(Listing[JobSummary]),
    responses=told("operation-not-found", "invalid-cursor", "forbidden"),
    dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def operation_results(call: Called, asked: Asked, id: str) -> Response:
    """Jobs that a search in the background has found, also while it goes on.

    They are shown as they are now; those that have gone since are left out. `total` counts all that were found: `gte`
    when the search has not ended, or found as many as it may. Results are kept for a day.
    """
    await need(call.request, Permission.JOB_READ)
    await _found(call, id)
    begin = 0 if asked.cursor is None else _place(asked.cursor, id)
    try:
        found = await (await call.desk()).found(id, begin=begin, limit=asked.limit)
    except RecordNotFoundError:
        problem("operation-not-found", f"Operation {id!r} is no search.")
    reveal = await call.reveal()
    if found.reveal and not reveal:
        problem("forbidden", "Whoever searched might see what is sensitive, and what was found may tell of it.",
                permission=str(Permission.PAYLOAD_READ))  # fmt: skip
    rows = await call.api.monitor.rows([ref for ref in found.refs if call.sees(ref[0])], reveal=reveal)
    items = [summary(call, row, call.rights) for row in rows if row is not None and call.who.owns(row.tags)]
    after = begin + len(found.refs)
    return listing(
        asked, JobSummary, items, next=cursor_of((after,), "results", id) if after < found.total else None,
        total=found.total, relation="eq" if found.complete else "gte", more={"expired": found.expired},
    )  # fmt: skip


def _place(cursor: str, operation_id: str) -> int:
    """Raises: Problem (400)."""
    [place, *rest] = [*spot_of(cursor, "results", operation_id).key, None]
    if not isinstance(place, int) or place < 0 or rest != [None]:
        problem("invalid-cursor", "The cursor is none that this API has given.")
    return place


@router.post(
    "/operations/{id}/abort", operation_id="abort_operation", response_model=shown(OperationInfo),
    responses=told("operation-not-found"), dependencies=[allow(Permission.OPERATION_ABORT, queue=None)],
)  # fmt: skip
async def abort_operation(call: Called, id: str, body: ReasonBody | None = None) -> Response:
    """Stop it after what is under way; what is done stays done."""
    await _found(call, id)
    return answer(operation_of(await (await call.desk((body or ReasonBody()).reason)).abort(id), call.base))
