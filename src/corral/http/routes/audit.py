"""The audit log: who did what."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from corral.admin.objects import AuditEntry
from corral.admin.rights import Permission
from corral.http.deps import allow, problem
from corral.http.models.base import Listing
from corral.http.models.documented import shown
from corral.http.models.operations import AuditInfo, audit_of
from corral.http.paging import Asked, cursor_of, listing, spot_of
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.spans import instant_of

router = Router(tags=["Audit"])

#: Pages that one request reads to fill its own, when most entries are about queues that are not the caller's.
PAGES = 4


@router.get(
    "/audit", operation_id="list_audit", response_model=shown(Listing[AuditInfo]), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.AUDIT_READ, queue=None)],
)  # fmt: skip
async def list_audit(
    call: Called, asked: Asked,
    actor: Annotated[str | None, Query(max_length=256)] = None,
    action: Annotated[str | None, Query(max_length=100, description="`job.retry`, `queue.*`")] = None,
    queue: Annotated[str | None, Query(max_length=256)] = None,
    job: Annotated[str | None, Query(max_length=512)] = None,
    since: Annotated[str | None, Query(alias="from", max_length=40)] = None,
    to: Annotated[str | None, Query(max_length=40)] = None,
) -> Response:  # fmt: skip
    """Who did what, newest first."""
    now = call.api.monitor.at()
    begin, end = instant_of(since, "from", now), instant_of(to, "to", now)
    about = ("audit", actor, action, queue, job, since, to)
    before = _before(asked.cursor, about)
    desk = await call.desk()
    items: list[AuditEntry] = []
    following: str | None = before
    for _ in range(PAGES):
        page = await desk.audit(
            actor=actor, action=action, queue=queue, job=job, since=begin, until=end, before=following,
            limit=asked.limit - len(items),
        )  # fmt: skip
        items += [one for one in page.items if _theirs(call, one)]
        following = page.next
        if following is None or len(items) >= asked.limit:
            break
    shown = [audit_of(one) for one in items]
    cursor = None if following is None else cursor_of((following,), *about)
    return listing(asked, AuditInfo, shown, next=cursor, relation="unknown")


def _before(cursor: str | None, about: tuple[str | None, ...]) -> str | None:
    """The entry that a cursor names. Raises: Problem (400)."""
    if cursor is None:
        return None
    key = spot_of(cursor, *about).key
    if len(key) != 1 or not isinstance(key[0], str) or not key[0].isalnum() or len(key[0]) > 200:
        problem("invalid-cursor", "The cursor is none that this API has given.")
    return str(key[0])


def _theirs(call: Caller, entry: AuditEntry) -> bool:
    """Whether an entry is about a queue that there is for the caller. What is about none is for who sees all."""
    if call.sees_all:
        return True
    named = [entry.target[key] for key in ("queue", "to_queue") if key in entry.target]
    return bool(named) and all(call.sees(one) for one in named)
