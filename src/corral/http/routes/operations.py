"""Operations: changes to many jobs, carried out in the background."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from corral.admin.objects import Operation
from corral.admin.rights import Permission
from corral.errors import RecordNotFoundError
from corral.http.deps import allow, problem
from corral.http.models.base import Listing
from corral.http.models.documented import shown
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.models.queue_bodies import ReasonBody
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
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


@router.post(
    "/operations/{id}/abort", operation_id="abort_operation", response_model=shown(OperationInfo),
    responses=told("operation-not-found"), dependencies=[allow(Permission.OPERATION_ABORT, queue=None)],
)  # fmt: skip
async def abort_operation(call: Called, id: str, body: ReasonBody | None = None) -> Response:
    """Stop it after what is under way; what is done stays done."""
    await _found(call, id)
    return answer(operation_of(await (await call.desk((body or ReasonBody()).reason)).abort(id), call.base))
